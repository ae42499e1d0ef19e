//! What all pods retain. In Redis stand the messages of each part of all topics, by topic, and beside them the number of
//! the last change. Each pod has a copy of all, hears changes over a channel of each part, in order, and reads a part in
//! whole where it may have missed some.
//!
//! Numbers are microseconds by the clock of Redis, or one more than the last: so they grow also where Redis has lost its
//! data. That is seen by its *era*, a text by chance which whoever writes first leaves there. For a while after that, pods
//! write back what they have.

/// Whether the copy is whole, again and again.
mod following;
/// Reading a part, and writing it back.
mod reading;

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use tokio::sync::Notify;

use super::{
    Failure, Inner, Link, Script,
    envelope::message,
    foreign::Came,
    names::{Names, Partition},
    tasks::Shared,
};
use crate::{
    broker::{Message, Topic, Version},
    redis::Slots,
    seal::{Broken, Kind, Sealer},
};

pub(super) use self::following::follow;

/// A removal is remembered in the first minute of an era, and after it was found that changes were lost: for whoever
/// writes back what it removed.
const WRITE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local last = redis.call('HGET', KEYS[2], 'number')
if not last then
  redis.call('HSET', KEYS[2], 'era', ARGV[6], 'since', string.format('%.0f', now), 'restored', '0')
end
local number = string.format('%.0f', math.max(now, (last or 0) + 1))
redis.call('HSET', KEYS[2], 'number', number)
local entry = number .. ' ' .. ARGV[2]
if ARGV[3] == 'keep' then
  redis.call('HSET', KEYS[1], ARGV[1], entry)
else
  redis.call('HDEL', KEYS[1], ARGV[1])
  local since, lost = redis.call('HGET', KEYS[2], 'since'), redis.call('HGET', KEYS[2], 'lost')
  if now - math.max(since or 0, lost or 0) < 60000000 then
    redis.call('HSET', KEYS[3], ARGV[1], number)
    redis.call('PEXPIRE', KEYS[3], 120000)
  end
end
redis.call(ARGV[4], ARGV[5], entry)
return number
";

/// In a new era only in its first minute, and only by who knew more than who did it before. What was written or removed
/// since is left alone. How many were written; -1 where none may be.
const RESTORE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local last = redis.call('HGET', KEYS[2], 'number')
if not last then
  redis.call('HSET', KEYS[2], 'era', ARGV[1], 'since', string.format('%.0f', now), 'restored', '0')
end
if tonumber(last or 0) < tonumber(ARGV[2]) then redis.call('HSET', KEYS[2], 'number', ARGV[2]) end
if ARGV[3] == 'era' then
  if now - (redis.call('HGET', KEYS[2], 'since') or 0) > 60000000 then return -1 end
  if tonumber(ARGV[2]) <= tonumber(redis.call('HGET', KEYS[2], 'whole') or 0) then return -1 end
else
  redis.call('HSET', KEYS[2], 'lost', string.format('%.0f', now))
end
local written = 0
for i = 5, #ARGV, 2 do
  local number = tonumber(string.match(ARGV[i + 1], '^%d+'))
  local there = string.match(redis.call('HGET', KEYS[1], ARGV[i]) or '', '^%d+') or 0
  local gone = redis.call('HGET', KEYS[3], ARGV[i]) or 0
  if number > tonumber(there) and number > tonumber(gone) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    written = written + 1
  end
end
if written > 0 then
  redis.call('HSET', KEYS[2], 'restored', (redis.call('HGET', KEYS[2], 'restored') or 0) + 1)
end
if ARGV[4] == 'whole' then redis.call('HSET', KEYS[2], 'whole', ARGV[2]) end
return written
";

/// Unless it is another one by now.
const FORGET: &str = r"
local there = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^%d+')
if there == ARGV[2] then return redis.call('HDEL', KEYS[1], ARGV[1]) end
return 0
";

/// No change has a higher number: it is of the year 2112, and numbers in Lua are exact twice as far.
const LAST: u64 = 1 << 52;

/// Between the number of a change and its message.
const BLANK: u8 = b' ';

/// What writes to Redis what all pods retain.
pub(super) struct Retainer {
    write: Script,
    restore: Script,
    forget: Script,
    verb: &'static str,
    /// Something may be missing of what is heard now.
    pub(super) doubts: Notify,
}

/// How a part stands in Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    /// The last change; 0 where there was none.
    number: u64,
    era: Era,
}

/// Which data of Redis it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Era {
    /// Empty before the first change.
    name: String,
    /// How often pods have written something back.
    restored: String,
}

impl Retainer {
    pub(super) fn new(verb: &'static str) -> Self {
        Self {
            write: Script::new(WRITE),
            restore: Script::new(RESTORE),
            forget: Script::new(FORGET),
            verb,
            doubts: Notify::new(),
        }
    }

    /// Writes the message in place of its topic's older one, or removes that if the payload is empty; and tells all pods.
    /// The number of that change.
    pub(super) async fn write(
        &self,
        cluster: &Inner,
        partition: Partition,
        message: &Message,
        sealed: &[u8],
    ) -> Result<u64, Failure> {
        let Inner { names, link, .. } = cluster;
        let what = if message.payload.is_empty() {
            "remove"
        } else {
            "keep"
        };
        let channel = names.retained_changed(partition);
        let topic = message.topic.as_str();
        let (era, verb) = (new_era(), self.verb);
        let arguments = [
            topic.as_bytes(),
            sealed,
            what.as_bytes(),
            verb.as_bytes(),
            channel.as_bytes(),
            era.as_bytes(),
        ];
        let number: String = self
            .run(link, &self.write, &keys(names, partition), &arguments)
            .await?;
        let parsed = number.parse();
        parsed.map_err(|_| Failure::Unexpected(format!("{number:?} is no number").into()))
    }

