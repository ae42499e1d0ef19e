//! Subscriptions of which other pods may not know yet, or that came before this pod had read what all pods retain: what
//! was retained meanwhile may have passed them by. So they look again.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Weak},
};

use super::{Retained, Seek, Store, seek::Wanted};
use crate::broker::{Filter, Queue};

/// Looks at which others knew a filter, before its subscriptions are young no more: what was on its way at the first has
/// come at the second, and so have all copies of it at the third.
const LOOKS: u8 = 3;

/// These subscriptions: none that has ended, and those that others know for some looks.
#[derive(Default)]
pub(super) struct Young {
    all: HashMap<Filter, Newcomers>,
    /// What was kept before the last look.
    last_look: u64,
}

/// Those with one filter.
type Newcomers = Vec<Newcomer>;

struct Newcomer {
    queue: Weak<Queue>,
    /// What was kept before has been looked at.
    since: u64,
    /// Looks at which others knew the filter, one after the other.
    known: u8,
}

/// What they look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) enum Upto {
    /// All that has come, even if it may still come to them by itself.
    Now,
    /// What had come at the last look.
    LastLook,
}

/// A queue that looks again.
pub(in crate::broker) type Look = (Arc<Queue>, Seek);

impl Young {
    pub(super) fn add(&mut self, filter: &Filter, queue: &Arc<Queue>, since: u64) {
        let queue = Arc::downgrade(queue);
        let newcomers = self.all.entry(filter.clone()).or_default();
        newcomers.push(Newcomer {
            queue,
            since,
            known: 0,
        });
    }

    /// Whether there are none.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    fn remove(&mut self, filter: &Filter, queue: &Arc<Queue>) {
        if let Some(newcomers) = self.all.get_mut(filter) {
            let queue = Arc::downgrade(queue);
            newcomers.retain(|each| !each.queue.ptr_eq(&queue));
            if newcomers.is_empty() {
                self.all.remove(filter);
            }
        }
    }
}

impl Retained {
    /// That subscription has ended.
    pub(in crate::broker) fn leave(&self, filter: &Filter, queue: &Arc<Queue>) {
        let mut store = self.store.lock();
        if store.parts.are_some() {
            store.young.remove(filter, queue);
        }
    }

    /// Others know that filter now: who subscribed with it looks again.
    pub(in crate::broker) fn known(self: &Arc<Self>, filter: &Filter) -> Vec<Look> {
        let mut store = self.store.lock();
        let (before, last) = store.numbers();
        let mut looks = Vec::new();
        if let Some(newcomers) = store.young.all.get_mut(filter) {
            self.look(filter, newcomers, (before, last), &mut looks);
        }
        looks
    }

    /// All of them look again. Some are young no more: where nothing is missing here, and others know their filters.
    pub(in crate::broker) fn look_again(
        self: &Arc<Self>,
        upto: Upto,
        are_known: impl Fn(&Filter) -> bool,
    ) -> Vec<Look> {
        let mut store = self.store.lock();
        let is_whole = store.parts.are_whole();
        let (count, last) = store.numbers();
        let before = match upto {
            Upto::Now => count,
            Upto::LastLook => mem::replace(&mut store.young.last_look, count),
        };
        let mut looks = Vec::new();
        store.young.all.retain(|filter, newcomers| {
            self.look(filter, newcomers, (before, last), &mut looks);
            if upto == Upto::LastLook {
                let are_known = is_whole && are_known(filter);
                newcomers.retain_mut(|each| {
                    each.known = if are_known { each.known + 1 } else { 0 };
                    each.known < LOOKS && each.queue.strong_count() > 0
                });
            }
            !newcomers.is_empty()
        });
        looks
    }

    fn look(
        self: &Arc<Self>,
        filter: &Filter,
        newcomers: &mut [Newcomer],
        (before, last_unrouted): (u64, Option<u64>),
        looks: &mut Vec<Look>,
    ) {
        for newcomer in newcomers {
            let since = newcomer.since;
            newcomer.since = since.max(before);
            let is_something = last_unrouted.is_some_and(|last| last >= since);
            if is_something
                && since < before
                && let Some(queue) = newcomer.queue.upgrade()
            {
                let wanted = Wanted::Unrouted { since, before };
                looks.push((queue, Seek::new(self, filter, wanted)));
            }
        }
    }
}

impl Store {
    /// That of the next message that is kept, and of the last one that was not routed to all.
    fn numbers(&self) -> (u64, Option<u64>) {
        (self.count, self.last_unrouted)
    }
}
