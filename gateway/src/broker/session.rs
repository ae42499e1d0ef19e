//! What one client has subscribed and what waits for it: of a connection, or of a client that may come back.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use super::{Broker, Filter, Qos, Queue, Subscription};

/// Who keeps a session elsewhere too, so that it outlives this pod.
pub trait Keeper: Send + Sync {
    /// The client has subscribed.
    fn subscribed(&self, filter: &Filter, qos: Qos);

    /// It has unsubscribed.
    fn unsubscribed(&self, filter: &Filter);

    /// The session has ended.
    fn ended(&self);
}

/// What outlives a connection.
#[derive(Debug)]
pub struct Session {
    /// Where its messages wait.
    pub queue: Arc<Queue>,
    /// What it has subscribed.
    pub subscriptions: Subscriptions,
}

impl Session {
    /// A session of nobody yet.
    #[must_use]
    pub fn new(broker: &Broker) -> Self {
        Self {
            queue: Queue::of_session(Arc::clone(&broker.0.stats)),
            subscriptions: Subscriptions::default(),
        }
    }

    /// It goes on elsewhere.
    pub fn hand_over(self) {
        drop(self.subscriptions);
        self.queue.hand_over();
    }

    /// It ends, and what waits in it is counted and dropped.
    pub fn discard(self) {
        drop(self.subscriptions);
        self.queue.close();
    }
}

/// The filters of one client; dropped, they are all unsubscribed. Most clients subscribe to nothing, and then this
/// holds nothing.
#[expect(clippy::box_collection, reason = "it is small while there are none")]
#[derive(Debug, Default)]
pub struct Subscriptions(Option<Box<HashMap<Filter, Subscription>>>);

/// There are as many subscriptions as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection has {0} subscriptions, which is max_subscriptions; unsubscribe first")]
pub struct TooMany(u32);

impl Subscriptions {
    /// What a subscription takes in memory besides its filter, at most: here and in the filter table.
    const OVERHEAD: usize = 256;

    /// Subscribes, and lets retained messages come; or replaces the options of a filter that is there.
    pub fn add(
        &mut self,
        broker: &Broker,
        queue: &Arc<Queue>,
        filter: Filter,
        qos: Qos,
        limit: u32,
    ) -> Result<(), TooMany> {
        let held = self.0.get_or_insert_default();
        let count = held.len();
        let keeper = queue.keeper();
        let note = |filter: &Filter| {
            if let Some(keeper) = &keeper {
                keeper.subscribed(filter, qos);
            }
        };
        match held.entry(filter) {
            Entry::Occupied(mut entry) => {
                *entry.get_mut() = broker.subscribe(entry.key().clone(), qos, queue);
                note(entry.key());
            }
            Entry::Vacant(_) if count >= limit as usize => return Err(TooMany(limit)),
            Entry::Vacant(entry) => {
                let first = broker.subscribe_anew(entry.key().clone(), qos, queue);
                note(entry.key());
                entry.insert(first);
            }
        }
        Ok(())
    }

    /// Subscribes again to what was subscribed elsewhere. What is retained was for the client then.
    pub fn restore<'a>(
        &mut self,
        broker: &Broker,
        queue: &Arc<Queue>,
        filters: impl Iterator<Item = (&'a Filter, Qos)>,
    ) {
        for (filter, qos) in filters {
            let subscription = broker.subscribe(filter.clone(), qos, queue);
            let held = self.0.get_or_insert_default();
            held.insert(filter.clone(), subscription);
        }
    }

    /// Unsubscribes, where there is something.
    pub fn remove(&mut self, filter: &Filter) {
        if let Some(held) = &mut self.0
            && let Some(subscription) = held.remove(filter)
        {
            subscription.queue.stop_seeking(filter);
            if let Some(keeper) = subscription.queue.keeper() {
                keeper.unsubscribed(filter);
            }
        }
    }

    /// The session goes on with a connection: in its groups it is somebody who can be asked again.
    pub fn arrived(&mut self, broker: &Broker) {
        let held = self.0.iter_mut().flat_map(|held| held.iter_mut());
        for (filter, subscription) in held.filter(|(filter, _)| filter.group().is_some()) {
            let (qos, queue) = (subscription.qos, Arc::clone(&subscription.queue));
            *subscription = broker.subscribe(filter.clone(), qos, &queue);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |held| held.len())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// So many of them at most, the first in the order of their filters.
    #[must_use]
    pub fn first(&self, most: usize) -> Vec<(&Filter, Qos)> {
        let held = self.0.iter().flat_map(|held| held.iter());
        let mut filters: Vec<_> = held.map(|(filter, held)| (filter, held.qos())).collect();
        if filters.len() > most {
            filters.select_nth_unstable(most);
            filters.truncate(most);
        }
        filters.sort_unstable();
        filters
    }

    /// What they take in memory, at most.
    pub(super) fn bytes(&self) -> usize {
        let filters = self.0.iter().flat_map(|held| held.keys());
        filters
            .map(|filter| filter.as_str().len() + Self::OVERHEAD)
            .sum()
    }
}
