//! The bounded queue between the broker and one connection: many producers, one consumer, nobody waits.
//!
//! Full is by count or by bytes. Then the oldest messages of QoS 0 make room, and when there are not enough
//! of them a new message of QoS 0 is dropped, one of QoS 1 or 2 makes the queue *overflowed*: it takes
//! nothing more and its connection has to close. An empty queue takes any one message.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use super::{Message, Qos, Stats};

/// The messages in order, with their sizes.
mod backlog;

use self::backlog::{Backlog, Pushed};

/// How much may wait in a queue; at least one of each.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages.
    pub messages: usize,
    /// Bytes, as [`Message::size`] counts them.
    pub bytes: usize,
}

/// Why the consumer was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// There is something to take.
    Messages,
    /// A message that must not be dropped was: close the connection.
    Overflowed,
}

/// A connection's deliveries, until it takes them.
pub struct Queue {
    limits: Limits,
    stats: Arc<Stats>,
    backlog: Mutex<Backlog>,
    /// Overflowed or closed; written with the backlog locked, read without.
    shut: AtomicBool,
    consumer: AtomicWaker,
}

impl Queue {
    /// An empty queue, which holds next to no memory until something is pushed.
    #[must_use]
    pub fn new(limits: Limits, stats: Arc<Stats>) -> Arc<Self> {
        let limits = Limits {
            messages: limits.messages.max(1),
            bytes: limits.bytes.max(1),
        };
        Arc::new(Self {
            limits,
            stats,
            backlog: Mutex::default(),
            shut: AtomicBool::new(false),
            consumer: AtomicWaker::new(),
        })
    }

    /// Puts a message at the end, by the rule above. Never waits. False when this message is not in the queue.
    pub fn push(&self, message: Arc<Message>) -> bool {
        self.put(message, true)
    }

    /// Like [`Self::push`], but a queue without room stays as it is: there is somebody else to ask.
    pub(super) fn offer(&self, message: Arc<Message>) -> bool {
        self.put(message, false)
    }

    fn put(&self, message: Arc<Message>, must: bool) -> bool {
        let qos = message.qos;
        let mut backlog = self.backlog.lock();
        if self.shut.load(Relaxed) {
            return false;
        }
        let was_empty = backlog.is_empty();
        let pushed = backlog.push(message, self.limits);
        let lost = must && pushed == Pushed::NoRoom;
        let overflowed = lost && qos != Qos::AtMostOnce;
        if overflowed {
            backlog.overflowed = true;
            self.shut.store(true, Relaxed);
        }
        drop(backlog);
        // Only the change from empty wakes: a consumer that leaves something behind is ready when it next asks.
        if was_empty || overflowed {
            self.consumer.wake();
        }
        match pushed {
            Pushed::In { dropped: 0 } => {}
            Pushed::In { dropped } => count(&self.stats.dropped_qos0, dropped),
            Pushed::NoRoom if overflowed => count(&self.stats.overflowed, 1),
            Pushed::NoRoom => count(&self.stats.dropped_qos0, lost.into()),
        }
        pushed != Pushed::NoRoom
    }

    /// Ready when there is something to take, or once and for all when the queue has overflowed; else the
    /// task is woken when that changes. For the one consumer only.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Ready> {
        // Registered before looking: a push after the look then finds somebody to wake.
        self.consumer.register(cx.waker());
        let backlog = self.backlog.lock();
        if backlog.overflowed {
            Poll::Ready(Ready::Overflowed)
        } else if backlog.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(Ready::Messages)
        }
    }

    /// The oldest messages, up to these limits, but at least one if there is any.
    #[must_use]
    pub fn take(&self, max_messages: usize, max_bytes: usize) -> Vec<Arc<Message>> {
        self.backlog.lock().take(max_messages, max_bytes)
    }

    /// The consumer is gone: what waits is dropped, later pushes are ignored.
    pub fn close(&self) {
        let waiting = {
            let mut backlog = self.backlog.lock();
            self.shut.store(true, Relaxed);
            std::mem::take(&mut *backlog)
        };
        self.consumer.take();
        // Counted and freed outside the lock.
        count(&self.stats.discarded, waiting.len() as u64);
    }

    /// Whether it still takes messages: neither closed nor overflowed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.shut.load(Relaxed)
    }

    /// Messages waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.backlog.lock().len()
    }

    /// Messages waiting, and their bytes.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        let backlog = self.backlog.lock();
        (backlog.len(), backlog.bytes())
    }

    /// Whether none is waiting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Relaxed);
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (len, open) = (self.len(), self.is_open());
        f.debug_struct("Queue")
            .field("len", &len)
            .field("open", &open)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
