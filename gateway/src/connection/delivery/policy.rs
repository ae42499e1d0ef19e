//! What to do when a handler fails.

use std::time::Duration;

use config::Affinity;

use crate::handler::stream::Credits;

/// What to do when a handler fails, as the configuration says.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What decides which handler a connection goes to.
    pub affinity: Affinity,
    /// How long to wait for a handler.
    pub park_timeout: Duration,
    /// Whether the connections of a lost handler go to another one.
    pub rebinds: bool,
    /// Whether a call that may have been seen is made again.
    pub retry_unacknowledged: bool,
    /// How long messages of `QoS` 1 and 2 are sent again while their callback fails.
    pub redelivery_timeout: Duration,
    /// The first pause between two tries; it doubles up to `backoff_max`.
    pub backoff_min: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// How long the handler of an ordered stream may take to acknowledge something.
    pub deadline: Duration,
    /// How many events of a stream may wait for that.
    pub max_events: usize,
    /// How much of its commands may wait to be carried out.
    pub command_credits: Credits,
}
