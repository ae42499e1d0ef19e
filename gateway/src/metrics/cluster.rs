//! What is shown of the work with other pods.

use opentelemetry::KeyValue;

use super::Metrics;
use crate::cluster::Cluster;

impl Metrics {
    /// Shows what the cluster counts.
    pub fn observe_cluster(&self, cluster: &Cluster) {
        let counts = cluster.counts();
        self.observe_counts(
            counts,
            (
                "exproto_shared_messages",
                "Messages between pods: sent (QoS 0), dropped (copies of QoS 0 that Redis did not get), kept (QoS 1 and 2, in a log), not_kept (in no log in time), received (over channels), repeated (had come before), recovered (read from a log), held_up (QoS 0, lost while others were read from a log), forged (not written by a pod of the cluster).",
            ),
            (
                "event",
                &[
                    ("sent", |counts| &counts.sent),
                    ("dropped", |counts| &counts.dropped),
                    ("kept", |counts| &counts.kept),
                    ("not_kept", |counts| &counts.not_kept),
                    ("received", |counts| &counts.received),
                    ("repeated", |counts| &counts.repeated),
                    ("recovered", |counts| &counts.recovered),
                    ("held_up", |counts| &counts.held_up),
                    ("forged", |counts| &counts.forged),
                ],
            ),
        );
        self.observe_counts(
            counts,
            (
                "exproto_shared_gaps",
                "Parts of all topics (128) whose log did not tell all that a pod had missed of QoS 1 and 2.",
            ),
            ("recovered", &[("no", |counts| &counts.unrecovered)]),
        );
        self.observe_counts(
            counts,
            (
                "exproto_probes",
                "Messages of a pod to itself through Redis: answered (they came back), lost.",
            ),
            (
                "outcome",
                &[
                    ("answered", |counts| &counts.probes),
                    ("lost", |counts| &counts.probes_lost),
                ],
            ),
        );
        self.observe_counts(
            counts,
            (
                "exproto_shared_retained",
                "Retained messages of all pods: written (to Redis, removals too), not_written (not in time; nobody got them), read (they were missing in this pod), restored (Redis had lost them).",
            ),
            (
                "event",
                &[
                    ("written", |counts| &counts.retained),
                    ("not_written", |counts| &counts.not_retained),
                    ("read", |counts| &counts.retained_read),
                    ("restored", |counts| &counts.retained_restored),
                ],
            ),
        );
        let counted = cluster.clone();
        let _ = self
            .meter()
            .u64_observable_gauge("exproto_shared_filters")
            .with_description("Filters: own (other pods know that this one wants them), untold (they do not know yet), foreign (with wildcards or of groups, of other pods).")
            .with_callback(move |gauge| {
                let (own, untold, foreign) = counted.filters();
                for (whose, count) in [("own", own), ("untold", untold), ("foreign", foreign)] {
                    gauge.observe(count as u64, &[KeyValue::new("whose", whose)]);
                }
            })
            .build();
    }
}
