//! What pods retain together: each has a copy of all of it. A change comes as its message is published here, as a copy of
//! that which is delivered here, or by itself; and a part is read in whole where changes may be missing.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use bytes::Bytes;

use super::{
    Full, Kept, Limits, Retained, Store, due, key_of, size_of,
    versions::{Load, Standing, Version},
};
use crate::broker::{Filter, Message, Topic};

/// Whom a copy of a message of another pod is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) enum Audience {
    /// Those who subscribed to its very topic.
    Exact,
    /// Those who subscribed with wildcards.
    Patterns,
}

impl Audience {
    pub(super) const COUNT: usize = 2;

    /// Those with such a filter.
    pub(super) fn of(filter: &Filter) -> Self {
        if filter.is_wildcard() {
            Self::Patterns
        } else {
            Self::Exact
        }
    }
}

/// What a change is to the copy here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It is kept now.
    New,
    /// It was kept already.
    Known,
    /// There is a later one.
    Late,
    /// It is too old to be kept.
    TooOld,
    /// There is no room for it.
    NoRoom,
}

impl Retained {
    /// Whether there is room for a message.
    pub(in crate::broker) fn check(&self, message: &Message) -> Result<(), Full> {
        let mut store = self.store.lock();
        store.forget_old();
        if message.payload.is_empty() {
            return Ok(());
        }
        let key = key_of(&message.topic);
        store.check(&key, size_of(message, &key), &self.limits)
    }

    /// Takes the change in that a message made which was published here, unless there is a later one, and calls `route`.
    pub(in crate::broker) fn publish<T>(
        &self,
        message: &Arc<Message>,
        version: Version,
        route: impl FnOnce() -> T,
    ) -> T {
        self.routed(
            message,
            version,
            &[Audience::Exact, Audience::Patterns],
            route,
        )
    }

    /// The same of a copy of a message that was published elsewhere.
    pub(in crate::broker) fn deliver<T>(
        &self,
        message: &Arc<Message>,
        version: Version,
        audience: Audience,
        route: impl FnOnce() -> T,
    ) -> T {
        self.routed(message, version, &[audience], route)
    }

    fn routed<T>(
        &self,
        message: &Arc<Message>,
        version: Version,
        audiences: &[Audience],
        route: impl FnOnce() -> T,
    ) -> T {
        let mut store = self.store.lock();
        let key = key_of(&message.topic);
        if !store.parts.know(version, &key) {
            let found = store.take(message, version, &self.limits);
            if audiences.len() < Audience::COUNT {
                store.note_unrouted();
            }
            self.count(&store, found, &message.topic);
        }
        store.note_routed(&key, version, audiences);
        route()
    }

    /// A change of another pod, or of this one, by itself.
    pub(crate) fn hear(&self, message: &Arc<Message>, version: Version) {
        let mut store = self.store.lock();
        if !store.parts.know(version, &key_of(&message.topic)) {
            let found = store.take(message, version, &self.limits);
            store.note_unrouted();
            self.count(&store, found, &message.topic);
        }
        store.parts.hear(version);
    }

    fn count(&self, store: &Store, found: Found, topic: &Topic) {
        self.show(store);
        if found != Found::NoRoom {
            return;
        }
        // Not one line for each.
        let before = self.stats.retained_dropped.fetch_add(1, Relaxed);
        if (before + 1).is_power_of_two() {
            tracing::warn!(
                %topic,
                dropped = before + 1,
                "no room for a retained message of another pod: who subscribes here does not get it; raise \
                 broker.retained.max_messages and max_bytes, to the same in all pods"
            );
        }
    }

    /// How a part stands.
    pub(crate) fn standing(&self, part: usize) -> Standing {
        self.store.lock().parts.standing(part)
    }

    /// Changes of this part are not heard any more.
    pub(crate) fn gap(&self, part: usize) {
        self.store.lock().parts.gap(part);
    }

    /// They are heard from now on.
    pub(crate) fn again(&self, part: usize) {
        self.store.lock().parts.again(part);
    }

    /// No change was made to a part but those that were known when it stood like that.
    pub(crate) fn unchanged(&self, part: usize, standing: &Standing) {
        self.store.lock().parts.unchanged(part, standing);
    }

    /// A part is read, from where all pods have it. What is found there is told by [`Self::found`].
    /// `standing` is as it stood before it was known what there is to read.
    pub(crate) fn begin(&self, part: usize, standing: &Standing) -> Load {
        self.store.lock().parts.begin(part, standing)
    }

    /// Whether a message of the topic is kept.
    pub(crate) fn keeps(&self, topic: &Topic) -> bool {
        self.store.lock().by_topic.contains_key(&key_of(topic))
    }

    /// This message stands there, by that change.
    pub(crate) fn found(&self, load: &Load, message: &Arc<Message>, number: u64) -> Found {
        let version = Version {
            part: load.part,
            number,
        };
        let mut store = self.store.lock();
        let key = key_of(&message.topic);
        // That all changes up to a later one were known does not count: what stands there stands.
        let found = if store.parts.has_removed(version, &key) {
            Found::Late
        } else {
            store.take(message, version, &self.limits)
        };
        if found == Found::New {
            store.note_unrouted();
        }
        if let Some(kept) = store.by_topic.get_mut(&key) {
            kept.round = load.round;
        }
        self.count(&store, found, &message.topic);
        found
    }

