//! How one callback reaches a handler: bind, try, and where that fails wait, repeat, move to another handler, or
//! decide that the connection has to close.
//!
//! Messages of QoS 1 and 2 are repeated whatever went wrong, for `redelivery_timeout`; while the connection is told to
//! end they are given up instead, which for a session means that they wait for the next connection.

/// What becomes of a delivery on its way.
mod outcome;
/// How long it goes on trying.
mod patience;
/// What to do when a handler fails.
mod policy;
/// How a connection stands with its handler.
mod standing;
/// Which handler it wants.
mod wish;
/// What it looks like on the wire.
mod request;

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};

use bytes::Bytes;
use proto::exproto;
use tokio::time::{Instant, sleep, timeout_at};

use self::outcome::{Stop, Then, Told};
pub use self::policy::Policy;
pub(super) use self::{patience::Patience, request::message, standing::Standing, wish::of as wish};
use super::{CloseReason, Handle, copying, handle::Shared};
use crate::{
    broker::queue::Batch,
    handler::{Failure, Method, frame},
    metrics::Outcome,
};

/// Something to tell the handler.
pub(super) enum Event {
    Created,
    Received(Bytes),
    TimerTimeout,
    Messages(Batch),
    Closed(CloseReason),
}

/// What became of a delivery. Where it failed, the connection closes for this reason.
pub(super) struct Delivered {
    pub(super) outcome: Result<(), CloseReason>,
    pub(super) standing: Standing,
}

/// One callback on its way.
pub(super) struct Delivery {
    shared: Arc<Shared>,
    standing: Standing,
    event: Event,
    offset: u64,
    patience: Patience,
    /// Messages that failed, and are sent again: until when, and why they failed last.
    failing: Option<(Instant, CloseReason)>,
}

impl Delivery {
    pub(super) fn new(shared: Arc<Shared>, standing: Standing, event: Event, offset: u64) -> Self {
        Self {
            shared,
            standing,
            event,
            offset,
            patience: Patience::default(),
            failing: None,
        }
    }

    pub(super) async fn run(mut self) -> Delivered {
        let mut outcome = match self.shared.settings.in_process.clone() {
            None => self.deliver().await,
            Some(handler) => {
                if let Event::Received(bytes) = &self.event {
                    handler(Handle::new(self.shared.clone()), bytes.clone()).await;
                }
                Ok(Told::Acknowledged)
            }
        };
        if let Event::Messages(batch) = &self.event {
            if outcome.is_ok() {
                batch.confirm();
            } else {
                let stats = self.shared.settings.broker.stats();
                stats.discarded.fetch_add(batch.lost() as u64, Relaxed);
            }
        }
        if let Ok(Told::Acknowledged) = outcome {
            copying::event(&self.shared, &self.event);
        }
        if matches!(self.event, Event::Closed(_)) && outcome.is_ok() {
            let finished = self.standing.finish().await;
            outcome = finished.map(|()| Told::Acknowledged).map_err(Stop::Close);
        }
        Delivered {
            outcome: match outcome {
                Err(Stop::Close(reason)) => Err(reason),
                Ok(_) | Err(Stop::GivenUp) => Ok(()),
            },
            standing: self.standing,
        }
    }

    async fn deliver(&mut self) -> Result<Told, Stop> {
        if matches!(self.event, Event::Created) {
            self.introduce().await?;
            return Ok(Told::Acknowledged);
        }
        if matches!(self.event, Event::Closed(_)) && self.standing.is_inherited().await {
            return Ok(Told::Forgotten);
        }
        let mut attempt = 1 + self.earlier();
        let mut frame = self.frame();
        let mut is_repeat = false;
        loop {
            self.attached().await?;
            self.turn(is_repeat).await?;
            is_repeat = true;
            self.count_repetition(attempt);
            let failure = match self.call(self.method(), frame.clone(), attempt).await {
                Ok(()) => return Ok(Told::Acknowledged),
                Err(Failure::Unreached { .. }) => {
                    self.pause().await?;
                    continue;
                }
                Err(failure) => failure,
            };
            let reason = CloseReason::from(&failure);
            match self.after_failure(matches!(failure, Failure::Lost(_))) {
                Then::Repeat => {}
                Then::Forget => return Ok(Told::Forgotten),
                Then::Close => return Err(reason.into()),
            }
            attempt += 1;
            frame = self.frame();
            match self.event {
                Event::Messages(_) => self.pause_failing(reason).await?,
                _ => self.pause().await?,
            }
        }
    }

