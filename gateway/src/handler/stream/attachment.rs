//! One connection's share in a lane. It outlives the lane: which events were shown and acknowledged, and which commands
//! were accepted and carried out, goes on with the next one.

/// Its commands.
mod commands;

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use proto::{
    exproto::ResultCode,
    stream::{Ack, Command, Event, GatewayBatch, Progress, Result as CommandResult, command::Kind},
};

pub use self::commands::Outcome;
use self::commands::{Commands, MOST_STATE, kept, size};
use super::{Credits, Lane, outgoing::Outgoing};

/// Progress is told when this part of the credits is used up.
const TELL_AT: usize = 8;

/// The connection, as its attachment needs it.
pub trait Target: Send + Sync {
    /// Something has come up: look at [`Attachment::news`].
    fn wake(&self);

    /// Sends bytes to the device where nothing has to be waited for, and gives them back else.
    fn try_send(&self, bytes: Bytes) -> Result<(), Bytes>;

    /// Carries a command out. (`state` never comes here.)
    fn carry_out(&self, command: Kind) -> BoxFuture<'static, Outcome>;
}

/// What a connection finds when it looks.
#[derive(Default)]
pub struct News {
    /// The last event that the handler has acknowledged.
    pub acknowledged: u64,
    /// What the handler did wrong, or said that went wrong: the connection has to close.
    pub fault: Option<String>,
    /// The event whose callback failed, where it is one.
    pub failed: Option<u64>,
    /// Results that the handler asked for, which are to become events.
    pub results: Vec<CommandResult>,
}

/// What of a connection the next lane is told.
pub struct Shown {
    /// The last command that was accepted.
    pub accepted: u64,
    /// The last that was carried out.
    pub done: u64,
    /// What a handler has left here.
    pub state: Bytes,
    /// The handler's process that last acknowledged something or gave a command.
    pub actor: Option<Arc<str>>,
}

/// One connection's share in a lane.
pub struct Attachment {
    conn: u64,
    credits: Credits,
    target: Box<dyn Target>,
    state: Mutex<State>,
    /// There is something in `news` that nobody has seen.
    has_news: AtomicBool,
    /// It stands in the lane's list of those that wait for room.
    waits: AtomicBool,
}

#[derive(Default)]
struct State {
    link: Option<Link>,
    news: News,
    shown: u64,
    commands: Commands,
    kept: Bytes,
    actor: Option<Arc<str>>,
}

/// The lane that it is attached to.
struct Link {
    serial: u64,
    instance: Arc<str>,
    outgoing: Arc<Outgoing>,
}

/// What became of a command or an acknowledgement at its attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It was taken.
    Yes,
    /// It was taken before.
    Repeated,
    /// The connection is not attached to that lane, or is about to end.
    Stray,
    /// It breaks the rules.
    Fault,
}

impl Attachment {
    /// Connection number `conn`, attached to nothing yet.
    #[must_use]
    pub fn new(conn: u64, credits: Credits, target: Box<dyn Target>) -> Arc<Self> {
        Arc::new(Self {
            conn,
            credits,
            target,
            state: Mutex::default(),
            has_news: AtomicBool::new(false),
            waits: AtomicBool::new(false),
        })
    }

    pub(super) fn conn(&self) -> u64 {
        self.conn
    }

