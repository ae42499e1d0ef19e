//! The bounded queue between the broker and one connection: many producers, one consumer, nobody waits.
//!
//! Full is by count or by bytes. Then the oldest messages of QoS 0 make room, and when there are not enough
//! of them a new message of QoS 0 is dropped, one of QoS 1 or 2 makes the queue *overflowed*: its connection
//! has to close. It takes nothing more then; the queue of a session drops its oldest message instead, and
//! goes on. An empty queue takes any one message. What holds without a connection stands in `hold`.

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

use super::{Message, Qos, Stats, sessions::Reserved};

/// The messages in order, with their sizes.
mod backlog;
/// What a session has, for whoever keeps it elsewhere.
mod backup;
/// What is taken at once, and confirmed.
mod batch;
/// What the queue of a session does more.
mod hold;
/// Retained messages on their way into the queue.
mod seeks;

use self::{
    backlog::{Backlog, Pushed},
    batch::Receipt,
    hold::Hold,
    seeks::Seeks,
};
pub use self::{
    backup::{Backup, Numbers, Restored},
    batch::Batch,
};

/// How much may wait in a queue; at least one of each.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages.
    pub messages: usize,
    /// Bytes, as [`Message::size`] counts them.
    pub bytes: usize,
}

impl Limits {
    fn at_least_one(self) -> Self {
        Self {
            messages: self.messages.max(1),
            bytes: self.bytes.max(1),
        }
    }
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
    stats: Arc<Stats>,
    state: Mutex<State>,
    /// Closed, or overflowed without a session; written with the state locked, read without.
    shut: AtomicBool,
    consumer: AtomicWaker,
}

struct State {
    limits: Limits,
    backlog: Backlog,
    /// Where there are retained messages to look for.
    seeks: Option<Box<Seeks>>,
    /// Where the queue is a session's.
    hold: Option<Box<Hold>>,
    /// The connection takes nothing more, although it is still there.
    leaving: bool,
}

/// What became of a message that was put in.
#[derive(Debug, Default)]
struct Put {
    outcome: Offered,
    /// The consumer has to look.
    wakes: bool,
    overflowed: bool,
    dropped_qos0: u64,
    offline_qos0: u64,
    session_full: u64,
}

/// What became of a message that was offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Offered {
    /// It is in.
    Taken,
    /// It is not in: there is no room.
    #[default]
    NoRoom,
    /// It is not in: nobody takes it from here for now.
    Away,
}

impl Queue {
    /// An empty queue, which holds next to no memory until something is pushed.
    #[must_use]
    pub fn new(limits: Limits, stats: Arc<Stats>) -> Arc<Self> {
        Self::with(limits, None, stats)
    }

    /// The queue of a session: it outlives its connections. The first one has still to be attached.
    #[must_use]
    pub fn of_session(stats: Arc<Stats>) -> Arc<Self> {
        let limits = Limits {
            messages: 1,
            bytes: 1,
        };
        Self::with(limits, Some(Box::default()), stats)
    }

    fn with(limits: Limits, hold: Option<Box<Hold>>, stats: Arc<Stats>) -> Arc<Self> {
        Arc::new(Self {
            stats,
            state: Mutex::new(State {
                limits: limits.at_least_one(),
                backlog: Backlog::default(),
                seeks: None,
                hold,
                leaving: false,
            }),
            shut: AtomicBool::new(false),
            consumer: AtomicWaker::new(),
        })
    }

    /// Puts a message at the end, by the rule above. Never waits. False when this message is not in the queue.
    pub fn push(&self, message: Arc<Message>) -> bool {
        self.put(message, true).outcome == Offered::Taken
    }

    /// Like [`Self::push`], but a queue without room or without a connection stays as it is: there is somebody
    /// else to ask.
    pub(super) fn offer(&self, message: Arc<Message>) -> Offered {
        self.put(message, false).outcome
    }

    fn put(&self, message: Arc<Message>, must: bool) -> Put {
        let mut state = self.state.lock();
        if self.shut.load(Relaxed) {
            return Put::away();
        }
        let put = state.put(message, must);
        if put.overflowed && state.hold.is_none() {
            self.shut.store(true, Relaxed);
        }
        drop(state);
        // Only the change from empty wakes: a consumer that leaves something behind is ready when it next asks.
        if put.wakes {
            self.consumer.wake();
        }
        for (counter, more) in [
            (&self.stats.dropped_qos0, put.dropped_qos0),
            (&self.stats.offline_qos0, put.offline_qos0),
            (&self.stats.session_full, put.session_full),
            (&self.stats.overflowed, put.overflowed.into()),
        ] {
            count(counter, more);
        }
        put
    }

    /// Ready when there is something to take, or once and for all when the queue has overflowed; else the
    /// task is woken when that changes. For the one consumer only.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Ready> {
        // Registered before looking: a push after the look then finds somebody to wake.
        self.consumer.register(cx.waker());
        let mut state = self.state.lock();
        if state.backlog.overflowed {
            return Poll::Ready(Ready::Overflowed);
        }
        let unfinished = state.seek();
        if state.has_something() {
            Poll::Ready(Ready::Messages)
        } else {
            if unfinished {
                // Others have their turn, then the search goes on.
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        }
    }

    /// The oldest messages, up to these limits, but at least one if there is any. What a session's queue gave out and
    /// nobody confirmed comes first and by itself; while a batch of it is out, nothing comes.
    #[must_use]
    pub fn take(self: &Arc<Self>, max_messages: usize, max_bytes: usize) -> Batch {
        let mut state = self.state.lock();
        let State { backlog, hold, .. } = &mut *state;
        let Some(hold) = hold else {
            return Batch::plain(backlog.take(max_messages, max_bytes));
        };
        let (messages, earlier) = hold.take(backlog, max_messages, max_bytes);
        let receipt = Receipt::new(self, hold.epoch());
        Batch::new(messages, earlier, Some(receipt))
    }

