//! The pods of the cluster as Redis knows them: until when each lives, and what each wants.
//!
//! A pod says again and again that it lives; one that does not for a while is forgotten. What it wants stands in a key of
//! its own, and each change also in a stream and a channel, in one step: so whoever has read the keys and hears the
//! channel misses nothing.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use proto::cluster::{Change, PodAddress};

use super::{Failure, Link, Script, interest::Changes, log::Id, names::Names, table::Table};
use crate::{
    broker::{Filter, others::Pod, topic::MAX_LEVELS},
    seal::{Broken, Kind, Sealer},
};

/// Filters in one change; more take several.
const AT_ONCE: usize = 500;
/// Changes that are kept. Nobody reads them again; they number the messages of the channel.
const CHANGES: &str = "1000";

const LIVE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local new = redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. now)) do
  redis.call('ZREM', KEYS[1], gone)
  redis.call('HDEL', KEYS[3], gone)
end
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], 3 * ARGV[2])
local fenced = redis.call('GET', KEYS[6]) and 1 or 0
if fenced == 0 then
  redis.call('ZADD', KEYS[4], now + ARGV[2], ARGV[4])
  redis.call('HSET', KEYS[5], ARGV[4], ARGV[3])
end
local silent = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', '(' .. now, 'LIMIT', 0, 16)
return {new, redis.call('HGETALL', KEYS[3]), fenced, silent, redis.call('GET', KEYS[7]) or ''}
";

const LEAVE: &str = r"
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
if ARGV[3] == 'left' then
  redis.call('ZADD', KEYS[3], 0, ARGV[2])
else
  redis.call('ZREM', KEYS[3], ARGV[2])
  redis.call('HDEL', KEYS[4], ARGV[2])
end
return 1
";

const CHANGE: &str = r"
local place = 7
if ARGV[5] == 'reset' then redis.call('DEL', KEYS[1]) end
for _ = 1, ARGV[6] do
  redis.call('SADD', KEYS[1], ARGV[place])
  place = place + 1
end
for i = place, #ARGV do redis.call('SREM', KEYS[1], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], 3 * ARGV[4])
local id = redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'p', '1')
redis.call(ARGV[2], KEYS[3], id .. ' ' .. ARGV[1])
return id
";

/// What this pod tells others of itself, and hears of them.
pub(super) struct Pods {
    names: Names,
    own: Pod,
    sealer: Arc<Sealer>,
    /// Where this one is called.
    address: String,
    lease: Duration,
    verb: &'static str,
    /// Counts the lives of this pod: one ends when others have taken it for gone and seen to what was left.
    life: AtomicU64,
    live: Script,
    leave: Script,
    change: Script,
}

/// What Redis answers to a pod that says that it lives.
type Lived = (u8, HashMap<String, Vec<u8>>, u8, Vec<String>, String);

/// Who lives.
pub(super) struct Living {
    /// Others did not know that this pod lives: it is new, or was not heard for too long.
    pub(super) was_gone: bool,
    /// The others, and where each is called; empty for one that cannot be.
    pub(super) others: HashMap<Pod, String>,
    /// Others see to what was left of this life of the pod.
    pub(super) fenced: Option<String>,
    /// Lives that nobody has heard of for a lease: some of them.
    pub(super) silent: Vec<String>,
    /// Another one than before: there are other bans.
    pub(super) bans: String,
}

impl Pods {
    pub(super) fn new(
        names: Names,
        (own, address): (Pod, String),
        sealer: Arc<Sealer>,
        lease: Duration,
        verb: &'static str,
    ) -> Self {
        Self {
            names,
            own,
            address,
            sealer,
            lease,
            verb,
            life: AtomicU64::new(1),
            live: Script::new(LIVE),
            leave: Script::new(LEAVE),
            change: Script::new(CHANGE),
        }
    }

    /// This life of the pod.
    pub(super) fn life(&self) -> String {
        format!("{}/{}", self.own, self.life.load(Relaxed))
    }

