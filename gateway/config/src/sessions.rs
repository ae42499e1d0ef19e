//! What is kept of clients that have gone and may come back.

#![allow(clippy::doc_markdown, reason = "QoS is a word")]

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ByteSize, count::Count, period::Period, size::KibBetween};

/// Bounds of persistent sessions. A client has one if its listener's `session_expiry` or the
/// handler's `Authenticate` says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    /// The longest time for which a session outlives its connection. Handlers that ask for more get
    /// this much; the `session_expiry` of a listener must not be longer.
    #[serde(with = "Period")]
    pub max_expiry: Duration,

    /// How many sessions without a connection this pod keeps. At the limit, the one that ends first
    /// gives way.
    #[serde(with = "Count::<1, 100_000_000>")]
    pub max_sessions: u32,

    /// How many messages of QoS 1 and 2 may wait in a session without a connection. When it is full,
    /// its oldest message is dropped and counted. Messages of QoS 0 do not wait.
    #[serde(with = "Count::<1, 1_000_000>")]
    pub message_queue: u32,

    /// How many bytes these messages may take together, topics included; full means the same as for
    /// `message_queue`.
    #[serde(with = "KibBetween::<64, 1_048_576>")]
    pub message_queue_bytes: ByteSize,

    /// How many bytes all sessions without a connection may take together, messages and topic filters.
    /// When they are full, a session that gets a message drops its oldest ones for it, and one that
    /// begins to wait takes the place of those that end no later than it.
    #[serde(with = "KibBetween::<1024, 1_073_741_824>")]
    pub max_bytes: ByteSize,

    /// With `broker.kind: redis`: how often Redis is told what has changed in sessions, so that a client
    /// finds its session on any pod. What a client subscribes is kept at once. Where a pod dies, what came
    /// since is read in the logs (`broker.shared.log_time`), and messages that were delivered since may come
    /// again.
    #[serde(with = "Period")]
    pub save_interval: Duration,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            max_expiry: Duration::from_secs(24 * 3600),
            max_sessions: 100_000,
            message_queue: 1000,
            message_queue_bytes: ByteSize::mib(1),
            max_bytes: ByteSize::mib(256),
            save_interval: Duration::from_secs(5),
        }
    }
}