    /// The consumer is gone: what waits is dropped, later pushes are ignored.
    pub fn close(&self) {
        let (backlog, hold, _seeks) = {
            let mut state = self.state.lock();
            self.shut.store(true, Relaxed);
            let backlog = std::mem::take(&mut state.backlog);
            (backlog, state.hold.take(), state.seeks.take())
        };
        self.consumer.take();
        // Counted and freed outside the lock.
        let unconfirmed = hold.as_ref().map_or(0, |hold| hold.unconfirmed());
        count(&self.stats.discarded, (backlog.len() + unconfirmed) as u64);
        if let Some(kept) = hold.and_then(|hold| hold.kept) {
            kept.keeper.ended();
        }
    }

    /// Whether it still takes messages.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.shut.load(Relaxed)
    }

    /// Whether it is a session's, and outlives its connection.
    #[must_use]
    pub fn is_of_session(&self) -> bool {
        self.state.lock().hold.is_some()
    }

    /// Messages waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.lock().backlog.len()
    }

    /// Messages waiting, and their bytes.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        let backlog = &self.state.lock().backlog;
        (backlog.len(), backlog.bytes())
    }

    /// Whether a connection takes messages from it, and is half of its room behind.
    pub(super) fn is_crowded(&self) -> bool {
        let state = self.state.lock();
        let State {
            backlog, limits, ..
        } = &*state;
        let is_taken = self.is_open() && !state.leaving && !backlog.overflowed;
        let is_offline = state.hold.as_ref().is_some_and(|hold| hold.is_offline());
        let is_behind = 2 * backlog.len() > limits.messages || 2 * backlog.bytes() > limits.bytes;
        is_taken && !is_offline && is_behind
    }

    /// Whether none is waiting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// With a session: from one connection to the next.
impl Queue {
    /// A connection takes messages from now on: first those that nobody confirmed. What an older connection has of them
    /// still it can confirm no more. The limits are for what comes now: what waits already has its place besides.
    pub fn attach(&self, limits: Limits) {
        let mut state = self.state.lock();
        state.limits = limits.at_least_one();
        state.leaving = false;
        let State { backlog, hold, .. } = &mut *state;
        backlog.overflowed = false;
        if let Some(hold) = hold {
            hold.attach(backlog);
        }
    }

    /// The connection will take no more: what others of a group can get is for them.
    pub fn leave(&self) {
        self.state.lock().leaving = true;
    }

    /// Bytes of its messages of `QoS` 1 and 2.
    pub(super) fn kept_bytes(&self) -> usize {
        let state = self.state.lock();
        let hold = state.hold.as_ref();
        hold.map_or(0, |hold| hold.kept_bytes(&state.backlog, state.limits))
    }

    /// No connection takes messages any more. Those of `QoS` 0 are dropped; what it has not confirmed it may confirm
    /// until another one is attached. What is reserved for its messages is made to fit.
    pub(super) fn detach(&self, limits: Limits, reserved: Reserved) {
        let mut state = self.state.lock();
        let State { backlog, hold, .. } = &mut *state;
        backlog.overflowed = false;
        let qos0 = backlog.drop_droppable();
        let full = match hold {
            Some(hold) => hold.detach(backlog, limits.at_least_one(), reserved),
            None => 0,
        };
        drop(state);
        self.consumer.take();
        count(&self.stats.offline_qos0, qos0);
        count(&self.stats.session_full, full);
    }

    fn confirm(&self, epoch: u32) {
        let mut state = self.state.lock();
        let Some(hold) = &mut state.hold else {
            return;
        };
        hold.confirm(epoch);
        let more = state.has_something();
        drop(state);
        if more {
            // What came while the batch was out.
            self.consumer.wake();
        }
    }
}

impl Put {
    fn away() -> Self {
        Self {
            outcome: Offered::Away,
            ..Self::default()
        }
    }
}

impl State {
    fn put(&mut self, message: Arc<Message>, must: bool) -> Put {
        if self.leaving && !must {
            return Put::away();
        }
        if let Some(hold) = &mut self.hold {
            return hold.put(&mut self.backlog, self.limits, message, must);
        }
        let was_empty = self.backlog.is_empty();
        let qos = message.qos;
        match self.backlog.push(message, self.limits) {
            Pushed::In { dropped } => Put {
                outcome: Offered::Taken,
                wakes: was_empty,
                dropped_qos0: dropped,
                ..Put::default()
            },
            Pushed::NoRoom if must && qos != Qos::AtMostOnce => {
                self.backlog.overflowed = true;
                Put {
                    wakes: true,
                    overflowed: true,
                    ..Put::default()
                }
            }
            Pushed::NoRoom => Put {
                dropped_qos0: must.into(),
                ..Put::default()
            },
        }
    }

    fn has_something(&self) -> bool {
        match &self.hold {
            None => !self.backlog.is_empty(),
            Some(hold) => hold.has_something(&self.backlog),
        }
    }

    /// Looks for retained messages for a moment. Whether there may be more, although there was room.
    fn seek(&mut self) -> bool {
        let Some(seeks) = &mut self.seeks else {
            return false;
        };
        let unfinished = seeks.fill(&mut self.backlog, self.limits);
        if seeks.is_empty() {
            self.seeks = None;
        }
        unfinished
    }
}

fn count(counter: &AtomicU64, more: u64) {
    if more > 0 {
        counter.fetch_add(more, Relaxed);
    }
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
