//! What is remembered of the answers of slow sources: a few decisions for each client, which go with it.
//!
//! Nothing is allocated before there is something to remember. Full, the oldest decision is dropped.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use config::Permission;
use parking_lot::Mutex;

use super::{Verb, Wanted};
use crate::broker::Qos;

/// Longer topics are not kept, or a client could fill the memory with them.
const LONGEST: usize = 512;

/// A client's decisions.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Option<Box<Kept>>>);

#[derive(Debug)]
struct Kept {
    /// The rules and sources by which was decided. What others decided says nothing.
    generation: u64,
    /// The oldest first.
    decisions: VecDeque<Decision>,
}

#[derive(Debug)]
struct Decision {
    topic: Box<str>,
    verb: Verb,
    qos: Qos,
    permission: Permission,
    until: Instant,
}

/// How much is kept, and how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) ttl: Duration,
    pub(super) entries: usize,
}

impl Decision {
    fn is_about(&self, wanted: &Wanted<'_>) -> bool {
        self.verb == wanted.verb && self.qos == wanted.qos && *self.topic == *wanted.topic
    }
}

impl Cache {
    /// What was decided, if that still holds.
    pub(super) fn get(
        &self,
        wanted: &Wanted<'_>,
        generation: u64,
        now: Instant,
    ) -> Option<Permission> {
        let kept = self.0.lock();
        let kept = kept.as_ref().filter(|kept| kept.generation == generation)?;
        let mut decisions = kept.decisions.iter();
        let decision = decisions.find(|decision| decision.is_about(wanted))?;
        (decision.until > now).then_some(decision.permission)
    }

    /// Remembers what was decided at `now`.
    pub(super) fn put(
        &self,
        wanted: &Wanted<'_>,
        permission: Permission,
        generation: u64,
        limits: Limits,
        now: Instant,
    ) {
        if wanted.topic.len() > LONGEST {
            return;
        }
        let mut kept = self.0.lock();
        let kept = kept.get_or_insert_with(|| {
            Box::new(Kept {
                generation,
                decisions: VecDeque::new(),
            })
        });
        if kept.generation > generation {
            return;
        }
        if kept.generation < generation {
            kept.generation = generation;
            kept.decisions.clear();
        }
        kept.decisions
            .retain(|decision| decision.until > now && !decision.is_about(wanted));
        while kept.decisions.len() >= limits.entries {
            kept.decisions.pop_front();
        }
        kept.decisions.push_back(Decision {
            topic: wanted.topic.into(),
            verb: wanted.verb,
            qos: wanted.qos,
            permission,
            until: now + limits.ttl,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorization::tests::{publish, subscribe};

    const LIMITS: Limits = Limits {
        ttl: Duration::from_secs(10),
        entries: 2,
    };

    #[test]
    fn a_decision_is_kept_for_its_time_and_for_what_it_is_about() {
        let (cache, now) = (Cache::default(), Instant::now());
        assert_eq!(cache.get(&publish("a"), 1, now), None);
        cache.put(&publish("a"), Permission::Allow, 1, LIMITS, now);
        let just_before = now + Duration::from_millis(9_999);
        let later = now + LIMITS.ttl;
        assert_eq!(
            cache.get(&publish("a"), 1, just_before),
            Some(Permission::Allow)
        );
        assert_eq!(cache.get(&publish("a"), 1, later), None);
        assert_eq!(cache.get(&subscribe("a"), 1, now), None);
        assert_eq!(cache.get(&publish("b"), 1, now), None);
        let other = Wanted {
            qos: Qos::AtLeastOnce,
            ..publish("a")
        };
        assert_eq!(cache.get(&other, 1, now), None);
    }

    #[test]
    fn the_oldest_gives_way_and_nothing_long_is_kept() {
        let (cache, now) = (Cache::default(), Instant::now());
        for topic in ["a", "b", "a", "c"] {
            cache.put(&publish(topic), Permission::Deny, 1, LIMITS, now);
        }
        assert_eq!(cache.get(&publish("b"), 1, now), None);
        assert_eq!(cache.get(&publish("a"), 1, now), Some(Permission::Deny));
        assert_eq!(cache.get(&publish("c"), 1, now), Some(Permission::Deny));
        let long = "x".repeat(LONGEST + 1);
        cache.put(&publish(&long), Permission::Deny, 1, LIMITS, now);
        assert_eq!(cache.get(&publish(&long), 1, now), None);
        assert_eq!(cache.get(&publish("a"), 1, now), Some(Permission::Deny));
    }

    #[test]
    fn what_older_rules_decided_is_forgotten() {
        let (cache, now) = (Cache::default(), Instant::now());
        cache.put(&publish("a"), Permission::Allow, 1, LIMITS, now);
        assert_eq!(cache.get(&publish("a"), 2, now), None);
        cache.put(&publish("b"), Permission::Deny, 2, LIMITS, now);
        // An answer to a question that was asked before the change.
        cache.put(&publish("b"), Permission::Allow, 1, LIMITS, now);
        assert_eq!(cache.get(&publish("b"), 2, now), Some(Permission::Deny));
        assert_eq!(cache.get(&publish("a"), 1, now), None);
    }
}
