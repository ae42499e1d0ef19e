//! Keeps the copy of what all pods retain whole: after a gap, and now and then for what nobody has told of.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::{Era, State, reading::Loss};
use crate::{
    backoff::{PAUSE, jittered},
    broker::{Known, Topic, Version},
    cluster::{Failure, names::Partition, tasks::Shared},
};

/// Parts that are looked at and read at a time.
const AT_ONCE: usize = 8;

/// How a part stood in Redis at the last look.
#[derive(Clone, Debug, Default)]
struct Last {
    era: Era,
    /// The last change, which may not have come here yet.
    number: u64,
}

/// Keeps it whole, for ever.
pub(in crate::cluster) async fn follow(shared: Arc<Shared>) {
    let mut last: Vec<Last> = Partition::all().map(|_| Last::default()).collect();
    let mut ticks = interval(shared.cluster.settings.lease / 3);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut again, mut is_behind, mut is_told) = (Instant::now(), false, false);
    loop {
        let all = tokio::select! {
            _ = ticks.tick() => true,
            () = shared.cluster.retainer.doubts.notified() => false,
            () = sleep_until(again), if is_behind => false,
        };
        let looked = shared.look_at_parts(&mut last, all).await;
        if let Err(failure) = &looked {
            tracing::debug!(%failure, "what all pods retain is not known yet");
        }
        is_behind = looked.is_err() || shared.is_behind_retained();
        again = Instant::now() + jittered(PAUSE);
        shared.let_look_again(all);
        if !is_told && shared.foreign.broker.retained().behind() == 0 {
            is_told = true;
            let messages = shared.foreign.broker.stats().retained.load(Relaxed);
            tracing::info!(messages, "knows what all pods retain");
        }
        if all && let Err(failure) = shared.forget_expired().await {
            tracing::debug!(%failure, "what was retained for too long is still in Redis");
        }
        if !all {
            // However much comes, and is lost on its way.
            sleep_until(again).await;
        }
    }
}

impl Shared {
    /// Looks at all parts whose changes are heard, or only at those of which some may be missing.
    async fn look_at_parts(&self, last: &mut [Last], all: bool) -> Result<(), Failure> {
        let retained = self.foreign.broker.retained();
        let wanted = Partition::all().filter(|partition| {
            let standing = retained.standing(partition.index());
            standing.hears && (all || standing.known != Known::All)
        });
        let looks = wanted.map(|partition| {
            let mut last = last[partition.index()].clone();
            async move {
                let looked = self.look_at_part(partition, &mut last).await;
                (partition, last, looked)
            }
        });
        let looks: Vec<_> = looks.collect();
        let looks = stream::iter(looks).buffer_unordered(AT_ONCE);
        let mut outcome = Ok(());
        for (partition, now, looked) in looks.collect::<Vec<_>>().await {
            last[partition.index()] = now;
            outcome = outcome.and(looked);
        }
        outcome
    }

    async fn look_at_part(&self, partition: Partition, last: &mut Last) -> Result<(), Failure> {
        let retained = self.foreign.broker.retained();
        let standing = retained.standing(partition.index());
        let mut state = State::read(&self.cluster, partition).await?;
        let loss = Loss::between(&last.era, &standing, &state);
        if let Some(loss) = loss {
            self.write_back(partition, &standing, loss).await?;
            state = State::read(&self.cluster, partition).await?;
        }
        let is_same = last.era == state.era;
        let is_ahead = state.number > standing.floor;
        if is_same && standing.known == Known::All {
            // What is on its way comes until the next look.
            let is_missing = is_ahead && last.number > standing.floor;
            if !is_missing {
                last.number = state.number;
                return Ok(());
            }
        }
        if is_same && !is_ahead && standing.known == Known::Some {
            retained.unchanged(partition.index(), &standing);
            return Ok(());
        }
        self.read_part(partition, (&standing, loss), &state).await?;
        last.era = state.era;
        last.number = state.number;
        Ok(())
    }

    /// Those who subscribed before all was read, or before others knew, get what they have not got.
    fn let_look_again(&self, all: bool) {
        let interest = &self.cluster.interest;
        let broker = &self.foreign.broker;
        if all {
            broker.look_again(|filter| interest.is_known(filter));
        } else {
            broker.look_at_once();
        }
    }

    /// Whether something is missing of a part whose changes are heard.
    fn is_behind_retained(&self) -> bool {
        let retained = self.foreign.broker.retained();
        let standings = Partition::all().map(|each| retained.standing(each.index()));
        let mut standings = standings.filter(|standing| standing.hears);
        standings.any(|standing| standing.known != Known::All)
    }

    /// Redis forgets what has become too old.
    async fn forget_expired(&self) -> Result<(), Failure> {
        let (cluster, retained) = (&*self.cluster, self.foreign.broker.retained());
        let forget = |(topic, version): (Topic, Version)| async move {
            let partition = Partition::of(topic.as_str());
            let entry = (&topic, version.number);
            let forgotten = cluster.retainer.forget(cluster, partition, entry).await;
            forgotten.inspect_err(|_| retained.put_back_expired(&topic, version))
        };
        let expired = stream::iter(retained.take_expired()).map(forget);
        let forgotten: Vec<_> = expired.buffer_unordered(AT_ONCE).collect().await;
        forgotten.into_iter().collect()
    }
}
