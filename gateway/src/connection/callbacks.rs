//! What waits for the handler: strictly in order, one callback in flight.
//!
//! Each kind of event waits at most once. Bytes of a stream that come while bytes wait join them; of frames and
//! datagrams one waits, and the rest stays where it came from. Messages stay in their queue until it is their turn. So
//! this holds no more than `inbound_limit` and the queue's own limits.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};

use super::{
    CHUNK, CloseReason,
    delivery::{Delivered, Delivery, Event, Standing},
    description::Description,
    handle::Shared,
};
use crate::broker::queue::{Queue, Ready};

/// The most messages in one `OnReceivedMessages`.
const BATCH_MESSAGES: usize = 100;
/// The most bytes in one `OnReceivedMessages`; gRPC libraries refuse more than 4 MiB.
const BATCH_BYTES: usize = 1024 * 1024;

/// A kind of event that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Created,
    Bytes,
    Messages,
    TimerTimeout,
}

/// What was read from the device.
enum Inbox {
    /// Some bytes of a stream.
    Stream(BytesMut),
    /// A frame or a datagram, which may be empty.
    Message(Option<Bytes>),
}

impl Inbox {
    fn is_empty(&self) -> bool {
        match self {
            Self::Stream(bytes) => bytes.is_empty(),
            Self::Message(message) => message.is_none(),
        }
    }

    /// What one `OnReceivedBytes` takes.
    fn take(&mut self) -> Option<Bytes> {
        match self {
            Self::Stream(bytes) if bytes.is_empty() => None,
            Self::Stream(bytes) if bytes.len() > CHUNK => Some(bytes.split_to(CHUNK).freeze()),
            Self::Stream(bytes) => Some(std::mem::take(bytes).freeze()),
            Self::Message(message) => message.take(),
        }
    }
}

/// The callbacks of one connection.
pub(super) struct Callbacks {
    shared: Arc<Shared>,
    /// By first arrival.
    waiting: VecDeque<Waiting>,
    inbox: Inbox,
    /// Bytes handed to the handler.
    offset: u64,
    /// Made with the first subscription.
    queue: Option<Arc<Queue>>,
    in_flight: Option<Pin<Box<dyn Future<Output = Delivered> + Send>>>,
    /// How the connection stands with its handler, while nothing is in flight.
    standing: Standing,
}

impl Callbacks {
    /// `by_message`: each `OnReceivedBytes` carries one message, not what has come so far.
    pub(super) fn new(shared: Arc<Shared>, by_message: bool) -> Self {
        Self {
            shared,
            waiting: VecDeque::new(),
            inbox: if by_message {
                Inbox::Message(None)
            } else {
                Inbox::Stream(BytesMut::new())
            },
            offset: 0,
            queue: None,
            in_flight: None,
            standing: Standing::default(),
        }
    }

    /// A device has connected.
    pub(super) fn created(&mut self) {
        self.push(Waiting::Created);
    }

    /// Bytes of a stream were read.
    pub(super) fn received(&mut self, bytes: &[u8]) {
        match &mut self.inbox {
            Inbox::Stream(inbox) => inbox.extend_from_slice(bytes),
            Inbox::Message(message) => *message = Some(Bytes::copy_from_slice(bytes)),
        }
        self.push(Waiting::Bytes);
    }

    /// A frame or datagram was read. There is room for it.
    pub(super) fn received_message(&mut self, bytes: Bytes) {
        match &mut self.inbox {
            Inbox::Stream(inbox) => inbox.extend_from_slice(&bytes),
            Inbox::Message(message) => *message = Some(bytes),
        }
        self.push(Waiting::Bytes);
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
        match &self.inbox {
            Inbox::Stream(bytes) => {
                let limit = self.shared.settings.tuning().limits.inbound_limit;
                limit.bytes().saturating_sub(bytes.len())
            }
            Inbox::Message(None) => CHUNK,
            Inbox::Message(Some(_)) => 0,
        }
    }

    /// The queue for subscriptions.
    pub(super) fn queue(&mut self) -> &Arc<Queue> {
        let Shared {
            settings, ending, ..
        } = &*self.shared;
        self.queue.get_or_insert_with(|| {
            let queue = settings.broker.queue(settings.tuning().queue);
            if ending.load(Ordering::Relaxed) {
                queue.leave();
            }
            queue
        })
    }

    /// The queue of the client's session. Whether its messages will be taken: a connection that ends takes none.
    pub(super) fn resume(&mut self, queue: Arc<Queue>) -> bool {
        queue.attach(self.shared.settings.tuning().queue);
        let ends = self.shared.ending.load(Ordering::Relaxed);
        if ends {
            queue.leave();
        }
        self.queue = Some(queue);
        !ends
    }

    /// Ready when the queue has messages that do not wait here yet, or has overflowed.
    pub(super) fn poll_messages(&self, cx: &mut Context<'_>) -> Poll<Ready> {
        match &self.queue {
            Some(queue) => match ready!(queue.poll_ready(cx)) {
                Ready::Messages if self.waiting.contains(&Waiting::Messages) => Poll::Pending,
                ready => Poll::Ready(ready),
            },
            None => Poll::Pending,
        }
    }

