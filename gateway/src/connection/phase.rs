//! Who a connection is, and so what may be asked of it. Pure: no I/O and no clock.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU8, Ordering},
};

use super::{CallError, Origin};
use crate::authorization::Access;

/// A connection after Authenticate.
#[derive(Debug)]
pub struct Client {
    /// At most one connection of the cluster has it.
    pub clientid: Arc<str>,
    /// May be empty.
    pub username: String,
    /// What stands before every topic of this client; placeholders are filled in.
    pub mountpoint: String,
    /// What it may do.
    pub access: Access,
    /// How it came to be one.
    pub origin: Origin,
}

const OPEN: u8 = 0;
const AUTHENTICATING: u8 = 1;
const AUTHENTICATED: u8 = 2;

/// How far a connection has come. It only moves forward, but for an Authenticate that is refused or given up.
#[derive(Debug, Default)]
pub(super) struct Phase {
    step: AtomicU8,
    client: OnceLock<Arc<Client>>,
    /// A new handler has taken over and may introduce the same client once more.
    rebound: AtomicBool,
}

/// The one Authenticate that a connection can have under way. Dropped without success, the next one may come.
#[must_use]
#[derive(Debug)]
pub struct Attempt<'a> {
    phase: &'a Phase,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let _ = self.phase.step.compare_exchange(
            AUTHENTICATING,
            OPEN,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
    }
}

/// What an Authenticate has to do.
#[derive(Debug)]
pub enum Begin<'a> {
    /// The whole check.
    Check(Attempt<'a>),
    /// Nothing: a new handler introduces the client that the connection already is.
    Known,
}

impl Phase {
    /// The client, or why there is none.
    pub(super) fn client(&self) -> Result<&Arc<Client>, CallError> {
        self.client.get().ok_or(CallError::NotAuthenticated)
    }

    /// Begins an Authenticate as `clientid`.
    pub(super) fn begin(&self, clientid: &str) -> Result<Begin<'_>, CallError> {
        let begun =
            self.step
                .compare_exchange(OPEN, AUTHENTICATING, Ordering::AcqRel, Ordering::Acquire);
        match begun {
            Ok(_) => Ok(Begin::Check(Attempt { phase: self })),
            Err(AUTHENTICATING) => Err(CallError::Authenticating),
            Err(_) => {
                let same = |client: &Arc<Client>| &*client.clientid == clientid;
                if self.rebound.load(Ordering::Acquire) && self.client.get().is_some_and(same) {
                    Ok(Begin::Known)
                } else {
                    Err(CallError::AlreadyAuthenticated)
                }
            }
        }
    }

    /// The connection is now `client`. Called by the connection itself, for the attempt that is under way.
    pub(super) fn authenticated(&self, client: Arc<Client>) -> Result<(), CallError> {
        self.client
            .set(client)
            .map_err(|_| CallError::AlreadyAuthenticated)?;
        self.step.store(AUTHENTICATED, Ordering::Release);
        Ok(())
    }

    /// A new handler has taken over.
    pub(super) fn rebound(&self) {
        self.rebound.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(clientid: &str) -> Arc<Client> {
        Arc::new(Client {
            clientid: clientid.into(),
            username: String::new(),
            mountpoint: String::new(),
            access: Access::default(),
            origin: Origin::default(),
        })
    }

    #[test]
    fn nobody_is_a_client_before_authenticate() {
        let phase = Phase::default();
        assert_eq!(phase.client().unwrap_err(), CallError::NotAuthenticated);
    }

    #[test]
    fn one_authenticate_at_a_time() {
        let phase = Phase::default();
        let first = phase.begin("a").unwrap();
        assert_eq!(phase.begin("b").unwrap_err(), CallError::Authenticating);
        drop(first);
        assert!(phase.begin("b").is_ok());
    }

    #[test]
    fn a_client_stays_who_it_is() {
        let phase = Phase::default();
        let attempt = phase.begin("a").unwrap();
        phase.authenticated(client("a")).unwrap();
        drop(attempt);
        assert_eq!(&*phase.client().unwrap().clientid, "a");
        assert_eq!(
            phase.begin("a").unwrap_err(),
            CallError::AlreadyAuthenticated
        );
        assert_eq!(
            phase.authenticated(client("b")).unwrap_err(),
            CallError::AlreadyAuthenticated
        );
    }

    #[test]
    fn a_new_handler_may_introduce_the_same_client_and_no_other() {
        let phase = Phase::default();
        let attempt = phase.begin("a").unwrap();
        phase.authenticated(client("a")).unwrap();
        drop(attempt);
        phase.rebound();
        assert!(matches!(phase.begin("a"), Ok(Begin::Known)));
        assert_eq!(
            phase.begin("b").unwrap_err(),
            CallError::AlreadyAuthenticated
        );
    }
}
