//! What is shown of sessions that outlive their pod.

use super::Metrics;
use crate::shared_sessions::SharedSessions;

impl Metrics {
    /// Shows what Redis is told of sessions, and how they go from pod to pod.
    pub fn observe_shared_sessions(&self, sessions: &SharedSessions) {
        self.observe_counts(
            sessions.counts(),
            (
                "exproto_shared_sessions",
                "Persistent sessions over all pods: saved (Redis was told of one), not_saved (it could not be), fetched (brought here for its client), inherited (of a dead pod, brought here), handed_over (gone to another pod); not_fetched (one could not be looked for, and its client was asked to try again), gaps (brought here, and the logs did not tell all that came in between).",
            ),
            (
                "event",
                &[
                    ("saved", |counts| &counts.saved),
                    ("not_saved", |counts| &counts.not_saved),
                    ("fetched", |counts| &counts.fetched),
                    ("inherited", |counts| &counts.inherited),
                    ("handed_over", |counts| &counts.handed_over),
                    ("not_fetched", |counts| &counts.not_fetched),
                    ("gaps", |counts| &counts.gaps),
                ],
            ),
        );
        let counted = sessions.clone();
        let _ = self
            .meter()
            .u64_observable_gauge("exproto_shared_sessions_here")
            .with_description("Persistent sessions of this pod that Redis keeps too, with and without a connection.")
            .with_callback(move |gauge| gauge.observe(counted.count() as u64, &[]))
            .build();
    }
}
