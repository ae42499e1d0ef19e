//! How one callback reaches a handler: bind, try, and where that fails wait, repeat, move to another handler, or
//! decide that the connection has to close.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use config::OnHandlerLoss;
use http::{HeaderMap, HeaderName, HeaderValue};
use proto::exproto;
use tokio::time::{Instant, sleep, timeout_at};

use super::{CloseReason, Handle, handle::Shared};
use crate::{
    broker::{Message, Qos},
    handler::{Failure, Life, Method, frame, jittered},
    metrics::Outcome,
};

const OFFSET: HeaderName = HeaderName::from_static("exproto-offset");
const ATTEMPT: HeaderName = HeaderName::from_static("exproto-attempt");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What to do when a handler fails, as the configuration says.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How long to wait for a handler.
    pub park_timeout: Duration,
    /// What a lost handler means for its connections.
    pub on_handler_loss: OnHandlerLoss,
    /// Whether a call that may have been seen is made again.
    pub retry_unacknowledged: bool,
    /// The first pause between two tries; it doubles up to `backoff_max`.
    pub backoff_min: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
}

impl Policy {
    pub(super) fn rebinds(&self) -> bool {
        self.on_handler_loss == OnHandlerLoss::Rebind
    }
}

/// Something to tell the handler.
pub(super) enum Event {
    Created,
    Received(Bytes),
    TimerTimeout,
    Messages(Vec<Arc<Message>>),
    Closed(CloseReason),
}

/// How a connection stands with its handler.
#[derive(Default)]
pub(super) struct Standing {
    /// Where its callbacks go.
    bound: Option<Arc<Life>>,
    /// Some handler has seen, or may have seen, `OnSocketCreated`.
    pub(super) met: bool,
    /// How often `OnSocketCreated` was called.
    introductions: u32,
}

impl Standing {
    /// The handler that it is bound to is gone.
    pub(super) fn lost(&self) -> bool {
        self.bound.as_ref().is_some_and(|life| life.is_lost())
    }
}

/// What became of a delivery. Where it failed, the connection closes for this reason.
pub(super) struct Delivered {
    pub(super) outcome: Result<(), CloseReason>,
    pub(super) standing: Standing,
}

/// What follows when a call may have been seen, and nobody answers any more.
enum AfterLoss {
    Repeat,
    Forget,
    Close,
}

/// One callback on its way.
pub(super) struct Delivery {
    shared: Arc<Shared>,
    standing: Standing,
    event: Event,
    offset: u64,
    patience: Patience,
}

impl Delivery {
    pub(super) fn new(shared: Arc<Shared>, standing: Standing, event: Event, offset: u64) -> Self {
        Self {
            shared,
            standing,
            event,
            offset,
            patience: Patience::default(),
        }
    }

    pub(super) async fn run(mut self) -> Delivered {
        let outcome = match self.shared.settings.in_process.clone() {
            None => self.deliver().await,
            Some(handler) => {
                if let Event::Received(bytes) = self.event {
                    handler(Handle::new(self.shared.clone()), bytes).await;
                }
                return Delivered {
                    outcome: Ok(()),
                    standing: self.standing,
                };
            }
        };
        Delivered {
            outcome,
            standing: self.standing,
        }
    }

    async fn deliver(&mut self) -> Result<(), CloseReason> {
        if matches!(self.event, Event::Created) {
            return self.introduce().await;
        }
        let mut attempt = 1;
        let mut frame = self.frame();
        loop {
            let life = self.attached().await?;
            match self
                .call(&life, self.method(), frame.clone(), attempt)
                .await
            {
                Ok(()) => return Ok(()),
                Err(Failure::Unreached { .. }) => {}
                Err(Failure::Lost(_)) => match self.after_loss() {
                    AfterLoss::Repeat => {
                        attempt += 1;
                        frame = self.frame();
                    }
                    AfterLoss::Forget => return Ok(()),
                    AfterLoss::Close => return Err(CloseReason::HandlerLost),
                },
                Err(Failure::Refused(_)) => return Err(CloseReason::HandlerError),
                Err(Failure::TimedOut(_)) => return Err(CloseReason::HandlerTimeout),
            }
            self.pause().await?;
        }
    }

