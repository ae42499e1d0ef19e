//! Clients that may come to another pod: their sessions, and how they are given up.

use tokio::time::timeout;

use super::{Clients, TAKEOVER};
use crate::{broker::others::Away, connection::CloseReason, ownership::GivenUp};

impl Clients {
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
