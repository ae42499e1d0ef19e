//! The last message of each topic that was published to be kept, for whoever subscribes later.
//!
//! Full is by count or by bytes; then a message for another topic is refused before anybody gets it. The topics are in
//! order, level by level, so that a filter's are found by seeking.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Filter, Message, Stats};

/// The search for the messages of one filter.
mod seek;

pub(super) use self::seek::{Seek, Step};

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
pub(super) struct Retained {
    limits: Limits,
    stats: Arc<Stats>,
    store: Mutex<Store>,
}

#[derive(Default)]
struct Store {
    by_topic: BTreeMap<Key, Kept>,
    /// By number; empty where nothing becomes too old.
    by_age: BTreeMap<u64, Key>,
    bytes: usize,
    /// How many were ever kept.
    count: u64,
}

/// A topic with U+0000, which no topic holds, in place of its slashes: so all that is below a level stands together.
type Key = Arc<str>;

const SEPARATOR: &str = "\0";

struct Kept {
    message: Arc<Message>,
    /// Grows with time.
    number: u64,
    since: Instant,
    bytes: usize,
}

/// What is forgotten at once, at most.
const AT_ONCE: usize = 100;

impl Retained {
    /// What a message takes in memory besides itself and its key, at most.
    const OVERHEAD: usize = 256;

    pub(super) fn new(limits: Limits, stats: Arc<Stats>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            stats,
            store: Mutex::default(),
        })
    }

    /// Keeps the message in place of its topic's older one, or removes that if the payload is empty; and calls `route`.
    /// Whoever subscribes gets the message either from there or from here, and not from both.
    pub(super) fn keep<T>(
        &self,
        message: &Arc<Message>,
        route: impl FnOnce() -> T,
    ) -> Result<T, Full> {
        let key: Key = message.topic.as_str().replace('/', SEPARATOR).into();
        let mut store = self.store.lock();
        store.forget_old(self.limits.age);
        if message.payload.is_empty() {
            store.remove(&key);
        } else {
            let bytes = message.size() + key.len() + Self::OVERHEAD;
            store.check(&key, bytes, &self.limits)?;
            store.insert(key, message.clone(), bytes, self.limits.age.is_some());
        }
        self.stats
            .retained
            .store(store.by_topic.len() as u64, Relaxed);
        Ok(route())
    }

    /// Calls `subscribe`. The answer finds what is kept for the filter at this moment, unless that is nothing.
    pub(super) fn seek<T>(
        self: &Arc<Self>,
        filter: &Filter,
        subscribe: impl FnOnce() -> T,
    ) -> (T, Option<Seek>) {
        let store = self.store.lock();
        let subscribed = subscribe();
        let some = !store.by_topic.is_empty();
        let seek = some.then(|| Seek::new(self, filter, store.count));
        (subscribed, seek)
    }

    /// Forgets some of what has become too old.
    pub(super) fn forget_old(&self) {
        let mut store = self.store.lock();
        store.forget_old(self.limits.age);
        self.stats
            .retained
            .store(store.by_topic.len() as u64, Relaxed);
    }
}

impl Store {
    fn forget_old(&mut self, age: Option<Duration>) {
        let Some(age) = age else { return };
        let now = Instant::now();
        for _ in 0..AT_ONCE {
            let Some((_, key)) = self.by_age.first_key_value() else {
                return;
            };
            let key = key.clone();
            let kept = self.by_topic.get(&key);
            if kept.is_some_and(|kept| kept.since + age > now) {
                return;
            }
            self.remove(&key);
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

    fn insert(&mut self, key: Key, message: Arc<Message>, bytes: usize, ages: bool) {
        self.remove(&key);
        let number = self.count;
        self.count += 1;
        self.bytes += bytes;
        if ages {
            self.by_age.insert(number, key.clone());
        }
        let kept = Kept {
            message,
            number,
            since: Instant::now(),
            bytes,
        };
        self.by_topic.insert(key, kept);
    }

    fn remove(&mut self, key: &str) {
        if let Some(kept) = self.by_topic.remove(key) {
            self.bytes -= kept.bytes;
            self.by_age.remove(&kept.number);
        }
    }
}

#[cfg(test)]
mod tests;
