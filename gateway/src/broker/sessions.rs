//! Sessions without a connection, until their clients come back or their time is over.
//!
//! Full is by count or by bytes. Then sessions that end no later than the one that comes give way to it; where that is not
//! enough, its oldest messages are dropped, and where not even its filters fit, it ends. What holds for the messages of
//! one session stands in `queue/hold.rs`.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    task::yield_now,
    time::{Instant, sleep_until},
};

use super::{Broker, Session, Stats, queue};

/// The bytes of all of them together.
mod budget;

pub(super) use self::budget::{Budget, Reserved};

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Sessions.
    pub sessions: usize,
    /// Bytes of all of them together: messages, filters, names.
    pub bytes: usize,
    /// What waits in each of them.
    pub queue: queue::Limits,
}

/// The sessions of this pod that have no connection. Clones are the same.
#[derive(Clone)]
pub struct Sessions(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    budget: Arc<Budget>,
    stats: Arc<Stats>,
    /// Told when another one is the first to end.
    sooner: Notify,
}

struct State {
    limits: Limits,
    by_client: HashMap<Arc<str>, Parked>,
    by_end: BTreeMap<End, Arc<str>>,
    /// How many were ever here.
    count: u64,
}

/// When a session ends, and its number: no two end at once.
type End = (Instant, u64);

struct Parked {
    session: Session,
    mark: Box<str>,
    end: End,
    /// Its place in memory apart from its messages; given back when dropped.
    _reserved: Reserved,
}

/// What a session takes in memory besides its names, filters and messages, at most.
const OVERHEAD: usize = 1024;
/// Sessions that end at once; then other tasks have their turn.
const AT_ONCE: usize = 16;
/// Sessions that are looked at with the lock held; then others may have it.
const AT_A_LOOK: usize = 256;

impl Sessions {
    /// No session yet. Somebody has to run [`Self::expire`].
    #[must_use]
    pub fn new(broker: &Broker, limits: Limits) -> Self {
        Self(Arc::new(Inner {
            state: Mutex::new(State {
                limits,
                by_client: HashMap::new(),
                by_end: BTreeMap::new(),
                count: 0,
            }),
            budget: Budget::new(limits.bytes),
            stats: Arc::clone(&broker.0.stats),
            sooner: Notify::new(),
        }))
    }

    /// Takes other limits: of bytes for messages that come later, of queues for sessions that come later.
    pub fn configure(&self, limits: Limits) {
        self.0.budget.set(limits.bytes);
        self.0.state.lock().limits = limits;
        self.end_surplus();
    }

    /// A session of nobody yet, in which messages wait as without a connection.
    #[must_use]
    pub fn empty(&self, broker: &Broker) -> Session {
        let session = Session::new(broker);
        let limits = self.0.state.lock().limits.queue;
        let own = Budget::new(limits.bytes);
        session.queue.detach(limits, Reserved::nothing(&own));
        session
    }

    /// Keeps a session for its client to come back to, in place of any other one of that client. `mark` is what must be
    /// the same then.
    pub fn park(&self, clientid: &Arc<str>, mark: &str, session: Session, expiry: Duration) {
        let stats = &self.0.stats;
        let old = self.remove(clientid);
        end(old.map(|old| old.session), &stats.sessions_discarded);
        let limits = self.0.state.lock().limits;
        let at = Instant::now() + expiry;
        let names = 2 * clientid.len() + mark.len();
        let bytes = OVERHEAD + names + session.subscriptions.bytes();
        let messages = session.queue.kept_bytes().min(limits.queue.bytes);
        let Some((reserved, for_messages)) = self.make_room(bytes, messages, at) else {
            end([session], &stats.sessions_evicted);
            return;
        };
        session.queue.detach(limits.queue, for_messages);
        let is_first = self.change(|state| {
            let parked = Parked {
                session,
                mark: mark.into(),
                end: (at, state.count),
                _reserved: reserved,
            };
            state.insert(clientid, parked)
        });
        if is_first {
            self.0.sooner.notify_one();
        }
        self.end_surplus();
    }

    /// Place for a session, and for so many bytes of messages or for fewer, if those that end no later than `at` can
    /// give it.
    fn make_room(
        &self,
        bytes: usize,
        messages: usize,
        at: Instant,
    ) -> Option<(Reserved, Reserved)> {
        let mut own = Reserved::nothing(&self.0.budget);
        let mut for_messages = Reserved::nothing(&self.0.budget);
        // Nobody gives way to what does not fit even so.
        let left = self.0.budget.limit().checked_sub(bytes)?;
        let messages = messages.min(left);
        while !own.grow_to(bytes) || !for_messages.grow_to(messages) {
            let Some(sooner) = self.change(|state| state.pop_before(at)) else {
                break;
            };
            end([sooner], &self.0.stats.sessions_evicted);
        }
        (own.bytes() >= bytes).then_some((own, for_messages))
    }

    /// Ends those that are too many, the first to end first.
    fn end_surplus(&self) {
        let surplus = |state: &mut State| {
            let is_too_many = state.by_client.len() > state.limits.sessions;
            is_too_many.then(|| state.pop_first()).flatten()
        };
        while let Some(first) = self.change(surplus) {
            end([first], &self.0.stats.sessions_evicted);
        }
    }

