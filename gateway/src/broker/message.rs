//! A publication as it comes in and the message it becomes: stamped once, shared by all who receive it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;

use super::topic::{Qos, Topic};
use crate::clock;

/// What somebody wants to publish.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Where to, already mounted.
    pub topic: Topic,
    /// Kept as it is on every copy.
    pub qos: Qos,
    /// The publisher's clientid, or another name for who published.
    pub from: Arc<str>,
    /// The bytes; never looked into.
    pub payload: Bytes,
    /// Whether it is kept for whoever subscribes to its topic later.
    pub retain: bool,
}

/// One published message, shared by every queue it was put in.
#[derive(Clone, Debug)]
pub struct Message {
    /// The pod it was published on.
    pub node: Arc<str>,
    /// Unique among all messages of all pods; 32 hexadecimal digits.
    pub id: Box<str>,
    /// The quality of service it was published with.
    pub qos: Qos,
    /// Who published it.
    pub from: Arc<str>,
    /// Where it was published to, with the mountpoint.
    pub topic: Topic,
    /// What was published.
    pub payload: Bytes,
    /// When it was published, in milliseconds since 1970.
    pub timestamp: u64,
}

impl Message {
    /// Bytes for tags, lengths and numbers on the wire, and for the message's header in memory.
    const OVERHEAD: usize = 64;

    /// What the message counts against limits in bytes: at least what it takes encoded.
    #[must_use]
    pub fn size(&self) -> usize {
        Self::OVERHEAD
            + self.payload.len()
            + self.topic.as_str().len()
            + self.from.len()
            + self.id.len()
            + self.node.len()
    }
}

/// Gives each publication its place and time.
pub(super) struct Stamp {
    node: Arc<str>,
    /// The first half of every id: 44 bits of the start time in ms and 20 of chance, so that pods which start
    /// in the same millisecond still differ.
    prefix: Box<str>,
    /// The second half.
    count: AtomicU64,
}

impl Stamp {
    pub(super) fn new(node: Arc<str>) -> Self {
        let prefix = (clock::now() << 20) | fastrand::u64(..1 << 20);
        Self {
            node,
            prefix: hex(prefix).collect(),
            count: AtomicU64::new(0),
        }
    }

    pub(super) fn stamp(&self, publication: Publication) -> Message {
        let id = self.next_id();
        let Publication {
            topic,
            qos,
            from,
            payload,
            retain: _,
        } = publication;
        let node = Arc::clone(&self.node);
        let payload = alone(payload);
        Message {
            node,
            id,
            qos,
            from,
            topic,
            payload,
            timestamp: clock::now(),
        }
    }

    fn next_id(&self) -> Box<str> {
        let mut id = String::with_capacity(32);
        id.push_str(&self.prefix);
        id.extend(hex(self.count.fetch_add(1, Relaxed)));
        id.into_boxed_str()
    }
}

impl Message {
    /// The same with its payload in memory of its own, whatever its size; small ones have that already.
    #[must_use]
    pub fn alone(message: Arc<Self>) -> Arc<Self> {
        if message.payload.len() < SMALL {
            return message;
        }
        Arc::new(Self {
            payload: Bytes::copy_from_slice(&message.payload),
            ..Self::clone(&message)
        })
    }
}

/// Payloads of fewer bytes are copied once.
const SMALL: usize = 64 * 1024;

/// The payload in memory of its own. It comes as a part of a buffer in which other messages may have come too; to wait
/// with that would hold many times the bytes that are counted.
fn alone(payload: Bytes) -> Bytes {
    if payload.len() < SMALL {
        Bytes::copy_from_slice(&payload)
    } else {
        payload
    }
}

fn hex(number: u64) -> impl Iterator<Item = char> {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    number
        .to_be_bytes()
        .into_iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
}
