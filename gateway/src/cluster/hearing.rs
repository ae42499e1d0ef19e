//! What comes from Redis, in order, and what was missed, from the logs.
//!
//! While subscriptions are being made anew, some messages come and others do not. To keep the order of each publisher,
//! nothing is delivered from the first that may be missing until the logs are read: what must not be lost is in a log,
//! and the rest is held.

use std::{
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use bytes::Bytes;
use tokio::time::sleep;

use super::{
    Failure, Pushes,
    foreign::Came,
    names::Partition,
    pods::unframed,
    tasks::{PAUSE, Shared, is_exact},
};
use crate::{
    backoff::jittered,
    redis::{Push, Slots},
    seal::Broken,
};

/// Messages of `QoS` 0 that are held. More are dropped and counted.
const HELD: usize = 10_000;

/// Who hears.
pub(super) struct Hearing {
    shared: Arc<Shared>,
    /// This pod has subscribed to its own channels.
    hears: bool,
    /// Where messages may be missing now.
    gap: Slots,
    /// Messages from there, by channel.
    held: Vec<(Bytes, Bytes)>,
}

impl Hearing {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            hears: false,
            gap: Slots::none(),
            held: Vec::new(),
        }
    }

    /// Hears what others tell, for ever.
    pub(super) async fn hear(mut self, mut pushes: Pushes) {
        let shared = self.shared.clone();
        loop {
            let push = tokio::select! {
                biased;
                () = shared.hears.notified() => {
                    self.hears = true;
                    shared.learn().await;
                    continue;
                }
                push = pushes.next() => push,
            };
            match push {
                Push::Message { channel, payload } if self.gap.hold(&channel) => {
                    self.hold(channel, payload);
                }
                Push::Message { channel, payload } => shared.heard(&channel, &payload),
                Push::Gap { slots, cause } => {
                    tracing::debug!(?cause, "messages of other pods may be missing");
                    self.gap.add(&slots);
                    let partitions = shared.partitions(&slots);
                    let positions = &shared.foreign.positions;
                    shared.recovery.gap(partitions, positions);
                }
                Push::Again { slots } => self.go_on(&slots).await,
            }
        }
    }

    /// Only what no log has: the rest is read there.
    fn hold(&mut self, channel: Bytes, payload: Bytes) {
        let is_kept = matches!(unframed(&payload), Some((Some(_), _)));
        if is_kept {
            return;
        }
        if self.held.len() < HELD {
            self.held.push((channel, payload));
        } else {
            self.shared.cluster.counts.held_up.fetch_add(1, Relaxed);
        }
    }

    /// All that is published there comes again.
    async fn go_on(&mut self, slots: &Slots) {
        if self.hears && slots.hold(self.shared.cluster.names.changed().as_bytes()) {
            self.shared.learn().await;
        }
        let partitions = self.shared.partitions(slots);
        self.shared.read_up(partitions).await;
        self.gap.remove(slots);
        let held = mem::take(&mut self.held);
        for (channel, payload) in held {
            if self.gap.hold(&channel) {
                self.held.push((channel, payload));
            } else {
                self.shared.heard(&channel, &payload);
            }
        }
    }
}

impl Shared {
    /// The parts of all topics of which messages come over channels in these slots.
    fn partitions(&self, slots: &Slots) -> Vec<Partition> {
        let names = &self.cluster.names;
        let inbox = names.inbox(&self.cluster.settings.own);
        // Any message may have come to the inbox.
        let any = slots.hold(inbox.as_bytes());
        let all = Partition::all();
        all.filter(|each| any || slots.hold(names.log(*each).as_bytes()))
            .collect()
    }

    fn heard(&self, channel: &Bytes, payload: &Bytes) {
        let cluster = &*self.cluster;
        let Ok(channel) = std::str::from_utf8(channel) else {
            return;
        };
        let came = if let Some(topic) = cluster.names.topic_in(channel) {
            self.foreign.by_topic(topic, payload)
        } else if channel == cluster.names.changed() {
            let heard = cluster.pods.heard(payload, &cluster.table);
            heard.map(|()| Came::Own)
        } else {
            self.foreign.by_inbox(payload)
        };
        self.count(channel, came);
    }

    pub(super) fn count(&self, from: &str, came: Result<Came, Broken>) {
        let counts = &self.cluster.counts;
        match came {
            Ok(Came::Delivered) => drop(counts.received.fetch_add(1, Relaxed)),
            Ok(Came::Again) => drop(counts.repeated.fetch_add(1, Relaxed)),
            Ok(Came::Own) => {}
            Ok(Came::Probe(number)) => drop(self.answered.fetch_max(number, Relaxed)),
            Err(error) => {
                // Not one line for each: whoever floods us floods no log.
                let before = counts.forged.fetch_add(1, Relaxed);
                if (before + 1).is_power_of_two() {
                    tracing::warn!(from, %error, "what came from Redis is passed over");
                }
            }
        }
    }

    /// Tells all that is wanted here, and learns all that is wanted elsewhere.
    async fn learn(&self) {
        let cluster = &*self.cluster;
        let (link, pods, table) = (&cluster.link, &cluster.pods, &cluster.table);
        loop {
            let learned = async {
                let living = pods.live(link).await?;
                {
                    // What changes from now on is told after this.
                    let _telling = self.telling.lock().await;
                    let own = cluster.interest.wanted(|filter| !is_exact(filter));
                    pods.tell_all(link, &own).await?;
                }
                table.keep(&living.others);
                pods.read(link, living.others.keys(), table).await?;
                let others = living.others.len();
                cluster.know(living);
                Ok::<_, Failure>(others)
            };
            match learned.await {
                Ok(others) => {
                    let filters = table.len();
                    tracing::info!(others, filters, "knows the other pods of the cluster");
                    return;
                }
                Err(failure) => {
                    tracing::debug!(%failure, "cannot learn what other pods want; trying again");
                    sleep(jittered(PAUSE)).await;
                }
            }
        }
    }
}
