//! The filter table: which queues want a topic. Filters without wildcards are found in one look-up, the others
//! in a trie, so a publication costs its levels and its matches, not the number of filters.
//!
//! Publishers hold a lock only while they collect who matches; the messages are pushed outside it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use parking_lot::RwLock;

use super::{
    queue::Queue,
    stats::Stats,
    topic::{Filter, Qos, Topic},
};

/// Filters without wildcards.
mod exact;

/// Filters with wildcards.
mod trie;

/// Those who subscribed to one filter.
mod subscribers;

/// Those who share a filter's messages.
mod group;

/// Those who get one message.
mod recipients;

use self::group::Group;
pub(super) use self::recipients::Recipients;
pub(crate) use self::trie::{Trie, Wanters};
use self::{
    exact::Exact,
    subscribers::{Change, Member, Subscribers},
};

pub(super) struct Router {
    exact: Exact,
    wildcard: RwLock<Trie<Subscribers>>,
    /// Tells a subscription from the one it replaced.
    generation: AtomicU64,
    stats: Arc<Stats>,
}

impl Router {
    pub(super) fn new(stats: Arc<Stats>) -> Self {
        let (exact, wildcard) = (Exact::default(), RwLock::default());
        Self {
            exact,
            wildcard,
            generation: AtomicU64::new(0),
            stats,
        }
    }

    /// Adds the queue to the filter, or replaces its subscription; the number is for [`Self::unsubscribe`].
    pub(super) fn subscribe(&self, filter: &Filter, qos: Qos, queue: &Arc<Queue>) -> u64 {
        let mut generation = 0;
        let mut insert = |subscribers: &mut Subscribers| {
            // Numbered under the lock: of two at once, the one that stays has the higher number.
            generation = self.generation.fetch_add(1, Relaxed);
            let member = Member {
                queue: Arc::clone(queue),
                generation,
                qos,
            };
            subscribers.insert(filter, member)
        };
        let change = if filter.is_wildcard() {
            insert(self.wildcard.write().entry(filter.pattern()))
        } else {
            self.exact.insert(filter, insert)
        };
        if change.entries {
            self.stats.subscriptions.fetch_add(1, Relaxed);
        }
        if change.filters {
            self.stats.filters.fetch_add(1, Relaxed);
        }
        generation
    }

    /// Removes the queue from the filter, unless it subscribed again since. Whether it did.
    pub(super) fn unsubscribe(&self, filter: &Filter, queue: &Arc<Queue>, generation: u64) -> bool {
        let remove =
            |subscribers: &mut Subscribers| subscribers.remove(filter.group(), queue, generation);
        let change = if filter.is_wildcard() {
            self.wildcard.write().remove(filter.pattern(), remove)
        } else {
            self.exact.remove(filter, remove)
        };
        let Change { entries, filters } = change.unwrap_or_default();
        if entries {
            self.stats.subscriptions.fetch_sub(1, Relaxed);
        }
        if filters {
            self.stats.filters.fetch_sub(1, Relaxed);
        }
        entries
    }

    /// Who gets a message of another pod that came by its topic's channel: those who subscribed to this very topic.
    pub(super) fn route_exact(&self, topic: &Topic) -> Recipients {
        let mut recipients = Recipients::default();
        self.exact.visit(topic.as_str(), |subscribers| {
            subscribers.collect_plain(&mut recipients.queues);
        });
        recipients
    }

    /// Who gets one that came to this pod's inbox: those who subscribed with wildcards, and these groups.
    pub(super) fn route_patterns(&self, topic: &Topic, groups: &[Filter]) -> Recipients {
        let mut recipients = Recipients::default();
        self.wildcard.read().visit(topic.as_str(), |subscribers| {
            subscribers.collect_plain(&mut recipients.queues);
        });
        let groups = groups.iter().filter_map(|filter| self.group(filter));
        recipients.groups.extend(groups);
        recipients
    }

    /// The group of that filter, if there is one.
    pub(super) fn group(&self, filter: &Filter) -> Option<Arc<Group>> {
        let name = filter.group()?;
        let mut found = None;
        let mut find = |subscribers: &Subscribers| found = subscribers.group(name);
        if filter.is_wildcard() {
            self.wildcard.read().get(filter.pattern()).map(&mut find);
        } else {
            self.exact.visit(filter.pattern(), find);
        }
        found
    }

    /// Everybody who gets a message to this topic.
    pub(super) fn route(&self, topic: &Topic) -> Recipients {
        let mut recipients = Recipients::default();
        self.exact.visit(topic.as_str(), |subscribers| {
            subscribers.collect(&mut recipients);
        });
        self.wildcard.read().visit(topic.as_str(), |subscribers| {
            subscribers.collect(&mut recipients);
        });
        recipients
    }
}

#[cfg(test)]
mod tests;