    /// What was kept up to that change and was not found, of so many topics after that one; and the last of them, where
    /// there may be more.
    pub(crate) fn missing(
        &self,
        load: &Load,
        number: u64,
        (after, most): (&str, usize),
    ) -> (Vec<(Topic, u64)>, Option<Topic>) {
        let after = key_of_text(after);
        let store = self.store.lock();
        let topics = store.parts.topics(load.part, &after).take(most);
        let kept: Vec<_> = topics.filter_map(|key| store.by_topic.get(key)).collect();
        let missing = kept.iter().filter(|kept| kept.is_missing(load, number));
        let missing = missing.filter_map(|kept| {
            let version = kept.version?;
            Some((kept.message.topic.clone(), version.number))
        });
        let last = kept.last().filter(|_| kept.len() == most);
        let last = last.map(|kept| kept.message.topic.clone());
        (missing.collect(), last)
    }

    /// What was kept by that change does not stand there any more.
    pub(crate) fn lost(&self, load: &Load, topic: &Topic, number: u64) {
        let mut store = self.store.lock();
        let key = key_of(topic);
        let kept = store.by_topic.get(&key).and_then(|kept| kept.version);
        if kept.is_some_and(|kept| kept.part == load.part && kept.number == number) {
            store.remove(&key);
            self.show(&store);
        }
    }

    /// A part is read, with all changes up to that one. Not where something is kept that was not found, and came
    /// meanwhile by another way.
    pub(crate) fn end(&self, load: &Load, number: u64) -> bool {
        let mut store = self.store.lock();
        let is_missing = store.parts.topics(load.part, "").any(|key| {
            let kept = store.by_topic.get(key);
            kept.is_some_and(|kept| kept.is_missing(load, number))
        });
        if !is_missing {
            store.parts.end(load, number);
        }
        !is_missing
    }

    /// What is kept of a part, of the topics after that one: some of it, each with the number of its change.
    pub(crate) fn entries(
        &self,
        part: usize,
        after: &str,
        most: usize,
    ) -> Vec<(Arc<Message>, u64)> {
        let after = key_of_text(after);
        let store = self.store.lock();
        let topics = store.parts.topics(part, &after);
        let kept = topics.filter_map(|key| store.by_topic.get(key));
        let entries = kept.filter_map(|kept| Some((kept.message.clone(), kept.version?.number)));
        entries.take(most).collect()
    }

    /// Forgets what has become too old, and tells what may still stand where all pods have it.
    pub(crate) fn take_expired(&self) -> Vec<(Topic, Version)> {
        let mut store = self.store.lock();
        store.forget_old();
        self.show(&store);
        std::mem::take(&mut store.expired)
    }

    /// That could not be forgotten yet.
    pub(crate) fn put_back_expired(&self, topic: &Topic, version: Version) {
        self.store.lock().note_expired(topic, version);
    }

    /// Of how many parts something may be missing that other pods retain.
    pub(crate) fn behind(&self) -> usize {
        self.store.lock().parts.behind()
    }
}

/// As of a topic; nothing comes before the key of no topic.
fn key_of_text(topic: &str) -> String {
    topic.replace('/', super::SEPARATOR)
}

impl Store {
    /// Takes a change in, unless the same or a later one is kept.
    fn take(&mut self, message: &Arc<Message>, version: Version, limits: &Limits) -> Found {
        let key = key_of(&message.topic);
        let kept = self.by_topic.get(&key).and_then(|kept| kept.version);
        match kept.map(|kept| kept.number.cmp(&version.number)) {
            Some(std::cmp::Ordering::Equal) => return Found::Known,
            Some(std::cmp::Ordering::Greater) => return Found::Late,
            Some(std::cmp::Ordering::Less) | None => {}
        }
        // Whatever becomes of it, what it replaces is over.
        self.remove(&key);
        if message.payload.is_empty() {
            self.parts.note_removal(version, key);
            return Found::New;
        }
        let message = alone(message);
        let bytes = size_of(&message, &key);
        let kept = Kept {
            version: Some(version),
            routed: [false; Audience::COUNT],
            ..Kept::new(&message, due(&message, limits.age), bytes)
        };
        if kept.is_too_old() {
            self.note_expired(&message.topic, version);
            return Found::TooOld;
        }
        if self.check(&key, bytes, limits).is_err() {
            self.parts.lack(version);
            // What came before it is over; it may find room when it is read again.
            let number = version.number.saturating_sub(1);
            self.parts.note_removal(Version { number, ..version }, key);
            return Found::NoRoom;
        }
        self.insert(key, kept);
        Found::New
    }

    /// Not everybody who subscribed here gets the message that was kept last.
    fn note_unrouted(&mut self) {
        self.last_unrouted = self.count.checked_sub(1);
    }

    /// Those who subscribed here get the message of that change, if it is kept.
    fn note_routed(&mut self, key: &str, version: Version, audiences: &[Audience]) {
        if let Some(kept) = self.by_topic.get_mut(key)
            && kept.version == Some(version)
        {
            for audience in audiences {
                kept.routed[*audience as usize] = true;
            }
        }
    }
}

/// The same with its payload in memory of its own: it may be a part of a buffer in which much else came.
fn alone(message: &Arc<Message>) -> Arc<Message> {
    Arc::new(Message {
        payload: Bytes::copy_from_slice(&message.payload),
        ..Message::clone(message)
    })
}
