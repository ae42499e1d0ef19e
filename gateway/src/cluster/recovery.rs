//! Reading up what was missed, in the logs, and finding out where they do not tell.

use std::{
    collections::HashMap,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    Failure, Settings,
    foreign::{Came, Foreign, Pace},
    log::{Id, Positions},
    names::{PARTITIONS, Partition},
    reading::Holes,
    tasks::Shared,
};
use crate::seal::Broken;

/// Logs that are read at a time.
const LOGS_AT_ONCE: usize = 8;
/// Messages that are read from a log at a time.
const READ_AT_ONCE: usize = 500;
/// How much further back a log is read than seems needed: copies by channels and inboxes overtake each other.
pub(super) const OVERLAP: Duration = Duration::from_secs(10);

/// An entry of a stream: its place, its fields.
pub(super) type Entry = (String, Vec<(String, Vec<u8>)>);

/// What is known of the logs.
pub(super) struct Recovery {
    /// Since when messages of these parts may be missing, and how far their logs were read then.
    gaps: Mutex<HashMap<Partition, (Instant, Option<Id>)>>,
    /// What tells whether a log is still the one that it was.
    marks: Mutex<HashMap<Partition, String>>,
    /// How often a log did not tell all that this pod had missed.
    pub(super) holes: watch::Sender<Box<Holes>>,
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            gaps: Mutex::default(),
            marks: Mutex::default(),
            holes: watch::Sender::new(Box::new([0; PARTITIONS as usize])),
        }
    }
}

/// What a log is like.
pub(super) struct Log {
    pub(super) mark: String,
    pub(super) oldest: Option<Id>,
    pub(super) newest: Option<Id>,
    length: u64,
}

impl Recovery {
    /// How far this pod has heard of a part, and the mark of its log, unless messages of it may be missing.
    pub(super) fn reached(
        &self,
        partition: Partition,
        positions: &Positions,
    ) -> Option<(Id, String)> {
        let gaps = self.gaps.lock();
        let reached = positions.get(partition)?;
        let mark = self.marks.lock().get(&partition).cloned()?;
        (!gaps.contains_key(&partition)).then_some((reached, mark))
    }

    /// Messages of these parts may be missing from now on. Of some of them others may come meanwhile, so it is noted how
    /// far they were read.
    pub(super) fn gap(&self, partitions: &[Partition], foreign: &Foreign) {
        let mut gaps = self.gaps.lock();
        for partition in partitions {
            foreign.seen.hold(*partition, true);
            let now = || (Instant::now(), foreign.positions.get(*partition));
            gaps.entry(*partition).or_insert_with(now);
        }
    }

    /// Messages of this part are not missing any more.
    fn close(&self, partition: Partition, foreign: &Foreign) {
        self.gaps.lock().remove(&partition);
        foreign.seen.hold(partition, false);
    }
}

impl Log {
    /// Whether messages may have left it before this pod has read them. Nobody knows how many.
    pub(super) fn has_hole(
        &self,
        is_another: bool,
        reached: Id,
        away: Duration,
        settings: &Settings,
    ) -> bool {
        // Redis went back to an earlier state.
        let went_back = self.newest.is_some_and(|newest| newest < reached);
        let is_cut = self.oldest.is_none_or(|oldest| oldest > reached);
        let was_full = self.length >= settings.log_messages.into();
        is_another || went_back || (is_cut && (was_full || away > settings.log_age))
    }
}

