//! What the handler has acknowledged and the mirror is still to be told: a queue that is bounded in bytes, which also
//! bounds how many events wait. *Full* means that the mirroring of the connection ends.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use super::alone;
use crate::{broker::Message, connection::CloseReason};

/// What each event counts besides its contents, in bytes.
const OVERHEAD: usize = 64;

/// An event of the connection.
pub enum Copied {
    /// Bytes of the device.
    Bytes(Bytes),
    /// Messages, with the topics that the client knows them by.
    Messages(Vec<Arc<Message>>),
    /// The keepalive has run out.
    TimerTimeout,
    /// No event: what follows was acknowledged when the handler's calls were refused, because the connection ends.
    Refusing,
}

impl Copied {
    fn size(&self) -> usize {
        OVERHEAD
            + match self {
                Self::Bytes(bytes) => bytes.len(),
                Self::Messages(messages) => messages.iter().map(|message| message.size()).sum(),
                Self::TimerTimeout | Self::Refusing => 0,
            }
    }
}

/// What comes next.
pub enum Next {
    /// Something has happened.
    Event(Copied),
    /// The connection has ended, and all was taken.
    Ended(CloseReason),
}

/// The queue of one connection.
pub struct Copies {
    /// An empty queue takes one event of any size.
    limit: usize,
    /// Something may still be put in.
    open: AtomicBool,
    state: Mutex<State>,
    consumer: AtomicWaker,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Copied>,
    bytes: usize,
    ended: Option<CloseReason>,
    abandoned: bool,
    /// The handler's calls are refused, and what comes next is the first event since then.
    refusing: bool,
}

impl Copies {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            open: AtomicBool::new(true),
            state: Mutex::default(),
            consumer: AtomicWaker::new(),
        }
    }

    /// Whether there is any use in putting something in.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.load(Relaxed)
    }

    /// From now on the handler's calls are refused, because the connection ends.
    pub fn refuse(&self) {
        self.state.lock().refusing = true;
    }

    /// Puts an event in. Never waits.
    pub fn push(&self, event: Copied) {
        let size = event.size();
        let mut state = self.state.lock();
        if state.abandoned || state.ended.is_some() {
            return;
        }
        if !state.waiting.is_empty() && state.bytes + size > self.limit {
            drop(state);
            self.abandon();
            return;
        }
        if mem::take(&mut state.refusing) {
            state.bytes += Copied::Refusing.size();
            state.waiting.push_back(Copied::Refusing);
        }
        state.bytes += size;
        state.waiting.push_back(match event {
            Copied::Bytes(bytes) => Copied::Bytes(alone(&bytes)),
            Copied::Messages(messages) => {
                Copied::Messages(messages.into_iter().map(Message::alone).collect())
            }
            other => other,
        });
        drop(state);
        self.consumer.wake();
    }

    /// The connection has ended, for this reason; nothing follows.
    pub fn end(&self, reason: CloseReason) {
        self.open.store(false, Relaxed);
        self.state.lock().ended.get_or_insert(reason);
        self.consumer.wake();
    }

    /// Whether the connection has ended; what it told before may wait still.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.state.lock().ended.is_some()
    }

    /// Makes the consumer look around.
    pub fn wake(&self) {
        self.consumer.wake();
    }

    /// Nothing is copied any more, and what waits is thrown away.
    pub fn abandon(&self) {
        self.open.store(false, Relaxed);
        let waiting = {
            let mut state = self.state.lock();
            state.abandoned = true;
            state.bytes = 0;
            mem::take(&mut state.waiting)
        };
        drop(waiting);
        self.consumer.wake();
    }

    /// Whether the mirror did not keep up, or failed. For the one consumer, which is woken when that changes.
    pub fn is_abandoned(&self, cx: &Context<'_>) -> bool {
        self.consumer.register(cx.waker());
        self.state.lock().abandoned
    }

    /// What comes next; the consumer has asked [`Copies::is_abandoned`] before, and is woken.
    pub fn poll_next(&self) -> Poll<Next> {
        let mut state = self.state.lock();
        if let Some(event) = state.waiting.pop_front() {
            state.bytes -= event.size();
            return Poll::Ready(Next::Event(event));
        }
        // An idle connection holds nothing.
        state.waiting = VecDeque::new();
        match state.ended {
            Some(reason) => Poll::Ready(Next::Ended(reason)),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(count: usize) -> Copied {
        Copied::Bytes(vec![0; count].into())
    }

    fn is_abandoned(copies: &Copies) -> bool {
        copies.is_abandoned(&Context::from_waker(std::task::Waker::noop()))
    }

    #[test]
    fn events_come_in_order_and_the_end_last() {
        let copies = Copies::new(1024);
        copies.push(bytes(3));
        copies.push(Copied::TimerTimeout);
        copies.end(CloseReason::Normal);
        copies.push(bytes(1));
        let Poll::Ready(Next::Event(Copied::Bytes(first))) = copies.poll_next() else {
            panic!("not the bytes");
        };
        assert_eq!(first.len(), 3);
        let second = copies.poll_next();
        assert!(matches!(
            second,
            Poll::Ready(Next::Event(Copied::TimerTimeout))
        ));
        let last = copies.poll_next();
        assert!(matches!(
            last,
            Poll::Ready(Next::Ended(CloseReason::Normal))
        ));
    }

    #[test]
    fn what_is_too_much_ends_the_mirroring() {
        let copies = Copies::new(1024);
        copies.push(bytes(100_000));
        assert!(!is_abandoned(&copies), "an empty queue takes anything");
        copies.push(bytes(1));
        assert!(is_abandoned(&copies));
        assert!(copies.poll_next().is_pending());
        copies.push(bytes(1));
        assert!(copies.poll_next().is_pending());
    }

    #[test]
    fn it_is_told_once_from_when_calls_were_refused() {
        let copies = Copies::new(1024);
        copies.push(bytes(1));
        copies.refuse();
        copies.push(bytes(2));
        copies.push(bytes(3));
        copies.end(CloseReason::Kicked);
        assert!(!copies.is_open());
        let mut told = Vec::new();
        while let Poll::Ready(Next::Event(event)) = copies.poll_next() {
            told.push(match event {
                Copied::Bytes(bytes) => bytes.len(),
                Copied::Refusing => 0,
                Copied::Messages(_) | Copied::TimerTimeout => panic!("nobody said that"),
            });
        }
        assert_eq!(told, [1, 0, 2, 3]);
    }

    #[test]
    fn what_waits_holds_no_more_than_is_counted() {
        let batch = Bytes::from(vec![0; 1024 * 1024]);
        let copies = Copies::new(1024 * 1024);
        copies.push(Copied::Bytes(batch.slice(..512 * 1024)));
        assert!(batch.is_unique(), "the whole batch waits");
    }
}
