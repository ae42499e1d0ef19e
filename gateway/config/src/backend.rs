//! What back ends may take.

#![allow(clippy::doc_markdown, reason = "QoS is a word")]

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ByteSize, count::Count, period::Period, size::KibBetween};

/// Bounds of the service `exproto.gateway.v1.Backend`, by which your own services publish and subscribe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Backend {
    /// How many subscriptions there may be in this pod. More are refused with `RESOURCE_EXHAUSTED`.
    #[serde(with = "Count::<1, 100_000>")]
    pub max_subscriptions: u32,

    /// How many topic filters one subscription may have.
    #[serde(with = "Count::<1, 10_000>")]
    pub max_filters: u32,

    /// How many messages may wait for one subscriber. At the limit the oldest of QoS 0 are dropped. What does not fit of
    /// QoS 1 and 2 the gateway reads in Redis once there is room; without Redis, the subscription ends.
    #[serde(with = "Count::<1, 1_000_000>")]
    pub message_queue: u32,

    /// How many bytes these messages may take together, topics included; full means the same as for `message_queue`.
    #[serde(with = "KibBetween::<64, 1_048_576>")]
    pub message_queue_bytes: ByteSize,

    /// How many messages that a subscriber has got are remembered, so that it does not get them again when they are
    /// read in Redis, or when a second of its filters matches. Each takes about 60 bytes.
    #[serde(with = "Count::<100, 10_000_000>")]
    pub remembered: u32,

    /// How often a subscriber is told where it could go on.
    #[serde(with = "Period")]
    pub position_interval: Duration,

    /// How many calls of PublishStream there may be in this pod. More are refused with `RESOURCE_EXHAUSTED`.
    #[serde(with = "Count::<1, 100_000>")]
    pub max_publish_streams: u32,

    /// How many messages of one PublishStream may be on their way; the gateway reads no more until there are fewer.
    #[serde(with = "Count::<1, 100_000>")]
    pub max_in_flight: u32,

    /// How many bytes they may take together; full means the same as for `max_in_flight`.
    #[serde(with = "KibBetween::<64, 1_048_576>")]
    pub max_in_flight_bytes: ByteSize,
}

impl Default for Backend {
    fn default() -> Self {
        Self {
            max_subscriptions: 100,
            max_filters: 100,
            message_queue: 10_000,
            message_queue_bytes: ByteSize::mib(16),
            remembered: 100_000,
            position_interval: Duration::from_secs(1),
            max_publish_streams: 100,
            max_in_flight: 1000,
            max_in_flight_bytes: ByteSize::mib(16),
        }
    }
}
