//! Subscriptions of which other pods may not know yet, or that came before this pod had read what all pods retain: what
//! was retained meanwhile may have passed them by. So they look again.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Weak},
};

use super::{Retained, Seek, Store, seek::Wanted};
use crate::broker::{Filter, Queue};

/// These subscriptions: none that has ended, and those that others know for a look or two.
#[derive(Default)]
pub(super) struct Young(HashMap<Filter, Newcomers>);

/// Those with one filter.
#[derive(Default)]
struct Newcomers {
    all: Vec<Newcomer>,
    /// Others knew the filter at the last look. What was on its way then has come since.
    were_known: bool,
}

struct Newcomer {
    queue: Weak<Queue>,
    /// What was kept before has been looked at.
    since: u64,
}

/// A queue that looks again.
pub(in crate::broker) type Look = (Arc<Queue>, Seek);

impl Young {
    pub(super) fn add(&mut self, filter: &Filter, queue: &Arc<Queue>, since: u64) {
        let queue = Arc::downgrade(queue);
        let newcomers = self.0.entry(filter.clone()).or_default();
        newcomers.all.push(Newcomer { queue, since });
        newcomers.were_known = false;
    }

    /// Whether there are none.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn remove(&mut self, filter: &Filter, queue: &Arc<Queue>) {
        if let Some(newcomers) = self.0.get_mut(filter) {
            let queue = Arc::downgrade(queue);
            newcomers.all.retain(|each| !each.queue.ptr_eq(&queue));
            if newcomers.all.is_empty() {
                self.0.remove(filter);
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
        let numbers = store.numbers();
        let mut looks = Vec::new();
        if let Some(newcomers) = store.young.0.get_mut(filter) {
            self.look(filter, newcomers, numbers, &mut looks);
        }
        looks
    }

    /// All of them look again. Those whose filter others knew at the last look are young no more, if nothing was missing
    /// here.
    pub(in crate::broker) fn look_again(
        self: &Arc<Self>,
        are_known: impl Fn(&Filter) -> bool,
    ) -> Vec<Look> {
        let mut store = self.store.lock();
        let numbers = store.numbers();
        let is_whole = store.parts.are_whole();
        let mut looks = Vec::new();
        store.young.0.retain(|filter, newcomers| {
            self.look(filter, newcomers, numbers, &mut looks);
            let are_known = is_whole && are_known(filter);
            let were_known = mem::replace(&mut newcomers.were_known, are_known);
            !(were_known && are_known)
        });
        looks
    }

    fn look(
        self: &Arc<Self>,
        filter: &Filter,
        newcomers: &mut Newcomers,
        (before, last_unrouted): (u64, Option<u64>),
        looks: &mut Vec<Look>,
    ) {
        for newcomer in &mut newcomers.all {
            let since = mem::replace(&mut newcomer.since, before);
            let is_something = last_unrouted.is_some_and(|last| last >= since);
            if is_something && let Some(queue) = newcomer.queue.upgrade() {
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