impl Shared {
    /// Reads what came into these logs since this pod last heard of them. Whether all could be read.
    pub(super) async fn read_up(&self, partitions: &[Partition], pace: Pace) -> bool {
        let read = stream::iter(partitions.to_vec())
            .map(|partition| self.read_log(partition, pace))
            .buffer_unordered(LOGS_AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        read.iter().all(Result::is_ok)
    }

    /// Where this pod hears nothing, because it wants nothing there, its position follows the log; else it would once
    /// read again what was there long before somebody wanted it.
    pub(super) async fn advance(&self) -> Result<(), Failure> {
        let (names, positions) = (&self.cluster.names, &self.foreign.positions);
        let newest = stream::iter(Partition::all())
            .map(|partition| async move {
                let newest = self
                    .end_of(&names.log(partition), "XREVRANGE", "+", "-")
                    .await?;
                Ok::<_, Failure>((partition, newest))
            })
            .buffer_unordered(PARTITIONS.into());
        let newest: Vec<_> = newest.try_collect().await?;
        let gaps = self.recovery.gaps.lock();
        for (partition, newest) in newest {
            if let Some(newest) = newest
                && !gaps.contains_key(&partition)
                && positions.get(partition).is_some()
            {
                positions.reached(partition, newest.before(OVERLAP));
            }
        }
        Ok(())
    }

    /// The place of the first entry between two places.
    async fn end_of(
        &self,
        log: &str,
        command: &str,
        from: &str,
        to: &str,
    ) -> Result<Option<Id>, Failure> {
        let mut end = redis::cmd(command);
        end.arg(log).arg(from).arg(to).arg("COUNT").arg(1);
        let entries: Vec<Entry> = self.cluster.link.command(log, &end).await?;
        Ok(entries.first().and_then(|(id, _)| id.parse().ok()))
    }

    async fn read_log(&self, partition: Partition, pace: Pace) -> Result<(), Failure> {
        let log = self.look_at(partition).await?;
        let (positions, recovery) = (&self.foreign.positions, &self.recovery);
        let known = recovery.marks.lock().get(&partition).cloned();
        let newest = log.newest.unwrap_or_default();
        let Some((reached, known)) = positions.get(partition).zip(known) else {
            // Who has just come has missed nothing.
            positions.begin(partition, newest);
            recovery.marks.lock().insert(partition, log.mark);
            recovery.close(partition, &self.foreign);
            return Ok(());
        };
        let gap = recovery.gaps.lock().get(&partition).copied();
        let (since, before) = gap.unwrap_or_else(|| (Instant::now(), None));
        let reached = before.map_or(reached, |before| before.min(reached));
        let is_another = log.mark != known;
        let has_hole = log.has_hole(is_another, reached, since.elapsed(), &self.cluster.settings);
        if newest < reached {
            positions.begin(partition, newest);
        }
        let from = if is_another && newest < reached {
            // All of it is new, by a clock that went back.
            Id::default()
        } else {
            reached.min(newest).before(OVERLAP)
        };
        self.read_from(partition, from, pace).await?;
        recovery.marks.lock().insert(partition, log.mark);
        recovery.close(partition, &self.foreign);
        if has_hole {
            self.cluster.counts.unrecovered.fetch_add(1, Relaxed);
            let hole = |holes: &mut Box<Holes>| holes[partition.index()] += 1;
            recovery.holes.send_modify(hole);
            tracing::warn!(
                log = self.cluster.names.log(partition),
                "messages of QoS 1 and 2 may be missing: their log does not tell all that came since this pod read it"
            );
        }
        Ok(())
    }

    pub(super) async fn look_at(&self, partition: Partition) -> Result<Log, Failure> {
        let (names, link) = (&self.cluster.names, &self.cluster.link);
        let (mark, log) = (names.mark(partition), names.log(partition));
        let new = format!("{:032x}", fastrand::u128(..));
        let mut marked = redis::cmd("SET");
        marked.arg(&mark).arg(&new).arg("NX").arg("GET");
        let before: Option<String> = link.command(&mark, &marked).await?;
        Ok(Log {
            mark: before.unwrap_or(new),
            oldest: self.oldest(&log).await?,
            newest: self.end_of(&log, "XREVRANGE", "+", "-").await?,
            length: link.command(&log, redis::cmd("XLEN").arg(&log)).await?,
        })
    }

    /// The first entry of a log.
    pub(super) async fn oldest(&self, log: &str) -> Result<Option<Id>, Failure> {
        self.end_of(log, "XRANGE", "-", "+").await
    }

    /// So many entries of a log, from there on.
    pub(super) async fn range(
        &self,
        log: &str,
        from: &str,
        most: usize,
    ) -> Result<Vec<Entry>, Failure> {
        let mut range = redis::cmd("XRANGE");
        range.arg(log).arg(from).arg("+").arg("COUNT").arg(most);
        self.cluster.link.command(log, &range).await
    }

    async fn read_from(&self, partition: Partition, from: Id, pace: Pace) -> Result<(), Failure> {
        let key = self.cluster.names.log(partition);
        let mut from = from.to_string();
        loop {
            let entries = self.range(&key, &from, READ_AT_ONCE).await?;
            for (id, fields) in &entries {
                self.take(&key, id, fields, pace).await;
            }
            match entries.last() {
                Some((id, _)) if entries.len() == READ_AT_ONCE => from = format!("({id}"),
                _ => return Ok(()),
            }
        }
    }

    async fn take(&self, key: &str, id: &str, fields: &[(String, Vec<u8>)], pace: Pace) {
        let Some((id, sealed)) = sealed_in(id, fields) else {
            self.count(key, Err(Broken::Foreign));
            return;
        };
        match self.foreign.by_log(id, &sealed, pace).await {
            Ok(Came::Delivered) => drop(self.cluster.counts.recovered.fetch_add(1, Relaxed)),
            Ok(_) => {}
            Err(error) => self.count(key, Err(error)),
        }
    }
}

/// The place of an entry, and the sealed message in it.
pub(super) fn sealed_in(id: &str, fields: &[(String, Vec<u8>)]) -> Option<(Id, Bytes)> {
    let (_, sealed) = fields.iter().find(|(name, _)| name == "e")?;
    Some((id.parse().ok()?, Bytes::copy_from_slice(sealed)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ring::hmac;

    use super::*;
    use crate::seal::Sealer;

    fn settings() -> Settings {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
        Settings {
            deaf: config::Deaf::default(),
            own: "a.1".into(),
            address: String::new(),
            sealer: Arc::new(Sealer::new(key)),
            lease: Duration::from_secs(15),
            probe_interval: Duration::from_secs(5),
            log_messages: 100,
            log_age: Duration::from_secs(300),
            remembered: 1000,
            patience: Duration::from_secs(5),
            outbox: (100, 100),
        }
    }

    #[test]
    fn a_log_that_does_not_reach_back_has_a_hole() {
        let id = |ms| Some(Id { ms, number: 0 });
        let log = |mark: &str, oldest, newest, length| Log {
            mark: mark.to_owned(),
            oldest,
            newest,
            length,
        };
        let [short, far_too_long] = [10, 301].map(Duration::from_secs);
        let reached = Id { ms: 50, number: 0 };
        for (log, away, expected) in [
            (log("m", id(10), id(90), 20), short, false),
            (log("m", id(10), id(90), 100), far_too_long, false),
            // Redis has lost its data, or went back.
            (log("n", id(60), id(90), 20), short, true),
            (log("m", id(10), id(40), 20), short, true),
            // It was cut because it was full, or because the pod was away for too long.
            (log("m", id(60), id(90), 100), short, true),
            (log("m", id(60), id(90), 20), far_too_long, true),
            // It was cut by age, and nothing came in between.
            (log("m", id(60), id(90), 20), short, false),
            (log("m", None, None, 0), short, false),
            (log("m", None, None, 0), far_too_long, true),
        ] {
            let found = log.has_hole(log.mark != "m", reached, away, &settings());
            assert_eq!(
                found, expected,
                "{:?} {:?} {away:?}",
                log.oldest, log.newest
            );
        }
    }
}