    /// How often the messages were sent before, by other connections.
    fn earlier(&self) -> u32 {
        match &self.event {
            Event::Messages(batch) => batch.earlier,
            _ => 0,
        }
    }

    fn count_repetition(&self, attempt: u32) {
        if attempt > 1
            && let Event::Messages(batch) = &self.event
        {
            let count = batch.messages.len() as u64;
            let stats = self.shared.settings.broker.stats();
            stats.redelivered.fetch_add(count, Relaxed);
        }
    }

    /// Binds the connection to a handler that was introduced to it, unless it is.
    async fn attached(&mut self) -> Result<(), Stop> {
        let lost = self.standing.lost();
        if matches!(self.event, Event::Closed(_)) {
            // Whoever hears of the end need not have heard of the beginning.
            if lost {
                self.standing.bound = None;
            }
        } else if lost || !self.standing.introduced {
            self.introduce().await?;
        }
        self.bound().await
    }

    /// `OnSocketCreated`, until a handler has answered it.
    async fn introduce(&mut self) -> Result<(), Stop> {
        let request = exproto::SocketCreatedRequest {
            conn: self.conn(),
            conninfo: Some(self.shared.info.to_proto()),
        };
        let frame = frame(&request);
        let rebinds = self.shared.settings.policy.rebinds;
        self.standing.introduced = false;
        let mut is_repeat = false;
        loop {
            if self.standing.lost() {
                if self.standing.met && !rebinds {
                    return Err(CloseReason::HandlerLost.into());
                }
                self.standing.bound = None;
            }
            self.bound().await?;
            self.turn(is_repeat).await?;
            is_repeat = true;
            let met = std::mem::replace(&mut self.standing.met, true);
            if met {
                self.shared.rebound();
            }
            self.standing.introductions += 1;
            let attempt = self.standing.introductions;
            self.shared.parked.store(false, Relaxed);
            let called = self.call(Method::OnSocketCreated, frame.clone(), attempt);
            match called.await {
                Ok(()) => {
                    self.standing.introduced = true;
                    self.note();
                    return Ok(());
                }
                Err(Failure::Unreached { .. }) => {
                    self.standing.met = met;
                    self.standing.introductions -= 1;
                }
                Err(Failure::Lost(_)) if rebinds => {}
                Err(failure) => return Err(CloseReason::from(&failure).into()),
            }
            self.pause().await?;
        }
    }

    /// If this pod dies, others can tell the handler.
    fn note(&mut self) {
        // What they knew of another handler goes first.
        self.standing.record = None;
        let (index, bound) = (&self.shared.settings.index, &self.standing.bound);
        self.standing.record = index
            .as_ref()
            .zip(bound.as_ref())
            .map(|(index, bound)| index.record(&self.shared.id, bound.life().address()));
    }

    /// Waits until there is an endpoint that callbacks go to.
    async fn bound(&mut self) -> Result<(), Stop> {
        if self.standing.bound.is_some() {
            return Ok(());
        }
        let settings = self.shared.settings.clone();
        let wish = wish::of(&self.shared);
        let bound = if let Some(bound) = settings.handlers.bind(wish) {
            bound
        } else {
            let _parked = settings.metrics.parked();
            self.shared.parked.store(!self.standing.met, Relaxed);
            let parked = self.patience.until(&settings.policy);
            let (until, reason) = match self.failing {
                Some((until, reason)) if until < parked => (until, reason),
                _ => (parked, CloseReason::HandlerUnavailable),
            };
            let ready = timeout_at(until, settings.handlers.wait(wish));
            let bound = self.unless_given_up(ready).await?.ok().flatten();
            bound.ok_or(reason)?
        };
        self.standing.bound = Some(bound);
        Ok(())
    }

    /// Waits until the call may be made: at once, unless it is a repeat and there are too many.
    async fn turn(&mut self, is_repeat: bool) -> Result<(), Stop> {
        let Some(bound) = &self.standing.bound else {
            return Ok(());
        };
        if !is_repeat {
            bound.begins();
            return Ok(());
        }
        let settings = &self.shared.settings;
        let (until, reason) = self.failing.unwrap_or_else(|| {
            let parked = self.patience.until(&settings.policy);
            (parked, CloseReason::HandlerUnavailable)
        });
        let patience = until.saturating_duration_since(Instant::now());
        let wait = bound.repeats(patience).ok_or(reason)?;
        if wait.is_zero() {
            return Ok(());
        }
        self.unless_given_up(sleep(wait)).await
    }

