//! The management API: who may use it, and how much of it at once.

use std::{net::Ipv4Addr, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Bind, ServerTls, Verify, count::Count, period::Period};

/// The server of the management API (HTTP, JSON). It is off unless `token_file` is written, or
/// `tls.verify: required`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Management {
    /// The address to listen on, written as a listener's `bind`. Any but a loopback address needs
    /// `tls.certificate`.
    pub bind: Bind,

    /// A file with the bearer token, 16 characters or more; more lines, more tokens, all of them good,
    /// so that one can follow the other. Empty lines and lines that start with `#` are ignored. It is
    /// watched. Unset: the API is off, or, with `tls.verify: required`, every certificate of that
    /// authority is let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/tokens/management")]
    pub token_file: Option<PathBuf>,

    /// Its certificate, and what is asked of whoever connects.
    pub tls: ServerTls,

    /// How long one request may take; then it is answered 503.
    #[serde(with = "Period")]
    pub request_timeout: Duration,

    /// How many requests may be under way at once; more are answered 429.
    #[serde(with = "Count::<1, 10_000>")]
    pub max_concurrent_requests: u32,
}

impl Default for Management {
    fn default() -> Self {
        Self {
            bind: Bind((Ipv4Addr::LOCALHOST, 9104).into()),
            token_file: None,
            tls: ServerTls::default(),
            request_timeout: Duration::from_secs(10),
            max_concurrent_requests: 16,
        }
    }
}

impl Management {
    /// Whether there is somebody who may use it.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.token_file.is_some() || self.tls.verify == Verify::Required
    }
}
