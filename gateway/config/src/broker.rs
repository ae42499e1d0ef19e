//! What routes messages by topic.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ByteSize,
    count::Count,
    period::{Period, PeriodOrOff},
    size::KibBetween,
};

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

    /// What holds for `kind: redis` alone.
    pub shared: Shared,

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
            shared: Shared::default(),
            sys_events: false,
        }
    }
}

/// Messages published with `exproto-retain: true`: the last one of each topic is kept, and delivered to
/// whoever subscribes later. One with an empty payload removes it. With `kind: redis` they are those of all
/// pods, of which each has a copy: write the same for all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retained {
    /// How many topics may have a retained message. At the limit, one for another topic is refused
    /// with `UNKNOWN`, and delivered to nobody. One that another pod has taken, with more room, is dropped
    /// here and counted.
    #[serde(with = "Count::<1, 10_000_000>")]
    pub max_messages: u32,

    /// How many bytes all retained messages may take together, topics included; full means the same
    /// as for `max_messages`.
    #[serde(with = "KibBetween::<1024, 1_073_741_824>")]
    pub max_bytes: ByteSize,

    /// How long a retained message is kept after it was published. `off`: until it is replaced or removed,
    /// or the pod ends, or with `kind: redis` the data of Redis is lost.
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

/// Messages between pods. Subscribers in the publisher's own pod get theirs at once, and without Redis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shared {
    /// How long it may take until Redis has a message of QoS 1 or 2, one that is to be retained, or a
    /// subscription. What takes longer is answered with `UNKNOWN`. A message that was to be retained was
    /// delivered to nobody then. Another one was not kept for other pods, or nobody knows; such a
    /// subscription stands in its own pod, and in the others as soon as Redis answers.
    #[serde(with = "Period")]
    pub timeout: Duration,

    /// How many messages may wait in the pod for Redis. At the limit those of QoS 0 are dropped and counted,
    /// and those of QoS 1 and 2 wait up to `timeout`.
    #[serde(with = "Count::<1, 10_000_000>")]
    pub outbox: u32,

    /// How many bytes they may take together; full means the same as for `outbox`.
    #[serde(with = "KibBetween::<1024, 16_777_216>")]
    pub outbox_bytes: ByteSize,

    /// How many messages of QoS 1 and 2 Redis keeps, about, for pods that were away. They are kept in 128 parts by
    /// topic, and this is for each part.
    #[serde(with = "Count::<100, 10_000_000>")]
    pub log_messages: u32,

    /// For how long it keeps them, about. A pod that was away for longer may have missed some, and says so.
    #[serde(with = "Period")]
    pub log_time: Duration,

    /// How many messages of QoS 1 and 2 of other pods are remembered, so that none is delivered twice: those of
    /// the last 20 s, unless there were more. Each takes about 100 bytes.
    #[serde(with = "Count::<1_000, 100_000_000>")]
    pub remembered: u32,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            outbox: 100_000,
            outbox_bytes: ByteSize::mib(64),
            log_messages: 10_000,
            log_time: Duration::from_secs(300),
            remembered: 500_000,
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
