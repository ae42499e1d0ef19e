//! What is shown of back ends.

use std::sync::atomic::Ordering::Relaxed;

use super::Metrics;
use crate::backend::Backend;

impl Metrics {
    /// Shows what the service for back ends counts.
    pub fn observe_backend(&self, backend: &Backend) {
        let counts = backend.counts();
        self.observe_counts(
            counts,
            (
                "exproto_backend_published",
                "Messages of back ends: published, refused (bad ones, or no room to retain them), unavailable (other pods may not have them).",
            ),
            (
                "outcome",
                &[
                    ("published", |counts| &counts.published),
                    ("refused", |counts| &counts.refused),
                    ("unavailable", |counts| &counts.unavailable),
                ],
            ),
        );
        self.observe_counts(
            counts,
            (
                "exproto_backend_messages",
                "Messages to subscribers of back ends: delivered (as they were published), recovered (read in a log), handed_over (given to others of a group when a member went).",
            ),
            (
                "event",
                &[
                    ("delivered", |counts| &counts.delivered),
                    ("recovered", |counts| &counts.recovered),
                    ("handed_over", |counts| &counts.handed_over),
                ],
            ),
        );
        self.observe_counts(
            counts,
            (
                "exproto_backend_trouble",
                "Trouble of subscribers of back ends: overflow (too slow for its queue), gap (told that messages may be missing).",
            ),
            (
                "kind",
                &[
                    ("overflow", |counts| &counts.overflows),
                    ("gap", |counts| &counts.gaps),
                ],
            ),
        );
        let counted = counts.clone();
        let _ = self
            .meter()
            .i64_observable_gauge("exproto_backend_subscriptions")
            .with_description("Subscriptions of back ends.")
            .with_callback(move |gauge| gauge.observe(counted.subscriptions.load(Relaxed), &[]))
            .build();
    }
}