    /// It begins another one. Which.
    pub(super) fn begin_life(&self) -> String {
        self.life.fetch_add(1, Relaxed);
        self.life()
    }

    /// Says that this pod lives, and tells who does.
    pub(super) async fn live(&self, link: &Link) -> Result<Living, Failure> {
        let lease = self.lease.as_millis().to_string();
        let life = self.life();
        let keys = [
            self.names.pods(),
            self.names.filters(&self.own),
            self.names.addresses(),
            self.names.lives(),
            self.names.lives_at(),
            self.names.fence(&life),
            self.names.bans_version(),
        ];
        let keys = keys.each_ref().map(String::as_str);
        let address = self.sealer.seal(
            Kind::Address,
            &PodAddress {
                pod: self.own.as_ref().to_owned(),
                address: self.address.clone(),
            },
        );
        let arguments = [
            self.own.as_bytes(),
            lease.as_bytes(),
            &address,
            life.as_bytes(),
        ];
        let (new, pods, fenced, silent, bans): Lived =
            link.script(&self.live, &keys, &arguments).await?;
        let others = pods.into_iter().filter(|(pod, _)| **pod != *self.own);
        Ok(Living {
            was_gone: new == 1,
            others: others
                .map(|(pod, sealed)| (Pod::from(&*pod), self.address_of(&pod, sealed)))
                .collect(),
            fenced: (fenced == 1).then_some(life),
            silent,
            bans,
        })
    }

    /// Where that pod says that it is called, if it lives.
    pub(super) async fn find(&self, link: &Link, pod: &str) -> Result<Option<String>, Failure> {
        let key = self.names.addresses();
        let sealed: Option<Vec<u8>> = link
            .command(&key, redis::cmd("HGET").arg(&key).arg(pod))
            .await?;
        Ok(sealed.map(|sealed| self.address_of(pod, sealed)))
    }

    /// What a pod says of where it is called.
    pub(super) fn address_of(&self, pod: &str, sealed: Vec<u8>) -> String {
        match self
            .sealer
            .open::<PodAddress>(Kind::Address, &sealed.into())
        {
            Ok(said) if said.pod == pod => return said.address,
            Ok(_) => tracing::warn!(pod, "what it says of its address is of another pod"),
            Err(error) => tracing::warn!(pod, %error, "what it says of its address is passed over"),
        }
        String::new()
    }

    /// Tells others what has changed here.
    pub(super) async fn tell(&self, link: &Link, changes: &Changes) -> Result<(), Failure> {
        let added = changes.added.chunks(AT_ONCE).map(|some| (some, &[][..]));
        let removed = changes.removed.chunks(AT_ONCE).map(|some| (&[][..], some));
        for (added, removed) in added.chain(removed) {
            self.write(link, added, removed, false).await?;
        }
        Ok(())
    }

    /// Tells others that this pod wants these, and nothing else.
    pub(super) async fn tell_all(&self, link: &Link, filters: &[Filter]) -> Result<(), Failure> {
        let (first, rest) = filters.split_at(filters.len().min(AT_ONCE));
        self.write(link, first, &[], true).await?;
        for some in rest.chunks(AT_ONCE) {
            self.write(link, some, &[], false).await?;
        }
        Ok(())
    }

    /// Tells others that this pod is gone; and, where handlers were not told of all or there are sessions, that one of them
    /// is to see to that.
    pub(super) async fn leave(
        &self,
        link: &Link,
        (all_told, has_sessions): (bool, bool),
    ) -> Result<(), Failure> {
        let is_something_left = !all_told || has_sessions;
        self.write(link, &[], &[], true).await?;
        let life = self.life();
        let keys = [
            self.names.pods(),
            self.names.addresses(),
            self.names.lives(),
            self.names.lives_at(),
        ];
        let keys = keys.each_ref().map(String::as_str);
        let left: &[u8] = if is_something_left { b"left" } else { b"" };
        let arguments = [self.own.as_bytes(), life.as_bytes(), left];
        if all_told {
            // Before anybody sees to it: the last ends are written in batches.
            let known = self.names.known(&life);
            let _: u8 = link.command(&known, redis::cmd("DEL").arg(&known)).await?;
        }
        link.script::<u8>(&self.leave, &keys, &arguments).await?;
        Ok(())
    }

