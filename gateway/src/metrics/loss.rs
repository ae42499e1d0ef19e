//! What is shown of pods that died.

use super::Metrics;
use crate::loss::Loss;

impl Metrics {
    /// Shows what became of pods that died, and of their connections.
    pub fn observe_loss(&self, loss: &Loss) {
        self.observe_counts(
            loss.counts(),
            (
                "exproto_pod_losses",
                "Pods that nobody had heard of for a lease: inherited (another one, dead, whose handlers this one has told), answered (another one, alive, each time that it was asked), fenced (this one, which has closed its connections).",
            ),
            (
                "event",
                &[
                    ("inherited", |counts| &counts.inherited),
                    ("answered", |counts| &counts.answered),
                    ("fenced", |counts| &counts.fenced),
                ],
            ),
        );
        self.observe_counts(
            loss.counts(),
            (
                "exproto_pod_lost_connections",
                "Connections of pods that died: told (a handler has heard of it), untold (none could be told).",
            ),
            (
                "outcome",
                &[
                    ("told", |counts| &counts.told),
                    ("untold", |counts| &counts.untold),
                ],
            ),
        );
    }
}
