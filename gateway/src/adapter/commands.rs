//! Commands of a connection that was found: of ordered streams, and what unary calls become.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use proto::stream::{Authenticate, command::Kind};

use super::{Adapter, fields, pretence::needs_client};
use crate::{
    connection::{Executor, Handle},
    handler::stream::Outcome,
    metrics::AdapterMethod,
    mirror::{Call, Known, Pair, Side},
};

/// The adapter, as ordered streams call it.
pub struct Commands(Arc<Adapter>);

impl Commands {
    /// Calls of this adapter.
    #[must_use]
    pub fn new(adapter: Arc<Adapter>) -> Self {
        Self(adapter)
    }
}

impl Executor for Commands {
    fn carry_out(&self, handle: Handle, command: Kind) -> BoxFuture<'static, Outcome> {
        let adapter = self.0.clone();
        Box::pin(async move {
            let Some(method) = AdapterMethod::of(&command) else {
                // The state never leaves the stream.
                return Outcome::success();
            };
            let (outcome, present) = match adapter.carry_out(&handle, command).await {
                Ok(present) => (Ok(()), present),
                Err(error) => (Err(error), None),
            };
            let caller = (handle.id().as_str(), handle.is_shadow());
            let response = adapter.code(method, caller, outcome);
            Outcome {
                code: response.code(),
                message: response.message,
                session_present: present.unwrap_or_default(),
            }
        })
    }
}

impl Adapter {
    /// Carries a command out, unless it is a shadow's. Of Authenticate, where the client has a session: whether it was
    /// there before.
    pub(super) async fn carry_out(&self, handle: &Handle, command: Kind) -> Known {
        match handle.mirrored() {
            None => self.really_carry_out(handle, command).await,
            Some((Side::Mirror, pair)) => self.pretend(handle, pair, &command),
            Some((Side::Real, pair)) => {
                // Before it is carried out: the mirror may make the same call in the meantime, or after a Close.
                let ticket = compared(handle, pair, &command).and_then(|call| pair.real(call));
                let closes = matches!(command, Kind::Close(_));
                let outcome = self.really_carry_out(handle, command).await;
                if closes && outcome.is_ok() {
                    pair.comparison.closed_by(Side::Real);
                }
                if let Some(ticket) = ticket {
                    pair.comparison.answered(ticket, outcome.clone());
                }
                outcome
            }
        }
    }

    async fn really_carry_out(&self, handle: &Handle, command: Kind) -> Known {
        match command {
            Kind::Send(bytes) => handle.send(bytes).await,
            Kind::Close(_) => handle.close().await,
            Kind::Authenticate(request) => return self.authenticate_as(handle, request).await,
            Kind::StartTimer(timer) => {
                let interval = fields::interval(timer.interval)?;
                handle.start_timer(interval).await
            }
            Kind::Publish(publish) => self.publish_from(handle, publish).await,
            Kind::RawPublish(publish) => self.publish_raw(publish).await,
            Kind::Subscribe(request) => {
                self.subscribe_to(handle, &request.topic, request.qos).await
            }
            Kind::Unsubscribe(topic) => self.unsubscribe_from(handle, &topic).await,
            // It never leaves the stream.
            Kind::State(_) => Ok(()),
        }?;
        Ok(None)
    }

    async fn authenticate_as(&self, handle: &Handle, request: Authenticate) -> Known {
        let credentials = fields::credentials(request.clientinfo, request.password, handle)?;
        let expiry = request
            .session_expiry
            .map(|seconds| Duration::from_secs(seconds.into()));
        self.clients.authenticate(handle, credentials, expiry).await
    }
}

/// What is compared of a call of the handler: nothing where the connection has ended, or is not that far.
fn compared(handle: &Handle, pair: &Pair, command: &Kind) -> Option<Call> {
    handle.alive().ok()?;
    if pair.comparison.was_closed_by(Side::Real) {
        return None;
    }
    if needs_client(command) {
        handle.client().ok()?;
    }
    pair.comparison.looks_at(command)
}
