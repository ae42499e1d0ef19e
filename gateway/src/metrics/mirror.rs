//! What is shown of the mirror.

use std::sync::Arc;

use opentelemetry::KeyValue;

use super::{AdapterMethod, Metrics};
use crate::mirror::{Fate, Mirror, Verdict};

impl Metrics {
    /// Shows what came of comparing the mirror with the handler, and how it is.
    pub fn observe_mirror(&self, mirror: &Arc<Mirror>) {
        let counts = mirror.counts.clone();
        let _ = self
            .meter()
            .u64_observable_counter("exproto_mirror_calls")
            .with_description(
                "Calls of the handler and of its mirror: the same, different, missing (the handler's alone), extra (the mirror's alone).",
            )
            .with_callback(move |counter| {
                for method in AdapterMethod::ALL {
                    for verdict in Verdict::ALL {
                        let labels = [
                            KeyValue::new("method", method.as_str()),
                            KeyValue::new("result", verdict.as_str()),
                        ];
                        counter.observe(counts.calls(method, verdict), &labels);
                    }
                }
            })
            .build();
        let counts = mirror.counts.clone();
        let _ = self
            .meter()
            .u64_observable_counter("exproto_mirror_connections")
            .with_description(
                "Connections that were mirrored: all the same, different, abandoned (the mirror did not keep up, or failed); and skipped, which were not.",
            )
            .with_callback(move |counter| {
                for fate in Fate::ALL {
                    let result = KeyValue::new("result", fate.as_str());
                    counter.observe(counts.connections(fate), &[result]);
                }
            })
            .build();
        self.observe_shadows(mirror);
    }

    fn observe_shadows(&self, mirror: &Arc<Mirror>) {
        let shown = mirror.clone();
        let _ = self
            .meter()
            .u64_observable_gauge("exproto_mirror_shadows")
            .with_description("Connections that are mirrored now.")
            .with_callback(move |gauge| gauge.observe(shown.len() as u64, &[]))
            .build();
        let handlers = mirror.handlers.clone();
        let _ = self
            .meter()
            .u64_observable_gauge("exproto_mirror_endpoints")
            .with_description("Endpoints of the mirror: found in all, ready for new connections.")
            .with_callback(move |gauge| {
                let (ready, total) = handlers.ready();
                for (state, count) in [("ready", ready), ("total", total)] {
                    gauge.observe(count as u64, &[KeyValue::new("state", state)]);
                }
            })
            .build();
    }
}
