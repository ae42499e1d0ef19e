//! What routes messages by topic.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ByteSize, count::Count, period::PeriodOrOff, size::KibBetween};

/// The broker and what it lets pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Broker {
    /// Where messages pass through.
    pub kind: BrokerKind,

    /// The largest payload of a message. `Publish` and `RawPublish` are refused above it.
    // 1 MiB is what one OnReceivedMessages carries; 64 KiB of it are left for topic and headers.
    #[serde(with = "KibBetween::<1, 960>")]
    pub max_payload: ByteSize,

    /// How many levels a topic or topic filter may have.
    #[serde(with = "Count::<1, 65_535>")]
    pub max_topic_levels: u32,

    /// Messages that are kept for whoever subscribes later.
    pub retained: Retained,

    /// Whether the pod publishes when a client comes and goes, to
    /// `$SYS/exproto/clients/<clientid>/connected` and `.../disconnected`. They tell addresses and
    /// usernames to all clients that may subscribe to them.
    pub sys_events: bool,
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            kind: BrokerKind::Memory,
            max_payload: ByteSize::kib(512),
            max_topic_levels: 128,
            retained: Retained::default(),
            sys_events: false,
        }
    }
}

/// Messages published with `exproto-retain: true`: the last one of each topic is kept, and delivered to
/// whoever subscribes later. One with an empty payload removes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retained {
    /// How many topics may have a retained message. At the limit, one for another topic is refused
    /// with `UNKNOWN`, and delivered to nobody.
    #[serde(with = "Count::<1, 10_000_000>")]
    pub max_messages: u32,

    /// How many bytes all retained messages may take together, topics included; full means the same
    /// as for `max_messages`.
    #[serde(with = "KibBetween::<1024, 1_073_741_824>")]
    pub max_bytes: ByteSize,

    /// How long a retained message is kept. `off`: until it is replaced or removed, or the pod ends.
    #[serde(with = "PeriodOrOff")]
    pub max_age: Option<Duration>,
}

impl Default for Retained {
    fn default() -> Self {
        Self {
            max_messages: 10_000,
            max_bytes: ByteSize::mib(64),
            max_age: None,
        }
    }
}

/// Where messages pass through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BrokerKind {
    /// This pod's memory; other pods see none of them.
    #[default]
    Memory,

    /// The Redis of `redis`, which all pods share. Pods must agree on conn ids, so it wants
    /// `cluster.key_file`, too.
    Redis,
}
