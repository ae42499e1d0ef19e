//! The members of one `$share` group on one filter: each message goes to one of them, in turn.
//!
//! Those without a connection are kept apart, so that nobody walks past them. One is found out when it is offered a
//! message, and comes back with its next subscription; a session that goes on subscribes again for that.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included, Unbounded},
    sync::Arc,
};

use parking_lot::Mutex;

use super::subscribers::{Key, Member};
use crate::broker::{Filter, Message, Queue, queue::Offered};

pub(in crate::broker) struct Group {
    filter: Filter,
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    here: Ring,
    /// They were offered a message and had no connection.
    away: Ring,
}

#[derive(Default)]
struct Ring {
    by_key: BTreeMap<Key, Member>,
    /// Whose turn it was.
    last: Key,
}

impl Group {
    /// That of this filter, without members.
    pub(super) fn new(filter: Filter) -> Self {
        Self {
            filter,
            members: Mutex::default(),
        }
    }

    /// The whole filter.
    pub(in crate::broker) fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Gives the message to the next member who has room; false when nobody takes it. A member without a connection
    /// gets it only if no other one has a connection. One publisher at a time: else each could move another one's turn.
    pub(in crate::broker) fn push(&self, message: &Arc<Message>) -> bool {
        let mut members = self.members.lock();
        let full = match members.offer(message) {
            Ok(()) => return true,
            Err(full) => full,
        };
        // When all are full it is lost, and one member has to answer for that, not all of them.
        if let Some(full) = full {
            return full.push(Arc::clone(message));
        }
        members.leave_with_one(message)
    }

    /// Gives the message to the next member who has a connection and room; false when there is none.
    pub(in crate::broker) fn offer(&self, message: &Arc<Message>) -> bool {
        self.members.lock().offer(message).is_ok()
    }

    /// True when the member is new.
    pub(super) fn insert(&self, member: Member) -> bool {
        let mut members = self.members.lock();
        let key = member.key();
        let was_away = members.away.by_key.remove(&key).is_some();
        let was_here = members.here.by_key.insert(key, member).is_some();
        !was_away && !was_here
    }

    /// True when this very subscription was there.
    pub(super) fn remove(&self, key: Key, generation: u64) -> bool {
        let mut members = self.members.lock();
        let Members { here, away } = &mut *members;
        here.remove(key, generation) || away.remove(key, generation)
    }

    pub(super) fn len(&self) -> usize {
        let members = self.members.lock();
        members.here.by_key.len() + members.away.by_key.len()
    }

    #[cfg(test)]
    pub(super) fn queues(&self) -> Vec<Arc<Queue>> {
        let members = self.members.lock();
        let all = members.here.turns().chain(members.away.turns());
        all.map(|(_, member)| Arc::clone(&member.queue)).collect()
    }

    /// How many are kept apart.
    #[cfg(test)]
    pub(super) fn away(&self) -> usize {
        self.members.lock().away.by_key.len()
    }
}

impl Members {
    /// Offers the message to everybody once; where nobody takes it, the first who has a connection and no room.
    fn offer(&mut self, message: &Arc<Message>) -> Result<(), Option<Arc<Queue>>> {
        let mut taken = None;
        let mut full = None;
        let mut away = Vec::new();
        for (key, member) in self.here.turns() {
            match member.queue.offer(Arc::clone(message)) {
                Offered::Taken => {
                    taken = Some(key);
                    break;
                }
                Offered::NoRoom => {
                    full.get_or_insert_with(|| (key, Arc::clone(&member.queue)));
                }
                Offered::Away => away.push(key),
            }
        }
        for key in away {
            if let Some(member) = self.here.by_key.remove(&key) {
                self.away.by_key.insert(key, member);
            }
        }
        if let Some(key) = taken.or(full.as_ref().map(|(key, _)| *key)) {
            self.here.last = key;
        }
        match taken {
            Some(_) => Ok(()),
            None => Err(full.map(|(_, queue)| queue)),
        }
    }

    /// Nobody has a connection: one of those who may come back gets it, or else one whose connection is ending.
    fn leave_with_one(&mut self, message: &Arc<Message>) -> bool {
        let open = || {
            let turns = self.away.turns();
            turns.filter(|(_, member)| member.queue.is_open())
        };
        let one = open()
            .find(|(_, member)| member.queue.is_of_session())
            .or_else(|| open().next());
        let Some((key, queue)) = one.map(|(key, member)| (key, Arc::clone(&member.queue))) else {
            return false;
        };
        self.away.last = key;
        queue.push(Arc::clone(message))
    }
}

impl Ring {
    /// Everybody's turn once.
    fn turns(&self) -> impl Iterator<Item = (Key, &Member)> {
        let after = self.by_key.range((Excluded(self.last), Unbounded));
        let rest = self.by_key.range((Unbounded, Included(self.last)));
        after.chain(rest).map(|(key, member)| (*key, member))
    }

    fn remove(&mut self, key: Key, generation: u64) -> bool {
        let found = self.by_key.get(&key);
        let found = found.is_some_and(|member| member.generation == generation);
        found && self.by_key.remove(&key).is_some()
    }
}

#[cfg(test)]
mod tests;
