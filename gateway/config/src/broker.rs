//! What routes messages by topic.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ByteSize, count::Count, size::KibBetween};

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
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            kind: BrokerKind::Memory,
            max_payload: ByteSize::kib(512),
            max_topic_levels: 128,
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
}
