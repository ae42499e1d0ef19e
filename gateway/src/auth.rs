//! Who may be a client: a chain of authenticators, each of which allows, denies, or leaves it to the next one.
//!
//! `clients` asks it with what Authenticate brought. It knows no connections, and no password leaves it.

/// The authenticators of one listener, in their order.
mod chain;
/// All chains, and what a reload makes of them.
mod chains;
/// Passwords and their hashes.
pub mod hash;
/// Threads that hash.
mod hasher;
/// A file of users.
mod users;
/// Signed tokens.
mod jwt;
/// A service of the user's.
mod http;
/// Names in certificates.
mod certificate;
/// Users in Redis.
mod redis;
/// Why a chain could not be made.
mod error;
/// What was counted.
mod stats;

use std::{collections::BTreeMap, fmt, sync::Arc, time::SystemTime};

pub use self::{
    chain::Refused,
    chains::{Authentication, check, files},
    error::Error,
    stats::Stats,
};
use crate::transport::ConnInfo;

/// What Authenticate brought, and where from.
#[derive(Debug)]
pub struct Credentials {
    /// Never empty, at most 65,535 bytes.
    pub clientid: String,
    /// May be empty.
    pub username: String,
    /// May be empty.
    pub password: Password,
    /// The handler's name for the device's protocol.
    pub proto_name: String,
    /// Its version.
    pub proto_ver: String,
    /// The socket's two ends.
    pub conninfo: ConnInfo,
    /// The listener's name.
    pub listener: String,
}

/// A password. Shows itself to nobody who does not ask for it by name.
pub struct Password(String);

impl Password {
    /// Keeps `text` from logs.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The password itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Names and values that authentication gave to a client; most have none.
pub type Attributes = BTreeMap<Box<str>, Box<str>>;

/// What a client is granted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grant {
    /// When its connection is closed with `expired`. `None`: it is not.
    pub expires_at: Option<SystemTime>,
    /// For mountpoints and rules.
    pub attributes: Attributes,
    /// Rules of its own, as JSON.
    pub acl: Option<Arc<serde_json::Value>>,
    /// No rule of authorization holds for it.
    pub superuser: bool,
    /// The username is a secret, and so none from now on.
    pub hides_username: bool,
}

/// What one authenticator says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It is who it says.
    Allow(Grant),
    /// It is not. The text goes to the handler.
    Deny(String),
    /// Somebody else may know.
    Ignore,
    /// It cannot be told now. The text goes to the log and to the handler.
    Unavailable(String),
}

impl Verdict {
    /// The same text for an unknown name and a wrong password: whoever guesses learns nothing.
    pub(crate) fn bad_password() -> Self {
        Self::Deny(BAD_PASSWORD.to_owned())
    }

    /// What went wrong, with its causes.
    pub(crate) fn unavailable(error: impl Into<anyhow::Error>) -> Self {
        Self::Unavailable(format!("{:#}", error.into()))
    }
}

pub(crate) const BAD_PASSWORD: &str = "bad username or password";
/// Nobody keeps passwords here.
pub(crate) const UNKNOWN_CLIENT: &str = "no authenticator knows this client";

#[cfg(test)]
mod tests;
