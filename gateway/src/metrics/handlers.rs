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
        self.observe_canary(handlers);
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

    /// Shows whether there is a canary, its endpoints, and what became of its callbacks.
    fn observe_canary(&self, handlers: &Handlers) {
        let counted = handlers.clone();
        let _ = self
            .meter()
            .u64_observable_gauge("exproto_canary_on")
            .with_description("Whether a canary gets connections: 1, or 0 where there is none or it was given up.")
            .with_callback(move |gauge| gauge.observe(counted.canary().is_on.into(), &[]))
            .build();
        let counted = handlers.clone();
        let _ = self
            .meter()
            .u64_observable_gauge("exproto_canary_endpoints")
            .with_description("Endpoints of the canary: found in all, ready for new connections.")
            .with_callback(move |gauge| {
                let canary = counted.canary();
                for (state, count) in [("ready", canary.ready), ("total", canary.total)] {
                    gauge.observe(count as u64, &[KeyValue::new("state", state)]);
                }
            })
            .build();
        let counted = handlers.clone();
        let _ = self
            .meter()
            .u64_observable_counter("exproto_canary_callbacks")
            .with_description("Callbacks of the canary by what its roll-back counts them as.")
            .with_callback(move |counter| {
                let canary = counted.canary();
                for (outcome, count) in [("ok", canary.ok), ("failed", canary.failed)] {
                    counter.observe(count, &[KeyValue::new("outcome", outcome)]);
                }
            })
            .build();
        let counted = handlers.clone();
        let _ = self
            .meter()
            .u64_observable_counter("exproto_canary_rollbacks")
            .with_description("How often a canary was given up because too many callbacks failed.")
            .with_callback(move |counter| counter.observe(counted.canary().rollbacks, &[]))
            .build();
    }
}
