//! Reading a part of what all pods retain, a page at a time; and writing back what Redis has lost of it.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use bytes::Bytes;

use super::{Era, State, entry, keys, new_era, opened};
use crate::{
    broker::{Found, Load, Message, Standing, Topic},
    cluster::{Failure, envelope, names::Partition, tasks::Shared},
    seal::Kind,
};

/// Messages that are read, written or looked for at a time. One may have almost a MiB.
const PAGE: usize = 16;
/// Topics that are looked at here before others have their turn.
const LOOKS: usize = 1_000;
/// How often what is missing is looked for anew, where something comes meanwhile; then the part is read again.
const TRIES: u32 = 3;

/// Where it goes on, 0 at the end; and entries by topic.
type Page = (u64, Vec<(Vec<u8>, Vec<u8>)>);

/// What has become of the data in Redis, as a pod sees it that has a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// It is other data.
    Era,
    /// It is what it was once: later changes are missing.
    Changes,
}

impl Loss {
    fn word(self) -> &'static str {
        match self {
            Self::Era => "era",
            Self::Changes => "changes",
        }
    }

    /// What was lost since a pod knew the part so, if something was.
    pub(super) fn between(era: &Era, standing: &Standing, now: &State) -> Option<Self> {
        if !era.name.is_empty() && era.name != now.era.name {
            Some(Self::Era)
        } else if now.number < standing.floor {
            Some(Self::Changes)
        } else {
            None
        }
    }
}

