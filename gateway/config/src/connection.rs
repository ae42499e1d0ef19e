//! What one connection may hold and how long it may wait.

#![allow(clippy::doc_markdown, reason = "QoS is a word")]

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ByteSize,
    count::Count,
    period::{Period, PeriodOrZero},
    size::KibBetween,
};

/// Limits of each connection, whatever its listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Connection {
    /// How many bytes of a device may wait for the handler. Above it the socket is not read, so that
    /// the device is slowed down by TCP itself; datagrams are dropped, and counted. Of frames and
    /// WebSocket messages one waits here, and the next ones in the socket.
    #[serde(with = "KibBetween::<4, 1_048_576>")]
    pub inbound_limit: ByteSize,

    /// How many bytes that `Send` accepted may wait for the socket. At the limit, `Send` waits.
    #[serde(with = "KibBetween::<4, 1_048_576>")]
    pub outbox_limit: ByteSize,

    /// How long a device may take no byte while some wait for it, and how long `Send` may wait for
    /// room; then the connection is closed with `slow_consumer`.
    #[serde(with = "Period")]
    pub send_timeout: Duration,

    /// How long a connection that is being closed waits for the socket to take what `Send` accepted;
    /// the rest is dropped. With `0s` it does not wait.
    #[serde(with = "PeriodOrZero")]
    pub flush_timeout: Duration,

    /// How many adapter calls may wait on one connection at a time. More are refused with `UNKNOWN`.
    #[serde(with = "Count::<1, 65_535>")]
    pub max_waiting_calls: u32,

    /// How many messages may wait for the handler. When the queue is full, its oldest message of
    /// QoS 0 is dropped and counted; if it holds QoS 1 and 2 only, the connection is closed with
    /// `slow_handler`.
    #[serde(with = "Count::<1, 1_000_000>")]
    pub message_queue: u32,

    /// How many bytes these messages may take together, topics included; full means the same as for
    /// `message_queue`.
    #[serde(with = "KibBetween::<64, 1_048_576>")]
    pub message_queue_bytes: ByteSize,

    /// How many topic filters one client may be subscribed to. `Subscribe` is refused above it.
    #[serde(with = "Count::<1, 1_000_000>")]
    pub max_subscriptions: u32,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            inbound_limit: ByteSize::kib(256),
            outbox_limit: ByteSize::mib(1),
            send_timeout: Duration::from_secs(15),
            flush_timeout: Duration::from_secs(5),
            max_waiting_calls: 64,
            message_queue: 1000,
            message_queue_bytes: ByteSize::mib(4),
            max_subscriptions: 1000,
        }
    }
}
