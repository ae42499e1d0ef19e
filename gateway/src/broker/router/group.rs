//! The members of one `$share` group on one filter: each message goes to one of them, in turn.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use parking_lot::Mutex;

use super::subscribers::{Key, Member};
use crate::broker::{Message, Queue};

#[derive(Default)]
pub(in crate::broker) struct Group(Mutex<Members>);

#[derive(Default)]
struct Members {
    by_key: BTreeMap<Key, Member>,
    /// Whose turn it was.
    last: Key,
}

impl Group {
    /// Gives the message to the next member who has room; false when nobody takes it. A member without a connection
    /// gets it only if no other one has a connection.
    pub(super) fn push(&self, message: &Arc<Message>) -> bool {
        if self.turns().any(|queue| queue.offer(Arc::clone(message))) {
            return true;
        }
        // When all are full it is lost, and one member has to answer for that, not all of them.
        let unlucky = self.turns().find(|queue| queue.is_online());
        let absent = || self.turns().find(|queue| queue.is_open());
        let queue = unlucky.or_else(absent);
        queue.is_some_and(|queue| queue.push(Arc::clone(message)))
    }

    /// Everybody's turn once.
    fn turns(&self) -> impl Iterator<Item = Arc<Queue>> {
        (0..self.len()).map_while(|_| self.next())
    }

    /// True when the member is new.
    pub(super) fn insert(&self, member: Member) -> bool {
        self.0.lock().by_key.insert(member.key(), member).is_none()
    }

    /// True when this very subscription was there.
    pub(super) fn remove(&self, key: Key, generation: u64) -> bool {
        let mut members = self.0.lock();
        let found = members
            .by_key
            .get(&key)
            .is_some_and(|member| member.generation == generation);
        found && members.by_key.remove(&key).is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().by_key.len()
    }

    #[cfg(test)]
    pub(super) fn queues(&self) -> Vec<Arc<Queue>> {
        self.0
            .lock()
            .by_key
            .values()
            .map(|member| Arc::clone(&member.queue))
            .collect()
    }

    /// Whose turn it is, around the ring.
    fn next(&self) -> Option<Arc<Queue>> {
        let mut members = self.0.lock();
        let after = (Excluded(members.last), Unbounded);
        let next = members.by_key.range(after).next();
        let (key, member) = next.or_else(|| members.by_key.first_key_value())?;
        let (key, queue) = (*key, Arc::clone(&member.queue));
        members.last = key;
        Some(queue)
    }
}
