//! The calls of a handler and of its mirror for one connection, side by side.
//!
//! For each method there are two sequences; of the side that is ahead, what the other one has not come to yet waits.
//! Order between methods means nothing, as handlers call concurrently. Behind the first difference within a method
//! everything there would differ because of it, and is not compared.

/// One method.
mod track;

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering::Relaxed},
};

use bytes::Buf as _;
use parking_lot::Mutex;
use proto::stream::command::Kind;

use self::track::{Entry, Met, Track};
use super::{
    Side,
    call::{Call, Content},
    counts::{Counts, Fate, Verdict},
};
use crate::{conn_id::ConnId, connection::CallError, metrics::AdapterMethod};

/// What a handler does again for a connection that it is told of again: Authenticate, `StartTimer`, Subscribe,
/// Unsubscribe.
const INTRODUCTORY: [AdapterMethod; 4] = [
    AdapterMethod::Authenticate,
    AdapterMethod::StartTimer,
    AdapterMethod::Subscribe,
    AdapterMethod::Unsubscribe,
];
/// What a call that waits counts besides its bytes.
const OVERHEAD: usize = 128;

/// What a call was answered.
pub type Known = Result<Option<bool>, CallError>;

/// Which of the handler's calls it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(AdapterMethod, u64);

/// How the calls of a connection are compared.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Sends are bytes of a stream, and may be cut anywhere.
    pub by_bytes: bool,
    /// It is known of both sides which connection a `RawPublish` is made for.
    pub raw: bool,
    /// Bytes of calls that may wait; one call of any size may.
    pub limit: usize,
}

/// The calls of one connection.
pub struct Comparison {
    conn: ConnId,
    manner: Manner,
    counts: Arc<Counts>,
    /// A bit for each method that is not compared any more: nobody need look at its calls.
    left: AtomicU8,
    /// The sides that have closed the connection, a bit each.
    closed: AtomicU8,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tracks: [Track; AdapterMethod::COUNT],
    tickets: u64,
    is_full: bool,
    differs: bool,
    is_over: bool,
    /// From when the handler's calls were refused because the connection ends: of how many calls of each method the
    /// mirror was ahead then.
    settled: Option<[u64; AdapterMethod::COUNT]>,
}

impl Comparison {
    /// Nothing compared yet.
    #[must_use]
    pub fn new(conn: ConnId, manner: Manner, counts: Arc<Counts>) -> Self {
        let comparison = Self {
            conn,
            manner,
            counts,
            left: AtomicU8::new(0),
            closed: AtomicU8::new(0),
            state: Mutex::default(),
        };
        if !manner.raw {
            comparison.leave(&mut comparison.state.lock(), AdapterMethod::RawPublish);
        }
        comparison
    }

    /// What of this call there is to compare, if anything.
    #[must_use]
    pub fn looks_at(&self, command: &Kind) -> Option<Call> {
        if !self.compares(AdapterMethod::of(command)?) {
            return None;
        }
        Call::of(command, self.manner.by_bytes)
    }

    /// That side was answered that it has closed the connection: its later calls are refused, and not compared.
    pub fn closed_by(&self, side: Side) {
        self.closed.fetch_or(1 << side as u8, Relaxed);
    }

    /// Whether that side has closed the connection.
    #[must_use]
    pub fn was_closed_by(&self, side: Side) -> bool {
        self.closed.load(Relaxed) & (1 << side as u8) != 0
    }

    /// The mirror is told what the handler was told when its calls were refused already: what the mirror alone calls
    /// from now on is no difference.
    pub fn settle(&self) {
        let mut state = self.state.lock();
        let ahead = state.tracks.each_ref().map(Track::mirror_is_ahead_by);
        state.settled.get_or_insert(ahead);
    }

    /// Whether Sends are compared.
    #[must_use]
    pub fn compares_sends(&self) -> bool {
        self.compares(AdapterMethod::Send)
    }

    fn compares(&self, method: AdapterMethod) -> bool {
        self.left.load(Relaxed) & (1 << method as u8) == 0
    }

    /// The method is not compared any more. Who was ahead there, and by how many calls.
    fn leave(&self, state: &mut State, method: AdapterMethod) -> (Side, u64) {
        self.left.fetch_or(1 << method as u8, Relaxed);
        state.tracks[method as usize].leave()
    }

    /// The handler makes this call. Where it is compared: by what [`Comparison::answered`] knows it.
    pub(super) fn real(&self, call: Call) -> Option<Ticket> {
        let mut state = self.state.lock();
        state.tickets += 1;
        let ticket = Ticket(call.method, state.tickets);
        self.meet(&mut state, Side::Real, ticket, call.content);
        let waits = state.tracks[ticket.0 as usize].waits(ticket.1);
        waits.then_some(ticket)
    }

    /// What the handler's call was answered.
    pub fn answered(&self, ticket: Ticket, known: Known) {
        self.state.lock().tracks[ticket.0 as usize].answered(ticket.1, known);
    }

    /// The mirror makes this call. What the handler was answered to the same one, as far as is known.
    pub(super) fn mirror(&self, call: Call) -> Option<Known> {
        let mut state = self.state.lock();
        let ticket = Ticket(call.method, 0);
        self.meet(&mut state, Side::Mirror, ticket, call.content)
    }