    /// With the lock held; and the gauge follows.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.0.state.lock();
        let result = change(&mut state);
        let count = state.by_client.len() as u64;
        self.0.stats.sessions.store(count, Relaxed);
        result
    }

    /// The session of a client that has come back, if it has the same mark. It is not here any more.
    #[must_use]
    pub fn take(&self, clientid: &str, mark: &str) -> Option<Session> {
        let parked = self.remove(clientid)?;
        let stats = &self.0.stats;
        if parked.end.0 <= Instant::now() {
            end([parked.session], &stats.sessions_expired);
            return None;
        }
        if &*parked.mark != mark {
            end([parked.session], &stats.sessions_discarded);
            return None;
        }
        Some(parked.session)
    }

    /// Whether there is room for so many more, and a tenth of all bytes.
    #[must_use]
    pub fn have_room(&self, more: usize) -> bool {
        let budget = &self.0.budget;
        let state = self.0.state.lock();
        let has_places = state.by_client.len() + more <= state.limits.sessions;
        has_places && budget.taken() <= budget.limit() / 10 * 9
    }

    /// Takes out the session of a client, if it is that one.
    #[must_use]
    pub fn take_out(&self, clientid: &str, is_it: impl Fn(&Session) -> bool) -> Option<Session> {
        let parked = self.change(|state| {
            let parked = state.by_client.get(clientid)?;
            is_it(&parked.session).then(|| state.remove(clientid))?
        });
        Some(parked?.session)
    }

    /// Ends the session of a client. Whether there was one.
    #[expect(clippy::must_use_candidate, reason = "it is done either way")]
    pub fn discard(&self, clientid: &str) -> bool {
        let parked = self.remove(clientid);
        let was_there = parked.is_some();
        end(
            parked.map(|parked| parked.session),
            &self.0.stats.sessions_discarded,
        );
        was_there
    }

    /// Ends the sessions of all clients of which that holds.
    pub fn discard_those(&self, is_unwanted: impl Fn(&str) -> bool) {
        let mut last = None;
        loop {
            let some = self.0.state.lock().after(last);
            let Some((end, _)) = some.last() else {
                break;
            };
            last = Some(*end);
            for (_, clientid) in some {
                if is_unwanted(&clientid) {
                    self.discard(&clientid);
                }
            }
        }
    }

    /// Ends each session when its time is over. Runs for ever.
    pub async fn expire(self) {
        loop {
            let (due, next) = self.due();
            if !due.is_empty() {
                end(due, &self.0.stats.sessions_expired);
                yield_now().await;
                continue;
            }
            let sooner = self.0.sooner.notified();
            match next {
                Some(at) => {
                    tokio::select! {
                        () = sleep_until(at) => {}
                        () = sooner => {}
                    }
                }
                None => sooner.await,
            }
        }
    }

    /// Some sessions whose time is over, or when the next one's is.
    fn due(&self) -> (Vec<Session>, Option<Instant>) {
        let now = Instant::now();
        let mut due = Vec::new();
        let next = self.change(|state| {
            loop {
                let first = state.by_end.first_key_value().map(|(end, _)| end.0);
                if due.len() >= AT_ONCE || first.is_none_or(|at| at > now) {
                    break first;
                }
                due.extend(state.pop_first());
            }
        });
        (due, next)
    }

    fn remove(&self, clientid: &str) -> Option<Parked> {
        self.change(|state| state.remove(clientid))
    }
}

fn end(sessions: impl IntoIterator<Item = Session>, counter: &AtomicU64) {
    for session in sessions {
        session.discard();
        counter.fetch_add(1, Relaxed);
    }
}

impl State {
    /// Whether it is the first one to end.
    fn insert(&mut self, clientid: &Arc<str>, parked: Parked) -> bool {
        let end = parked.end;
        self.count += 1;
        self.by_end.insert(end, clientid.clone());
        self.by_client.insert(clientid.clone(), parked);
        let first = self.by_end.first_key_value();
        first.is_some_and(|(first, _)| *first == end)
    }

    fn remove(&mut self, clientid: &str) -> Option<Parked> {
        let parked = self.by_client.remove(clientid)?;
        self.by_end.remove(&parked.end);
        Some(parked)
    }

    /// Takes out the one that ends first.
    fn pop_first(&mut self) -> Option<Session> {
        let (_, clientid) = self.by_end.pop_first()?;
        let parked = self.by_client.remove(&clientid);
        parked.map(|parked| parked.session)
    }

    /// Takes out the one that ends first, unless it ends later than that.
    fn pop_before(&mut self, at: Instant) -> Option<Session> {
        let ((first, _), _) = self.by_end.first_key_value()?;
        if *first <= at { self.pop_first() } else { None }
    }

    /// Some of those that end after that one, in that order.
    fn after(&self, last: Option<End>) -> Vec<(End, Arc<str>)> {
        let start = last.map_or(Bound::Unbounded, Bound::Excluded);
        let some = self.by_end.range((start, Bound::Unbounded));
        some.take(AT_A_LOOK)
            .map(|(end, clientid)| (*end, clientid.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests;
