//! A connection's place at an endpoint, and how its callbacks get there.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::HeaderMap;

use super::{Method, client_streams::ClientStreams, lane::Failure, life::Life, settings::Shared};

/// A connection's place at an endpoint, until it is dropped.
pub struct Bound {
    life: Arc<Life>,
    /// Where these are spoken: made with the first callback.
    streams: Option<Box<ClientStreams>>,
}

impl Bound {
    /// A place, where one is free.
    pub(super) fn take(life: Arc<Life>) -> Option<Self> {
        let taken = life.take_place();
        taken.then_some(Self {
            life,
            streams: None,
        })
    }

    /// The endpoint's life that it is at.
    #[must_use]
    pub fn life(&self) -> &Arc<Life> {
        &self.life
    }

    /// Whether the handler's memory of the connection must be taken for gone.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        let streams = self.streams.as_ref();
        self.life.is_lost() || streams.is_some_and(|streams| streams.are_broken())
    }

    /// A callback is about to be made that is no repeat.
    pub fn begins(&self) {
        self.life.endpoint().shared().budget.made();
    }

    /// A callback is about to be made again: after how long it may be. `None` where that is longer than `patience`.
    #[must_use]
    pub fn repeats(&self, patience: Duration) -> Option<Duration> {
        let Shared { budget, stats, .. } = self.life.endpoint().shared();
        let wait = budget.repeat(patience, Instant::now());
        if wait.is_none_or(|wait| !wait.is_zero()) {
            stats.repeats_delayed.fetch_add(1, Relaxed);
        }
        wait
    }

    /// A callback was made on an ordered stream.
    pub fn made(&self, has_failed: bool) {
        self.life.endpoint().judge(has_failed);
    }

    /// One attempt at one callback. `headers` go along; `key` picks the lane. A unary call succeeds when it is answered;
    /// the message of a client stream when it is written.
    ///
    /// # Errors
    /// Why it failed, and whether the handler may have seen it.
    pub async fn call(
        &mut self,
        key: u64,
        method: Method,
        headers: HeaderMap,
        frame: Bytes,
    ) -> Result<(), Failure> {
        if !self.life.endpoint().settings().client_streams {
            return self.life.call(key, method, headers, frame).await;
        }
        let life = &self.life;
        let streams = self
            .streams
            .get_or_insert_with(|| Box::new(ClientStreams::new(life, key)));
        streams.write(method, headers, frame).await
    }

    /// Ready when the handler has ended a client stream of the connection with an error.
    pub fn poll_refused(&mut self, cx: &mut Context<'_>) -> Poll<(Method, Failure)> {
        match &mut self.streams {
            Some(streams) => streams.poll_refused(cx),
            None => Poll::Pending,
        }
    }

    /// The last callback was made: client streams end, and their answers are waited for, up to the deadline.
    ///
    /// # Errors
    /// Why nobody knows whether the handler has heard of the end.
    pub async fn finish(&mut self) -> Result<(), Failure> {
        match &mut self.streams {
            Some(streams) => streams.finish().await,
            None => Ok(()),
        }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.life.leave_place();
    }
}