    /// The handler that the connection is bound to, or one that has just been introduced to it.
    async fn attached(&mut self) -> Result<Arc<Life>, CloseReason> {
        if let Some(life) = &self.standing.bound {
            if !life.is_lost() {
                return Ok(life.clone());
            }
            let closing = matches!(self.event, Event::Closed(_));
            if closing {
                self.standing.bound = None;
            } else {
                self.introduce().await?;
            }
        }
        self.bound().await
    }

    /// `OnSocketCreated`, until a handler has answered it.
    async fn introduce(&mut self) -> Result<(), CloseReason> {
        let request = exproto::SocketCreatedRequest {
            conn: self.conn(),
            conninfo: Some(self.shared.info.to_proto()),
        };
        let frame = frame(&request);
        let rebinds = self.shared.settings.policy.rebinds();
        loop {
            if self.standing.lost() {
                if self.standing.met && !rebinds {
                    return Err(CloseReason::HandlerLost);
                }
                self.standing.bound = None;
            }
            let life = self.bound().await?;
            let met = std::mem::replace(&mut self.standing.met, true);
            if met {
                self.shared.phase.rebound();
            }
            self.standing.introductions += 1;
            let attempt = self.standing.introductions;
            self.shared.parked.store(false, Ordering::Relaxed);
            match self
                .call(&life, Method::OnSocketCreated, frame.clone(), attempt)
                .await
            {
                Ok(()) => return Ok(()),
                Err(Failure::Unreached { .. }) => {
                    self.standing.met = met;
                    self.standing.introductions -= 1;
                }
                Err(Failure::Lost(_)) if rebinds => {}
                Err(Failure::Lost(_)) => return Err(CloseReason::HandlerLost),
                Err(Failure::Refused(_)) => return Err(CloseReason::HandlerError),
                Err(Failure::TimedOut(_)) => return Err(CloseReason::HandlerTimeout),
            }
            self.pause().await?;
        }
    }

    /// The endpoint that callbacks go to; waits until there is one.
    async fn bound(&mut self) -> Result<Arc<Life>, CloseReason> {
        if let Some(life) = &self.standing.bound {
            return Ok(life.clone());
        }
        let settings = self.shared.settings.clone();
        let key = self.shared.key;
        let life = if let Some(life) = settings.handlers.pick(key) {
            life
        } else {
            let _parked = settings.metrics.parked();
            self.shared
                .parked
                .store(!self.standing.met, Ordering::Relaxed);
            let until = self.patience.until(&settings.policy);
            timeout_at(until, settings.handlers.wait(key))
                .await
                .ok()
                .flatten()
                .ok_or(CloseReason::HandlerUnavailable)?
        };
        self.standing.bound = Some(life.clone());
        Ok(life)
    }

    async fn call(
        &self,
        life: &Life,
        method: Method,
        frame: Bytes,
        attempt: u32,
    ) -> Result<(), Failure> {
        let started = std::time::Instant::now();
        let outcome = life
            .call(
                self.shared.key,
                method,
                self.headers(method, attempt),
                frame,
            )
            .await;
        let metrics = &self.shared.settings.metrics;
        metrics.callback(method, Outcome::of(&outcome), started.elapsed());
        if let Err(failure) = &outcome {
            let (conn, method, endpoint) = (&self.shared.id, method.as_str(), life.address());
            tracing::debug!(%conn, method, endpoint, attempt, %failure, "callback failed");
        }
        outcome
    }

    /// A call that may have been seen is made again only where the user allows it, or where the event is a message
    /// that must arrive at least once. Messages of QoS 0 are then left out: they arrive at most once.
    fn after_loss(&mut self) -> AfterLoss {
        let policy = &self.shared.settings.policy;
        if policy.retry_unacknowledged {
            return AfterLoss::Repeat;
        }
        match &mut self.event {
            Event::Messages(messages) if policy.rebinds() => {
                messages.retain(|message| message.qos != Qos::AtMostOnce);
                if messages.is_empty() {
                    AfterLoss::Forget
                } else {
                    AfterLoss::Repeat
                }
            }
            _ => AfterLoss::Close,
        }
    }

