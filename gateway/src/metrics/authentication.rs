//! What is shown of authentication.

use std::sync::Arc;

use opentelemetry::KeyValue;

use super::Metrics;
use crate::auth::Stats;

impl Metrics {
    /// Shows what authenticators said.
    pub fn observe_authentication(&self, stats: &Arc<Stats>) {
        let meter = self.meter();
        let counted = stats.clone();
        let _ = meter
            .u64_observable_counter("exproto_authentications")
            .with_description(
                "What authenticators said of clients; `none`: refused before any was asked.",
            )
            .with_callback(move |counter| {
                counted.each(|authenticator, outcome, count| {
                    let labels = [
                        KeyValue::new("authenticator", authenticator),
                        KeyValue::new("outcome", outcome),
                    ];
                    counter.observe(count, &labels);
                });
            })
            .build();
        let counted = stats.clone();
        let _ = meter
            .u64_observable_counter("exproto_authentication_cache_hits")
            .with_description("Answers of authentication services that were used again.")
            .with_callback(move |counter| counter.observe(counted.cache_hits(), &[]))
            .build();
    }
}
