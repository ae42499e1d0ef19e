//! What comes from Redis, in order, and what was missed, from the logs.
//!
//! While subscriptions are being made anew, some messages come and others do not. To keep the order of each publisher,
//! nothing is delivered from the first that may be missing until the logs are read: what must not be lost is in a log,
//! and the rest is held.

use std::{
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::{
    Failure, Inner, Pushes,
    foreign::{Came, Pace},
    names::Partition,
    pods::unframed,
    tasks::{Shared, is_exact},
};
use crate::{
    backoff::{PAUSE, jittered},
    redis::{Push, Slots},
    seal::Broken,
};

/// Messages of `QoS` 0 that are held. More are dropped and counted.
const HELD: usize = 10_000;

/// Messages that are taken before anything else has its turn.
const AT_ONCE: usize = 256;
/// How long subscribers may take at most, all in all, before what was missed is delivered at full speed.
const PATIENCE: Duration = Duration::from_secs(3);

/// Who hears. It alone changes what is known of other pods.
pub(super) struct Hearing {
    shared: Arc<Shared>,
    /// This pod has subscribed to its own channels.
    hears: bool,
    /// What others want is to be learned, in whole.
    unlearned: bool,
    /// Logs that are to be read: all of them again, until all could be.
    unread: Vec<Partition>,
    /// When that is tried again.
    again: Instant,
    /// Where messages may be missing now.
    gap: Slots,
    /// Where all that is published comes again, and what was missed is not read yet.
    regained: Slots,
    /// Messages from there, by channel.
    held: Vec<(Bytes, Bytes)>,
    /// Set while what was missed is delivered, and what came meanwhile.
    pace: Pace,
}

impl Hearing {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            hears: false,
            unlearned: false,
            unread: Vec::new(),
            again: Instant::now(),
            gap: Slots::none(),
            regained: Slots::none(),
            held: Vec::new(),
            pace: None,
        }
    }

    /// Hears what others tell, for ever.
    pub(super) async fn hear(mut self, mut pushes: Pushes) {
        let shared = self.shared.clone();
        let mut lives = interval(shared.cluster.settings.lease / 3);
        lives.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.pace.is_some() && pushes.is_empty() {
                self.pace = None;
            }
            tokio::select! {
                biased;
                () = shared.hears.notified() => {
                    self.hears = true;
                    self.unlearned = true;
                    self.shared.retained_again(&self.standing());
                    self.catch_up().await;
                }
                () = shared.doubts.notified() => {
                    self.miss(&Slots::all());
                    self.shared.retained_gap(&Slots::all());
                    self.shared.retained_again(&self.standing());
                    self.unread = Partition::all().collect();
                    self.catch_up().await;
                }
                _ = lives.tick(), if self.hears && !shared.cluster.has_left.load(Relaxed) => self.still_lives().await,
                () = sleep_until(self.again), if self.is_behind() => self.catch_up().await,
                push = pushes.next() => {
                    self.take(push).await;
                    for _ in 0..AT_ONCE {
                        let Some(push) = pushes.try_next() else { break };
                        self.take(push).await;
                    }
                }
            }
        }
    }

    async fn take(&mut self, push: Push) {
        match push {
            Push::Message { channel, payload } if self.is_held(&channel) => {
                self.hold(channel, payload);
            }
            Push::Message { channel, payload } => {
                self.shared.heard(&channel, &payload, self.pace).await;
            }
            Push::Gap { slots, cause } => {
                tracing::debug!(?cause, "messages of other pods may be missing");
                self.gap.add(&slots);
                self.regained.remove(&slots);
                self.miss(&slots);
                self.shared.retained_gap(&slots);
            }
            Push::Again { slots } => {
                if self.hears {
                    self.shared.retained_again(&slots);
                }
                self.regain(&slots).await;
            }
        }
    }

    /// Whether what comes there waits until the logs are read. Changes of what is retained have numbers.
    fn is_held(&self, channel: &[u8]) -> bool {
        let is_change = || {
            let channel = std::str::from_utf8(channel).ok();
            channel.is_some_and(|channel| self.shared.cluster.names.changed_in(channel).is_some())
        };
        self.gap.hold(channel) && !is_change()
    }

    /// Where all that is published comes.
    fn standing(&self) -> Slots {
        let mut cut = self.gap.clone();
        cut.remove(&self.regained);
        let mut standing = Slots::all();
        standing.remove(&cut);
        standing
    }

    /// Messages of these slots may be missing.
    fn miss(&self, slots: &Slots) {
        let partitions = self.shared.partitions(slots);
        self.shared.recovery.gap(&partitions, &self.shared.foreign);
    }

    fn is_behind(&self) -> bool {
        self.unlearned || !self.unread.is_empty()
    }

    /// Learns and reads what there is to learn and to read, as far as Redis answers; the rest is tried again soon.
    async fn catch_up(&mut self) {
        self.shared.is_behind.store(true, Relaxed);
        self.pace = Some(Instant::now() + PATIENCE);
        if self.unlearned {
            self.unlearned = self.shared.learn().await.is_err();
        }
        // Where one cannot be read, what comes for the others is not delivered either: so all are read again.
        if self.shared.read_up(&self.unread, self.pace).await {
            self.unread.clear();
        }
        self.again = Instant::now() + jittered(PAUSE);
        if self.unread.is_empty() {
            self.go_on().await;
        }
        self.shared.is_behind.store(self.is_behind(), Relaxed);
    }

    /// Says that this pod lives, and learns who has come and gone.
    async fn still_lives(&mut self) {
        match self.shared.still_lives().await {
            Ok(false) => {}
            Ok(true) => {
                tracing::warn!(
                    "other pods had taken this one for gone: it was not heard for cluster.lease"
                );
                // They have told it nothing since.
                self.miss(&Slots::all());
                self.unlearned = true;
                self.unread = Partition::all().collect();
                self.catch_up().await;
            }
            Err(failure) => {
                tracing::debug!(%failure, "other pods do not hear that this one lives");
                // By the time that they do, they may have taken it for gone: what comes until then is not to be
                // forgotten, so that nothing is served twice when the logs are read.
                self.miss(&Slots::all());
                self.unread = Partition::all().collect();
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
    async fn regain(&mut self, slots: &Slots) {
        self.regained.add(slots);
        let names = &self.shared.cluster.names;
        self.unlearned |= self.hears && slots.hold(names.changed().as_bytes());
        for partition in self.shared.partitions(slots) {
            let log = names.log(partition);
            // One whose own node is away is read once that is there again.
            let is_away = self.gap.hold(log.as_bytes()) && !self.regained.hold(log.as_bytes());
            if !is_away && !self.unread.contains(&partition) {
                self.unread.push(partition);
            }
        }
        self.catch_up().await;
    }

    /// All that was missed is read: what came meanwhile is delivered, and from now on what comes.
    async fn go_on(&mut self) {
        self.gap.remove(&self.regained);
        self.regained = Slots::none();
        let held = mem::take(&mut self.held);
        for (channel, payload) in held {
            if self.gap.hold(&channel) {
                self.held.push((channel, payload));
            } else {
                self.shared.heard(&channel, &payload, self.pace).await;
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

    async fn heard(&self, channel: &Bytes, payload: &Bytes, pace: Pace) {
        let cluster = &*self.cluster;
        let Ok(channel) = std::str::from_utf8(channel) else {
            return;
        };
        let came = if let Some(topic) = cluster.names.topic_in(channel) {
            self.foreign.by_topic(topic, payload, pace).await
        } else if channel == cluster.names.changed() {
            let heard = cluster.pods.heard(payload, &cluster.table);
            heard.map(|()| Came::Own)
        } else if let Some(partition) = cluster.names.changed_in(channel) {
            self.changed(partition, payload)
        } else {
            self.foreign.by_inbox(payload, pace).await
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
    async fn learn(&self) -> Result<(), Failure> {
        let cluster = &*self.cluster;
        let (link, pods, table) = (&cluster.link, &cluster.pods, &cluster.table);
        let living = pods.live(link).await?;
        {
            // What changes from now on is told after this.
            let _telling = self.telling.lock().await;
            let own = cluster.interest.wanted(|filter| !is_exact(filter));
            pods.tell_all(link, &own).await?;
        }
        table.keep(&living.others);
        pods.read(link, living.others.keys(), table).await?;
        let (others, filters) = (living.others.len(), table.len());
        tracing::info!(others, filters, "knows the other pods of the cluster");
        cluster.know(living);
        Ok(())
    }

    /// Says that this pod lives. Whether others had taken it for gone.
    async fn still_lives(&self) -> Result<bool, Failure> {
        let Inner {
            pods, link, table, ..
        } = &*self.cluster;
        let living = pods.live(link).await?;
        let was_gone = living.was_gone;
        let new = table.keep(&living.others);
        pods.read(link, &new, table).await?;
        self.cluster.know(living);
        self.advance().await?;
        Ok(was_gone)
    }
}