    /// One attempt, at the endpoint that the connection is bound to.
    async fn call(&mut self, method: Method, frame: Bytes, attempt: u32) -> Result<(), Failure> {
        let started = std::time::Instant::now();
        let headers = self.headers(method, attempt);
        let Some(bound) = &mut self.standing.bound else {
            return Ok(());
        };
        let outcome = bound.call(self.shared.key, method, headers, frame).await;
        let metrics = &self.shared.settings.metrics;
        metrics.callback(method, Outcome::of(&outcome), started.elapsed());
        if let Err(failure) = &outcome {
            let endpoint = bound.life().address();
            let (conn, method) = (&self.shared.id, method.as_str());
            tracing::debug!(%conn, method, endpoint, attempt, %failure, "callback failed");
            let was_seen = !matches!(failure, Failure::Unreached { .. });
            if was_seen && !matches!(self.event, Event::Closed(_)) {
                // Calls that were made inside it are made again, or for something that the shadow is not told of.
                self.shared.not_comparable("a callback failed");
            }
        }
        outcome
    }

    /// A call that may have been seen is made again only where the user allows it, or where the event is a message
    /// that must arrive at least once. Messages of QoS 0 are then left out: they arrive at most once.
    fn after_failure(&mut self, was_lost: bool) -> Then {
        let policy = &self.shared.settings.policy;
        if was_lost && policy.retry_unacknowledged {
            return Then::Repeat;
        }
        let Event::Messages(batch) = &mut self.event else {
            return Then::Close;
        };
        if was_lost && !policy.rebinds {
            return Then::Close;
        }
        match batch.keep_repeatable() {
            Some(left_out) => {
                let stats = self.shared.settings.broker.stats();
                stats.unrepeated.fetch_add(left_out as u64, Relaxed);
                Then::Repeat
            }
            None if was_lost => {
                let stats = self.shared.settings.broker.stats();
                stats
                    .unrepeated
                    .fetch_add(batch.messages.len() as u64, Relaxed);
                Then::Forget
            }
            None => Then::Close,
        }
    }

    /// The handler was not reached.
    async fn pause(&mut self) -> Result<(), Stop> {
        let settings = self.shared.settings.clone();
        self.shared.parked.store(!self.standing.met, Relaxed);
        if let Some((until, reason)) = self.failing
            && Instant::now() >= until
        {
            return Err(reason.into());
        }
        let (pause, until) = self.patience.next(&settings.policy);
        let now = Instant::now();
        let is_over = !pause.is_zero() && now + pause > until;
        if is_over || settings.handlers.gave_up() {
            return Err(CloseReason::HandlerUnavailable.into());
        }
        let pause = match self.failing {
            Some((until, _)) => pause.min(until - now),
            None => pause,
        };
        self.unless_given_up(sleep(pause)).await
    }

    /// The handler was told of messages, and it was in vain.
    async fn pause_failing(&mut self, reason: CloseReason) -> Result<(), Stop> {
        let policy = &self.shared.settings.policy;
        let now = Instant::now();
        let until = match self.failing {
            Some((until, _)) => until,
            None => now + policy.redelivery_timeout,
        };
        self.failing = Some((until, reason));
        if now >= until {
            return Err(reason.into());
        }
        let pause = self.patience.repeat(policy).min(until - now);
        self.unless_given_up(sleep(pause)).await
    }

    /// Waits, but no longer than the handler is to be told: messages that failed, and those that a session keeps, are
    /// given up when the connection is told to end. The connection's task looks here whenever something happens to it.
    async fn unless_given_up<T>(&self, wait: impl Future<Output = T>) -> Result<T, Stop> {
        let mut wait = pin!(wait);
        poll_fn(|cx: &mut Context<'_>| {
            if self.is_given_up() {
                return Poll::Ready(Err(Stop::GivenUp));
            }
            wait.as_mut().poll(cx).map(Ok)
        })
        .await
    }

    fn is_given_up(&self) -> bool {
        let Event::Messages(batch) = &self.event else {
            return false;
        };
        let matters = batch.is_of_session() || self.failing.is_some();
        matters && self.shared.ending.load(Relaxed)
    }
}
