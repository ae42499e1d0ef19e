//! Callbacks as calls: strictly in order, one in flight.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
};

use super::pending::Pending;
use crate::connection::{
    CloseReason,
    delivery::{Delivered, Delivery, Event, Standing},
    handle::Shared,
};

/// The calls of one connection.
#[derive(Default)]
pub(super) struct Calls {
    /// Bytes handed to the handler.
    offset: u64,
    in_flight: Option<Pin<Box<dyn Future<Output = Delivered> + Send>>>,
    /// How the connection stands with its handler, while nothing is in flight.
    standing: Standing,
}

impl Calls {
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_none()
    }

    /// No handler knows of the connection.
    pub(super) fn is_unmet(&self, shared: &Shared) -> bool {
        match self.in_flight {
            Some(_) => shared.parked.load(Ordering::Relaxed),
            None => !self.standing.met,
        }
    }

    pub(super) fn is_parked(&self, shared: &Shared) -> bool {
        self.in_flight.is_some() && shared.parked.load(Ordering::Relaxed)
    }

    /// The handler that knows the connection is gone, and no callback is in flight to find out.
    pub(super) fn lost_its_handler(&self) -> bool {
        self.in_flight.is_none() && self.standing.lost()
    }

    /// Hands the next event over, if none is in flight.
    pub(super) fn start(&mut self, shared: &Arc<Shared>, pending: &mut Pending) {
        if self.in_flight.is_none()
            && let Some(event) = pending.next()
        {
            self.in_flight = Some(Box::pin(self.deliver(shared, event)));
        }
    }

    /// Ready when the callback in flight was answered; the next one is then under way. Or when none is, and the handler
    /// has refused an earlier one.
    pub(super) fn poll_answered(
        &mut self,
        shared: &Arc<Shared>,
        pending: &mut Pending,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CloseReason>> {
        let Some(call) = &mut self.in_flight else {
            return self.standing.poll_refused(cx).map(Err);
        };
        let delivered = ready!(call.as_mut().poll(cx));
        self.in_flight = None;
        self.standing = delivered.standing;
        delivered.outcome?;
        if let Poll::Ready(reason) = self.standing.poll_refused(cx) {
            return Poll::Ready(Err(reason));
        }
        if !self.lost_its_handler() {
            self.start(shared, pending);
        }
        Poll::Ready(Ok(()))
    }

    /// `OnSocketClosed`, where the handler knows of the connection.
    pub(super) async fn closed(
        &mut self,
        shared: &Arc<Shared>,
        reason: CloseReason,
    ) -> Result<(), CloseReason> {
        if !self.standing.met {
            return Ok(());
        }
        self.deliver(shared, Event::Closed(reason)).await.outcome
    }

    fn deliver(
        &mut self,
        shared: &Arc<Shared>,
        event: Event,
    ) -> impl Future<Output = Delivered> + Send + use<> {
        let standing = std::mem::take(&mut self.standing);
        let offset = self.offset;
        if let Event::Received(bytes) = &event {
            self.offset += bytes.len() as u64;
        }
        Delivery::new(shared.clone(), standing, event, offset).run()
    }
}
