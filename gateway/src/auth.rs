//! Who may be a client: what an authenticator is asked and answers.

use std::{fmt, time::SystemTime};

use futures_util::future::BoxFuture;

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

/// What a client is granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// When its connection is closed with `expired`. `None`: it is not.
    pub expires_at: Option<SystemTime>,
}

/// Why somebody may not be a client. The text goes to the handler.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Denied(pub String);

/// Decides who may be a client.
pub trait Authenticator: Send + Sync + 'static {
    /// Checks credentials. May take its time: no connection waits for it but the one concerned.
    fn authenticate<'a>(
        &'a self,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<Grant, Denied>>;
}

/// Lets everybody in, for ever.
#[derive(Clone, Copy, Debug)]
pub struct Anonymous;

impl Authenticator for Anonymous {
    fn authenticate<'a>(&'a self, _: &'a Credentials) -> BoxFuture<'a, Result<Grant, Denied>> {
        Box::pin(async { Ok(Grant::default()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let password = Password::new("hunter2".to_owned());
        assert_eq!(format!("{password:?}"), "***");
        assert_eq!(password.reveal(), "hunter2");
    }
}
