//! What the adapter asks of a connection.

use std::{ops::ControlFlow, sync::atomic::Ordering, time::Instant};

use tokio::sync::oneshot;

use super::{Begun, CallError, Claim, CloseReason, Connection, Description, handle::Command};
use crate::broker::Session;

impl Connection {
    pub(super) fn on_command(&mut self, command: Command) -> ControlFlow<CloseReason> {
        match command {
            Command::Send(bytes) => self.outbox.push(&bytes, &self.shared.room),
            Command::Close { reply } => {
                answer(reply, Ok(()));
                return ControlFlow::Break(CloseReason::Normal);
            }
            Command::Authenticated {
                client,
                expiry,
                claim,
                reply,
            } => {
                let outcome = self.shared.phase.authenticated(client);
                answer(reply, outcome.map(|()| self.begin(claim, expiry)));
            }
            Command::StartTimer { interval, reply } => {
                if self.ending.is_none() {
                    self.timers.start_keepalive(Instant::now(), interval);
                }
                answer(reply, Ok(()));
            }
            Command::Subscribe { filter, qos, reply } => {
                let queue = self.callbacks.queue();
                let settings = &self.shared.settings;
                let limit = settings.tuning().limits.max_subscriptions;
                let outcome = self
                    .subscriptions
                    .add(&settings.broker, queue, filter, qos, limit);
                answer(
                    reply,
                    outcome.map_err(|full| CallError::Limit(full.to_string())),
                );
            }
            Command::Unsubscribe { filter, reply } => {
                self.subscriptions.remove(&filter);
                answer(reply, Ok(()));
            }
            Command::Describe { reply } => {
                let mut description = Description::of(&self.subscriptions);
                self.callbacks.describe(&mut description);
                answer(reply, description);
            }
        }
        ControlFlow::Continue(())
    }

    /// The connection is a client. Where it has a session: whether that was there before.
    fn begin(&mut self, mut claim: Box<dyn Claim>, expiry: Option<Instant>) -> Option<bool> {
        self.timers.authenticated(expiry);
        let begun = claim.begin();
        self.claim = Some(claim);
        let Begun { session, present } = begun?;
        let Session {
            queue,
            mut subscriptions,
        } = session;
        if self.callbacks.resume(queue) {
            subscriptions.arrived(&self.shared.settings.broker);
        }
        self.subscriptions = subscriptions;
        self.shared.has_session.store(true, Ordering::Relaxed);
        Some(present)
    }
}

/// The caller may have gone in the meantime.
fn answer<T>(reply: oneshot::Sender<T>, value: T) {
    drop(reply.send(value));
}
