//! A clientid's ownership: from the moment a connection wants it until that connection has handed everything over.

use std::{sync::Arc, time::Duration};

use super::{Clients, Inner, events};
use crate::{
    broker::Session,
    connection::{self, Begun, Client, CloseReason, Handle},
    ownership::Held,
};

/// Given up when dropped, unless somebody else has it by then.
pub(super) struct Claim {
    pub(super) clients: Clients,
    pub(super) client: Arc<Client>,
    pub(super) owner: Handle,
    /// For how long the client's session outlives its connection; zero where it has none.
    pub(super) expiry: Duration,
    /// The same over all pods, where there are others.
    pub(super) held: Option<Arc<Held>>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Inner {
            owners, leaving, ..
        } = &*self.clients.0;
        let (clientid, id) = (&self.client.clientid, self.owner.id());
        owners.remove_if(clientid, |_, owner| owner.id() == id);
        // Whoever wanted the clientid may have given up, and nobody else would look here.
        leaving.remove_if_mut(clientid, |_, older| {
            older.remove(id);
            older.is_empty()
        });
    }
}

impl connection::Claim for Claim {
    fn begin(&mut self) -> Option<Begun> {
        let Inner {
            broker,
            sessions,
            shared_sessions,
            sys_events,
            ..
        } = &*self.clients.0;
        let clientid = &*self.client.clientid;
        let shared = shared_sessions.as_ref().zip(self.held.as_ref());
        let begun = if self.expiry.is_zero() {
            sessions.discard(clientid);
            None
        } else {
            let mark = mark(&self.client);
            let waiting = sessions.take(clientid, &mark);
            let present = waiting.is_some();
            let session = waiting.unwrap_or_else(|| Session::new(broker));
            if let Some((shared, held)) = shared {
                shared.connected(held, &session.queue, &mark, self.expiry);
            }
            Some(Begun { session, present })
        };
        if *sys_events {
            events::connected(broker, &self.owner, &self.client);
        }
        begun
    }

    fn ended(self: Box<Self>, reason: CloseReason, session: Option<Session>) {
        let Inner {
            bans,
            broker,
            sessions,
            shared_sessions,
            sys_events,
            ..
        } = &*self.clients.0;
        if let Some(session) = session {
            if reason.ends_session() {
                session.discard();
            } else {
                let clientid = &self.client.clientid;
                if let Some(shared) = shared_sessions {
                    shared.parked(clientid);
                }
                sessions.park(clientid, &mark(&self.client), session, self.expiry);
                // A ban that came a moment ago may have found it neither here nor there.
                if bans.is_banned_client(clientid).is_some() {
                    sessions.discard(clientid);
                }
            }
        }
        if *sys_events {
            events::disconnected(broker, &self.owner, &self.client, reason);
        }
        // Now that all of it can be found, whoever wants the clientid need not wait for this connection: dropped.
    }
}

/// What must be the same for a session to be found again: another user has no business in it, and elsewhere its topics
/// mean something else. A mountpoint holds no U+0000, so the two cannot be taken for others.
pub(super) fn mark(client: &Client) -> String {
    [&*client.username, "\0", &*client.mountpoint].concat()
}
