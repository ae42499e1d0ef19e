//! What waits for its turn, by first arrival: each kind of event once at most.
//!
//! Bytes of a stream that come while bytes wait join them; of frames and datagrams one waits, and the rest stays where it
//! came from. Messages stay in their queue until it is their turn. So this holds no more than `inbound_limit` and the
//! queue's own limits.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};

use crate::{
    broker::queue::{Queue, Ready},
    connection::{CHUNK, delivery::Event, description::Description, handle::Shared},
};

/// The most messages in one event.
const BATCH_MESSAGES: usize = 100;
/// The most bytes of messages in one event; gRPC libraries refuse more than 4 MiB.
const BATCH_BYTES: usize = 1024 * 1024;

/// A kind of event that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
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

    /// What one event takes, at most so many bytes of a stream.
    fn take(&mut self, most: usize) -> Option<Bytes> {
        match self {
            Self::Stream(bytes) if bytes.is_empty() => None,
            Self::Stream(bytes) if bytes.len() > most => Some(bytes.split_to(most).freeze()),
            Self::Stream(bytes) => Some(std::mem::take(bytes).freeze()),
            Self::Message(message) => message.take(),
        }
    }
}

/// What waits for its turn.
pub(super) struct Pending {
    shared: Arc<Shared>,
    waiting: VecDeque<Waiting>,
    inbox: Inbox,
    /// Made with the first subscription.
    queue: Option<Arc<Queue>>,
}

impl Pending {
    pub(super) fn new(shared: Arc<Shared>, by_message: bool) -> Self {
        Self {
            shared,
            waiting: VecDeque::new(),
            inbox: if by_message {
                Inbox::Message(None)
            } else {
                Inbox::Stream(BytesMut::new())
            },
            queue: None,
        }
    }

    pub(super) fn received(&mut self, bytes: &[u8]) {
        match &mut self.inbox {
            Inbox::Stream(inbox) => inbox.extend_from_slice(bytes),
            Inbox::Message(message) => *message = Some(Bytes::copy_from_slice(bytes)),
        }
        self.push(Waiting::Bytes);
    }

    pub(super) fn received_message(&mut self, bytes: Bytes) {
        match &mut self.inbox {
            Inbox::Stream(inbox) => inbox.extend_from_slice(&bytes),
            Inbox::Message(message) => *message = Some(bytes),
        }
        self.push(Waiting::Bytes);
    }

    /// How many more bytes may wait, where `elsewhere` are held by others.
    pub(super) fn room(&self, elsewhere: usize) -> usize {
        let limit = self.shared.settings.tuning().limits.inbound_limit.bytes();
        match &self.inbox {
            Inbox::Stream(bytes) => limit.saturating_sub(bytes.len() + elsewhere),
            // The next one as a whole or nothing.
            Inbox::Message(None) if elsewhere < limit => CHUNK,
            Inbox::Message(_) => 0,
        }
    }

    /// Nothing that was read waits.
    pub(super) fn has_no_bytes(&self) -> bool {
        self.inbox.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    pub(super) fn push(&mut self, kind: Waiting) {
        if !self.waiting.contains(&kind) {
            self.waiting.push_back(kind);
        }
    }

    pub(super) fn push_first(&mut self, kind: Waiting) {
        self.waiting.push_front(kind);
    }

    /// The next event.
    pub(super) fn next(&mut self) -> Option<Event> {
        while let Some(kind) = self.waiting.pop_front() {
            let event = self.event(kind);
            if event.is_some() {
                return event;
            }
        }
        None
    }

    fn event(&mut self, kind: Waiting) -> Option<Event> {
        Some(match kind {
            Waiting::Created => Event::Created,
            Waiting::TimerTimeout => Event::TimerTimeout,
            Waiting::Bytes => {
                let bytes = self.inbox.take(CHUNK)?;
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

    /// Messages come from this queue.
    pub(super) fn follow(&mut self, queue: Arc<Queue>) {
        self.queue = Some(queue);
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

    /// What waits in the queue, which does not count what the handler has been told.
    pub(super) fn describe(&self, description: &mut Description) {
        if let Some(queue) = &self.queue {
            let (messages, bytes) = queue.waiting();
            description.messages_waiting = messages;
            description.message_bytes_waiting = bytes;
        }
    }

    /// The connection is told to end: the messages of a session that nobody has been told of wait for the next one.
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
}
