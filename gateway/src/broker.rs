//! Routes messages by topic from whoever publishes to every queue that subscribed.
//!
//! It knows nothing of connections, handlers or gRPC: a subscriber is a `Queue` it is handed, and the
//! consumer of that queue is somebody else's task. Publishing never waits for a consumer.

/// Topics and filters as types that cannot be wrong.
pub mod topic;

/// What is published and what is delivered.
mod message;

/// Messages that came of late.
pub(crate) mod recent;

/// The bounded queue between the broker and one connection.
pub mod queue;

/// Which queues want a topic.
mod router;

/// The last message of a topic, for whoever subscribes later.
mod retained;

/// The way of a message, from whoever publishes it or from another pod.
mod publishing;

/// The filters and the queue of one client.
mod session;

/// What outlives its connection.
pub mod sessions;

/// Other pods.
pub mod others;

/// What the broker counted.
mod stats;

use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use self::{
    message::Stamp,
    others::{Away, Others},
    retained::{Look, Upto},
    router::Router,
};
pub use self::{
    message::{Message, Publication},
    queue::Queue,
    retained::{Full, Limits as RetainedLimits, Version},
    session::{Keeper, Session, Subscriptions, TooMany},
    sessions::Sessions,
    stats::Stats,
    topic::{Filter, Qos, Topic},
};
pub(crate) use self::{
    retained::{Found, Known, Load, Retained, Standing},
    router::{Trie, Wanters},
};

/// Between two looks whether somebody has room.
const A_MOMENT: Duration = Duration::from_millis(2);

/// What routes messages: to the subscribers in this pod, and through others to those in other pods.
#[derive(Clone)]
pub struct Broker(Arc<Inner>);

struct Inner {
    settings: Settings,
    stamp: Stamp,
    router: Router,
    retained: Arc<Retained>,
    stats: Arc<Stats>,
    /// Unset where all subscribers are in this pod.
    others: Option<Arc<dyn Others>>,
}

/// What the operator decides about the broker.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The pod's name; every message published here carries it.
    pub node: Arc<str>,
    /// Payloads of more bytes than this are refused.
    pub max_payload: usize,
    /// Topics and filters of more levels than this are refused.
    pub max_levels: usize,
    /// How many retained messages are kept, and for how long.
    pub retained: RetainedLimits,
}

