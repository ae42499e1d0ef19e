//! One connection: one task that owns everything, and a [`Handle`](crate::connection::Handle) whose methods are the way to talk to it.
//!
//! `listen` gives it a socket; it tells the handler what happens there (`callbacks`), and does what the adapter asks.
//! It never awaits the handler in its loop, knows no listener and no wire type of the adapter, and what must be
//! undone when it ends is a guard that it was given.

/// What may be asked of a connection, and of whom.
mod handle;
/// Who the connection is, and so what may be asked of it.
mod phase;
/// What waits for the handler.
mod callbacks;
/// How one callback reaches a handler, or what that means for the connection.
mod delivery;
/// Bytes that wait for the socket.
mod outbox;
/// When it has waited long enough.
mod timers;
/// The filters of one client.
mod subscriptions;
/// Why it ended.
mod close;
/// How it ends.
mod closing;

use std::{
    any::Any,
    cell::RefCell,
    future::poll_fn,
    io,
    ops::ControlFlow,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use http::HeaderMap;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{Semaphore, mpsc, oneshot},
};

use self::{
    callbacks::Callbacks,
    handle::{Command, Shared},
    outbox::Outbox,
    subscriptions::Subscriptions,
    timers::{Due, Timers},
};
pub use self::{
    close::{Blame, CloseReason, SocketFailure},
    delivery::Policy,
    handle::{CallError, Handle},
    phase::{Attempt, Begin, Client},
};
use crate::{
    broker::{Broker, queue},
    conn_id::ConnId,
    handler::Handlers,
    metrics::{ListenerMetrics, Metrics},
    transport::ConnInfo,
};

/// Bytes that one read takes at most, and one `OnReceivedBytes` carries at most.
const CHUNK: usize = 64 * 1024;
/// Commands that wait for the connection's task. Each is done at once, so more would only hide trouble.
const MAILBOX: usize = 8;

/// What all connections of a listener share.
pub struct Settings {
    /// The listener's name.
    pub listener: String,
    /// gRPC metadata that every callback carries.
    pub headers: HeaderMap,
    /// The limits of each connection.
    pub limits: config::Connection,
    /// The limits of the queue of messages.
    pub queue: queue::Limits,
    /// How long a device may say nothing after it connected.
    pub first_byte_timeout: Option<Duration>,
    /// How long it may say nothing later.
    pub idle_timeout: Option<Duration>,
    /// How long it may stay without Authenticate.
    pub authentication_timeout: Option<Duration>,
    /// Whether the connection outlives the device's FIN.
    pub half_close: bool,
    /// What to do when a handler fails.
    pub policy: Policy,
    /// Who is told.
    pub handlers: Handlers,
    /// Who routes messages.
    pub broker: Broker,
    /// What is counted for the listener.
    pub counts: Arc<ListenerMetrics>,
    /// What is counted for the pod.
    pub metrics: Arc<Metrics>,
    /// Sockets that wait for their device to close; the pod has so many places for them.
    pub lingering: Arc<Semaphore>,
}

/// What is undone, by being dropped, once no more calls are taken.
pub type Guard = Box<dyn Any + Send>;

/// A connection that runs once its task is spawned; in between it can be registered.
pub struct Connection<Io> {
    shared: Arc<Shared>,
    io: Io,
    mailbox: mpsc::Receiver<Box<Command>>,
    outbox: Outbox,
    callbacks: Callbacks,
    timers: Timers,
    subscriptions: Subscriptions,
    guards: Vec<Guard>,
    /// The device may still send.
    reading: bool,
    /// The socket takes nothing any more, for this reason.
    broken: Option<CloseReason>,
    /// The connection ends for this reason as soon as the handler has been told all that it must be.
    ending: Option<CloseReason>,
}

/// What the loop woke up for.
enum Event {
    Asked(CloseReason),
    Command(Box<Command>),
    Answered(Result<(), CloseReason>),
    HandlerLost,
    WriteFailed(io::Error),
    Broken(CloseReason),
    Received,
    Eof,
    Messages(queue::Ready),
    Due(Due),
}