    async fn write(
        &self,
        link: &Link,
        added: &[Filter],
        removed: &[Filter],
        reset: bool,
    ) -> Result<(), Failure> {
        let texts = |filters: &[Filter]| filters.iter().map(ToString::to_string).collect();
        let sealed = self.sealer.seal(
            Kind::Change,
            &Change {
                pod: self.own.as_ref().to_owned(),
                added: texts(added),
                removed: texts(removed),
                reset,
            },
        );
        let (lease, count) = (self.lease.as_millis().to_string(), added.len().to_string());
        let mut arguments = vec![
            &sealed[..],
            self.verb.as_bytes(),
            CHANGES.as_bytes(),
            lease.as_bytes(),
            if reset { b"reset" } else { b"" },
            count.as_bytes(),
        ];
        let filters = added.iter().chain(removed);
        arguments.extend(filters.map(|filter| filter.as_str().as_bytes()));
        let keys = [
            self.names.filters(&self.own),
            self.names.changes(),
            self.names.changed().to_owned(),
        ];
        let keys = keys.each_ref().map(String::as_str);
        let _: String = link.script(&self.change, &keys, &arguments).await?;
        Ok(())
    }

    /// Reads what all of these pods want into the table.
    pub(super) async fn read<'a>(
        &self,
        link: &Link,
        pods: impl IntoIterator<Item = &'a Pod>,
        table: &Table,
    ) -> Result<(), Failure> {
        for pod in pods {
            let key = self.names.filters(pod);
            let texts: Vec<String> = link.command(&key, redis::cmd("SMEMBERS").arg(&key)).await?;
            let filters = texts.iter().filter_map(|text| read(text, &key));
            table.replace(pod, filters.collect());
        }
        Ok(())
    }

    /// A change that another pod has told. Its own are passed over.
    pub(super) fn heard(&self, payload: &Bytes, table: &Table) -> Result<(), Broken> {
        let (_, sealed) = unframed(payload).ok_or(Broken::Foreign)?;
        let change: Change = self.sealer.open(Kind::Change, &sealed)?;
        if change.pod == *self.own {
            return Ok(());
        }
        let pod = Pod::from(change.pod);
        let origin = &*pod;
        let filters = |texts: &[String]| {
            let filters = texts.iter().filter_map(|text| read(text, origin));
            filters.collect::<Vec<_>>()
        };
        if change.reset {
            table.replace(&pod, filters(&change.added));
        } else {
            for filter in filters(&change.added) {
                table.add(&pod, filter);
            }
        }
        for filter in filters(&change.removed) {
            table.remove(&pod, &filter);
        }
        Ok(())
    }
}

/// What another pod has written as a filter.
fn read(text: &str, origin: &str) -> Option<Filter> {
    match Filter::parse(text, MAX_LEVELS) {
        Ok(filter) => Some(filter),
        Err(error) => {
            tracing::warn!(origin, %error, "what stands there is no filter; it is passed over");
            None
        }
    }
}

/// The place in a log, if there is one, and the sealed message of what came over a channel.
pub(super) fn unframed(payload: &Bytes) -> Option<(Option<Id>, Bytes)> {
    let blank = payload.iter().position(|byte| *byte == b' ')?;
    let id = std::str::from_utf8(&payload[..blank]).ok()?;
    let id = match id {
        "" => None,
        id => Some(id.parse().ok()?),
    };
    Some((id, payload.slice(blank + 1..)))
}
