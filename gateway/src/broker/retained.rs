//! The last message of each topic that was published to be kept, for whoever subscribes later.
//!
//! Full is by count or by bytes; then a message for another topic is refused before anybody gets it. The topics are in
//! order, level by level, so that a filter's are found by seeking. With other pods this is a copy of what all of them
//! retain (`shared`), where each change has a number (`versions`).

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Filter, Message, Queue, Stats, Topic};
use crate::clock;

/// The search for the messages of one filter.
mod seek;
/// Changes by their numbers.
mod versions;
/// What pods have in common.
mod shared;
/// Subscriptions of which others may not know yet.
mod young;

pub(super) use self::seek::{Seek, Step};
pub use self::versions::Version;
use self::{seek::Wanted, versions::Parts, young::Young};
pub(super) use self::{
    shared::Audience,
    young::{Look, Upto},
};
pub(crate) use self::{
    shared::Found,
    versions::{Known, Load, Standing},
};

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages.
    pub messages: usize,
    /// Bytes.
    pub bytes: usize,
    /// `None`: for good.
    pub age: Option<Duration>,
}

/// There is no room for another retained message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// By count.
    #[error(
        "{0} topics have a retained message, which is broker.retained.max_messages; \
         remove one (publish an empty payload to its topic), or raise the limit"
    )]
    Messages(usize),
    /// By bytes.
    #[error(
        "retained messages take {taken} of {limit} bytes, which is broker.retained.max_bytes; \
         remove one (publish an empty payload to its topic), or raise the limit"
    )]
    Bytes {
        /// Bytes that are taken.
        taken: usize,
        /// Bytes that there are.
        limit: usize,
    },
}

/// All retained messages.
pub(crate) struct Retained {
    limits: Limits,
    stats: Arc<Stats>,
    store: Mutex<Store>,
}

struct Store {
    by_topic: BTreeMap<Key, Kept>,
    /// By when they are too old; empty where nothing becomes that.
    by_age: BTreeMap<(Instant, u64), Key>,
    bytes: usize,
    /// How many were ever kept.
    count: u64,
    /// The number of the last one that was kept and did not go to everybody here.
    last_unrouted: Option<u64>,
    /// What is known of the changes of all pods.
    parts: Parts,
    /// What has become too old and may still stand where all pods find it.
    expired: Vec<(Topic, Version)>,
    young: Young,
}

/// A topic with U+0000, which no topic holds, in place of its slashes: so all that is below a level stands together.
type Key = Arc<str>;

const SEPARATOR: &str = "\0";

struct Kept {
    message: Arc<Message>,
    /// Grows with time.
    number: u64,
    /// When it is too old.
    due: Option<Instant>,
    bytes: usize,
    /// The change that it came with, where there are other pods.
    version: Option<Version>,
    /// Whether it went to those who subscribed here to its very topic, and with wildcards.
    routed: [bool; Audience::COUNT],
    /// When it was last found where all pods have it.
    round: u64,
}

/// What is forgotten at once, at most.
const AT_ONCE: usize = 100;
/// How much of what has become too old is noted.
const MOST_EXPIRED: usize = 10_000;
/// What a message takes in memory besides itself and its key, at most.
const OVERHEAD: usize = 320;

impl Retained {
    /// Nothing yet. With other pods, topics are in so many parts; without, in none.
    pub(super) fn new(limits: Limits, stats: Arc<Stats>, parts: usize) -> Arc<Self> {
        let store = Store {
            by_topic: BTreeMap::new(),
            by_age: BTreeMap::new(),
            bytes: 0,
            count: 0,
            last_unrouted: None,
            parts: Parts::new(parts, limits.messages),
            expired: Vec::new(),
            young: Young::default(),
        };
        Arc::new(Self {
            limits,
            stats,
            store: Mutex::new(store),
        })
    }

    /// Keeps the message in place of its topic's older one, or removes that if the payload is empty; and calls `route`.
    /// Whoever subscribes gets the message either from there or from here, and not from both. For a pod by itself.
    pub(super) fn keep<T>(
        &self,
        message: &Arc<Message>,
        route: impl FnOnce() -> T,
    ) -> Result<T, Full> {
        let key = key_of(&message.topic);
        let mut store = self.store.lock();
        store.forget_old();
        if message.payload.is_empty() {
            store.remove(&key);
        } else {
            let bytes = size_of(message, &key);
            store.check(&key, bytes, &self.limits)?;
            let due = due(message, self.limits.age);
            store.insert(key, Kept::new(message, due, bytes));
        }
        self.show(&store);
        Ok(route())
    }

