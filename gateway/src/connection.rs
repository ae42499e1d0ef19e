//! One connection: one task that owns everything, and a [`Handle`](crate::connection::Handle) whose methods are the way to talk to it.
//!
//! `listen` gives it a socket; it tells the handler what happens there (`callbacks`), and does what the adapter asks.
//! It never awaits the handler in its loop, knows no listener and no wire type of the adapter, and what must be
//! undone when it ends is a guard that it was given.

/// What may be asked of a connection, and of whom.
mod handle;
/// Why a call was refused.
mod call_error;
/// Who the connection is, and so what may be asked of it.
mod phase;
/// What all connections of a listener share.
mod settings;
/// Commands on their way to it.
mod mailbox;
/// What it does when they come.
mod commands;
/// Bytes on their way in.
mod inbound;
/// What waits for the handler.
mod callbacks;
/// How one callback reaches a handler, or what that means for the connection.
mod delivery;
/// Bytes that wait for the socket.
mod outbox;
/// When it has waited long enough.
mod timers;
/// Its place among the clients.
mod claim;
/// What its shadow is told.
mod copying;
/// Its shadow.
mod shadow;
/// What it tells of itself.
mod description;
/// Why it ended.
mod close;
/// How it ends.
mod closing;

use std::{
    any::Any,
    future::poll_fn,
    io,
    ops::ControlFlow,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

pub use self::{
    call_error::CallError,
    claim::{Begun, Claim},
    close::{Blame, CloseReason, SocketFailure},
    delivery::Policy,
    description::{Description, Moment, Origin},
    handle::Handle,
    phase::{Attempt, Begin, Client},
    settings::{Executor, InProcess, Mirrored, Settings, Tuning},
    shadow::Shadow,
    timers::Patience,
};
use self::{
    callbacks::Callbacks,
    handle::{Command, Shared},
    inbound::{Inbound, Read},
    outbox::Outbox,
    timers::{Due, Timers, Waits},
};
use crate::{
    admission::{Direction, Flow},
    broker::{Subscriptions, queue},
    conn_id::ConnId,
    mirror::{Pair, Side},
    transport::{ConnInfo, Socket},
};

/// Bytes that one read takes at most, and one `OnReceivedBytes` carries at most.
const CHUNK: usize = 64 * 1024;

/// What is undone, by being dropped, once no more calls are taken.
pub type Guard = Box<dyn Any + Send>;

/// A connection that runs once its task is spawned; in between it can be registered.
pub struct Connection {
    shared: Arc<Shared>,
    socket: Box<dyn Socket>,
    inbound: Inbound,
    outbox: Outbox,
    callbacks: Callbacks,
    timers: Timers,
    subscriptions: Subscriptions,
    /// The connection's place in the registry.
    registration: Option<Guard>,
    /// The client's place among the clients.
    claim: Option<Box<dyn Claim>>,
    /// The rates of a socket that can be made to wait. Datagrams are dropped instead, before they come here.
    flow: Option<Flow>,
    /// A rate stands in the way of writing until then.
    write_resumes: Option<Instant>,
    /// The socket takes nothing any more, for this reason.
    broken: Option<CloseReason>,
    /// Tells the shadow of the end, if there is one.
    copied: copying::Until,
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
    Read(Read),
    Messages(queue::Ready),
    Due(Due),
}

impl Connection {
    /// A connection over `socket`, and the handle to it. `pair` is what it shares with its shadow, if it has one.
    #[must_use]
    pub fn new(
        id: ConnId,
        key: u64,
        info: ConnInfo,
        settings: Arc<Settings>,
        socket: Box<dyn Socket>,
        pair: Option<Arc<Pair>>,
    ) -> (Handle, Box<Self>) {
        let keeps_boundaries = socket.keeps_boundaries();
        let flow = (!info.transport.is_datagram()).then(|| Flow::new(&settings.gate));
        let side = pair.map(|pair| (Side::Real, pair));
        let shared = Arc::new(Shared::new(id, key, info, settings, keeps_boundaries, side));
        let inbound = Inbound::new(shared.clone());
        let connection = Box::new(Self {
            socket,
            outbox: Outbox::new(shared.outbox_limit, keeps_boundaries),
            callbacks: Callbacks::new(shared.clone(), inbound.is_by_message()),
            inbound,
            timers: Timers::new(Instant::now()),
            subscriptions: Subscriptions::default(),
            registration: None,
            claim: None,
            flow,
            write_resumes: None,
            broken: None,
            copied: copying::Until::new(shared.copied_to()),
            ending: None,
            shared: shared.clone(),
        });
        (Handle::new(shared), connection)
    }

    /// Serves the connection until it has ended and the handler knows. `guard` is dropped as soon as no more calls
    /// are taken.
    pub async fn run(mut self: Box<Self>, guard: Guard) {
        self.registration = Some(guard);
        self.callbacks.created();
        let reason = loop {
            let event = poll_fn(|cx| self.poll_event(cx)).await;
            if let ControlFlow::Break(reason) = self.on_event(event) {
                break reason;
            }
            if let Some(reason) = self.ending
                && !(reason.delivers_what_was_read() && self.inbound.refill(&mut self.callbacks))
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
        if let Some(command) = self.shared.mailbox.pop() {
            return Poll::Ready(Event::Command(command));
        }
        if let Poll::Ready(outcome) = self.callbacks.poll_answered(cx) {
            return Poll::Ready(Event::Answered(outcome));
        }
        if self.callbacks.lost_its_handler() {
            return Poll::Ready(Event::HandlerLost);
        }
        if let Poll::Ready(Err(error)) = self.poll_write(cx) {
            return Poll::Ready(Event::WriteFailed(error));
        }
        if let Poll::Ready(read) = self.inbound.poll(
            &mut *self.socket,
            &mut self.callbacks,
            self.flow.as_ref(),
            cx,
        ) {
            return Poll::Ready(Event::Read(read));
        }
        if let Some(reason) = self.broken
            && self.inbound.is_reading()
            && self.callbacks.room() > 0
        {
            return Poll::Ready(Event::Broken(reason));
        }
        if self.ending.is_none()
            && let Poll::Ready(ready) = self.callbacks.poll_messages(cx)
        {
            return Poll::Ready(Event::Messages(ready));
        }
        let waits = Waits {
            stalled: self.outbox.stalled_since(),
            flow: [self.inbound.resumes(), self.write_resumes]
                .into_iter()
                .flatten()
                .min(),
            handler: self
                .callbacks
                .unanswered_since()
                .map(|since| since + self.shared.settings.policy.deadline),
        };
        let patience = self.shared.settings.tuning().patience;
        self.timers.poll_due(&patience, waits, cx).map(Event::Due)
    }

    /// Writes and flushes as much as the socket takes and the rates allow.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write_resumes = None;
        while !self.outbox.is_empty() {
            let limited = self.flow.as_ref().filter(|flow| !flow.is_unlimited());
            let allowed = match limited.map(|flow| flow.allowance(Direction::Out, Instant::now())) {
                None => None,
                Some(Ok(allowed)) => Some(allowed),
                Some(Err(resumes)) => {
                    self.write_resumes = Some(resumes);
                    ready!(self.outbox.poll_flush(&mut *self.socket, cx))?;
                    return Poll::Pending;
                }
            };
            let room = &self.shared.room;
            let step = self.outbox.poll_step(&mut *self.socket, room, allowed, cx);
            let written = ready!(step)?;
            if let Some(flow) = limited {
                let now = Instant::now();
                flow.spend(Direction::Out, written.bytes, written.messages, now);
            }
            self.shared.settings.counts.bytes_sent(written.bytes);
        }
        Poll::Ready(Ok(()))
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
                if self.inbound.is_reading() || self.ending.is_some() {
                    ControlFlow::Continue(())
                } else {
                    self.end(CloseReason::from(&error))
                }
            }
            Event::Broken(reason) => {
                self.outbox.abandon(&self.shared.room);
                self.end(reason)
            }
            Event::Read(read) => self.on_read(read),
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

    fn on_read(&mut self, read: Read) -> ControlFlow<CloseReason> {
        match read {
            Read::Received => {}
            Read::BadFrame(error, fatal) => {
                let (conn, device) = (&self.shared.id, self.shared.info.device);
                tracing::debug!(%conn, %device, %error, "the device sent a bad frame");
                if fatal {
                    return self.end(CloseReason::FrameError);
                }
            }
            Read::End => {
                let transport = self.shared.info.transport;
                if self.shared.settings.tuning().half_close {
                    return ControlFlow::Continue(());
                }
                return self.end(CloseReason::closed_by_device(transport));
            }
            Read::Failed(error) => {
                self.outbox.abandon(&self.shared.room);
                return self.end(CloseReason::from(&error));
            }
        }
        self.timers.heard(Instant::now());
        ControlFlow::Continue(())
    }

    fn on_due(&mut self, due: Due) -> ControlFlow<CloseReason> {
        let held_up = self.callbacks.room() == 0 || self.inbound.resumes().is_some();
        let paused = self.inbound.is_reading() && held_up;
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
            // The next look does what the rate lets through.
            Due::Flow => ControlFlow::Continue(()),
            Due::Handler => ControlFlow::Break(CloseReason::HandlerTimeout),
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
        self.inbound.stop();
        self.ending = Some(reason);
        self.timers.end();
        self.callbacks.ending();
        ControlFlow::Continue(())
    }
}
