//! Clients that may come to another pod: their sessions, and how they are given up.

use tokio::time::timeout;

use super::{Claim, Clients, TAKEOVER, claim};
use crate::{
    broker::others::Away,
    connection::{CallError, CloseReason},
    ownership::GivenUp,
};

impl Clients {
    /// The clientid is this connection's among all pods, and the session is here, where there is one elsewhere.
    pub(super) async fn have_it_here(&self, claim: &Claim) -> Result<(), CallError> {
        let (Some(ownership), Some(held)) = (self.0.ownership.clone(), claim.held.clone()) else {
            return Ok(());
        };
        let (shared, handle) = (self.0.shared_sessions.clone(), claim.owner.clone());
        let mark = (!claim.expiry.is_zero()).then(|| claim::mark(&claim.client));
        // Whoever waits for it may go away: what was given up elsewhere is here all the same.
        let having = async move {
            let is_taken = ownership.take(&held, &handle).await;
            let fetched = match &shared {
                Some(shared) if !held.is_lost() => shared.fetch(&held, mark).await,
                _ => Ok(()),
            };
            (is_taken, fetched)
        };
        let Ok((is_taken, fetched)) = tokio::spawn(having).await else {
            return Err(CallError::Gone);
        };
        if !is_taken {
            claim.owner.end(CloseReason::Discarded);
            return Err(CallError::Gone);
        }
        fetched.map_err(|away| CallError::Unavailable(away.to_string()))
    }

    /// What the client has subscribed outlives this pod, where it has a session and there are others.
    ///
    /// # Errors
    /// It will, but that takes longer.
    pub async fn session_is_kept(&self, clientid: &str) -> Result<(), Away> {
        match &self.0.shared_sessions {
            Some(shared) => shared.saved(clientid).await,
            None => Ok(()),
        }
    }

    /// Another pod has the clientid, by that claim: unless this one has it by a higher one, its client here ends. Done once
    /// it has, and its session is where the other pod finds it.
    pub async fn give_up(&self, clientid: &str, claim: u64) {
        let (clients, clientid) = (self.clone(), clientid.to_owned());
        // Whoever waits for it may go away.
        let giving = async move { clients.really_give_up(&clientid, claim).await };
        let _ = tokio::spawn(giving).await;
    }

    async fn really_give_up(&self, clientid: &str, claim: u64) {
        let Some(ownership) = &self.0.ownership else {
            return;
        };
        let Some(GivenUp { client, held }) = ownership.give_up(clientid, claim).await else {
            return;
        };
        if let Some(owner) = client {
            owner.end(CloseReason::Discarded);
            if timeout(TAKEOVER, owner.ended()).await.is_err() {
                tracing::error!(conn = %owner.id(), "the connection of a client that is another pod's does not end");
            }
        }
        if let Some(shared) = &self.0.shared_sessions {
            shared.hand_over(&held).await;
        }
    }
}
