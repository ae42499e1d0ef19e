//! What one stream still has to say.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use proto::stream::{Ack, Command, Goodbye, HandlerBatch};
use tokio_stream::Stream;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tonic::Status;

/// What an acknowledgement takes of a batch, and more.
const ACK: usize = 32;

/// What a gateway takes.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Commands of each connection that may be under way.
    pub(super) commands: usize,
    /// Their bytes.
    pub(super) command_bytes: usize,
    /// Batches are cut at so many bytes; a single command may take more.
    pub(super) batch: usize,
    /// The largest command, with what it counts beside its contents.
    pub(super) largest: usize,
}

/// One stream, as its connections speak on it.
pub(crate) struct Lane {
    pub(super) serial: u64,
    pub(super) limits: Limits,
    state: Mutex<State>,
    speaker: AtomicWaker,
    /// Whoever speaks is woken later.
    is_corked: AtomicBool,
}

#[derive(Default)]
struct State {
    batches: VecDeque<HandlerBatch>,
    /// Bytes in the last of them.
    size: usize,
    /// Something was said since somebody looked.
    spoke: bool,
    ended: Option<Result<(), Status>>,
}

impl Lane {
    pub(super) fn new(serial: u64, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            serial,
            limits,
            state: Mutex::default(),
            speaker: AtomicWaker::new(),
            is_corked: AtomicBool::new(false),
        })
    }

    /// Says this in one batch. `size` is what the commands take of it.
    pub(super) fn push(
        &self,
        commands: impl Iterator<Item = Command>,
        size: usize,
        ack: Option<Ack>,
    ) {
        let size = size + ack.as_ref().map_or(0, |ack| ACK + ack.error.len());
        let mut state = self.state.lock();
        if state.size > 0 && state.size + size > self.limits.batch {
            state.begin();
        }
        let batch = state.batch(size);
        batch.commands.extend(commands);
        batch.acks.extend(ack);
        state.spoke = true;
        drop(state);
        self.wake();
    }

    pub(super) fn beat(&self) {
        let mut state = self.state.lock();
        if !std::mem::take(&mut state.spoke) {
            state.batch(8).heartbeat = 1;
            drop(state);
            self.wake();
        }
    }

    pub(super) fn say(&self, batch: HandlerBatch) {
        let mut state = self.state.lock();
        state.batches.push_back(batch);
        state.size = self.limits.batch;
        drop(state);
        self.wake();
    }

    pub(super) fn goodbye(&self, reason: &str) {
        self.say(HandlerBatch {
            goodbye: Some(Goodbye {
                reason: reason.to_owned(),
            }),
            ..HandlerBatch::default()
        });
    }

    /// Nothing more is said after what waits.
    pub(super) fn end(&self, outcome: Result<(), Status>) {
        self.state.lock().ended.get_or_insert(outcome);
        self.speaker.wake();
    }

    /// What is said while this goes on goes out together.
    pub(super) fn together<T>(&self, act: impl FnOnce() -> T) -> T {
        self.is_corked.store(true, Ordering::Release);
        let done = act();
        self.is_corked.store(false, Ordering::Release);
        self.speaker.wake();
        done
    }

    fn wake(&self) {
        if !self.is_corked.load(Ordering::Acquire) {
            self.speaker.wake();
        }
    }
}

impl State {
    /// What is said next goes into another batch.
    fn begin(&mut self) {
        if !self.batches.is_empty() {
            self.batches.push_back(HandlerBatch::default());
        }
        self.size = 0;
    }

    fn batch(&mut self, size: usize) -> &mut HandlerBatch {
        if self.batches.is_empty() {
            self.batches.push_back(HandlerBatch::default());
            self.size = 0;
        }
        self.size += size;
        self.batches.back_mut().expect("one was just put there")
    }
}

/// The lane's batches, as tonic sends them.
pub(crate) struct Speech {
    lane: Arc<Lane>,
    /// The server does not end before this has.
    _busy: TaskTrackerToken,
}

impl Speech {
    pub(super) fn new(lane: Arc<Lane>, busy: TaskTrackerToken) -> Self {
        Self { lane, _busy: busy }
    }
}

impl Stream for Speech {
    type Item = Result<HandlerBatch, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.lane.speaker.register(cx.waker());
        let mut state = self.lane.state.lock();
        if let Some(batch) = state.batches.pop_front() {
            return Poll::Ready(Some(Ok(batch)));
        }
        match &state.ended {
            None => Poll::Pending,
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(status)) => {
                let status = status.clone();
                state.ended = Some(Ok(()));
                Poll::Ready(Some(Err(status)))
            }
        }
    }
}
