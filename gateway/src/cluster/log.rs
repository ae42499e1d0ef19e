//! Messages of `QoS` 1 and 2 are kept in Redis for a while, in one stream for each part of all topics: who was away reads
//! there what it missed.

use std::{fmt, str::FromStr, time::Duration};

use parking_lot::Mutex;
use redis::FromRedisValue as _;

use super::{
    Failure, Link, Script,
    names::{PARTITIONS, Partition},
};
use crate::redis::{Answer, Piece};

/// A place in a log: when it was written, in milliseconds since 1970 by the clock of Redis, and which of that moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// The moment.
    pub ms: u64,
    /// The number.
    pub number: u64,
}

impl fmt::Display for Id {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}-{}", self.ms, self.number)
    }
}

impl FromStr for Id {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (ms, number) = text.split_once('-').ok_or(())?;
        let parse = |part: &str| part.parse().map_err(|_| ());
        Ok(Self {
            ms: parse(ms)?,
            number: parse(number)?,
        })
    }
}

impl Id {
    /// A place so long before.
    pub(super) fn before(self, time: Duration) -> Self {
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            ms: self.ms.saturating_sub(time),
            number: 0,
        }
    }
}

/// Writes messages into logs and publishes them, both or neither.
pub(super) struct Keeper {
    script: Script,
    most: String,
    age: String,
    verb: &'static str,
}

/// What is too old goes with the first message of a millisecond: the others would find nothing to do.
const KEEP: &str = r"
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'e', ARGV[1])
if string.sub(id, -2) == '-0' then
  local now = tonumber(string.match(id, '^%d+'))
  redis.call('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f', now - tonumber(ARGV[4])))
  redis.call('PEXPIRE', KEYS[1], 2 * tonumber(ARGV[4]))
end
redis.call(ARGV[5], ARGV[2], id .. ' ' .. ARGV[1])
return id
";

impl Keeper {
    /// Logs hold about so many messages each, for about that long.
    pub(super) fn new(most: u32, age: Duration, verb: &'static str) -> Self {
        Self {
            script: Script::new(KEEP),
            most: most.to_string(),
            age: age.as_millis().to_string(),
            verb,
        }
    }

    /// Adds to the piece that the message is kept in the log, and published.
    pub(super) fn write(&self, piece: &mut Piece, log: &str, channel: &str, sealed: &[u8]) {
        let arguments = self.arguments(channel, sealed);
        piece.script(&self.script, &[log], &arguments);
    }

    /// Where the message is kept, by the answer to what [`Self::write`] added.
    pub(super) async fn kept(
        &self,
        link: &Link,
        answer: Answer,
        (log, channel, sealed): (&str, &str, &[u8]),
    ) -> Result<Id, Failure> {
        let id: String = match answer {
            // A server that has just begun is taught the script.
            Err(Failure::Refused { code, .. }) if &*code == "NOSCRIPT" => {
                let arguments = self.arguments(channel, sealed);
                link.script(&self.script, &[log], &arguments).await?
            }
            answer => String::from_redis_value(answer?)
                .map_err(|error| Failure::Unexpected(error.to_string().into()))?,
        };
        id.parse()
            .map_err(|()| Failure::Unexpected(format!("{id:?} is no place in a stream").into()))
    }

    fn arguments<'a>(&'a self, channel: &'a str, sealed: &'a [u8]) -> [&'a [u8]; 5] {
        [
            sealed,
            channel.as_bytes(),
            self.most.as_bytes(),
            self.age.as_bytes(),
            self.verb.as_bytes(),
        ]
    }
}

/// How far this pod has read each log.
pub(super) struct Positions(Mutex<[Option<Id>; PARTITIONS as usize]>);

impl Default for Positions {
    fn default() -> Self {
        Self(Mutex::new([None; PARTITIONS as usize]))
    }
}

impl Positions {
    /// It has read up to there at least.
    pub(super) fn reached(&self, partition: Partition, id: Id) {
        let mut all = self.0.lock();
        let place = &mut all[partition.index()];
        *place = (*place).max(Some(id));
    }

    /// How far it has read; `None` before it was told where to begin.
    pub(super) fn get(&self, partition: Partition) -> Option<Id> {
        self.0.lock()[partition.index()]
    }

    /// It begins there, whatever was before.
    pub(super) fn begin(&self, partition: Partition, id: Id) {
        self.0.lock()[partition.index()] = Some(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_order_and_read_as_they_are_written() {
        let place = |text: &str| text.parse::<Id>().unwrap();
        assert!(place("9-10") > place("9-9") && place("10-0") > place("9-10"));
        assert_eq!(place("1700000000000-3").to_string(), "1700000000000-3");
        assert_eq!(
            place("5000-3").before(Duration::from_secs(2)),
            place("3000-0")
        );
        assert_eq!(place("5-3").before(Duration::from_secs(2)), Id::default());
        for bad in ["", "1", "1-", "-1", "a-b", "1-2-3"] {
            assert!(bad.parse::<Id>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_position_only_grows() {
        let positions = Positions::default();
        let partition = Partition::of("a");
        let id = |ms| Id { ms, number: 0 };
        assert_eq!(positions.get(partition), None);
        positions.begin(partition, id(3));
        positions.reached(partition, id(5));
        positions.reached(partition, id(4));
        assert_eq!(positions.get(partition), Some(id(5)));
    }
}
