//! What is shown of the handler's endpoints.

use std::sync::atomic::Ordering::Relaxed;

use opentelemetry::KeyValue;

use super::Metrics;
use crate::handler::{Handlers, Resolution};

impl Metrics {
    /// Shows endpoints, their connections, and what became of looking for them. Addresses are labels: who runs the pod
    /// chooses them, and `handler.max_endpoints` bounds them.
    pub fn observe_handlers(&self, handlers: &Handlers) {
        let counted = handlers.clone();
        let _ = self
            .meter()
            .u64_observable_gauge("exproto_handler_endpoints")
            .with_description(
                "Handler endpoints: found in all, ready for new connections, ejected.",
            )
            .with_callback(move |gauge| {
                let (ready, total) = counted.ready();
                let states = [
                    ("ready", ready),
                    ("total", total),
                    ("ejected", counted.ejected()),
                ];
                for (state, count) in states {
                    gauge.observe(count as u64, &[KeyValue::new("state", state)]);
                }
            })
            .build();
        let counted = handlers.clone();
        let _ = self
            .meter()
            .u64_observable_gauge("exproto_handler_connections")
            .with_description("Connections that are bound to a handler endpoint.")
            .with_callback(move |gauge| {
                for (endpoint, count) in counted.connections() {
                    gauge.observe(count as u64, &[KeyValue::new("endpoint", endpoint)]);
                }
            })
            .build();
        let counted = handlers.clone();
        let _ = self
            .meter()
            .u64_observable_counter("exproto_handler_ejections")
            .with_description("Handler endpoints that were ejected.")
            .with_callback(move |counter| {
                counter.observe(counted.stats().ejections.load(Relaxed), &[]);
            })
            .build();
        self.observe_calls(handlers);
        let counted = handlers.clone();
        let _ = self
            .meter()
            .u64_observable_counter("exproto_handler_resolutions")
            .with_description(
                "Questions for the addresses of the handler's name, by what came of them.",
            )
            .with_callback(move |counter| {
                for each in Resolution::ALL {
                    let outcome = KeyValue::new("outcome", each.as_str());
                    counter.observe(counted.stats().resolutions(each), &[outcome]);
                }
            })
            .build();
    }

    /// How many calls are under way, and how many may be; and repeats that had to wait.
    fn observe_calls(&self, handlers: &Handlers) {
        let counted = handlers.clone();
        let _ = self
            .meter()
            .u64_observable_gauge("exproto_handler_concurrency")
            .with_description("Unary callbacks under way at all handlers, and how many may be.")
            .with_callback(move |gauge| {
                let (limit, under_way) = counted.concurrency();
                for (state, count) in [("limit", limit), ("under_way", under_way)] {
                    gauge.observe(count as u64, &[KeyValue::new("state", state)]);
                }
            })
            .build();
        let counted = handlers.clone();
        let _ = self
            .meter()
            .u64_observable_counter("exproto_callback_repeats_delayed")
            .with_description("Repeats of callbacks that had to wait for handler.retry_budget.")
            .with_callback(move |counter| {
                counter.observe(counted.stats().repeats_delayed.load(Relaxed), &[]);
            })
            .build();
    }
}