    /// Removes what has become too old, unless it is another one by now.
    async fn forget(
        &self,
        cluster: &Inner,
        partition: Partition,
        (topic, number): (&Topic, u64),
    ) -> Result<(), Failure> {
        let keys = [cluster.names.retained(partition)];
        let number = number.to_string();
        let arguments = [topic.as_str().as_bytes(), number.as_bytes()];
        let _: u8 = self
            .run(&cluster.link, &self.forget, &keys, &arguments)
            .await?;
        Ok(())
    }

    async fn run<T: redis::FromRedisValue>(
        &self,
        link: &Link,
        script: &Script,
        keys: &[String],
        arguments: &[&[u8]],
    ) -> Result<T, Failure> {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        link.script(script, &keys, arguments).await
    }
}

impl State {
    /// How a part stands now.
    async fn read(cluster: &Inner, partition: Partition) -> Result<Self, Failure> {
        let key = cluster.names.retained_state(partition);
        let mut read = redis::cmd("HGETALL");
        let fields = cluster.link.command(&key, read.arg(&key)).await?;
        let mut fields: HashMap<String, String> = fields;
        let number = fields.get("number").and_then(|number| number.parse().ok());
        Ok(Self {
            number: number.unwrap_or_default(),
            era: Era {
                name: fields.remove("era").unwrap_or_default(),
                restored: fields.remove("restored").unwrap_or_default(),
            },
        })
    }
}

/// Those of its messages, their state, and what is gone.
fn keys(names: &Names, partition: Partition) -> [String; 3] {
    [
        names.retained(partition),
        names.retained_state(partition),
        names.retained_gone(partition),
    ]
}

/// One that never was.
fn new_era() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// A message as it stands in Redis and comes over channels: behind the number of its change.
fn entry(number: u64, sealed: &[u8]) -> Vec<u8> {
    [number.to_string().as_bytes(), &[BLANK], sealed].concat()
}

/// The number of the change and the message of an entry of that part.
fn opened(
    key: &Sealer,
    partition: Partition,
    entry: &Bytes,
) -> Result<(u64, Arc<Message>), Broken> {
    let (number, sealed) = unnumbered(entry).ok_or(Broken::Foreign)?;
    let envelope = key.open(Kind::Retained, &sealed)?;
    let message = message(envelope)?;
    if Partition::of(message.topic.as_str()) != partition {
        return Err(Broken::Forged);
    }
    Ok((number, Arc::new(message)))
}

fn unnumbered(entry: &Bytes) -> Option<(u64, Bytes)> {
    let blank = entry.iter().position(|byte| *byte == BLANK)?;
    let number = std::str::from_utf8(&entry[..blank]).ok()?.parse().ok()?;
    (number <= LAST).then(|| (number, entry.slice(blank + 1..)))
}

impl Shared {
    /// Changes of parts in these slots are not heard any more.
    pub(super) fn retained_gap(&self, slots: &Slots) {
        let retained = self.foreign.broker.retained();
        for partition in self.heard_in(slots) {
            retained.gap(partition.index());
        }
    }

    /// They are from now on, and those that came meanwhile are to be read.
    pub(super) fn retained_again(&self, slots: &Slots) {
        let retained = self.foreign.broker.retained();
        for partition in self.heard_in(slots) {
            retained.again(partition.index());
        }
        self.cluster.retainer.doubts.notify_one();
    }

    fn heard_in(&self, slots: &Slots) -> impl Iterator<Item = Partition> {
        let names = &self.cluster.names;
        let channel = |each: &Partition| names.retained_changed(*each);
        Partition::all().filter(move |each| slots.hold(channel(each).as_bytes()))
    }

    /// A change came over the channel of that part.
    pub(super) fn changed(&self, partition: Partition, payload: &Bytes) -> Result<Came, Broken> {
        let (number, message) = opened(&self.cluster.sealer, partition, payload)?;
        let part = partition.index();
        let retained = self.foreign.broker.retained();
        retained.hear(&message, Version { part, number });
        Ok(Came::Own)
    }
}

#[cfg(test)]
mod tests {
    use ring::hmac;

    use super::*;

    #[test]
    fn an_entry_is_opened_in_its_part_alone() {
        let key = Sealer::new(hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]));
        let envelope = proto::cluster::Envelope {
            topic: "a".to_owned(),
            ..proto::cluster::Envelope::default()
        };
        let sealed = key.seal(Kind::Retained, &envelope);
        let part = Partition::of("a");
        let open = |entry: Vec<u8>, part| {
            let opened = opened(&key, part, &entry.into());
            opened.map(|(number, message)| (number, message.topic.to_string()))
        };
        assert_eq!(open(entry(7, &sealed), part), Ok((7, "a".to_owned())));
        let other = Partition::all().find(|each| *each != part).unwrap();
        assert_eq!(open(entry(7, &sealed), other), Err(Broken::Forged));
        let as_message = key.seal(Kind::Message, &envelope);
        assert_eq!(open(entry(7, &as_message), part), Err(Broken::Forged));
        for nonsense in [&b""[..], b"7", b"x y", b"-1 y", b" ", b"9007199254740992 y"] {
            assert_eq!(open(nonsense.to_vec(), part), Err(Broken::Foreign));
        }
    }
}
