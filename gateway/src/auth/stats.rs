//! What was counted of authentication, for the metrics; nothing here decides anything.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use config::Authenticator;

use super::Verdict;

/// The authenticators, as a metric's label; the first is for those who were refused before any was asked.
const AUTHENTICATORS: [&str; 7] = [
    "none",
    "anonymous",
    "file",
    "jwt",
    "http",
    "certificate",
    "redis",
];

const OUTCOMES: [&str; 4] = ["allow", "deny", "ignore", "unavailable"];

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Stats {
    said: [[AtomicU64; OUTCOMES.len()]; AUTHENTICATORS.len()],
    cache_hits: AtomicU64,
}

impl Stats {
    pub(super) fn said(&self, authenticator: &Authenticator, verdict: &Verdict) {
        let word = authenticator.as_str();
        let index = AUTHENTICATORS.iter().position(|each| *each == word);
        let outcome = match verdict {
            Verdict::Allow(_) => 0,
            Verdict::Deny(_) => 1,
            Verdict::Ignore => 2,
            Verdict::Unavailable(_) => 3,
        };
        self.said[index.unwrap_or(0)][outcome].fetch_add(1, Relaxed);
    }

    pub(super) fn refused_unseen(&self) {
        self.said[0][1].fetch_add(1, Relaxed);
    }

    pub(super) fn cache_hit(&self) {
        self.cache_hits.fetch_add(1, Relaxed);
    }

    /// Each count that is not zero, with its authenticator and outcome.
    pub(crate) fn each(&self, mut show: impl FnMut(&'static str, &'static str, u64)) {
        for (authenticator, counts) in AUTHENTICATORS.iter().zip(&self.said) {
            for (outcome, count) in OUTCOMES.iter().zip(counts) {
                let count = count.load(Relaxed);
                if count > 0 {
                    show(authenticator, outcome, count);
                }
            }
        }
    }

    /// Answers of services that were used again.
    pub(crate) fn cache_hits(&self) -> u64 {
        self.cache_hits.load(Relaxed)
    }
}
