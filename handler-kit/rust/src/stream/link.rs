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
    stream::{Ack, Attach, Result as CommandResult, command::Kind},
};
use tokio::sync::{Notify, oneshot};

use super::{
    lane::Lane,
    outbox::{self, Outbox},
};
use crate::{Error, Refusal};

/// The most bytes that are told of a callback's error.
const LONGEST_ERROR: usize = 1024;

/// One connection's share.
pub(crate) struct Link {
    conn: u64,
    state: Mutex<State>,
    /// Told when commands were done.
    room: Notify,
}

struct State {
    lane: Option<Arc<Lane>>,
    /// The lane that was lost last.
    lost: Option<u64>,
    /// Of the Attach that counts.
    attempt: u32,
    phase: Phase,
    /// The last event that came.
    shown: u64,
    /// The last that is done, as are all before it.
    done: u64,
    /// The last whose acknowledgement the lane was given.
    told: u64,
    /// Events after `done`, and whether each is done.
    owed: VecDeque<(u64, bool)>,
    failed: Option<Failure>,
    outbox: Outbox,
    results: HashMap<u64, oneshot::Sender<CommandResult>>,
}

/// Where the connection is in its life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Open,
    /// Its last event has come: no result follows, and only `raw_publish` has an effect.
    Closed,
    /// `on_close` is done. All that is left is its acknowledgement, while that may have been lost.
    Over,
    /// It is not this object's any more.
    Gone,
}

/// The first callback that has failed.
struct Failure {
    seq: u64,
    error: String,
    /// Its last command. It is told after that one.
    after: u64,
    /// The lane was given it.
    is_told: bool,
}