    /// Calls `subscribe`. The answer finds what is kept for the filter at this moment, unless that is nothing.
    pub(super) fn seek<T>(
        self: &Arc<Self>,
        filter: &Filter,
        queue: &Arc<Queue>,
        subscribe: impl FnOnce() -> T,
    ) -> (T, Option<Seek>) {
        let mut store = self.store.lock();
        let subscribed = subscribe();
        if store.parts.are_some() {
            let since = store.count;
            store.young.add(filter, queue, since);
        }
        let some = !store.by_topic.is_empty();
        let wanted = Wanted::Before(store.count);
        (subscribed, some.then(|| Seek::new(self, filter, wanted)))
    }

    /// Forgets some of what has become too old.
    pub(super) fn forget_old(&self) {
        let mut store = self.store.lock();
        store.forget_old();
        self.show(&store);
    }

    fn show(&self, store: &Store) {
        let count = store.by_topic.len() as u64;
        self.stats.retained.store(count, Relaxed);
    }
}

fn key_of(topic: &Topic) -> Key {
    topic.as_str().replace('/', SEPARATOR).into()
}

fn size_of(message: &Message, key: &Key) -> usize {
    message.size() + key.len() + OVERHEAD
}

/// When it is too old: that long after it was published, by the clocks of the pods.
fn due(message: &Message, age: Option<Duration>) -> Option<Instant> {
    let past = Duration::from_millis(clock::now().saturating_sub(message.timestamp));
    age.map(|age| Instant::now() + age.saturating_sub(past))
}

impl Kept {
    /// Whether it was kept up to that change, and was not found when its part was read.
    fn is_missing(&self, load: &versions::Load, number: u64) -> bool {
        let is_up_to = self.version.is_some_and(|version| version.number <= number);
        is_up_to && self.round != load.round
    }

    /// One that everybody here gets.
    fn new(message: &Arc<Message>, due: Option<Instant>, bytes: usize) -> Self {
        Self {
            message: Arc::clone(message),
            number: 0,
            due,
            bytes,
            version: None,
            routed: [true; Audience::COUNT],
            round: 0,
        }
    }

    fn is_too_old(&self) -> bool {
        self.due.is_some_and(|due| due <= Instant::now())
    }
}

impl Store {
    fn forget_old(&mut self) {
        for _ in 0..AT_ONCE {
            let Some((_, key)) = self.by_age.first_key_value() else {
                return;
            };
            let key = key.clone();
            let kept = self.by_topic.get(&key);
            if kept.is_some_and(|kept| !kept.is_too_old()) {
                return;
            }
            if let Some(Kept {
                message,
                version: Some(version),
                ..
            }) = self.remove(&key)
            {
                self.note_expired(&message.topic, version);
            }
        }
    }

    fn note_expired(&mut self, topic: &Topic, version: Version) {
        if self.expired.len() < MOST_EXPIRED {
            self.expired.push((topic.clone(), version));
        }
    }

    fn check(&self, key: &str, bytes: usize, limits: &Limits) -> Result<(), Full> {
        let old = self.by_topic.get(key);
        if old.is_none() && self.by_topic.len() >= limits.messages {
            return Err(Full::Messages(limits.messages));
        }
        let others = self.bytes - old.map_or(0, |old| old.bytes);
        if others + bytes > limits.bytes {
            return Err(Full::Bytes {
                taken: self.bytes,
                limit: limits.bytes,
            });
        }
        Ok(())
    }

    fn insert(&mut self, key: Key, mut kept: Kept) {
        self.remove(&key);
        kept.number = self.count;
        self.count += 1;
        self.bytes += kept.bytes;
        if let Some(due) = kept.due {
            self.by_age.insert((due, kept.number), key.clone());
        }
        if let Some(version) = kept.version {
            self.parts.insert(version, &key);
        }
        self.by_topic.insert(key, kept);
    }

    fn remove(&mut self, key: &str) -> Option<Kept> {
        let kept = self.by_topic.remove(key)?;
        self.bytes -= kept.bytes;
        if let Some(due) = kept.due {
            self.by_age.remove(&(due, kept.number));
        }
        if let Some(version) = kept.version {
            self.parts.remove(version, key);
        }
        Some(kept)
    }
}

#[cfg(test)]
mod tests;