    /// Whether one side is too far ahead of the other.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.state.lock().is_full
    }

    /// Whether the handler has made calls that the mirror has not come to, and is to come to.
    #[must_use]
    pub fn mirror_is_behind(&self) -> bool {
        let state = self.state.lock();
        let waits = |track: &Track| track.is_ahead(Side::Real);
        state.tracks.iter().any(waits)
    }

    /// A handler or the mirror is told of the connection once more: what it then does again is not compared any more.
    pub fn introduced_again(&self) {
        let mut state = self.state.lock();
        for method in INTRODUCTORY {
            self.leave(&mut state, method);
        }
    }

    /// What follows cannot be compared, for this reason.
    pub fn give_up(&self, why: &str) {
        if !self.state.lock().is_over {
            self.say_abandoned(why);
            self.end(false);
        }
    }

    /// Nothing follows. `whole`: the mirror was told of all that has happened.
    pub fn end(&self, whole: bool) {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.is_over, true) {
            return;
        }
        for method in AdapterMethod::ALL {
            let (ahead, left) = self.leave(&mut state, method);
            let (verdict, left) = match ahead {
                Side::Real => (Verdict::Missing, left),
                Side::Mirror => {
                    let settled = state
                        .settled
                        .map_or(left, |settled| settled[method as usize]);
                    (Verdict::Extra, left.min(settled))
                }
            };
            if !whole || left == 0 {
                continue;
            }
            self.counts.compared(method, verdict, left);
            self.say(&mut state, method, verdict, None);
        }
        self.counts.ended(match (state.differs, whole) {
            (true, _) => Fate::Different,
            (false, true) => Fate::Same,
            (false, false) => Fate::Abandoned,
        });
    }

    /// Puts a call beside what waits of the other side, or lets it wait.
    fn meet(
        &self,
        state: &mut State,
        side: Side,
        Ticket(method, number): Ticket,
        mut content: Content,
    ) -> Option<Known> {
        if state.is_over || state.is_full {
            return None;
        }
        let mut known = None;
        loop {
            let met = state.tracks[method as usize].meet(side, &mut content);
            match met {
                Met::Left => return known,
                Met::Nobody => {
                    state.tracks[method as usize].wait(side, Entry::new(number, content));
                    state.is_full = state.waits_too_much(self.manner.limit);
                    return known;
                }
                Met::Same { done, answer } => {
                    self.counts.compared(method, Verdict::Same, done.mirrored);
                    known = answer.or(known);
                    if done.whole {
                        return known;
                    }
                }
                Met::Different { sizes } => {
                    self.leave(state, method);
                    self.counts.compared(method, Verdict::Different, 1);
                    self.say(state, method, Verdict::Different, Some(sizes));
                    return None;
                }
            }
        }
    }

    /// Says what differs first.
    fn say(
        &self,
        state: &mut State,
        method: AdapterMethod,
        verdict: Verdict,
        sizes: Option<(usize, usize)>,
    ) {
        if std::mem::replace(&mut state.differs, true) {
            return;
        }
        let (conn, method, result) = (&self.conn, method.as_str(), verdict.as_str());
        let (handler_bytes, mirror_bytes) = sizes.unzip();
        if self.counts.is_loud() {
            tracing::info!(%conn, method, result, handler_bytes, mirror_bytes, "the mirror differs");
        } else {
            tracing::debug!(%conn, method, result, handler_bytes, mirror_bytes, "the mirror differs");
        }
    }

    /// Says why the comparison ends before the connection.
    fn say_abandoned(&self, reason: &str) {
        let conn = &self.conn;
        if self.counts.is_loud() {
            tracing::info!(%conn, reason, "the connection is compared with its mirror no more");
        } else {
            tracing::debug!(%conn, reason, "the connection is compared with its mirror no more");
        }
    }
}

impl State {
    fn waits_too_much(&self, limit: usize) -> bool {
        let (calls, bytes) = self
            .tracks
            .iter()
            .map(Track::waiting)
            .fold((0, 0), |(calls, bytes), (more, size)| {
                (calls + more, bytes + size)
            });
        calls > 1 && calls * OVERHEAD + bytes > limit
    }
}

impl Content {
    /// How much of it there is, as far as it is kept.
    fn size(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Print(..) => 0,
        }
    }

    /// How many bytes the call says.
    fn length(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Print(_, length) => *length,
        }
    }

    /// Whether two begin alike; what they have in common is taken off both.
    fn takes_off(&mut self, other: &mut Self) -> bool {
        match (self, other) {
            (Self::Bytes(one), Self::Bytes(other)) => {
                let common = one.len().min(other.len());
                let alike = one[..common] == other[..common];
                one.advance(common);
                other.advance(common);
                alike
            }
            (Self::Print(one, _), Self::Print(other, _)) => one == other,
            _ => false,
        }
    }

    /// Nothing is left of it, once something was taken off.
    fn is_used_up(&self) -> bool {
        self.size() == 0
    }
}

#[cfg(test)]
mod tests;