    async fn pause(&mut self) -> Result<(), CloseReason> {
        let settings = self.shared.settings.clone();
        self.shared
            .parked
            .store(!self.standing.met, Ordering::Relaxed);
        let (pause, until) = self.patience.next(&settings.policy);
        let is_over = !pause.is_zero() && Instant::now() + pause > until;
        if is_over || settings.handlers.gave_up() {
            return Err(CloseReason::HandlerUnavailable);
        }
        sleep(pause).await;
        Ok(())
    }

    fn conn(&self) -> String {
        self.shared.id.as_str().to_owned()
    }

    fn method(&self) -> Method {
        match self.event {
            Event::Created => Method::OnSocketCreated,
            Event::Received(_) => Method::OnReceivedBytes,
            Event::TimerTimeout => Method::OnTimerTimeout,
            Event::Messages(_) => Method::OnReceivedMessages,
            Event::Closed(_) => Method::OnSocketClosed,
        }
    }

    fn frame(&self) -> Bytes {
        let conn = self.conn();
        match &self.event {
            Event::Created => Bytes::new(),
            Event::Received(bytes) => frame(&exproto::ReceivedBytesRequest {
                conn,
                bytes: bytes.clone(),
            }),
            Event::TimerTimeout => frame(&exproto::TimerTimeoutRequest {
                conn,
                r#type: exproto::TimerType::Keepalive.into(),
            }),
            Event::Messages(messages) => frame(&exproto::ReceivedMessagesRequest {
                conn,
                messages: messages
                    .iter()
                    .map(|message| self.message(message))
                    .collect(),
            }),
            Event::Closed(reason) => frame(&exproto::SocketClosedRequest {
                conn,
                reason: reason.as_str().to_owned(),
            }),
        }
    }

    fn message(&self, message: &Message) -> exproto::Message {
        let client = self.shared.phase.client().ok();
        let mountpoint = client.map_or("", |client| client.mountpoint.as_str());
        exproto::Message {
            node: message.node.as_ref().to_owned(),
            id: message.id.as_ref().to_owned(),
            qos: message.qos.into(),
            from: message.from.as_ref().to_owned(),
            topic: message.topic.unmount(mountpoint).to_owned(),
            payload: message.payload.clone(),
            timestamp: message.timestamp,
        }
    }

    fn headers(&self, method: Method, attempt: u32) -> HeaderMap {
        let mut headers = self.shared.settings.tuning().headers.clone();
        headers.insert(OFFSET, passing(&self.offset.to_string()));
        headers.insert(ATTEMPT, HeaderValue::from(attempt));
        if method == Method::OnSocketCreated
            && let Some(details) = self.shared.info.details.headers()
        {
            for (name, value) in details {
                headers.append(name, passing_value(value));
            }
        }
        let (trace, span) = (fastrand::u128(1..), fastrand::u64(1..));
        headers.insert(
            TRACEPARENT,
            passing(&format!("00-{trace:032x}-{span:016x}-00")),
        );
        headers
    }
}

/// A value that differs each time: HPACK must not push the lasting ones out of its table for it.
fn passing(text: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(text).expect("digits and dashes");
    value.set_sensitive(true);
    value
}

fn passing_value(value: &HeaderValue) -> HeaderValue {
    let mut value = value.clone();
    value.set_sensitive(true);
    value
}

/// How long a delivery goes on trying, counted from its first trouble.
#[derive(Default)]
struct Patience {
    until: Option<Instant>,
    pause: Option<Duration>,
}

impl Patience {
    fn until(&mut self, policy: &Policy) -> Instant {
        *self
            .until
            .get_or_insert_with(|| Instant::now() + policy.park_timeout)
    }

    /// The next pause, and when to give up.
    fn next(&mut self, policy: &Policy) -> (Duration, Instant) {
        let until = self.until(policy);
        // At once the first time: another lane may stand.
        let Some(pause) = self.pause else {
            self.pause = Some(policy.backoff_min);
            return (Duration::ZERO, until);
        };
        self.pause = Some((pause * 2).min(policy.backoff_max));
        (jittered(pause), until)
    }
}
