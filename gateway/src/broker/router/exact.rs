//! Filters without wildcards: one look-up whatever their number. In shards, so that a table which grows moves
//! a small part of it at a time and publishers wait that much less.

use std::{
    collections::hash_map::{Entry, HashMap},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use parking_lot::RwLock;

use super::{
    subscribers::{Change, Subscribers},
    trie::Wanters as _,
};
use crate::broker::topic::Filter;

type Shard = RwLock<HashMap<Arc<str>, Subscribers>>;

pub(super) struct Exact {
    shards: Box<[Shard]>,
    hasher: RandomState,
}

const SHARDS: usize = 64;

impl Default for Exact {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl Exact {
    pub(super) fn insert(
        &self,
        filter: &Filter,
        insert: impl FnOnce(&mut Subscribers) -> Change,
    ) -> Change {
        let mut shard = self.shard(filter.pattern()).write();
        insert(shard.entry(filter.shared_pattern()).or_default())
    }

    /// Forgets a filter that nobody wants any more.
    pub(super) fn remove(
        &self,
        filter: &Filter,
        remove: impl FnOnce(&mut Subscribers) -> Change,
    ) -> Option<Change> {
        let mut shard = self.shard(filter.pattern()).write();
        let Entry::Occupied(mut entry) = shard.entry(filter.shared_pattern()) else {
            return None;
        };
        let change = remove(entry.get_mut());
        if entry.get().is_empty() {
            entry.remove();
            if shard.len() < shard.capacity() / 4 {
                let room = shard.len() * 2;
                shard.shrink_to(room);
            }
        }
        Some(change)
    }

    pub(super) fn visit(&self, topic: &str, found: impl FnOnce(&Subscribers)) {
        if let Some(subscribers) = self.shard(topic).read().get(topic) {
            found(subscribers);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    fn shard(&self, pattern: &str) -> &Shard {
        let hash = self.hasher.hash_one(pattern);
        let index = usize::try_from(hash % SHARDS as u64).expect("less than the number of shards");
        &self.shards[index]
    }
}
