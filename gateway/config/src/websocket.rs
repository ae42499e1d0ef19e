//! WebSocket listeners.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ByteSize, size::KibBetween};

/// WebSocket: transports ws and wss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebSocket {
    /// The path that devices ask for, without a query; any other is answered 404. Unset: any path.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/devices")]
    pub path: Option<String>,

    /// The subprotocols that are spoken; the first of a device's that stands here is chosen, and a device that
    /// offers others only is refused. Empty: the offer is ignored.
    #[schemars(example = "[mqtt]")]
    pub subprotocols: Vec<String>,

    /// The largest message that is taken; a larger one closes the connection.
    /// `connection.inbound_limit` may not be less.
    #[serde(with = "KibBetween::<1, 64>")]
    pub max_message: ByteSize,
}

impl Default for WebSocket {
    fn default() -> Self {
        Self {
            path: None,
            subprotocols: Vec::new(),
            max_message: ByteSize::kib(64),
        }
    }
}
