//! One connection's share in the ordered stream: what was shown, what is acknowledged, and commands until they are done.
//! It outlives the lane.

use std::{
    collections::{HashMap, VecDeque},
    pin::pin,
    sync::Arc,
};

use parking_lot::Mutex;
use proto::{
    exproto::ResultCode,
    stream::{Ack, Attach, Command, Result as CommandResult, command::Kind},
};
use tokio::sync::{Notify, oneshot};

use super::lane::Lane;
use crate::{Error, Refusal};

/// What a command counts beside its contents.
const COMMAND: usize = 64;

/// One connection's share.
pub(crate) struct Link {
    conn: u64,
    state: Mutex<State>,
    /// Told when commands were done.
    room: Notify,
}

struct State {
    lane: Option<Arc<Lane>>,
    /// Of the Attach that counts.
    attempt: u32,
    /// The last command of another process, while they wait to be carried out: nobody here knows how much they hold.
    inherited: Option<u64>,
    /// The last event that came.
    shown: u64,
    /// The last that was acknowledged.
    acknowledged: u64,
    /// Events in between, and whether each is done.
    owed: VecDeque<(u64, bool)>,
    /// The number of the next command.
    next: u64,
    /// The last command that the lane was given.
    sent: u64,
    /// Commands that are not known to be done.
    issued: VecDeque<Issued>,
    issued_bytes: usize,
    /// While a callback runs: where its commands begin, which wait for its end.
    held_from: Option<u64>,
    results: HashMap<u64, oneshot::Sender<CommandResult>>,
    is_over: bool,
}

struct Issued {
    command: Command,
    size: usize,
}

impl Link {
    pub(crate) fn new(attach: &Attach) -> Arc<Self> {
        Arc::new(Self {
            conn: attach.conn,
            state: Mutex::new(State {
                lane: None,
                attempt: 0,
                inherited: (attach.commands_accepted > attach.commands_done)
                    .then_some(attach.commands_accepted),
                shown: attach.acknowledged,
                acknowledged: attach.acknowledged,
                owed: VecDeque::new(),
                next: attach.commands_accepted + 1,
                sent: attach.commands_accepted,
                issued: VecDeque::new(),
                issued_bytes: 0,
                held_from: None,
                results: HashMap::new(),
                is_over: false,
            }),
            room: Notify::new(),
        })
    }

    /// Whether it was attached later than that says.
    pub(super) fn is_ahead_of(&self, attach: &Attach) -> bool {
        self.state.lock().attempt >= attach.attempt
    }

    /// From now on this lane counts. What the gateway has not taken is said again.
    pub(super) fn attach(&self, lane: &Arc<Lane>, attach: &Attach) {
        let mut state = self.state.lock();
        state.lane = Some(lane.clone());
        state.attempt = attach.attempt;
        state.sent = attach.commands_accepted;
        self.forget(&mut state, attach.commands_done);
        let acknowledged = state.acknowledged;
        let owed = (acknowledged > attach.acknowledged).then_some(acknowledged);
        self.send(&mut state, owed, String::new());
    }

    /// That lane counts no more, if it still did.
    pub(super) fn detach(&self, serial: u64) -> bool {
        let mut state = self.state.lock();
        let was = state
            .lane
            .as_ref()
            .is_some_and(|lane| lane.serial == serial);
        if was {
            state.lane = None;
        }
        was
    }

    /// Whether no lane counts.
    pub(super) fn is_detached(&self) -> bool {
        self.state.lock().lane.is_none()
    }

