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

pub(crate) use self::router::{Trie, Wanters};
use self::{
    message::Stamp,
    others::{Away, Others, Told},
    retained::Retained,
    router::{Recipients, Router},
};
pub use self::{
    message::{Message, Publication},
    queue::Queue,
    retained::{Full, Limits as RetainedLimits},
    session::{Keeper, Session, Subscriptions, TooMany},
    sessions::Sessions,
    stats::Stats,
    topic::{Filter, Qos, Topic},
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
    /// Other pods may not have it; subscribers here have.
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
        Self(Arc::new(Inner {
            stamp: Stamp::new(Arc::clone(&settings.node)),
            router: Router::new(Arc::clone(&stats)),
            retained: Retained::new(settings.retained, Arc::clone(&stats)),
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

    /// `Ok` once the broker has accepted the message: once it is in every matching queue here and, where it must not be
    /// lost, where other pods find it. Publications awaited one after the other arrive in that order in each queue.
    pub async fn publish(&self, publication: Publication) -> Result<(), Error> {
        let Some((mut recipients, message)) = self.route(publication)? else {
            self.0.stats.count_publication(0);
            return Ok(());
        };
        let told = self.others_to_tell(&mut recipients, &message);
        let delivered = recipients.deliver(&message).await;
        let Some((others, (told, shared))) = self.0.others.as_ref().zip(told) else {
            self.0.stats.count_publication(delivered);
            return Ok(());
        };
        self.0.stats.count_publication(delivered + shared);
        if message.qos == Qos::AtMostOnce {
            others.send(&message, told);
        } else {
            others.keep(&message, told).await?;
        }
        Ok(())
    }

    /// Like [`Self::publish`], but at once, however many there are: for the few who watch the gateway itself. Other pods
    /// may miss it.
    pub fn publish_now(&self, publication: Publication) -> Result<(), Error> {
        let Some((mut recipients, message)) = self.route(publication)? else {
            self.0.stats.count_publication(0);
            return Ok(());
        };
        let told = self.others_to_tell(&mut recipients, &message);
        let mut delivered = recipients.deliver_now(&message);
        if let Some((others, (told, shared))) = self.0.others.as_ref().zip(told) {
            delivered += shared;
            others.send(&message, told);
        }
        self.0.stats.count_publication(delivered);
        Ok(())
    }

    /// A message of another pod, for those who subscribed to its very topic.
    pub fn deliver_exact(&self, message: &Arc<Message>) {
        let recipients = self.0.router.route_exact(&message.topic);
        self.count_foreign(recipients.deliver_now(message));
    }

    /// A message of another pod, for those who subscribed with wildcards, and these groups.
    pub fn deliver_patterns(&self, message: &Arc<Message>, groups: &[Filter]) {
        let recipients = self.0.router.route_patterns(&message.topic, groups);
        self.count_foreign(recipients.deliver_now(message));
    }

    /// Waits until all who want this topic here have room for more, or until then: for whoever brings many messages at
    /// once, that no connection is closed for not having taken them in no time.
    pub async fn room(&self, topic: &Topic, until: Instant) {
        while Instant::now() < until && self.0.router.route(topic).are_crowded() {
            sleep(A_MOMENT).await;
        }
    }

    fn count_foreign(&self, delivered: u64) {
        self.0.stats.delivered.fetch_add(delivered, Relaxed);
    }

    /// Whom to tell elsewhere, where there is an elsewhere; and how many groups were served here.
    fn others_to_tell(
        &self,
        recipients: &mut Recipients,
        message: &Arc<Message>,
    ) -> Option<(Told, u64)> {
        let others = self.0.others.as_ref()?;
        let wanted = others.wanted(&message.topic);
        Some(Told::share(wanted, recipients, message))
    }

    /// The message and who gets it here, unless nobody does here or elsewhere.
    fn route(&self, publication: Publication) -> Result<Option<(Recipients, Arc<Message>)>, Error> {
        let Inner {
            settings,
            stamp,
            router,
            retained,
            others,
            ..
        } = &*self.0;
        let (size, limit) = (publication.payload.len(), settings.max_payload);
        if size > limit {
            return Err(Error::PayloadTooLarge { size, limit });
        }
        if publication.retain {
            let message = Arc::new(stamp.stamp(publication));
            let recipients = retained.keep(&message, || router.route(&message.topic))?;
            return Ok(Some((recipients, message)));
        }
        let recipients = router.route(&publication.topic);
        // Without anybody it need not even be stamped.
        let some = others.is_some() || !recipients.is_empty();
        Ok(some.then(|| (recipients, Arc::new(stamp.stamp(publication)))))
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
        match &self.0.others {
            Some(others) => others.known(filter).await,
            None => Ok(()),
        }
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
        let (subscription, seek) = self.0.retained.seek(&filter, subscribe);
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
        self.broker
            .0
            .router
            .unsubscribe(&self.filter, &self.queue, self.generation);
        if let Some(others) = &self.broker.0.others {
            others.unsubscribed(&self.filter);
        }
    }
}

#[cfg(test)]
mod tests;
