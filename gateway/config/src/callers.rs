//! Who may call the adapter, and what for.

#![allow(clippy::doc_markdown, reason = "calls are named as in the contract")]

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One caller of the adapter, which is known by a token or by its certificate; where both are written, either will do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// What it is called in refusals and in the log.
    pub name: String,

    /// A file with its bearer token, 16 characters or more; more lines, more tokens, all of them good,
    /// so that one can follow the other. Empty lines and lines that start with `#` are ignored. It is
    /// watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,

    /// The name in its certificate: the common name, a DNS name or a URI (`spiffe://…`) of the
    /// alternative names. Needs `adapter.tls.verify`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,

    /// What it may call: `send` (Send, Close), `session` (Authenticate, StartTimer, Subscribe,
    /// Unsubscribe), `publish` (Publish), `raw` (RawPublish, to any topic in anybody's name); and of the
    /// service for back ends `backend_publish` (Publish, PublishStream, to any topic) and
    /// `backend_subscribe` (Subscribe, to any topic). Unset: `send`, `session` and `publish`.
    #[serde(default = "Scope::unless_said")]
    pub scopes: Vec<Scope>,

    /// Whether it is the mirror (`handler.mirror`): its calls are answered as if they were carried out,
    /// and are not, whatever they name. Calls by an ordered stream need no such mark.
    #[serde(default, skip_serializing_if = "is_false")]
    pub mirror: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(yes: &bool) -> bool {
    !yes
}

/// Some of the adapter's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Send, Close.
    Send,
    /// Authenticate, `StartTimer`, Subscribe, Unsubscribe.
    Session,
    /// Publish.
    Publish,
    /// `RawPublish`.
    Raw,
    /// Publish and `PublishStream` of the service for back ends.
    BackendPublish,
    /// Its Subscribe.
    BackendSubscribe,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 6] = [
        Self::Send,
        Self::Session,
        Self::Publish,
        Self::Raw,
        Self::BackendPublish,
        Self::BackendSubscribe,
    ];

    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Session => "session",
            Self::Publish => "publish",
            Self::Raw => "raw",
            Self::BackendPublish => "backend_publish",
            Self::BackendSubscribe => "backend_subscribe",
        }
    }

    /// What a handler needs. Not `raw`, nor what back ends need: no rule about clients and topics holds for it.
    fn unless_said() -> Vec<Self> {
        vec![Self::Send, Self::Session, Self::Publish]
    }
}
