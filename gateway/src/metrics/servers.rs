//! What is counted at the servers that are not for devices: the adapter's door and callers, the management API.

use std::{collections::BTreeMap, sync::Arc};

use opentelemetry::KeyValue;
use parking_lot::Mutex;

use super::Metrics;

/// Counts by two words, each out of a closed set.
#[derive(Default)]
struct Pairs(Mutex<BTreeMap<[&'static str; 2], u64>>);

impl Pairs {
    fn add(&self, words: [&'static str; 2]) {
        *self.0.lock().entry(words).or_default() += 1;
    }
}

/// What is counted at these servers.
#[derive(Default)]
pub(super) struct Servers {
    failed_handshakes: Pairs,
    refused: Pairs,
    requests: Pairs,
}

/// A counter: its name, what it counts, its labels, and its counts.
type Counter = (
    &'static str,
    &'static str,
    [&'static str; 2],
    fn(&Servers) -> &Pairs,
);

const COUNTERS: [Counter; 3] = [
    (
        "exproto_server_handshakes_failed",
        "Connections to the adapter and the management API that did not get through TLS, by reason.",
        ["server", "reason"],
        |servers| &servers.failed_handshakes,
    ),
    (
        "exproto_adapter_refused",
        "Adapter calls that were turned away before they were read, by method and reason: no_credentials, bad_token, scope.",
        ["method", "reason"],
        |servers| &servers.refused,
    ),
    (
        "exproto_management_requests",
        "Requests to the management API, by what they are about and the class of the answer.",
        ["resource", "status"],
        |servers| &servers.requests,
    ),
];

impl Metrics {
    /// Somebody did not get through the handshake with a server.
    pub fn server_handshake_failed(&self, server: &'static str, reason: &'static str) {
        self.servers.failed_handshakes.add([server, reason]);
    }

    /// A call of the adapter was turned away.
    pub fn adapter_refused(&self, method: &'static str, reason: &'static str) {
        self.servers.refused.add([method, reason]);
    }

    /// A request to the management API was answered. Both words are out of closed sets.
    pub fn management_request(&self, resource: &'static str, status: &'static str) {
        self.servers.requests.add([resource, status]);
    }

    pub(super) fn observe_servers(self: &Arc<Self>) {
        for (name, what, labels, counts) in COUNTERS {
            let counted = Arc::downgrade(self);
            let _ = self
                .meter()
                .u64_observable_counter(name)
                .with_description(what)
                .with_callback(move |counter| {
                    let Some(counted) = counted.upgrade() else {
                        return;
                    };
                    for (words, count) in &*counts(&counted.servers).0.lock() {
                        let labels = [0, 1].map(|at| KeyValue::new(labels[at], words[at]));
                        counter.observe(*count, &labels);
                    }
                })
                .build();
        }
    }
}