impl Link {
    pub(super) fn new(lane: &Arc<Lane>, attach: &Attach) -> Arc<Self> {
        Arc::new(Self {
            conn: attach.conn,
            state: Mutex::new(State {
                lane: Some(lane.clone()),
                lost: None,
                attempt: attach.attempt,
                phase: Phase::Open,
                shown: attach.acknowledged,
                done: attach.acknowledged,
                told: attach.acknowledged,
                owed: VecDeque::new(),
                failed: None,
                outbox: Outbox::new(lane.limits, attach),
                results: HashMap::new(),
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
        state.told = attach.acknowledged;
        if let Some(failed) = &mut state.failed {
            failed.is_told = false;
        }
        state.outbox.rewind(lane.limits, attach);
        state.outbox.forget(attach.commands_done);
        self.send(&mut state);
        drop(state);
        self.room.notify_waiters();
    }

    /// That lane counts no more, if it still did.
    pub(super) fn detach(&self, serial: u64) -> bool {
        let mut state = self.state.lock();
        let was = state.is_on(serial);
        if was {
            state.lane = None;
            state.lost = Some(serial);
        }
        was
    }

    /// Whether no lane counts since that one was lost, and the connection has not ended.
    pub(crate) fn is_detached_since(&self, serial: u64) -> bool {
        let state = self.state.lock();
        state.lane.is_none() && state.lost == Some(serial) && state.phase == Phase::Open
    }

    /// The connection is not this object's any more: nothing is said about it, and who waits is let go.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Gone;
        state.lane = None;
        state.results.clear();
        state.outbox.clear();
        drop(state);
        self.room.notify_waiters();
    }

    /// An event came on lane `serial`. Whether it is to be taken: not one that came before, or of a lane that does not
    /// count. An error where one is missing before it.
    pub(super) fn show(&self, serial: u64, seq: u64) -> Result<bool, String> {
        let mut state = self.state.lock();
        if !state.is_on(serial) || seq <= state.shown {
            return Ok(false);
        }
        let expected = state.shown + 1;
        state.shown = seq;
        state.owed.push_back((seq, false));
        if seq == expected {
            return Ok(true);
        }
        Err(format!("event {seq} came where {expected} is the next"))
    }

    /// Event `seq` was the last one.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.phase = state.phase.max(Phase::Closed);
        state.results.clear();
        drop(state);
        self.room.notify_waiters();
    }

    /// The result of a command came, as event `seq`.
    pub(super) fn result(&self, seq: u64, result: CommandResult) {
        let mut state = self.state.lock();
        let waits = state.results.remove(&result.command);
        state.finish(seq);
        self.send(&mut state);
        drop(state);
        if let Some(waits) = waits {
            drop(waits.send(result));
        }
    }

    /// Commands up to this one were carried out, says lane `serial`.
    pub(super) fn progress(&self, serial: u64, done: u64) {
        let mut state = self.state.lock();
        if state.is_on(serial) {
            state.outbox.forget(done);
            drop(state);
            self.room.notify_waiters();
        }
    }

    /// A callback begins.
    pub(crate) fn begin_step(&self) {
        self.state.lock().outbox.hold();
    }

    /// It has ended: what it asked for goes out with the acknowledgement of its event.
    pub(crate) fn end_step(&self, seq: Option<u64>, error: Option<String>) {
        let mut state = self.state.lock();
        if let Some(seq) = seq {
            state.finish(seq);
        }
        let done = state.done;
        state.outbox.release(done);
        if let Some(error) = error {
            state.fail(seq.unwrap_or(done), error);
        }
        self.send(&mut state);
    }

    /// The last callback has ended: after what it asked for nothing follows.
    pub(crate) fn end_last_step(&self, seq: u64) {
        self.end_step(Some(seq), None);
        let mut state = self.state.lock();
        state.phase = state.phase.max(Phase::Over);
        state.outbox.lighten();
        drop(state);
        self.room.notify_waiters();
    }

    /// Something about the connection is wrong: the gateway closes it. `seq`: an event that came and is not shown.
    pub(crate) fn fail(&self, seq: Option<u64>, error: String) {
        let mut state = self.state.lock();
        if let Some(seq) = seq {
            state.finish(seq);
        }
        let done = state.done;
        state.fail(done, error);
        self.send(&mut state);
    }

    /// Gives the lane what it has not been given: each step whole, and then what is done beside them.
    fn send(&self, state: &mut State) {
        let Some(lane) = state.lane.clone() else {
            return;
        };
        while let Some(piece) = state.outbox.next() {
            let State { failed, told, .. } = &mut *state;
            let ack = ack(self.conn, failed, told, piece.done, piece.last);
            lane.push(state.outbox.say(&piece), piece.size, ack);
        }
        let State {
            failed, told, done, ..
        } = state;
        while let Some(ack) = ack(self.conn, failed, told, *done, u64::MAX) {
            lane.push(std::iter::empty(), 0, Some(ack));
        }
    }

    /// Gives a command, once the credits allow it.
    pub(crate) async fn give(&self, kind: Kind) -> Result<(), Error> {
        self.issue(kind, None).await
    }

    /// Gives a command, and waits for its result. After the connection's last event there is none.
    pub(crate) async fn ask(&self, kind: Kind) -> Result<bool, Error> {
        let is_raw = matches!(kind, Kind::RawPublish(_));
        let (reply, answer) = oneshot::channel();
        self.issue(kind, Some(reply)).await?;
        let Ok(result) = answer.await else {
            let phase = self.state.lock().phase;
            return match phase {
                Phase::Closed | Phase::Over if is_raw => Ok(false),
                _ => Err(Error::Gone),
            };
        };
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
        mut reply: Option<oneshot::Sender<CommandResult>>,
    ) -> Result<(), Error> {
        let size = outbox::size(&kind);
        loop {
            let mut room = pin!(self.room.notified());
            {
                let mut state = self.state.lock();
                state.outbox.fits(size)?;
                match state.phase {
                    Phase::Open => {}
                    Phase::Closed if matches!(kind, Kind::RawPublish(_)) => {
                        // No result follows, and no credits.
                        reply = None;
                        if !state.outbox.has_room(size) {
                            return Err(Error::Gone);
                        }
                    }
                    // Nobody misses what is said to a device that is gone: the callback goes on.
                    Phase::Closed if reply.is_none() => return Ok(()),
                    Phase::Closed | Phase::Over | Phase::Gone => return Err(Error::Gone),
                }
                if state.outbox.has_room(size) {
                    self.add(&mut state, kind, size, reply);
                    return Ok(());
                }
                // It would wait for itself.
                self.cut(&mut state);
                room.as_mut().enable();
            }
            room.await;
        }
    }

    fn add(
        &self,
        state: &mut State,
        kind: Kind,
        size: usize,
        reply: Option<oneshot::Sender<CommandResult>>,
    ) {
        if state.outbox.overflows(size) {
            self.cut(state);
        }
        let seq = state.outbox.add(kind, size, reply.is_some());
        let cuts = reply.is_some() || !state.outbox.is_held();
        if let Some(reply) = reply {
            state.results.insert(seq, reply);
        }
        if cuts {
            self.cut(state);
        }
    }

    /// What was given goes out before the callback that runs has ended.
    fn cut(&self, state: &mut State) {
        state.outbox.cut(state.done);
        self.send(state);
    }
}

impl State {
    fn is_on(&self, serial: u64) -> bool {
        self.lane.as_ref().is_some_and(|lane| lane.serial == serial)
    }

    /// An event is done.
    fn finish(&mut self, seq: u64) {
        if let Ok(index) = self.owed.binary_search_by_key(&seq, |(seq, _)| *seq) {
            self.owed[index].1 = true;
        }
        while let Some((seq, true)) = self.owed.front() {
            self.done = *seq;
            self.owed.pop_front();
        }
    }

    fn fail(&mut self, seq: u64, mut error: String) {
        while error.len() > LONGEST_ERROR {
            error.pop();
        }
        let after = self.outbox.last();
        self.failed.get_or_insert(Failure {
            seq,
            error,
            after,
            is_told: false,
        });
    }
}

/// What is to be acknowledged where events up to `done` are done and commands up to `last` were given, if anything.
fn ack(
    conn: u64,
    failed: &mut Option<Failure>,
    told: &mut u64,
    done: u64,
    last: u64,
) -> Option<Ack> {
    if let Some(failed) = failed
        && !failed.is_told
        && failed.after <= last
    {
        failed.is_told = true;
        *told = (*told).max(failed.seq);
        return Some(Ack {
            conn,
            seq: failed.seq,
            error: failed.error.clone(),
        });
    }
    (*told < done).then(|| {
        *told = done;
        Ack {
            conn,
            seq: done,
            error: String::new(),
        }
    })
}