    /// Nothing waits and nothing is in flight.
    pub(super) fn are_done(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_none()
    }

    /// No handler knows of the connection, and it has nothing to tell: it may end without a word.
    pub(super) fn nobody_cares(&self) -> bool {
        let unmet = match self.in_flight {
            Some(_) => self.shared.parked.load(Ordering::Relaxed),
            None => !self.standing.met,
        };
        unmet && self.inbox.is_empty()
    }

    /// The handler that knows the connection is gone, and no callback is in flight to find out.
    pub(super) fn lost_its_handler(&self) -> bool {
        self.in_flight.is_none() && self.standing.lost()
    }

    /// Introduces the connection to another handler, or says that it has to close.
    pub(super) fn rebind(&mut self) -> Result<(), CloseReason> {
        if self.shared.settings.policy.rebinds() {
            self.waiting.push_front(Waiting::Created);
            self.start();
            Ok(())
        } else {
            Err(CloseReason::HandlerLost)
        }
    }

    /// Ready when the callback in flight was answered; the next one is then under way.
    pub(super) fn poll_answered(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        let Some(call) = &mut self.in_flight else {
            return Poll::Pending;
        };
        let delivered = ready!(call.as_mut().poll(cx));
        self.in_flight = None;
        self.standing = delivered.standing;
        if delivered.outcome.is_ok() && !self.lost_its_handler() {
            self.start();
        }
        Poll::Ready(delivered.outcome)
    }

    /// What waits in the queue, which does not count what is in flight.
    pub(super) fn describe(&self, description: &mut Description) {
        if let Some(queue) = &self.queue {
            let (messages, bytes) = queue.waiting();
            description.messages_waiting = messages;
            description.message_bytes_waiting = bytes;
        }
    }

    /// The connection is told to end: messages are not sent again, and those of a session that nobody has been told of
    /// wait for the next connection.
    pub(super) fn ending(&mut self) {
        self.shared.ending.store(true, Ordering::Relaxed);
        if let Some(queue) = &self.queue {
            queue.leave();
        }
        if self.shared.has_session.load(Ordering::Relaxed) {
            self.waiting.retain(|kind| *kind != Waiting::Messages);
        }
    }

    /// The connection takes no more messages. The queue of a session goes on.
    pub(super) fn leave_messages(&mut self) -> Option<Arc<Queue>> {
        self.waiting.retain(|kind| *kind != Waiting::Messages);
        let queue = self.queue.take()?;
        if queue.is_of_session() {
            return Some(queue);
        }
        queue.close();
        None
    }

    /// The end: what is in flight, what was read where `reason` says so, and `OnSocketClosed` where the handler knows
    /// of the connection. Bounded by the deadlines of each.
    pub(super) async fn finish(mut self, reason: CloseReason) {
        let keep = reason.delivers_what_was_read();
        if self.nobody_cares() || (!keep && self.is_parked()) {
            return;
        }
        if !keep {
            self.waiting.clear();
        }
        while !self.are_done() {
            if self.in_flight.is_none() {
                self.start();
            }
            if poll_fn(|cx| self.poll_answered(cx)).await.is_err() {
                self.waiting.clear();
            }
        }
        if self.standing.met {
            let closed = self.deliver(Event::Closed(reason)).await;
            if let Err(failure) = closed.outcome {
                self.shared.settings.metrics.closed_untold(failure);
            }
        }
    }

    fn is_parked(&self) -> bool {
        self.in_flight.is_some() && self.shared.parked.load(Ordering::Relaxed)
    }

    fn push(&mut self, kind: Waiting) {
        if !self.waiting.contains(&kind) {
            self.waiting.push_back(kind);
        }
        self.start();
    }

    /// Hands the next event over, if none is in flight.
    fn start(&mut self) {
        if self.in_flight.is_some() {
            return;
        }
        while let Some(kind) = self.waiting.pop_front() {
            if let Some(event) = self.next(kind) {
                self.in_flight = Some(Box::pin(self.deliver(event)));
                return;
            }
        }
    }

    fn deliver(&mut self, event: Event) -> impl Future<Output = Delivered> + Send + use<> {
        let standing = std::mem::take(&mut self.standing);
        let offset = self.offset;
        if let Event::Received(bytes) = &event {
            self.offset += bytes.len() as u64;
        }
        Delivery::new(self.shared.clone(), standing, event, offset).run()
    }

    fn next(&mut self, kind: Waiting) -> Option<Event> {
        Some(match kind {
            Waiting::Created => Event::Created,
            Waiting::TimerTimeout => Event::TimerTimeout,
            Waiting::Bytes => {
                let bytes = self.inbox.take()?;
                if !self.inbox.is_empty() {
                    // The timer is the last thing that such a connection tells.
                    if self.waiting.contains(&Waiting::TimerTimeout) {
                        self.waiting.push_front(Waiting::Bytes);
                    } else {
                        self.waiting.push_back(Waiting::Bytes);
                    }
                }
                Event::Received(bytes)
            }
            Waiting::Messages => {
                let queue = self.queue.as_ref()?;
                let batch = queue.take(BATCH_MESSAGES, BATCH_BYTES);
                if batch.messages.is_empty() {
                    return None;
                }
                Event::Messages(batch)
            }
        })
    }
}
