//! What the broker counted, for the metrics; nothing here decides anything.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters grow for ever, gauges say what is now. Each is read on its own, so two may disagree for a moment.
#[derive(Debug, Default)]
pub struct Stats {
    /// Publications accepted.
    pub published: AtomicU64,
    /// Copies put into queues.
    pub delivered: AtomicU64,
    /// Publications that no queue took.
    pub unrouted: AtomicU64,
    /// Copies of `QoS` 0 dropped because a queue was full.
    pub dropped_qos0: AtomicU64,
    /// Queues full with `QoS` 1 and 2, whose connections had to close.
    pub overflowed: AtomicU64,
    /// Copies that still waited when their connection, or its session, ended.
    pub discarded: AtomicU64,
    /// Copies of `QoS` 0 for sessions without a connection.
    pub offline_qos0: AtomicU64,
    /// Copies of `QoS` 1 and 2 that full sessions dropped.
    pub session_full: AtomicU64,
    /// Copies of `QoS` 0 that were left out when the others of their batch were sent again.
    pub unrepeated: AtomicU64,
    /// Copies that were sent to the handler again.
    pub redelivered: AtomicU64,
    /// Gauge: sessions without a connection.
    pub sessions: AtomicU64,
    /// Sessions whose time was over.
    pub sessions_expired: AtomicU64,
    /// Sessions that gave way to others.
    pub sessions_evicted: AtomicU64,
    /// Sessions that were ended by their client, or by somebody who runs the pod.
    pub sessions_discarded: AtomicU64,
    /// Gauge: retained messages.
    pub retained: AtomicU64,
    /// Retained messages of other pods for which there was no room.
    pub retained_dropped: AtomicU64,
    /// Gauge: different filters with at least one subscription.
    pub filters: AtomicU64,
    /// Gauge: subscriptions, each a filter of one queue.
    pub subscriptions: AtomicU64,
}

impl Stats {
    pub(super) fn count_publication(&self, delivered: u64) {
        self.published.fetch_add(1, Relaxed);
        if delivered == 0 {
            self.unrouted.fetch_add(1, Relaxed);
        } else {
            self.delivered.fetch_add(delivered, Relaxed);
        }
    }
}