    /// The connection has ended.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock();
        state.is_over = true;
        state.results.clear();
        state.issued.clear();
        drop(state);
        self.room.notify_waiters();
    }

    /// An event came on lane `serial`. Whether it is to be taken: not one that came before, or of a lane that does not
    /// count. An error where one is missing before it.
    pub(super) fn show(&self, serial: u64, seq: u64) -> Result<bool, String> {
        let mut state = self.state.lock();
        if state.lane.as_ref().is_none_or(|lane| lane.serial != serial) || seq <= state.shown {
            return Ok(false);
        }
        if seq != state.shown + 1 {
            let (conn, shown) = (self.conn, state.shown);
            return Err(format!(
                "event {seq} of connection {conn} came after {shown}"
            ));
        }
        state.shown = seq;
        state.owed.push_back((seq, false));
        Ok(true)
    }

    /// The result of a command came, as event `seq`.
    pub(super) fn result(&self, seq: u64, result: CommandResult) {
        let mut state = self.state.lock();
        let waits = state.results.remove(&result.command);
        let acknowledged = state.done(seq);
        if acknowledged.is_some() {
            self.acknowledge(&mut state, acknowledged);
        }
        drop(state);
        if let Some(waits) = waits {
            drop(waits.send(result));
        }
    }

    /// Commands up to this one were carried out.
    pub(super) fn progress(&self, done: u64) {
        self.forget(&mut self.state.lock(), done);
    }

    fn forget(&self, state: &mut State, done: u64) {
        while let Some(first) = state.issued.front()
            && first.command.seq <= done
        {
            state.issued_bytes -= first.size;
            state.issued.pop_front();
        }
        if state.issued.is_empty() {
            state.issued = VecDeque::new();
        }
        state.inherited = state.inherited.filter(|last| *last > done);
        self.room.notify_waiters();
    }

    /// A callback begins.
    pub(crate) fn begin_step(&self) {
        let mut state = self.state.lock();
        state.held_from = Some(state.next);
    }

    /// It has ended: what it asked for goes out with the acknowledgement of its event.
    pub(crate) fn end_step(&self, seq: Option<u64>, error: Option<String>) {
        let mut state = self.state.lock();
        state.held_from = None;
        let acknowledged = match (seq, &error) {
            // The gateway closes the connection: nothing behind it matters any more.
            (Some(seq), Some(_)) => Some(seq),
            (Some(seq), None) => state.done(seq),
            (None, Some(_)) => Some(state.acknowledged),
            (None, None) => None,
        };
        let error = error.unwrap_or_default();
        self.send(&mut state, acknowledged, error);
    }

    /// An acknowledgement by itself: what a callback has given meanwhile stays with it.
    fn acknowledge(&self, state: &mut State, acknowledged: Option<u64>) {
        self.send(state, acknowledged, String::new());
    }

    /// Gives the lane what it has not been given, all in one batch.
    fn send(&self, state: &mut State, acknowledged: Option<u64>, error: String) {
        let State {
            lane: Some(lane),
            issued,
            sent,
            held_from,
            ..
        } = state
        else {
            return;
        };
        let until = held_from.unwrap_or(u64::MAX);
        let first = issued.partition_point(|each| each.command.seq <= *sent);
        let fresh = issued
            .range(first..)
            .take_while(|each| each.command.seq < until);
        let ack = acknowledged.map(|seq| Ack {
            conn: self.conn,
            seq,
            error,
        });
        if let Some(last) = lane.push(fresh.map(|each| (&each.command, each.size)), ack) {
            *sent = last;
        }
    }

    /// Gives a command, once the credits allow it.
    pub(crate) async fn give(&self, kind: Kind) -> Result<(), Error> {
        self.issue(kind, None).await
    }

    /// Gives a command, and waits for its result.
    pub(crate) async fn ask(&self, kind: Kind) -> Result<bool, Error> {
        let (reply, answer) = oneshot::channel();
        self.issue(kind, Some(reply)).await?;
        let result = answer.await.map_err(|_| Error::Gone)?;
        match result.code() {
            ResultCode::Success => Ok(result.session_present),
            code => Err(Refusal {
                code,
                message: result.message,
            }
            .into()),
        }
    }

    async fn issue(
        &self,
        kind: Kind,
        reply: Option<oneshot::Sender<CommandResult>>,
    ) -> Result<(), Error> {
        let size = COMMAND + length(&kind);
        loop {
            let mut room = pin!(self.room.notified());
            {
                let mut state = self.state.lock();
                if state.is_over {
                    return Err(Error::Gone);
                }
                if state.has_room(size) {
                    let seq = state.next;
                    state.next += 1;
                    state.issued_bytes += size;
                    state.issued.push_back(Issued {
                        command: Command {
                            conn: self.conn,
                            seq,
                            result: reply.is_some(),
                            kind: Some(kind),
                        },
                        size,
                    });
                    let cuts = reply.is_some() || state.is_large();
                    if let Some(reply) = reply {
                        state.results.insert(seq, reply);
                    }
                    if cuts || state.held_from.is_none() {
                        self.cut(&mut state);
                    }
                    return Ok(());
                }
                // It would wait for itself.
                self.cut(&mut state);
                room.as_mut().enable();
            }
            room.await;
        }
    }

    /// What the callback that runs has given goes out before its end.
    fn cut(&self, state: &mut State) {
        if state.held_from.is_some() {
            state.held_from = Some(state.next);
        }
        self.send(state, None, String::new());
    }
}

impl State {
    fn has_room(&self, size: usize) -> bool {
        if self.inherited.is_some() {
            return false;
        }
        // Without a lane nothing is known of the credits, and nothing leaves: as many as a small gateway gives.
        let (count, bytes) = self
            .lane
            .as_ref()
            .map_or((64, 64 * 1024), |lane| lane.credits);
        self.issued.len() < count && (self.issued.is_empty() || self.issued_bytes + size <= bytes)
    }

    /// Whether what a callback has given would not go into one batch with what others say.
    fn is_large(&self) -> bool {
        let Some((lane, held_from)) = self.lane.as_ref().zip(self.held_from) else {
            return false;
        };
        let first = self
            .issued
            .partition_point(|each| each.command.seq < held_from);
        let held: usize = self.issued.range(first..).map(|each| each.size).sum();
        held > lane.max_batch / 2
    }

    /// An event is done. What is to be acknowledged now, if anything.
    fn done(&mut self, seq: u64) -> Option<u64> {
        if let Ok(index) = self.owed.binary_search_by_key(&seq, |(seq, _)| *seq) {
            self.owed[index].1 = true;
        }
        let mut acknowledged = None;
        while let Some((seq, true)) = self.owed.front() {
            acknowledged = Some(*seq);
            self.owed.pop_front();
        }
        if let Some(seq) = acknowledged {
            self.acknowledged = seq;
        }
        acknowledged
    }
}

fn length(kind: &Kind) -> usize {
    match kind {
        Kind::Send(bytes) | Kind::State(bytes) => bytes.len(),
        Kind::Publish(publish) | Kind::RawPublish(publish) => {
            publish.topic.len() + publish.payload.len()
        }
        Kind::Subscribe(subscribe) => subscribe.topic.len(),
        Kind::Unsubscribe(topic) => topic.len(),
        // As it is on the wire, or a little more.
        Kind::Authenticate(authenticate) => {
            let info = authenticate.clientinfo.as_ref();
            let info = info.map_or(0, |info| {
                [
                    &info.proto_name,
                    &info.proto_ver,
                    &info.clientid,
                    &info.username,
                    &info.mountpoint,
                ]
                .map(|text| text.len() + 6)
                .iter()
                .sum()
            });
            info + authenticate.password.len() + 32
        }
        Kind::Close(_) | Kind::StartTimer(_) => 0,
    }
}