impl<Io: AsyncRead + AsyncWrite + Unpin + Send + 'static> Connection<Io> {
    /// A connection over `io`, and the handle to it.
    pub fn new(
        id: ConnId,
        key: u64,
        info: ConnInfo,
        settings: Arc<Settings>,
        io: Io,
    ) -> (Handle, Self) {
        let (sender, mailbox) = mpsc::channel(MAILBOX);
        let timers = Timers::new(
            Instant::now(),
            settings.first_byte_timeout,
            settings.idle_timeout,
            settings.authentication_timeout,
        );
        let outbox = Outbox::new(settings.limits.outbox_limit.bytes());
        let shared = Arc::new(Shared::new(id, key, info, settings, sender));
        let connection = Self {
            io,
            mailbox,
            outbox,
            callbacks: Callbacks::new(shared.clone()),
            timers,
            subscriptions: Subscriptions::default(),
            guards: Vec::new(),
            reading: true,
            broken: None,
            ending: None,
            shared: shared.clone(),
        };
        (Handle::new(shared), connection)
    }

    /// Serves the connection until it has ended and the handler knows. `guard` is dropped as soon as no more calls
    /// are taken.
    pub async fn run(mut self, guard: Guard) {
        self.guards.push(guard);
        self.callbacks.created();
        let reason = loop {
            let event = poll_fn(|cx| self.poll_event(cx)).await;
            if let ControlFlow::Break(reason) = self.on_event(event) {
                break reason;
            }
            if let Some(reason) = self.ending
                && self.callbacks.are_done()
            {
                break reason;
            }
        };
        // Boxed, so that a connection that serves does not hold the memory of one that ends.
        Box::pin(self.close(reason)).await;
    }

    /// Waits for the next thing to do. Each source is polled to the point where it wakes the task by itself; none
    /// loses anything when another one is ready first.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let asked = self.shared.poll_asked(cx);
        let ends_already =
            |reason: &CloseReason| self.ending.is_some() && reason.delivers_what_was_read();
        if let Some(reason) = asked.filter(|reason| !ends_already(reason)) {
            return Poll::Ready(Event::Asked(reason));
        }
        if let Poll::Ready(Some(command)) = self.mailbox.poll_recv(cx) {
            return Poll::Ready(Event::Command(command));
        }
        if let Poll::Ready(outcome) = self.callbacks.poll_answered(cx) {
            return Poll::Ready(Event::Answered(outcome));
        }
        if self.callbacks.lost_its_handler() {
            return Poll::Ready(Event::HandlerLost);
        }
        if !self.outbox.is_empty()
            && let Poll::Ready(Err(error)) = self.poll_write(cx)
        {
            return Poll::Ready(Event::WriteFailed(error));
        }
        if self.reading && self.callbacks.room() > 0 {
            if let Poll::Ready(event) = self.poll_read(cx) {
                return Poll::Ready(event);
            }
            if let Some(reason) = self.broken {
                return Poll::Ready(Event::Broken(reason));
            }
        }
        if self.ending.is_none()
            && let Poll::Ready(ready) = self.callbacks.poll_messages(cx)
        {
            return Poll::Ready(Event::Messages(ready));
        }
        let send_timeout = self.shared.settings.limits.send_timeout;
        let stalled = self.outbox.stalled_since();
        self.timers
            .poll_due(stalled, send_timeout, cx)
            .map(Event::Due)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut written = 0;
        let room = &self.shared.room;
        let outcome = self.outbox.poll_drive(&mut self.io, room, &mut written, cx);
        if written > 0 {
            self.shared.settings.counts.bytes_sent(written);
        }
        outcome
    }

    /// Reads into a buffer that the worker thread lends for the moment: an idle connection holds none.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        thread_local! {
            static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; CHUNK].into());
        }
        BUFFER.with_borrow_mut(|buffer| {
            let limit = self.callbacks.room().min(CHUNK);
            let mut chunk = ReadBuf::new(&mut buffer[..limit]);
            Poll::Ready(
                match ready!(Pin::new(&mut self.io).poll_read(cx, &mut chunk)) {
                    Ok(()) if chunk.filled().is_empty() => Event::Eof,
                    Ok(()) => {
                        let bytes = chunk.filled();
                        self.shared.settings.counts.bytes_received(bytes.len());
                        self.callbacks.received(bytes);
                        Event::Received
                    }
                    Err(error) => Event::Broken(CloseReason::from(&error)),
                },
            )
        })
    }

    fn on_event(&mut self, event: Event) -> ControlFlow<CloseReason> {
        match event {
            Event::Asked(reason) if reason.delivers_what_was_read() => self.end(reason),
            Event::Command(command) => self.on_command(*command),
            Event::Answered(Ok(())) => ControlFlow::Continue(()),
            Event::Asked(reason) | Event::Answered(Err(reason)) => ControlFlow::Break(reason),
            Event::HandlerLost => match self.callbacks.rebind() {
                Ok(()) => ControlFlow::Continue(()),
                Err(reason) => ControlFlow::Break(reason),
            },
            // What the device said before it went can still be read.
            Event::WriteFailed(error) => {
                self.broken = Some(CloseReason::from(&error));
                self.outbox.abandon(&self.shared.room);
                if self.reading || self.ending.is_some() {
                    ControlFlow::Continue(())
                } else {
                    self.end(CloseReason::from(&error))
                }
            }
            Event::Broken(reason) => {
                self.outbox.abandon(&self.shared.room);
                self.end(reason)
            }
            Event::Received => {
                self.timers.heard(Instant::now());
                ControlFlow::Continue(())
            }
            Event::Eof => {
                self.reading = false;
                if self.shared.settings.half_close {
                    ControlFlow::Continue(())
                } else {
                    self.end(CloseReason::TcpClosed)
                }
            }
            Event::Messages(queue::Ready::Messages) => {
                self.callbacks.messages();
                ControlFlow::Continue(())
            }
            Event::Messages(queue::Ready::Overflowed) => {
                ControlFlow::Break(CloseReason::SlowHandler)
            }
            Event::Due(due) => self.on_due(due),
        }
    }

    fn on_due(&mut self, due: Due) -> ControlFlow<CloseReason> {
        let paused = self.reading && self.callbacks.room() == 0;
        match due {
            // The device may well have spoken: it is we who do not listen.
            Due::Silence | Due::Keepalive if paused => {
                self.timers.put_off(Instant::now());
                ControlFlow::Continue(())
            }
            // It waits for us.
            Due::Silence if !self.callbacks.are_done() => {
                self.timers.put_off(Instant::now());
                ControlFlow::Continue(())
            }
            Due::Silence => ControlFlow::Break(CloseReason::IdleTimeout),
            Due::Keepalive => {
                self.callbacks.timed_out();
                self.end(CloseReason::KeepaliveTimeout)
            }
            Due::Authentication => ControlFlow::Break(CloseReason::AuthenticationTimeout),
            Due::Expiry => self.end(CloseReason::Expired),
            Due::Send => ControlFlow::Break(CloseReason::SlowConsumer),
        }
    }

    /// Nothing more is read, and once the handler has all that it must have, the connection closes. Until then calls
    /// are served: what a handler sends from inside its last callbacks still arrives.
    fn end(&mut self, reason: CloseReason) -> ControlFlow<CloseReason> {
        if self.ending.is_some() {
            return ControlFlow::Continue(());
        }
        if self.callbacks.nobody_cares() {
            return ControlFlow::Break(reason);
        }
        self.reading = false;
        self.ending = Some(reason);
        self.timers.end();
        ControlFlow::Continue(())
    }

    fn on_command(&mut self, command: Command) -> ControlFlow<CloseReason> {
        match command {
            Command::Send(bytes) => self.outbox.push(&bytes, &self.shared.room),
            Command::Close { reply } => {
                answer(reply, Ok(()));
                return ControlFlow::Break(CloseReason::Normal);
            }
            Command::Authenticated {
                client,
                expiry,
                claim,
                reply,
            } => {
                let outcome = self.shared.phase.authenticated(client);
                if outcome.is_ok() {
                    self.timers.authenticated(expiry);
                    self.guards.push(claim);
                }
                answer(reply, outcome);
            }
            Command::StartTimer { interval, reply } => {
                if self.ending.is_none() {
                    self.timers.start_keepalive(Instant::now(), interval);
                }
                answer(reply, Ok(()));
            }
            Command::Subscribe { filter, qos, reply } => {
                let queue = self.callbacks.queue();
                let settings = &self.shared.settings;
                let limit = settings.limits.max_subscriptions;
                let outcome = self
                    .subscriptions
                    .add(&settings.broker, queue, filter, qos, limit);
                answer(reply, outcome);
            }
            Command::Unsubscribe { filter, reply } => {
                self.subscriptions.remove(&filter);
                answer(reply, Ok(()));
            }
        }
        ControlFlow::Continue(())
    }
}

/// The caller may have gone in the meantime.
fn answer<T>(reply: oneshot::Sender<T>, value: T) {
    drop(reply.send(value));
}
