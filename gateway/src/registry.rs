//! The only table of live connections: sequence number → handle.

use std::{cmp::Ordering, collections::BinaryHeap, sync::Arc};

use dashmap::DashMap;

use crate::connection::Handle;

/// All connections of this process that take calls. Clones are the same.
#[derive(Clone, Default)]
pub struct Registry(Arc<DashMap<u64, Handle>>);

/// Takes the connection out of the table when dropped.
#[must_use]
pub struct Registration {
    registry: Registry,
    sequence: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.0.remove(&self.sequence);
    }
}

impl Registry {
    /// Puts a connection in, until the answer is dropped.
    pub fn register(&self, sequence: u64, handle: Handle) -> Registration {
        self.0.insert(sequence, handle);
        Registration {
            registry: self.clone(),
            sequence,
        }
    }

    /// The connection of that number, if it takes calls.
    #[must_use]
    pub fn get(&self, sequence: u64) -> Option<Handle> {
        self.0.get(&sequence).map(|entry| entry.value().clone())
    }

    /// Makes every connection look around.
    pub fn wake_all(&self) {
        self.0.iter().for_each(|entry| entry.value().wake());
    }

    /// The oldest connections behind number `after` that are wanted, at most so many, by their numbers. It looks at all
    /// connections, but holds no more than it hands out; with many of them it takes long, so not in a task.
    #[must_use]
    pub fn page(
        &self,
        after: u64,
        most: usize,
        wanted: impl Fn(&Handle) -> bool,
    ) -> Vec<(u64, Handle)> {
        let mut oldest = BinaryHeap::new();
        for entry in self.0.iter() {
            let (number, handle) = entry.pair();
            let is_full = oldest.len() >= most;
            let newest: Option<&Numbered> = oldest.peek();
            let is_older = newest.is_some_and(|newest| *number < newest.0);
            if *number <= after || (is_full && !is_older) || !wanted(handle) {
                continue;
            }
            if is_full {
                oldest.pop();
            }
            oldest.push(Numbered(*number, handle.clone()));
        }
        let oldest = oldest.into_sorted_vec().into_iter();
        oldest
            .map(|Numbered(number, handle)| (number, handle))
            .collect()
    }

    /// All connections at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Handle> {
        self.0.iter().map(|entry| entry.value().clone()).collect()
    }
}

/// A connection, ordered by its number.
struct Numbered(u64, Handle);

impl Ord for Numbered {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Numbered {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Numbered {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Numbered {}