impl Shared {
    /// Reads a part into the copy here; what is not found there goes from here, unless it came later than `state` tells.
    /// Where Redis has lost data, what stands there again, and was known here to be over, goes from there.
    pub(super) async fn read_part(
        &self,
        partition: Partition,
        (standing, loss): (&Standing, Option<Loss>),
        state: &State,
    ) -> Result<(), Failure> {
        let retained = self.foreign.broker.retained();
        let load = retained.begin(partition.index(), standing);
        let over = loss
            .filter(|_| !standing.is_partial)
            .map(|_| standing.floor);
        let key = self.cluster.names.retained(partition);
        let mut cursor = 0;
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(&key).arg(cursor).arg("COUNT").arg(PAGE);
            let page: Page = self.cluster.link.command(&key, &scan).await?;
            for (topic, entry) in page.1 {
                if let Some((number, message)) = self.opened(partition, &topic, entry) {
                    self.found(&load, over, (number, &message)).await?;
                }
            }
            cursor = page.0;
            if cursor == 0 {
                break;
            }
        }
        for _ in 0..TRIES {
            if !self.drop_missing(partition, &load, state).await? {
                break;
            }
            // Something older may have come meanwhile, by another way.
            if retained.end(&load, state.number) {
                break;
            }
        }
        Ok(())
    }

    async fn found(
        &self,
        load: &Load,
        over: Option<u64>,
        (number, message): (u64, &Arc<Message>),
    ) -> Result<(), Failure> {
        let (cluster, retained) = (&*self.cluster, self.foreign.broker.retained());
        let is_over = over.is_some_and(|floor| number <= floor && !retained.keeps(&message.topic));
        let found = if is_over {
            Found::TooOld
        } else {
            retained.found(load, message, number)
        };
        match found {
            Found::New => {
                cluster.counts.retained_read.fetch_add(1, Relaxed);
                Ok(())
            }
            Found::TooOld => {
                let partition = Partition::of(message.topic.as_str());
                let entry = (&message.topic, number);
                cluster.retainer.forget(cluster, partition, entry).await
            }
            Found::Known | Found::Late | Found::NoRoom => Ok(()),
        }
    }

    /// What was not found goes from here. Whether Redis had its data all the while; else it is looked at anew.
    async fn drop_missing(
        &self,
        partition: Partition,
        load: &Load,
        state: &State,
    ) -> Result<bool, Failure> {
        let retained = self.foreign.broker.retained();
        let mut after = String::new();
        loop {
            let (missing, last) = retained.missing(load, state.number, (&after, LOOKS));
            let mut gone = Vec::new();
            for (topic, number) in &missing {
                // Where a cluster moved the part meanwhile, it is not found and stands there all the same.
                if !self.stands(partition, topic).await? {
                    gone.push((topic, *number));
                }
            }
            let now = State::read(&self.cluster, partition).await?;
            if now.era.name != state.era.name || now.number < state.number {
                return Ok(false);
            }
            for (topic, number) in gone {
                retained.lost(load, topic, number);
            }
            match last {
                Some(last) => after = last.to_string(),
                None => return Ok(true),
            }
        }
    }

    /// What stands there for a topic. What no pod of the cluster has written is passed over and counted.
    fn opened(
        &self,
        partition: Partition,
        topic: &[u8],
        entry: Vec<u8>,
    ) -> Option<(u64, Arc<Message>)> {
        let opened = opened(&self.cluster.sealer, partition, &Bytes::from(entry));
        let opened = opened.and_then(|(number, message)| {
            let is_its_own = message.topic.as_str().as_bytes() == topic;
            let is_kept = is_its_own && !message.payload.is_empty();
            is_kept
                .then_some((number, message))
                .ok_or(crate::seal::Broken::Forged)
        });
        let key = self.cluster.names.retained(partition);
        opened.map_err(|error| self.count(&key, Err(error))).ok()
    }

    /// Whether a message of the topic stands there.
    async fn stands(&self, partition: Partition, topic: &Topic) -> Result<bool, Failure> {
        let key = self.cluster.names.retained(partition);
        let mut get = redis::cmd("HGET");
        get.arg(&key).arg(topic.as_str());
        let found: Option<Vec<u8>> = self.cluster.link.command(&key, &get).await?;
        let found =
            found.and_then(|entry| self.opened(partition, topic.as_str().as_bytes(), entry));
        Ok(found.is_some())
    }

    /// Redis gets back what is kept here of a part and it has not got; but for what was changed there meanwhile.
    pub(super) async fn write_back(
        &self,
        partition: Partition,
        standing: &Standing,
        loss: Loss,
    ) -> Result<(), Failure> {
        let retained = self.foreign.broker.retained();
        let floor = standing.floor.to_string();
        let (mut after, mut written) = (String::new(), 0);
        loop {
            let entries = retained.entries(partition.index(), &after, PAGE);
            let is_last = entries.len() < PAGE;
            let whole = if is_last && !standing.is_partial {
                "whole"
            } else {
                ""
            };
            let words = [&floor, loss.word(), whole];
            match u64::try_from(self.write_page(partition, words, &entries).await?) {
                Ok(count) => written += count,
                // Somebody else has done it, or it is too late for that.
                Err(_) => break,
            }
            match entries.last() {
                Some((last, _)) if !is_last => after = last.topic.to_string(),
                _ => break,
            }
        }
        if written > 0 {
            let counts = &self.cluster.counts;
            counts.retained_restored.fetch_add(written, Relaxed);
            tracing::warn!(
                messages = written,
                part = partition.index(),
                "Redis had lost retained messages; it has them back"
            );
        }
        Ok(())
    }

    async fn write_page(
        &self,
        partition: Partition,
        [floor, loss, whole]: [&str; 3],
        entries: &[(Arc<Message>, u64)],
    ) -> Result<i64, Failure> {
        let cluster = &*self.cluster;
        let era = new_era();
        let entries = entries.iter().map(|(message, number)| {
            let sealed = cluster.sealer.seal(Kind::Retained, &envelope(message));
            let topic = message.topic.as_str().as_bytes().to_vec();
            [topic, entry(*number, &sealed)]
        });
        let entries: Vec<Vec<u8>> = entries.flatten().collect();
        let words = [&era, floor, loss, whole].map(str::as_bytes);
        let arguments: Vec<&[u8]> = words
            .into_iter()
            .chain(entries.iter().map(Vec::as_slice))
            .collect();
        let (keys, retainer) = (keys(&cluster.names, partition), &cluster.retainer);
        retainer
            .run(&cluster.link, &retainer.restore, &keys, &arguments)
            .await
    }
}
