//! What may be asked of a connection: a [`Handle`], cheap to clone, whose methods are the whole API.

/// On which side of a mirror it is.
mod mirrored;
/// Calls that wait.
mod turn;

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    task::Context,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use tokio::{
    sync::{Semaphore, TryAcquireError, oneshot},
    time::timeout,
};

use super::{
    Begin, CallError, Claim, Client, CloseReason, Description, Moment, Settings,
    mailbox::{Mailbox, Refused},
    outbox::Outbox,
    phase::Phase,
};
use crate::{
    broker::{Filter, Qos},
    conn_id::ConnId,
    mirror::{Pair, Side},
    transport::{ConnInfo, Transport},
};

/// What the adapter may ask of a live connection.
pub(super) enum Command {
    /// Its permits are taken already, so it needs no answer.
    Send(Bytes),
    Close {
        reply: Reply,
    },
    Authenticated {
        client: Arc<Client>,
        expiry: Option<Instant>,
        claim: Box<dyn Claim>,
        /// Where there is a session: whether it was there before.
        reply: Reply<Option<bool>>,
    },
    StartTimer {
        interval: Duration,
        reply: Reply,
    },
    Subscribe {
        filter: Filter,
        qos: Qos,
        reply: Reply,
    },
    Unsubscribe {
        filter: Filter,
        reply: Reply,
    },
    Describe {
        reply: oneshot::Sender<Description>,
    },
}

pub(super) type Reply<T = ()> = oneshot::Sender<Result<T, CallError>>;

/// What the connection's task and its handles share.
pub(super) struct Shared {
    pub(super) id: ConnId,
    pub(super) key: u64,
    pub(super) info: ConnInfo,
    pub(super) connected_at: Moment,
    pub(super) settings: Arc<Settings>,
    pub(super) phase: Phase,
    /// The outbox's free bytes.
    pub(super) room: Semaphore,
    /// Nothing of the connection has reached a handler, and nothing is on its way: a device that goes now was never
    /// there.
    pub(super) parked: AtomicBool,
    /// The connection is told to end: messages are not sent again.
    pub(super) ending: AtomicBool,
    /// What it has subscribed outlives it.
    pub(super) has_session: AtomicBool,
    pub(super) mailbox: Mailbox,
    pub(super) keeps_boundaries: bool,
    /// As it was when the connection began: its permits are out.
    pub(super) outbox_limit: usize,
    /// Where it is mirrored, or is a shadow: what it shares with the other one.
    side: Option<(Side, Arc<Pair>)>,
    waiting: AtomicU32,
    waiting_bytes: AtomicUsize,
    asked: OnceLock<CloseReason>,
    /// A reason that does not let the handler finish, and so goes before one that does.
    urged: OnceLock<CloseReason>,
    waker: AtomicWaker,
}

impl Shared {
    pub(super) fn new(
        id: ConnId,
        key: u64,
        info: ConnInfo,
        settings: Arc<Settings>,
        keeps_boundaries: bool,
        side: Option<(Side, Arc<Pair>)>,
    ) -> Self {
        let outbox_limit = settings.tuning().limits.outbox_limit.bytes();
        Self {
            id,
            key,
            info,
            connected_at: Moment::now(),
            phase: Phase::default(),
            room: Semaphore::new(outbox_limit),
            settings,
            parked: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            has_session: AtomicBool::new(false),
            mailbox: Mailbox::new(),
            keeps_boundaries,
            outbox_limit,
            side,
            waiting: AtomicU32::new(0),
            waiting_bytes: AtomicUsize::new(0),
            asked: OnceLock::new(),
            urged: OnceLock::new(),
            waker: AtomicWaker::new(),
        }
    }

    /// The reason for which `Handle::end` wants the connection closed. Registers for a wake-up either way.
    pub(super) fn poll_asked(&self, cx: &Context<'_>) -> Option<CloseReason> {
        self.waker.register(cx.waker());
        self.urged.get().or(self.asked.get()).copied()
    }
}

