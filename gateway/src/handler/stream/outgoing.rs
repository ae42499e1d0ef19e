//! Batches that wait for the handler, encoded already: a batch is the concatenation of what stands in it.
//!
//! Bounded: whoever has something to say first asks whether there is room. One piece may go beyond the bound, so that
//! any piece fits.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use prost::Message as _;
use proto::stream::GatewayBatch;

use super::Attachment;

/// A compression flag, and the length.
const HEAD: usize = 5;

/// What waits in one lane.
pub(super) struct Outgoing {
    state: Mutex<State>,
    /// The lane's task.
    sender: AtomicWaker,
    /// The room is used up; written with the state locked, read without.
    full: AtomicBool,
    buffer: usize,
    max_batch: usize,
}

#[derive(Default)]
struct State {
    batches: VecDeque<BytesMut>,
    bytes: usize,
    /// Connections that wait for room, each once.
    waiting: Vec<Arc<Attachment>>,
    /// Nothing is taken any more.
    closed: bool,
}

impl Outgoing {
    /// Holds about `buffer` bytes, in batches of at most `max_batch`.
    pub(super) fn new(buffer: usize, max_batch: usize) -> Self {
        Self {
            state: Mutex::default(),
            sender: AtomicWaker::new(),
            full: AtomicBool::new(false),
            buffer,
            max_batch,
        }
    }

    /// Whether there is room; else the connection is woken when there is some.
    pub(super) fn has_room(&self, attachment: &Arc<Attachment>) -> bool {
        if !self.full.load(Ordering::Acquire) {
            return true;
        }
        let mut state = self.state.lock();
        if !self.full.load(Ordering::Acquire) {
            return true;
        }
        if attachment.begins_to_wait() {
            state.waiting.push(attachment.clone());
        }
        false
    }

    /// Puts a piece at the end. It goes out at once, with all that comes up until the handler can take it.
    pub(super) fn push(&self, piece: &GatewayBatch) {
        let length = piece.encoded_len();
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        let was_empty = state.batches.is_empty();
        let joins = |batch: &BytesMut| batch.len() + length <= HEAD + self.max_batch;
        if !state.batches.back().is_some_and(joins) {
            let mut batch = BytesMut::with_capacity((HEAD + length).max(1024));
            batch.put_bytes(0, HEAD);
            state.batches.push_back(batch);
        }
        let batch = state.batches.back_mut().expect("one was just put there");
        piece.encode(batch).expect("the buffer grows");
        state.bytes += length;
        if state.bytes >= self.buffer {
            self.full.store(true, Ordering::Release);
        }
        drop(state);
        if was_empty {
            self.sender.wake();
        }
    }

    /// Makes the lane's task look.
    pub(super) fn wake(&self) {
        self.sender.wake();
    }

    /// The next batch as a frame of gRPC. For the lane's task only.
    pub(super) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Bytes> {
        // Registered before looking: a push after the look then finds somebody to wake.
        self.sender.register(cx.waker());
        let mut state = self.state.lock();
        let Some(mut batch) = state.batches.pop_front() else {
            return Poll::Pending;
        };
        let length = batch.len() - HEAD;
        state.bytes -= length;
        // Not at the first free byte: many may wait, and each costs a wake-up.
        let waiting = if state.bytes <= self.buffer / 2 && self.full.swap(false, Ordering::AcqRel) {
            std::mem::take(&mut state.waiting)
        } else {
            Vec::new()
        };
        drop(state);
        for each in waiting {
            each.room();
        }
        let told = u32::try_from(length).expect("batches are far below 4 GiB");
        batch[1..HEAD].copy_from_slice(&told.to_be_bytes());
        Poll::Ready(batch.freeze())
    }

    /// The lane has ended: what waits is dropped, and whoever waits is woken.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        self.full.store(false, Ordering::Release);
        let old = std::mem::take(&mut *state);
        state.closed = true;
        drop(state);
        for each in old.waiting {
            each.room();
        }
    }
}
