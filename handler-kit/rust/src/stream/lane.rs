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
use tonic::Status;

/// What an acknowledgement takes of a batch, and more.
const ACK: usize = 32;

/// One stream, as its connections speak on it.
pub(crate) struct Lane {
    pub(super) serial: u64,
    /// Commands of each connection that may be under way, and their bytes.
    pub(super) credits: (usize, usize),
    /// The largest batch that the gateway takes.
    pub(super) max_batch: usize,
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
    pub(super) fn new(serial: u64, credits: (usize, usize), max_batch: usize) -> Arc<Self> {
        Arc::new(Self {
            serial,
            credits,
            max_batch,
            state: Mutex::default(),
            speaker: AtomicWaker::new(),
            is_corked: AtomicBool::new(false),
        })
    }

    /// Says this in one batch, if it fits into one. The last command's number.
    pub(super) fn push<'a>(
        &self,
        commands: impl Iterator<Item = (&'a Command, usize)> + Clone,
        ack: Option<Ack>,
    ) -> Option<u64> {
        let mut state = self.state.lock();
        let whole: usize = commands.clone().map(|(_, size)| size).sum();
        if state.size + whole + ACK > self.max_batch {
            state.begin();
        }
        let mut last = None;
        for (command, size) in commands {
            if state.size + size > self.max_batch {
                state.begin();
            }
            last = Some(command.seq);
            state.batch(size).commands.push(command.clone());
        }
        if let Some(ack) = ack {
            let size = ACK + ack.error.len();
            state.batch(size).acks.push(ack);
        } else if last.is_none() {
            return None;
        }
        state.spoke = true;
        drop(state);
        self.wake();
        last
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
        state.size = self.max_batch;
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
pub(crate) struct Speech(pub(super) Arc<Lane>);

impl Stream for Speech {
    type Item = Result<HandlerBatch, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.speaker.register(cx.waker());
        let mut state = self.0.state.lock();
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
