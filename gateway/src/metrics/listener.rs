//! What is counted for a listener.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

use opentelemetry::KeyValue;

use super::Metrics;

/// What is counted for a listener.
#[derive(Default)]
pub struct ListenerMetrics {
    accepted: AtomicU64,
    refused: AtomicU64,
    open: AtomicI64,
    received: AtomicU64,
    sent: AtomicU64,
}

impl ListenerMetrics {
    /// A device was let in. It counts as open until the answer is dropped.
    pub fn accepted(self: &Arc<Self>) -> Open {
        self.accepted.fetch_add(1, Relaxed);
        self.open.fetch_add(1, Relaxed);
        Open(self.clone())
    }

    /// A device was turned away because `max_connections` are open.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Bytes came from a device.
    pub fn bytes_received(&self, count: usize) {
        self.received.fetch_add(count as u64, Relaxed);
    }

    /// The socket took bytes for a device.
    pub fn bytes_sent(&self, count: u64) {
        self.sent.fetch_add(count, Relaxed);
    }
}

/// An open connection, as counted.
pub struct Open(Arc<ListenerMetrics>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

impl Metrics {
    /// Shows what is counted for a listener.
    pub fn observe_listener(&self, name: &str, counts: &Arc<ListenerMetrics>) {
        let meter = self.meter();
        let label = [KeyValue::new("listener", name.to_owned())];
        let counter =
            |instrument: &'static str, what: &'static str, read: fn(&ListenerMetrics) -> u64| {
                let (counts, label) = (counts.clone(), label.clone());
                let _ = meter
                    .u64_observable_counter(instrument)
                    .with_description(what)
                    .with_callback(move |counter| counter.observe(read(&counts), &label))
                    .build();
            };
        counter(
            "exproto_connections_accepted",
            "Devices that were let in.",
            |counts| counts.accepted.load(Relaxed),
        );
        counter(
            "exproto_connections_refused",
            "Devices that were turned away at max_connections.",
            |counts| counts.refused.load(Relaxed),
        );
        counter(
            "exproto_received_bytes",
            "Bytes read from devices.",
            |counts| counts.received.load(Relaxed),
        );
        counter(
            "exproto_sent_bytes",
            "Bytes that sockets took for devices.",
            |counts| counts.sent.load(Relaxed),
        );
        let counts = counts.clone();
        let _ = meter
            .i64_observable_gauge("exproto_connections")
            .with_description(
                "Connections that are open, or closed but not yet told to the handler.",
            )
            .with_callback(move |gauge| gauge.observe(counts.open.load(Relaxed), &label))
            .build();
    }
}