/// Why a publication was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The payload is longer than the settings allow.
    #[error("payload of {size} bytes is over the limit of {limit}: send less, or raise the limit")]
    PayloadTooLarge {
        /// Bytes in the payload.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// A message that is to be retained, and for which there is no room. Nobody got it.
    #[error(transparent)]
    NotRetained(#[from] Full),
    /// Other pods may not have it; subscribers here have, unless it is to be retained.
    #[error(transparent)]
    Away(#[from] Away),
}

impl Broker {
    /// A broker that needs nothing outside this process.
    #[must_use]
    pub fn memory(settings: Settings) -> Self {
        Self::new(settings, None)
    }

    /// A broker for subscribers here and in other pods.
    #[must_use]
    pub fn shared(settings: Settings, others: Arc<dyn Others>) -> Self {
        Self::new(settings, Some(others))
    }

    fn new(settings: Settings, others: Option<Arc<dyn Others>>) -> Self {
        let stats = Arc::new(Stats::default());
        let parts = others.as_ref().map_or(0, |others| others.parts());
        Self(Arc::new(Inner {
            stamp: Stamp::new(Arc::clone(&settings.node)),
            router: Router::new(Arc::clone(&stats)),
            retained: Retained::new(settings.retained, Arc::clone(&stats), parts),
            settings,
            stats,
            others,
        }))
    }

    /// Parses a topic within the limits of this broker.
    pub fn topic(&self, text: &str) -> Result<Topic, topic::Error> {
        Topic::parse(text, self.0.settings.max_levels)
    }

    /// Parses a filter within the limits of this broker.
    pub fn filter(&self, text: &str) -> Result<Filter, topic::Error> {
        Filter::parse(text, self.0.settings.max_levels)
    }

    /// A new queue which counts what it drops in [`Self::stats`].
    #[must_use]
    pub fn queue(&self, limits: queue::Limits) -> Arc<Queue> {
        Queue::new(limits, Arc::clone(&self.0.stats))
    }

    /// Waits until all who want this topic here have room for more, or until then: for whoever brings many messages at
    /// once, that no connection is closed for not having taken them in no time.
    pub async fn room(&self, topic: &Topic, until: Instant) {
        while Instant::now() < until && self.0.router.route(topic).are_crowded() {
            sleep(A_MOMENT).await;
        }
    }

    /// Everything published from now on that `filter` matches goes to `queue`, until the guard is dropped.
    /// Subscribing the same filter for the same queue again replaces the earlier subscription, whose guard
    /// is then without effect.
    pub fn subscribe(&self, filter: Filter, qos: Qos, queue: &Arc<Queue>) -> Subscription {
        let generation = self.0.router.subscribe(&filter, qos, queue);
        if let Some(others) = &self.0.others {
            others.subscribed(&filter);
        }
        Subscription {
            broker: self.clone(),
            filter,
            qos,
            queue: Arc::clone(queue),
            generation,
        }
    }

    /// Waits until what is published in other pods comes here, for a filter that was subscribed.
    ///
    /// # Errors
    /// It takes too long. It comes later.
    pub async fn known(&self, filter: &Filter) -> Result<(), Away> {
        let Some(others) = &self.0.others else {
            return Ok(());
        };
        others.known(filter).await?;
        // What was retained meanwhile may have come here and not to the subscription.
        seek_again(self.0.retained.known(filter));
        Ok(())
    }

    /// What all pods retain was read: those who subscribed before get what they have not got.
    pub(crate) fn look_at_once(&self) {
        seek_again(self.0.retained.look_again(Upto::Now, |_| false));
    }

    /// The same now and then, of what came before the last time. `is_known` says whether others know of a filter by now.
    pub(crate) fn look_again(&self, is_known: impl Fn(&Filter) -> bool) {
        seek_again(self.0.retained.look_again(Upto::LastLook, is_known));
    }

    /// What is retained, for whoever keeps it the same in all pods.
    pub(crate) fn retained(&self) -> &Retained {
        &self.0.retained
    }

    /// Gives what waits in the queue of somebody who has left a group to others of the group in this pod. How many of the
    /// messages they have room for; the rest is dropped and counted.
    pub fn hand_over(&self, filter: &Filter, queue: &Arc<Queue>) -> u64 {
        let group = self.0.router.group(filter);
        let (mut handed, mut dropped) = (0, 0);
        for message in queue.take(usize::MAX, usize::MAX).messages {
            match &group {
                Some(group) if group.offer(&message) => handed += 1,
                _ => dropped += 1,
            }
        }
        self.0.stats.discarded.fetch_add(dropped, Relaxed);
        handed
    }

    /// As [`Self::subscribe`], for a filter that the queue did not have: it also gets what is retained for it, as it
    /// takes messages. A `$share` group gets nothing of that.
    pub fn subscribe_anew(&self, filter: Filter, qos: Qos, queue: &Arc<Queue>) -> Subscription {
        if filter.group().is_some() {
            return self.subscribe(filter, qos, queue);
        }
        let subscribe = || self.subscribe(filter.clone(), qos, queue);
        let (subscription, seek) = self.0.retained.seek(&filter, queue, subscribe);
        if let Some(seek) = seek {
            queue.seek(seek);
        }
        subscription
    }

    /// The name of this pod, as its messages carry it.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.0.settings.node
    }

    /// Forgets retained messages that have become too old, as does whatever else looks at them.
    pub fn forget_old(&self) {
        self.0.retained.forget_old();
    }

    /// What was counted since the start; the gauges are of now.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.0.stats
    }
}

fn seek_again(looks: Vec<Look>) {
    for (queue, seek) in looks {
        queue.seek(seek);
    }
}

/// A queue's interest in a filter; it ends when this is dropped.
#[must_use = "dropping it unsubscribes"]
pub struct Subscription {
    broker: Broker,
    filter: Filter,
    qos: Qos,
    queue: Arc<Queue>,
    generation: u64,
}

impl Subscription {
    /// The filter as it was subscribed (mounted, if it was).
    #[must_use]
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The quality of service asked for. It does not change what is delivered: a message keeps the one
    /// it was published with.
    #[must_use]
    pub fn qos(&self) -> Qos {
        self.qos
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Subscription").field(&self.filter).finish()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let Inner {
            router,
            retained,
            others,
            ..
        } = &*self.broker.0;
        let has_ended = router.unsubscribe(&self.filter, &self.queue, self.generation);
        if let Some(others) = others {
            others.unsubscribed(&self.filter);
            if has_ended {
                retained.leave(&self.filter, &self.queue);
            }
        }
    }
}

#[cfg(test)]
mod tests;
