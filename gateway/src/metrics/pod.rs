//! What is shown of the pod's connections and calls, and of what was read again.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use opentelemetry::KeyValue;

use super::{AdapterMethod, CODES, Metrics, Outcome};
use crate::{connection::CloseReason, handler::Method};

impl Metrics {
    pub(super) fn observe_pod(self: &Arc<Self>) {
        self.counter(
            "exproto_connections_closed",
            "Connections that ended, by reason.",
            |counted, show| {
                for (reason, count) in CloseReason::ALL.iter().zip(&counted.closed) {
                    show(count, &[KeyValue::new("reason", reason.as_str())]);
                }
            },
        );
        self.counter(
            "exproto_closes_untold",
            "Connections whose OnSocketClosed no handler answered, by what went wrong.",
            |counted, show| {
                for (reason, count) in CloseReason::ALL.iter().zip(&counted.untold) {
                    if count.load(Relaxed) > 0 {
                        show(count, &[KeyValue::new("reason", reason.as_str())]);
                    }
                }
            },
        );
        self.counter(
            "exproto_callbacks",
            "Attempts to call the handler, by method and outcome.",
            |counted, show| {
                for (method, counts) in Method::ALL.iter().zip(&counted.callbacks) {
                    let method = KeyValue::new("method", method.as_str());
                    for (outcome, count) in Outcome::ALL.iter().zip(counts) {
                        let outcome = KeyValue::new("outcome", outcome.as_str());
                        show(count, &[method.clone(), outcome]);
                    }
                }
            },
        );
        self.counter(
            "exproto_adapter_calls",
            "Adapter calls answered, by method and result code.",
            |counted, show| {
                for (method, counts) in AdapterMethod::ALL.iter().zip(&counted.adapter_calls) {
                    let method = KeyValue::new("method", method.as_str());
                    for (code, count) in CODES.iter().zip(counts) {
                        let code = KeyValue::new("code", code.as_str_name());
                        show(count, &[method.clone(), code]);
                    }
                }
            },
        );
        self.observe_reloads();
        let counted = Arc::downgrade(self);
        let _ = self
            .meter()
            .i64_observable_gauge("exproto_callbacks_parked")
            .with_description("Callbacks that wait because no handler endpoint is ready.")
            .with_callback(move |gauge| {
                if let Some(counted) = counted.upgrade() {
                    gauge.observe(counted.parked.load(Relaxed), &[]);
                }
            })
            .build();
    }

    fn observe_reloads(self: &Arc<Self>) {
        let reloads = Arc::downgrade(self);
        let _ = self
            .meter()
            .u64_observable_counter("exproto_reloads")
            .with_description("Files that were read again: taken, or refused because of an error.")
            .with_callback(move |counter| {
                let Some(counted) = reloads.upgrade() else {
                    return;
                };
                for ((what, taken), count) in &*counted.reloads.lock() {
                    let outcome = if *taken { "taken" } else { "refused" };
                    let labels = [
                        KeyValue::new("what", *what),
                        KeyValue::new("outcome", outcome),
                    ];
                    counter.observe(*count, &labels);
                }
            })
            .build();
    }
}
