//! Who may publish and subscribe.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    HttpClient, HttpUrl, KeyTemplate, Permission, RedisServer, count::Count, period::PeriodOrOff,
};

/// What `Publish` and `Subscribe` are checked by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Authorization {
    /// What is asked, in this order: each source allows, denies, or has nothing to say and leaves it
    /// to the next one. Rules that came with a client's authentication are looked at before them.
    #[schemars(example = "[{file: {path: /etc/exproto/rules.yaml}}]")]
    pub sources: Vec<AuthorizationSource>,

    /// What holds where nothing decides. Unset: `deny` where there are sources, and for clients that
    /// brought rules; else `allow`. (Not for `$SYS` and below, which only a rule or an answer of a
    /// source can allow.)
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"deny")]
    pub default: Option<Permission>,

    /// What is remembered of the answers of slow sources.
    pub cache: AuthorizationCache,
}

/// One source of decisions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthorizationSource {
    /// A file of rules.
    File(RulesFile),
    /// Asks a service of yours.
    Http(Box<HttpAuthorization>),
    /// Asks Redis for rules of each client.
    Redis(Box<RedisAuthorization>),
}

impl AuthorizationSource {
    /// The word in configurations and metrics.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Http(_) => "http",
            Self::Redis(_) => "redis",
        }
    }
}

/// A file of rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RulesFile {
    /// A YAML list of rules, of which the first one that fits decides; at most 16 MiB. It is
    /// watched; one with an error is not taken, and what was read before stays in use.
    #[schemars(example = "/etc/exproto/rules.yaml")]
    pub path: PathBuf,
}

/// A service that is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpAuthorization {
    /// Where to POST who wants to do what as JSON. `204` allows, `403` denies, `200` does what
    /// `result` in its JSON says: `allow`, `deny` or `ignore`. Anything else is a failure, and denies.
    #[schemars(example = "https://auth.example.net/exproto/acl")]
    pub url: HttpUrl,

    /// How the service is reached.
    #[serde(default)]
    pub client: HttpClient,
}

/// Rules of each client, in Redis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedisAuthorization {
    /// Where Redis is.
    pub server: RedisServer,

    /// The key of a client's hash. `${clientid}` and `${username}` in it stand for the client's own;
    /// a client that has no such name has no rules here. Each field is a topic filter, and its value
    /// is `publish`, `subscribe` or `all`, or JSON such as `{"permission": "deny", "action": "all"}`.
    /// A hash has no order: what denies goes first.
    #[serde(default = "rules_key")]
    pub key: KeyTemplate,
}

fn rules_key() -> KeyTemplate {
    "exproto:acl:${username}"
        .parse()
        .expect("a template with a placeholder that is known")
}

/// What is remembered of decisions, for each client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuthorizationCache {
    /// How long a decision that http or redis took part in holds for the same client, action, topic
    /// and QoS. `off`: they are asked each time. What has been revoked in the meantime is noticed only
    /// after this time.
    #[serde(with = "PeriodOrOff")]
    pub ttl: Option<Duration>,

    /// How many decisions are kept for a client; at the limit the oldest is dropped. Topics longer
    /// than 512 bytes are not kept.
    #[serde(with = "Count::<1, 1_000>")]
    pub max_entries: u32,
}

impl Default for AuthorizationCache {
    fn default() -> Self {
        Self {
            ttl: Some(Duration::from_secs(60)),
            max_entries: 32,
        }
    }
}
