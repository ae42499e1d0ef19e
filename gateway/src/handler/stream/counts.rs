//! What is counted of all streams of a pod.

use std::sync::atomic::AtomicU64;

/// Plain counters, which the metrics read when somebody asks.
#[derive(Debug, Default)]
pub struct Counts {
    /// Batches sent to handlers.
    pub batches_sent: AtomicU64,
    /// Batches that came from handlers.
    pub batches_received: AtomicU64,
    /// Events that were sent for the first time.
    pub events: AtomicU64,
    /// Events that were sent again.
    pub resent: AtomicU64,
    /// Commands accepted.
    pub commands: AtomicU64,
    /// Commands that were accepted before, and so ignored.
    pub repeated_commands: AtomicU64,
    /// Commands and acknowledgements for connections that are not attached to their stream.
    pub strays: AtomicU64,
    /// Connections that were closed because their handler broke the rules.
    pub faults: AtomicU64,
}