    /// Whether commands wait to be carried out.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.state.lock().commands.is_running
    }

    /// What has come up since the last look.
    #[must_use]
    pub fn news(&self) -> Option<News> {
        if !self.has_news.swap(false, Ordering::AcqRel) {
            return None;
        }
        let mut state = self.state.lock();
        Some(News {
            acknowledged: state.news.acknowledged,
            fault: state.news.fault.clone(),
            failed: state.news.failed,
            results: mem::take(&mut state.news.results),
        })
    }

    /// From now on this lane counts, and what other lanes still bring is ignored. What is to be told of the connection.
    pub(super) fn link(&self, lane: &Lane) -> Shown {
        let mut state = self.state.lock();
        state.link = Some(Link {
            serial: lane.serial,
            instance: lane.instance().clone(),
            outgoing: lane.outgoing.clone(),
        });
        let commands = &mut state.commands;
        commands.told = commands.done;
        commands.untold_bytes = 0;
        Shown {
            accepted: commands.accepted,
            done: commands.done,
            state: state.kept.clone(),
            actor: state.actor.clone(),
        }
    }

    /// No lane counts any more.
    pub(super) fn unlink(&self) {
        self.state.lock().link = None;
    }

    /// The handler has acknowledged a result.
    pub fn result_acknowledged(&self) {
        self.state.lock().commands.results -= 1;
    }

    /// Sends an event to the lane that it is attached to.
    pub fn show(&self, event: Event) {
        let mut state = self.state.lock();
        state.shown = state.shown.max(event.seq);
        let mut piece = GatewayBatch {
            events: vec![event],
            ..GatewayBatch::default()
        };
        piece.progress.extend(self.untold(&mut state));
        if let Some(link) = &state.link {
            link.outgoing.push(&piece);
        }
    }

    /// Tells the handler what it does not know of its commands.
    pub(super) fn tell(&self) {
        self.tell_now(&mut self.state.lock());
    }

    fn tell_now(&self, state: &mut State) {
        let Some(outgoing) = state.link.as_ref().map(|link| link.outgoing.clone()) else {
            return;
        };
        if let Some(progress) = self.untold(state) {
            outgoing.push(&GatewayBatch {
                progress: vec![progress],
                ..GatewayBatch::default()
            });
        }
    }

    fn untold(&self, state: &mut State) -> Option<Progress> {
        let commands = &mut state.commands;
        if commands.told == commands.done {
            return None;
        }
        commands.told = commands.done;
        commands.untold_bytes = 0;
        Some(Progress {
            conn: self.conn,
            done: commands.done,
        })
    }

    /// An acknowledgement came.
    pub(super) fn acknowledge(&self, serial: u64, ack: Ack) -> Taken {
        let mut state = self.state.lock();
        if !state.is_linked_to(serial) {
            return Taken::Stray;
        }
        let taken = if ack.seq > state.shown {
            let (seq, shown) = (ack.seq, state.shown);
            state.fault(format!(
                "event {seq} was acknowledged, and {shown} is the last that was sent"
            ))
        } else if !ack.error.is_empty() {
            if ack.seq > state.news.acknowledged {
                state.news.acknowledged = ack.seq;
                state.news.failed = Some(ack.seq);
            }
            state.fault(ack.error)
        } else if ack.seq <= state.news.acknowledged {
            return Taken::Repeated;
        } else {
            state.news.acknowledged = ack.seq;
            state.acted();
            Taken::Yes
        };
        drop(state);
        self.tell_target();
        taken
    }

    /// A command came. It is carried out once those before it are.
    pub(super) fn accept(self: &Arc<Self>, serial: u64, mut command: Command) -> Taken {
        let mut state = self.state.lock();
        if !state.is_linked_to(serial) {
            return Taken::Stray;
        }
        if state.news.fault.is_some() {
            return Taken::Stray;
        }
        if command.seq <= state.commands.accepted {
            return Taken::Repeated;
        }
        let size = size(&command);
        if let Err(fault) = state.commands.admit(&command, size, self.credits) {
            let taken = state.fault(fault);
            drop(state);
            self.tell_target();
            return taken;
        }
        state.commands.accepted = command.seq;
        state.acted();
        state.commands.results += usize::from(command.result);
        // Whoever comes next needs what was accepted last, also where it still waits behind others.
        if let Some(Kind::State(bytes)) = &command.kind
            && bytes.len() <= MOST_STATE
        {
            // A copy: else it would hold the whole batch that it came with.
            state.kept = Bytes::copy_from_slice(bytes);
        }
        // What needs no waiting costs no task.
        if !state.commands.is_running {
            match command.kind.take() {
                Some(Kind::Send(bytes)) if !command.result => match self.target.try_send(bytes) {
                    Ok(()) => {
                        self.done(&mut state, command.seq, size);
                        return Taken::Yes;
                    }
                    Err(bytes) => command.kind = Some(Kind::Send(bytes)),
                },
                kind => command.kind = kind,
            }
        }
        state.commands.count += 1;
        state.commands.bytes += size;
        state.commands.waiting.push_back(command);
        let starts = !mem::replace(&mut state.commands.is_running, true);
        drop(state);
        if starts {
            tokio::spawn(self.clone().carry_out());
        }
        Taken::Yes
    }

    /// Carries out what waits, one after the other.
    async fn carry_out(self: Arc<Self>) {
        while let Some(mut command) = self.next() {
            let size = size(&command);
            let outcome = match command.kind.take() {
                Some(Kind::State(bytes)) => kept(&bytes),
                Some(kind) => self.target.carry_out(kind).await,
                None => Outcome::success(),
            };
            self.finish(&command, size, outcome);
        }
        // A connection that ends waits for this.
        self.target.wake();
    }

    fn next(&self) -> Option<Command> {
        let commands = &mut self.state.lock().commands;
        let next = commands.waiting.pop_front();
        if next.is_none() {
            commands.is_running = false;
            // An idle connection holds nothing.
            commands.waiting = VecDeque::new();
        }
        next
    }

    fn finish(&self, command: &Command, size: usize, outcome: Outcome) {
        if outcome.code != ResultCode::Success {
            let (conn, number) = (self.conn, command.seq);
            let (code, message) = (outcome.code.as_str_name(), &outcome.message);
            tracing::debug!(conn, command = number, code, message, "command refused");
        }
        let mut state = self.state.lock();
        state.commands.count -= 1;
        state.commands.bytes -= size;
        if command.result {
            state.news.results.push(CommandResult {
                command: command.seq,
                code: outcome.code.into(),
                message: outcome.message,
                session_present: outcome.session_present,
            });
        }
        self.done(&mut state, command.seq, size);
        if state.commands.count == 0 {
            self.tell_now(&mut state);
        }
        drop(state);
        if command.result {
            self.tell_target();
        }
    }

    fn done(&self, state: &mut State, seq: u64, size: usize) {
        let commands = &mut state.commands;
        commands.done = seq;
        commands.untold_bytes += size;
        let untold = usize::try_from(commands.done - commands.told).unwrap_or(usize::MAX);
        let much = untold >= self.credits.count.div_ceil(TELL_AT)
            || commands.untold_bytes >= self.credits.bytes / TELL_AT;
        if much {
            self.tell_now(state);
        }
    }

    fn tell_target(&self) {
        self.has_news.store(true, Ordering::Release);
        self.target.wake();
    }

    /// The lane has ended, or there is something new about it.
    pub(super) fn wake(&self) {
        self.target.wake();
    }

    /// Whether it does not wait for room yet; it does from now on.
    pub(super) fn begins_to_wait(&self) -> bool {
        !self.waits.swap(true, Ordering::AcqRel)
    }

    /// There is room in the lane.
    pub(super) fn room(&self) {
        self.waits.store(false, Ordering::Release);
        self.target.wake();
    }
}

impl State {
    fn is_linked_to(&self, serial: u64) -> bool {
        self.link.as_ref().is_some_and(|link| link.serial == serial)
    }

    /// The handler at the other end of the lane is the one that knows best.
    fn acted(&mut self) {
        if let Some(link) = &self.link
            && self.actor.as_ref() != Some(&link.instance)
        {
            self.actor = Some(link.instance.clone());
        }
    }

    /// The first one counts; what comes after it is for a connection that ends.
    fn fault(&mut self, text: String) -> Taken {
        if self.news.fault.is_some() {
            return Taken::Stray;
        }
        self.news.fault = Some(text);
        Taken::Fault
    }
}
