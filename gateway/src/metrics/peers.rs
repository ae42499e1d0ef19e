//! What is shown of calls that are passed on to other pods.

use std::sync::atomic::Ordering::Relaxed;

use opentelemetry::KeyValue;

use super::Metrics;
use crate::peers::Peers;

impl Metrics {
    /// Shows what became of calls for connections of other pods.
    pub fn observe_peers(&self, peers: &Peers) {
        let counted = peers.clone();
        let _ = self
            .meter()
            .u64_observable_counter("exproto_peer_calls")
            .with_description("Adapter calls for connections of other pods: answered by the other pod, gone (it does not live), failed (it cannot be asked, or not in time).")
            .with_callback(move |counter| {
                let counts = counted.counts();
                for (outcome, count) in [
                    ("answered", &counts.answered),
                    ("gone", &counts.gone),
                    ("failed", &counts.failed),
                ] {
                    counter.observe(count.load(Relaxed), &[KeyValue::new("outcome", outcome)]);
                }
            })
            .build();
    }
}
