//! What is shown of calls that are passed on to other pods.

use super::Metrics;
use crate::peers::Peers;

impl Metrics {
    /// Shows what became of calls for connections of other pods.
    pub fn observe_peers(&self, peers: &Peers) {
        self.observe_counts(
            peers.counts(),
            (
                "exproto_peer_calls",
                "Adapter calls for connections of other pods: answered by the other pod, gone (it does not live), failed (it cannot be asked, or not in time).",
            ),
            (
                "outcome",
                &[
                    ("answered", |counts| &counts.answered),
                    ("gone", |counts| &counts.gone),
                    ("failed", |counts| &counts.failed),
                ],
            ),
        );
    }
}
