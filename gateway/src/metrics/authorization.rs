//! What is counted of decisions about who may publish and subscribe.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use config::Permission;
use opentelemetry::KeyValue;

use super::Metrics;

/// What a decision came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecidedBy {
    /// No rule holds for the client.
    Superuser,
    /// Rules that came with its authentication.
    Granted,
    /// A file of rules.
    File,
    /// A service over HTTP.
    Http,
    /// Rules in Redis.
    Redis,
    /// What a slow source had said before.
    Cache,
    /// What holds where nothing decides.
    Default,
    /// There is nothing that could decide.
    Nothing,
    /// The topic is one of the gateway's own, and nothing allows it.
    System,
}

/// What a decision is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// It is allowed.
    Allowed,
    /// It is denied.
    Denied,
    /// It is denied because a source could not be asked.
    Failed,
}

/// Counts of decisions.
pub(super) type Decisions = [[AtomicU64; Decided::ALL.len()]; DecidedBy::ALL.len()];

impl DecidedBy {
    const ALL: [Self; 9] = [
        Self::Superuser,
        Self::Granted,
        Self::File,
        Self::Http,
        Self::Redis,
        Self::Cache,
        Self::Default,
        Self::Nothing,
        Self::System,
    ];

    /// The word in logs and as a metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Superuser => "superuser",
            Self::Granted => "granted",
            Self::File => "file",
            Self::Http => "http",
            Self::Redis => "redis",
            Self::Cache => "cache",
            Self::Default => "default",
            Self::Nothing => "nothing",
            Self::System => "system",
        }
    }
}

impl Decided {
    const ALL: [Self; 3] = [Self::Allowed, Self::Denied, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allow",
            Self::Denied => "deny",
            Self::Failed => "unavailable",
        }
    }
}

impl From<Permission> for Decided {
    fn from(permission: Permission) -> Self {
        match permission {
            Permission::Allow => Self::Allowed,
            Permission::Deny => Self::Denied,
        }
    }
}

impl Metrics {
    /// It was decided whether a client may publish or subscribe.
    pub fn authorized(&self, by: DecidedBy, decided: Decided) {
        self.decisions[by as usize][decided as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn observe_decisions(self: &Arc<Self>) {
        self.counter(
            "exproto_authorizations",
            "Publishes and subscriptions that were decided about, by what decided and how.",
            |counted, show| {
                for (by, counts) in DecidedBy::ALL.iter().zip(&counted.decisions) {
                    for (decided, count) in Decided::ALL.iter().zip(counts) {
                        if count.load(Relaxed) > 0 {
                            let labels = [
                                KeyValue::new("source", by.as_str()),
                                KeyValue::new("outcome", decided.as_str()),
                            ];
                            show(count, &labels);
                        }
                    }
                }
            },
        );
    }
}
