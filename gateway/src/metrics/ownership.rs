//! What is shown of who has which clientid.

use super::Metrics;
use crate::ownership::Ownership;

impl Metrics {
    /// Shows how clientids change hands between pods.
    pub fn observe_ownership(&self, ownership: &Ownership) {
        self.observe_counts(
            ownership.counts(),
            (
                "exproto_clientids",
                "Clientids, as they change hands between pods: claimed (this pod has got one), of them taken_over (another pod has given it up), unasked (the pod that had it could not be asked to) and alone (Redis did not answer in time); lost (another pod has got one).",
            ),
            (
                "event",
                &[
                    ("claimed", |counts| &counts.claimed),
                    ("taken_over", |counts| &counts.taken_over),
                    ("unasked", |counts| &counts.unasked),
                    ("alone", |counts| &counts.alone),
                    ("lost", |counts| &counts.lost),
                ],
            ),
        );
        let counted = ownership.clone();
        let _ = self
            .meter()
            .u64_observable_gauge("exproto_clientids_held")
            .with_description("Clientids that this pod has, of all pods.")
            .with_callback(move |gauge| gauge.observe(counted.count() as u64, &[]))
            .build();
    }
}