/// A way to talk to one connection. Clones are the same.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.0.id).finish()
    }
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// The connection's name.
    #[must_use]
    pub fn id(&self) -> &ConnId {
        &self.0.id
    }

    /// The connection's two ends.
    #[must_use]
    pub fn info(&self) -> &ConnInfo {
        &self.0.info
    }

    /// When the device was through its handshakes.
    #[must_use]
    pub fn connected_at(&self) -> Moment {
        self.0.connected_at
    }

    /// The name of the connection's listener.
    #[must_use]
    pub fn listener(&self) -> &str {
        &self.0.settings.listener
    }

    /// Accepts bytes for the device: they are written in the order of acceptance, or the connection closes. Waits for
    /// room while the device reads slowly, for `send_timeout` at most.
    pub async fn send(&self, bytes: Bytes) -> Result<(), CallError> {
        let shared = &*self.0;
        if bytes.is_empty() && !shared.keeps_boundaries {
            return self.alive();
        }
        self.fits(&bytes)?;
        let wanted = Outbox::permits(shared.outbox_limit, shared.keeps_boundaries, bytes.len());
        let permit = match shared.room.try_acquire_many(wanted) {
            Ok(permit) => permit,
            Err(TryAcquireError::Closed) => return Err(CallError::Gone),
            Err(TryAcquireError::NoPermits) => {
                let _turn = self.turn(bytes.len())?;
                let send_timeout = shared.settings.tuning().limits.send_timeout;
                let Ok(permit) = timeout(send_timeout, shared.room.acquire_many(wanted)).await
                else {
                    self.end(CloseReason::SlowConsumer);
                    return Err(CallError::SlowConsumer(send_timeout));
                };
                permit.map_err(|_| CallError::Gone)?
            }
        };
        self.ask(Command::Send(bytes)).await?;
        // They are the outbox's now, which gives them back as the socket takes the bytes.
        permit.forget();
        Ok(())
    }

    /// Whether so many bytes can be sent at once.
    pub fn fits(&self, bytes: &Bytes) -> Result<(), CallError> {
        let most = self.0.settings.tuning().max_send;
        if bytes.len() <= most {
            return Ok(());
        }
        Err(CallError::Invalid {
            field: "bytes",
            problem: format!(
                "{} bytes do not fit into one datagram of this listener; send {most} or fewer",
                bytes.len()
            ),
        })
    }

    /// As `send` where nothing has to be waited for; else nothing is done, and the bytes come back.
    pub fn try_send(&self, bytes: Bytes) -> Result<(), Bytes> {
        let shared = &*self.0;
        let is_nothing = bytes.is_empty() && !shared.keeps_boundaries;
        if is_nothing || bytes.len() > shared.settings.tuning().max_send {
            return Err(bytes);
        }
        let wanted = Outbox::permits(shared.outbox_limit, shared.keeps_boundaries, bytes.len());
        let Ok(permit) = shared.room.try_acquire_many(wanted) else {
            return Err(bytes);
        };
        match shared.mailbox.try_send(Box::new(Command::Send(bytes))) {
            Ok(()) => {
                permit.forget();
                self.wake();
                Ok(())
            }
            Err(Refused::Full(command)) => match *command {
                Command::Send(bytes) => Err(bytes),
                _ => unreachable!("it is the command that was just made"),
            },
            // Whoever tries again hears that it is gone.
            Err(Refused::Closed) => Err(Bytes::new()),
        }
    }

    /// Closes the connection after writing what was accepted.
    pub async fn close(&self) -> Result<(), CallError> {
        self.call(|reply| Command::Close { reply }).await
    }

    /// Begins an Authenticate as `clientid`; see [`Begin`].
    pub fn begin_authenticate(&self, clientid: &str) -> Result<Begin<'_>, CallError> {
        self.alive()?;
        self.0.phase.begin(clientid)
    }

    /// An Authenticate was refused: too many of these ban the device's address.
    pub fn failed_to_authenticate(&self) {
        let info = &self.0.info;
        // On plain UDP anybody may claim to be there.
        let Some(device) = info.bannable().filter(|_| info.transport != Transport::Udp) else {
            return;
        };
        if self.0.settings.gate.failed(device) {
            let listener = self.listener();
            tracing::info!(listener, %device, "banned after repeated failures");
        }
    }

    /// Ends an Authenticate well. `claim` is told when the connection ends, `expiry` ends it. Where the client has a
    /// session: whether it was there before.
    pub async fn authenticated(
        &self,
        client: Arc<Client>,
        expiry: Option<Instant>,
        claim: Box<dyn Claim>,
    ) -> Result<Option<bool>, CallError> {
        self.call(|reply| Command::Authenticated {
            client,
            expiry,
            claim,
            reply,
        })
        .await
    }

    /// Whether what the client has subscribed outlives the connection.
    #[must_use]
    pub fn has_session(&self) -> bool {
        self.0.has_session.load(Ordering::Relaxed)
    }

    /// Starts or replaces the keepalive.
    pub async fn start_timer(&self, interval: Duration) -> Result<(), CallError> {
        self.call(|reply| Command::StartTimer { interval, reply })
            .await
    }

    /// Subscribes to a mounted filter.
    pub async fn subscribe(&self, filter: Filter, qos: Qos) -> Result<(), CallError> {
        self.call(|reply| Command::Subscribe { filter, qos, reply })
            .await
    }

    /// Ends the subscription to a mounted filter; there need not be one.
    pub async fn unsubscribe(&self, filter: Filter) -> Result<(), CallError> {
        self.call(|reply| Command::Unsubscribe { filter, reply })
            .await
    }

    /// What the connection tells of itself.
    pub async fn describe(&self) -> Result<Description, CallError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Command::Describe { reply }).await?;
        answer.await.map_err(|_| CallError::Gone)
    }

    /// The client that the connection is.
    pub fn client(&self) -> Result<&Arc<Client>, CallError> {
        self.alive()?;
        self.0.phase.client()
    }

    /// Ends the connection from outside: kicked, discarded, draining. Never waits; the first reason counts, but one
    /// that lets the handler finish gives way to one that does not.
    pub fn end(&self, reason: CloseReason) {
        let place = if reason.delivers_what_was_read() {
            &self.0.asked
        } else {
            &self.0.urged
        };
        let _ = place.set(reason);
        self.wake();
    }

    /// Makes the connection look around, for example because its handler may be lost.
    pub fn wake(&self) {
        self.0.waker.wake();
    }

    /// Waits until the connection takes no more calls.
    pub async fn ended(&self) {
        self.0.mailbox.closed().await;
    }

    /// Whether the connection is told to end, or ends by itself; it may take calls still.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        let shared = &*self.0;
        shared.ending.load(Ordering::Relaxed)
            || shared.asked.get().or(shared.urged.get()).is_some()
            || self.alive().is_err()
    }

    /// `Gone` once the connection takes no more calls.
    pub fn alive(&self) -> Result<(), CallError> {
        if self.0.mailbox.is_closed() {
            Err(CallError::Gone)
        } else {
            Ok(())
        }
    }

    async fn call<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, CallError> {
        let (reply, answer) = oneshot::channel();
        self.ask(command(reply)).await?;
        answer.await.unwrap_or(Err(CallError::Gone))
    }

    async fn ask(&self, command: Command) -> Result<(), CallError> {
        let mailbox = &self.0.mailbox;
        let sent = match mailbox.try_send(Box::new(command)) {
            Err(Refused::Full(command)) => {
                let _turn = self.turn(0)?;
                mailbox.send(command).await
            }
            sent => sent,
        };
        sent.map_err(|_| CallError::Gone)?;
        self.wake();
        Ok(())
    }
}
