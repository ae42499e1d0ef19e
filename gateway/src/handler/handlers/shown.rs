//! What handlers are like, for people and metrics.

use std::sync::Arc;

use super::{Handlers, Stats};
use crate::handler::{canary::Standing, stream};

impl Handlers {
    /// What is counted of ordered streams.
    #[must_use]
    pub fn stream_counts(&self) -> &Arc<stream::Counts> {
        &self.0.shared.stream_counts
    }

    /// How many callbacks may be under way at all endpoints together, and how many are.
    #[must_use]
    pub fn concurrency(&self) -> (usize, usize) {
        let (limit, under_way) = self.0.main.concurrency();
        let canary = self.0.canary.endpoints().concurrency();
        (limit + canary.0, under_way + canary.1)
    }

    /// How many endpoints take new connections, and of how many that are found. The canary does not count.
    #[must_use]
    pub fn ready(&self) -> (usize, usize) {
        self.0.main.ready()
    }

    /// Whether a connection to any endpoint stands, be it one that takes new connections or not. The canary does not
    /// count.
    #[must_use]
    pub fn stand(&self) -> bool {
        self.0.main.stand()
    }

    /// How many endpoints are ejected. The canary does not count.
    #[must_use]
    pub fn ejected(&self) -> usize {
        self.0.main.ejected()
    }

    /// How many connections each endpoint has, by address.
    #[must_use]
    pub fn connections(&self) -> Vec<(String, usize)> {
        let mut connections = self.0.main.connections();
        connections.extend(self.0.canary.endpoints().connections());
        connections
    }

    /// How the canary stands.
    #[must_use]
    pub fn canary(&self) -> Standing {
        self.0.canary.standing()
    }

    /// What was counted of them.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.0.shared.stats
    }

    /// The endpoints that are not ready, and why, for a person to read.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        self.0.main.troubles()
    }
}
