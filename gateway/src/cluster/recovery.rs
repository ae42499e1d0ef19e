//! Reading up what was missed, in the logs, and finding out where they do not tell.

use std::{
    collections::HashMap,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use tokio::time::sleep;

use super::{
    Failure,
    foreign::Came,
    log::Id,
    names::Partition,
    tasks::{PAUSE, Shared},
};
use crate::{backoff::jittered, seal::Broken};

/// Logs that are read at a time.
const LOGS_AT_ONCE: usize = 8;
/// Messages that are read from a log at a time.
const READ_AT_ONCE: usize = 500;
/// How much further back a log is read than seems needed: copies by channels and inboxes overtake each other.
pub(super) const OVERLAP: Duration = Duration::from_secs(10);

/// An entry of a stream: its place, its fields.
type Entry = (String, Vec<(String, Vec<u8>)>);

/// What is known of the logs.
#[derive(Default)]
pub(super) struct Recovery {
    /// Since when messages of these parts may be missing.
    gaps: Mutex<HashMap<Partition, Instant>>,
    /// What tells whether a log is still the one that it was.
    marks: Mutex<HashMap<Partition, String>>,
}

/// What a log is like.
struct Log {
    mark: String,
    oldest: Option<Id>,
    newest: Option<Id>,
    length: u64,
}

impl Recovery {
    /// Messages of these parts may be missing from now on.
    pub(super) fn gap(&self, partitions: Vec<Partition>) {
        let mut gaps = self.gaps.lock();
        for partition in partitions {
            gaps.entry(partition).or_insert_with(Instant::now);
        }
    }
}

impl Shared {
    /// Reads what came into these logs since this pod last heard of them; tries until it has.
    pub(super) async fn read_up(&self, mut partitions: Vec<Partition>) {
        while !partitions.is_empty() {
            let read = stream::iter(partitions)
                .map(|partition| async move { (partition, self.read_log(partition).await) })
                .buffer_unordered(LOGS_AT_ONCE)
                .collect::<Vec<_>>()
                .await;
            let failed = read.into_iter().filter(|(_, read)| read.is_err());
            partitions = failed.map(|(partition, _)| partition).collect();
            if !partitions.is_empty() {
                let failed = partitions.len();
                tracing::debug!(failed, "logs cannot be read; trying again");
                sleep(jittered(PAUSE)).await;
            }
        }
    }

    async fn read_log(&self, partition: Partition) -> Result<(), Failure> {
        let log = self.look_at(partition).await?;
        let mark = log.mark.clone();
        let known = self.recovery.marks.lock().insert(partition, mark);
        let positions = &self.foreign.positions;
        let since = self.recovery.gaps.lock().get(&partition).copied();
        let Some((reached, known)) = positions.get(partition).zip(known) else {
            // Who has just come has missed nothing.
            positions.begin(partition, log.newest.unwrap_or_default());
            return Ok(());
        };
        let away = since.map_or(Duration::ZERO, |since| since.elapsed());
        let mut from = reached.before(OVERLAP);
        if self.has_hole(&log, &known, reached, away) {
            self.cluster.counts.unrecovered.fetch_add(1, Relaxed);
            tracing::warn!(
                log = self.cluster.names.log(partition),
                "messages of QoS 1 and 2 may be missing: their log does not tell all that came since this pod read it"
            );
            from = Id::default();
            positions.begin(partition, from);
        }
        self.read_from(partition, from).await?;
        self.recovery.gaps.lock().remove(&partition);
        Ok(())
    }

    async fn look_at(&self, partition: Partition) -> Result<Log, Failure> {
        let (names, link) = (&self.cluster.names, &self.cluster.link);
        let (mark, log) = (names.mark(partition), names.log(partition));
        let new = format!("{:032x}", fastrand::u128(..));
        let mut marked = redis::cmd("SET");
        marked.arg(&mark).arg(&new).arg("NX").arg("GET");
        let before: Option<String> = link.command(&mark, &marked).await?;
        let end = async |command: &str, from: &str, to: &str| {
            let mut end = redis::cmd(command);
            end.arg(&log).arg(from).arg(to).arg("COUNT").arg(1);
            let entries: Vec<Entry> = link.command(&log, &end).await?;
            Ok::<_, Failure>(entries.first().and_then(|(id, _)| id.parse().ok()))
        };
        Ok(Log {
            mark: before.unwrap_or(new),
            oldest: end("XRANGE", "-", "+").await?,
            newest: end("XREVRANGE", "+", "-").await?,
            length: link.command(&log, redis::cmd("XLEN").arg(&log)).await?,
        })
    }

    /// Whether messages may have left the log before this pod has read them. Nobody knows how many.
    fn has_hole(&self, log: &Log, known: &str, reached: Id, away: Duration) -> bool {
        let settings = &self.cluster.settings;
        let is_another = log.mark != known;
        // Redis went back to an earlier state.
        let went_back = log.newest.is_some_and(|newest| newest < reached);
        let is_cut = log.oldest.is_none_or(|oldest| oldest > reached);
        let was_full = log.length >= settings.log_messages.into();
        is_another || went_back || (is_cut && (was_full || away > settings.log_age))
    }

    async fn read_from(&self, partition: Partition, from: Id) -> Result<(), Failure> {
        let key = self.cluster.names.log(partition);
        let mut from = from.to_string();
        loop {
            let mut range = redis::cmd("XRANGE");
            range.arg(&key).arg(&from).arg("+");
            range.arg("COUNT").arg(READ_AT_ONCE);
            let entries: Vec<Entry> = self.cluster.link.command(&key, &range).await?;
            for (id, fields) in &entries {
                self.take(&key, id, fields);
            }
            match entries.last() {
                Some((id, _)) if entries.len() == READ_AT_ONCE => from = format!("({id}"),
                _ => return Ok(()),
            }
        }
    }

    fn take(&self, key: &str, id: &str, fields: &[(String, Vec<u8>)]) {
        let sealed = fields.iter().find(|(name, _)| name == "e");
        let Some((id, (_, sealed))) = id.parse::<Id>().ok().zip(sealed) else {
            self.count(key, Err(Broken::Foreign));
            return;
        };
        match self.foreign.by_log(id, &Bytes::copy_from_slice(sealed)) {
            Ok(Came::Delivered) => drop(self.cluster.counts.recovered.fetch_add(1, Relaxed)),
            Ok(_) => {}
            Err(error) => self.count(key, Err(error)),
        }
    }
}
