//! Those who subscribed to one filter. Most filters have one subscriber, and there are millions of them: that
//! case is stored in place. More of them, or a `$share` group, are kept in ordered maps on the heap.

use std::{collections::BTreeMap, sync::Arc};

use super::{group::Group, recipients::Recipients, trie::Wanters};
use crate::broker::{Filter, Qos, Queue};

#[derive(Default)]
pub(super) enum Subscribers {
    #[default]
    Nobody,
    One(Member),
    Many(Box<Many>),
}

/// One queue's subscription.
pub(super) struct Member {
    pub(super) queue: Arc<Queue>,
    /// Which of the queue's subscriptions to this filter; the last one counts.
    pub(super) generation: u64,
    /// As asked for; a message keeps the one it was published with.
    #[expect(dead_code, reason = "the pods' shared table will carry it")]
    pub(super) qos: Qos,
}

/// Tells queues apart: the address, which nobody else has while the member holds the queue.
pub(super) type Key = usize;

#[derive(Default)]
pub(super) struct Many {
    plain: BTreeMap<Key, Member>,
    groups: BTreeMap<Box<str>, Arc<Group>>,
}

/// What a subscribe or unsubscribe changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// A subscription came or went.
    pub(super) entries: bool,
    /// The filter came or went with it.
    pub(super) filters: bool,
}

impl Subscribers {
    /// Adds the member, or replaces the one with the same queue.
    pub(super) fn insert(&mut self, filter: &Filter, member: Member) -> Change {
        let filters = self.is_empty();
        let entries = match (&mut *self, filter.group()) {
            (Self::Nobody, None) => {
                *self = Self::One(member);
                true
            }
            (Self::One(one), None) if one.key() == member.key() => {
                *one = member;
                false
            }
            _ => self.many().insert(filter, member),
        };
        Change { entries, filters }
    }

    /// Removes this very subscription, if it is still there.
    pub(super) fn remove(
        &mut self,
        group: Option<&str>,
        queue: &Arc<Queue>,
        generation: u64,
    ) -> Change {
        let key = key_of(queue);
        let entries = match (&mut *self, group) {
            (Self::One(one), None) if one.key() == key && one.generation == generation => {
                *self = Self::Nobody;
                true
            }
            (Self::Many(many), _) => {
                let removed = many.remove(group, key, generation);
                self.compact();
                removed
            }
            _ => false,
        };
        Change {
            entries,
            filters: entries && self.is_empty(),
        }
    }

    /// Whether it uses the heap only when it has to.
    #[cfg(test)]
    pub(super) fn is_compact(&self) -> bool {
        match self {
            Self::Nobody | Self::One(_) => true,
            Self::Many(many) => many.plain.len() > 1 || !many.groups.is_empty(),
        }
    }

    /// Notes everybody who gets a message by themselves.
    pub(super) fn collect_plain(&self, queues: &mut Vec<Arc<Queue>>) {
        match self {
            Self::Nobody => {}
            Self::One(member) => queues.push(Arc::clone(&member.queue)),
            Self::Many(many) => {
                queues.extend(many.plain.values().map(|member| Arc::clone(&member.queue)));
            }
        }
    }

    /// The group of that name.
    pub(super) fn group(&self, name: &str) -> Option<Arc<Group>> {
        match self {
            Self::Many(many) => many.groups.get(name).cloned(),
            Self::Nobody | Self::One(_) => None,
        }
    }

    /// Notes everybody who gets a message.
    pub(super) fn collect(&self, recipients: &mut Recipients) {
        self.collect_plain(&mut recipients.queues);
        if let Self::Many(many) = self {
            recipients.groups.extend(many.groups.values().cloned());
        }
    }

    fn many(&mut self) -> &mut Many {
        let before = std::mem::take(self);
        let many = match before {
            Self::Many(many) => many,
            Self::One(one) => Box::new(Many {
                plain: BTreeMap::from([(one.key(), one)]),
                ..Many::default()
            }),
            Self::Nobody => Box::default(),
        };
        *self = Self::Many(many);
        let Self::Many(many) = self else {
            unreachable!("it was just made")
        };
        many
    }

    /// Gives the heap back when it is not needed any more.
    fn compact(&mut self) {
        let Self::Many(many) = self else { return };
        if !many.groups.is_empty() || many.plain.len() > 1 {
            return;
        }
        *self = many
            .plain
            .pop_first()
            .map_or(Self::Nobody, |(_, member)| Self::One(member));
    }
}

impl Wanters for Subscribers {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Nobody)
    }
}

impl Member {
    pub(super) fn key(&self) -> Key {
        key_of(&self.queue)
    }
}

fn key_of(queue: &Arc<Queue>) -> Key {
    Arc::as_ptr(queue).addr()
}

impl Many {
    fn insert(&mut self, filter: &Filter, member: Member) -> bool {
        let Some(name) = filter.group() else {
            return self.plain.insert(member.key(), member).is_none();
        };
        if let Some(group) = self.groups.get(name) {
            return group.insert(member);
        }
        let group = Group::new(filter.clone());
        let is_new = group.insert(member);
        self.groups.insert(name.into(), Arc::new(group));
        is_new
    }

    fn remove(&mut self, group: Option<&str>, key: Key, generation: u64) -> bool {
        let Some(name) = group else {
            let found = self
                .plain
                .get(&key)
                .is_some_and(|member| member.generation == generation);
            return found && self.plain.remove(&key).is_some();
        };
        let Some(group) = self.groups.get(name) else {
            return false;
        };
        let removed = group.remove(key, generation);
        if group.len() == 0 {
            self.groups.remove(name);
        }
        removed
    }
}
