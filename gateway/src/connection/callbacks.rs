//! What the handler is told of a connection, in order: by calls, one at a time, or by the events of an ordered stream.

/// One call at a time.
mod calls;
/// What waits for its turn.
mod pending;
/// Events of an ordered stream.
mod streaming;

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;

use self::{
    calls::Calls,
    pending::{Pending, Waiting},
    streaming::Streaming,
};
use super::{CloseReason, description::Description, handle::Shared};
use crate::broker::queue::{Queue, Ready};

/// The callbacks of one connection.
pub(super) struct Callbacks {
    shared: Arc<Shared>,
    pending: Pending,
    way: Way,
}

/// How the handler is told.
enum Way {
    Calls(Calls),
    Stream(Box<Streaming>),
}

impl Callbacks {
    /// `by_message`: each event carries one message, not what has come so far.
    pub(super) fn new(shared: Arc<Shared>, by_message: bool) -> Self {
        let way = match &shared.settings.executor {
            Some(executor) => Way::Stream(Box::new(Streaming::new(&shared, executor))),
            None => Way::Calls(Calls::default()),
        };
        Self {
            pending: Pending::new(shared.clone(), by_message),
            shared,
            way,
        }
    }

    /// A device has connected.
    pub(super) fn created(&mut self) {
        match &mut self.way {
            Way::Calls(_) => self.push(Waiting::Created),
            // It is attached when the loop comes by.
            Way::Stream(_) => {}
        }
    }

    /// Bytes of a stream were read.
    pub(super) fn received(&mut self, bytes: &[u8]) {
        self.pending.received(bytes);
        self.start();
    }

    /// A frame or datagram was read. There is room for it.
    pub(super) fn received_message(&mut self, bytes: Bytes) {
        self.pending.received_message(bytes);
        self.start();
    }

    /// The keepalive has run out.
    pub(super) fn timed_out(&mut self) {
        self.push(Waiting::TimerTimeout);
    }

    /// The queue has messages.
    pub(super) fn messages(&mut self) {
        self.push(Waiting::Messages);
    }

    /// How many more bytes may wait: of frames and datagrams, the next one as a whole or nothing.
    pub(super) fn room(&self) -> usize {
        self.pending.room(match &self.way {
            Way::Calls(_) => 0,
            Way::Stream(stream) => stream.unacknowledged_bytes(),
        })
    }

    /// The queue for subscriptions.
    pub(super) fn queue(&mut self) -> &Arc<Queue> {
        self.pending.queue()
    }

    /// The queue of the client's session. Whether its messages will be taken: a connection that ends takes none.
    pub(super) fn resume(&mut self, queue: Arc<Queue>) -> bool {
        self.pending.resume(queue)
    }

    /// Messages come from this queue, which nobody subscribes.
    pub(super) fn follow(&mut self, queue: Arc<Queue>) {
        self.pending.follow(queue);
    }

    /// All that there is to tell is on its way.
    pub(super) fn has_nothing_waiting(&self) -> bool {
        self.pending.is_empty()
    }

    /// Ready when the queue has messages that do not wait here yet, or has overflowed.
    pub(super) fn poll_messages(&self, cx: &mut Context<'_>) -> Poll<Ready> {
        self.pending.poll_messages(cx)
    }

    /// Nothing waits, nothing is in flight, and all was acknowledged.
    pub(super) fn are_done(&self) -> bool {
        self.pending.is_empty()
            && match &self.way {
                Way::Calls(calls) => calls.is_idle(),
                Way::Stream(stream) => stream.is_idle(),
            }
    }

    /// No handler knows of the connection, and it has nothing to tell: it may end without a word.
    pub(super) fn nobody_cares(&self) -> bool {
        let unmet = match &self.way {
            Way::Calls(calls) => calls.is_unmet(&self.shared),
            Way::Stream(stream) => stream.is_unmet(),
        };
        unmet && self.pending.has_no_bytes()
    }

    /// The handler that knows the connection is gone, and no callback is in flight to find out.
    pub(super) fn lost_its_handler(&self) -> bool {
        match &self.way {
            Way::Calls(calls) => calls.lost_its_handler(),
            // It finds out by itself.
            Way::Stream(_) => false,
        }
    }

    /// Introduces the connection to another handler, or says that it has to close.
    pub(super) fn rebind(&mut self) -> Result<(), CloseReason> {
        if !self.shared.settings.policy.rebinds {
            return Err(CloseReason::HandlerLost);
        }
        self.pending.push_first(Waiting::Created);
        self.start();
        Ok(())
    }

    /// Since when the handler owes an acknowledgement, where it is not a call that has its own deadline.
    pub(super) fn unanswered_since(&self) -> Option<Instant> {
        match &self.way {
            Way::Calls(_) => None,
            Way::Stream(stream) => stream.unanswered_since(),
        }
    }

    /// Ready when the handler has answered, or the connection has to close because it does not.
    pub(super) fn poll_answered(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        match &mut self.way {
            Way::Calls(calls) => calls.poll_answered(&self.shared, &mut self.pending, cx),
            Way::Stream(stream) => stream.poll(&mut self.pending, cx),
        }
    }

    /// What waits in the queue, which does not count what is in flight.
    pub(super) fn describe(&self, description: &mut Description) {
        self.pending.describe(description);
    }

    /// The connection is told to end: messages are not sent again, and those of a session that nobody has been told of
    /// wait for the next connection.
    pub(super) fn ending(&mut self) {
        self.pending.ending();
    }

    /// The connection takes no more messages. The queue of a session goes on.
    pub(super) fn leave_messages(&mut self) -> Option<Arc<Queue>> {
        self.pending.leave_messages()
    }

    /// The end: what is in flight, what was read where `reason` says so, and `OnSocketClosed` where the handler knows
    /// of the connection. Bounded by the deadlines of each.
    pub(super) async fn finish(mut self, reason: CloseReason) {
        let keep = reason.delivers_what_was_read();
        let is_parked = match &self.way {
            Way::Calls(calls) => calls.is_parked(&self.shared),
            Way::Stream(stream) => stream.is_unmet(),
        };
        if self.nobody_cares() || (!keep && is_parked) {
            return;
        }
        if !keep {
            self.pending.clear();
        }
        let told = match &mut self.way {
            Way::Calls(_) => self.finish_calls(reason).await,
            Way::Stream(stream) => stream.finish(&mut self.pending, reason).await,
        };
        if let Err(failure) = told {
            self.shared.settings.metrics.closed_untold(failure);
        }
    }

    async fn finish_calls(&mut self, reason: CloseReason) -> Result<(), CloseReason> {
        while !self.are_done() {
            self.start();
            if poll_fn(|cx| self.poll_answered(cx)).await.is_err() {
                self.pending.clear();
            }
        }
        match &mut self.way {
            Way::Calls(calls) => calls.closed(&self.shared, reason).await,
            Way::Stream(_) => Ok(()),
        }
    }

    fn push(&mut self, kind: Waiting) {
        self.pending.push(kind);
        self.start();
    }

    /// Hands over what may be handed over now.
    fn start(&mut self) {
        match &mut self.way {
            Way::Calls(calls) => calls.start(&self.shared, &mut self.pending),
            // It looks by itself, when the loop comes by.
            Way::Stream(_) => {}
        }
    }
}
