//! Sessions without a connection, until their clients come back or their time is over.
//!
//! Full is by count or by bytes; then those that end first give way. What holds for the messages of one session
//! stands in `queue/hold.rs`.

use std::{
    collections::{BTreeMap, HashMap},
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
        let mut state = self.0.state.lock();
        state.limits = limits;
        let gone = state.shrink();
        drop(state);
        end(gone, &self.0.stats.sessions_evicted);
    }

    /// Keeps a session for its client to come back to, in place of any other one of that client. `mark` is what must be
    /// the same then.
    pub fn park(&self, clientid: &Arc<str>, mark: &str, session: Session, expiry: Duration) {
        let Inner {
            state,
            budget,
            stats,
            sooner,
        } = &*self.0;
        let limits = state.lock().limits;
        session.queue.detach(limits.queue, budget);
        let names = 2 * clientid.len() + mark.len();
        let bytes = OVERHEAD + names + session.subscriptions.bytes();
        let at = Instant::now() + expiry;
        let mut state = state.lock();
        let old = state.remove(clientid);
        let (mut gone, reserved) = state.make_room(bytes, budget);
        let mut is_first = false;
        if let Some(reserved) = reserved {
            let parked = Parked {
                session,
                mark: mark.into(),
                end: (at, state.count),
                _reserved: reserved,
            };
            is_first = state.insert(clientid, parked);
        } else {
            gone.push(session);
        }
        gone.extend(state.shrink());
        stats.sessions.store(state.by_client.len() as u64, Relaxed);
        drop(state);
        if is_first {
            sooner.notify_one();
        }
        end(gone, &stats.sessions_evicted);
        end(old.map(|old| old.session), &stats.sessions_discarded);
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

    /// The clients that have a session here.
    #[must_use]
    pub fn clientids(&self) -> Vec<Arc<str>> {
        self.0.state.lock().by_client.keys().cloned().collect()
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
        let mut state = self.0.state.lock();
        let now = Instant::now();
        let mut due = Vec::new();
        let next = loop {
            let first = state.by_end.first_key_value().map(|(end, _)| end.0);
            if due.len() >= AT_ONCE || first.is_none_or(|at| at > now) {
                break first;
            }
            due.extend(state.pop_first());
        };
        let left = state.by_client.len() as u64;
        self.0.stats.sessions.store(left, Relaxed);
        (due, next)
    }

    fn remove(&self, clientid: &str) -> Option<Parked> {
        let mut state = self.0.state.lock();
        let parked = state.remove(clientid)?;
        let left = state.by_client.len() as u64;
        self.0.stats.sessions.store(left, Relaxed);
        Some(parked)
    }
}

fn end(sessions: impl IntoIterator<Item = Session>, counter: &AtomicU64) {
    for session in sessions {
        session.discard();
        counter.fetch_add(1, Relaxed);
    }
}

impl State {
    /// So many bytes, if those that end first can give them; and those.
    fn make_room(
        &mut self,
        bytes: usize,
        budget: &Arc<Budget>,
    ) -> (Vec<Session>, Option<Reserved>) {
        let mut gone = Vec::new();
        let mut reserved = Reserved::nothing(budget);
        while !reserved.grow(bytes) {
            let Some(first) = self.pop_first() else {
                return (gone, None);
            };
            // Gives its bytes back at once; its filters take longer, and are dropped without the lock.
            first.queue.close();
            gone.push(first);
        }
        (gone, Some(reserved))
    }

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

    /// Takes out those that are too many.
    fn shrink(&mut self) -> Vec<Session> {
        let surplus = self.by_client.len().saturating_sub(self.limits.sessions);
        (0..surplus).map_while(|_| self.pop_first()).collect()
    }
}

#[cfg(test)]
mod tests;
