//! What endpoints are like, for people and metrics.

use std::sync::Arc;

use super::{Handlers, Stats, stream};

impl Handlers {
    /// What is counted of ordered streams.
    #[must_use]
    pub fn stream_counts(&self) -> &Arc<stream::Counts> {
        &self.0.shared.stream_counts
    }

    /// How many callbacks may be under way at all endpoints together, and how many are.
    #[must_use]
    pub fn concurrency(&self) -> (usize, usize) {
        let endpoints = self.0.endpoints.load();
        let each = endpoints.iter().filter_map(|endpoint| endpoint.calls());
        each.fold((0, 0), |(limits, calls), (limit, under_way)| {
            (limits + limit, calls + under_way)
        })
    }

    /// How many endpoints take new connections, and of how many that are found.
    #[must_use]
    pub fn ready(&self) -> (usize, usize) {
        let endpoints = self.0.endpoints.load();
        let ready = endpoints.iter().filter(|endpoint| endpoint.is_ready());
        let found = endpoints.iter().filter(|each| each.left().is_none());
        (ready.count(), found.count())
    }

    /// How many endpoints are ejected.
    #[must_use]
    pub fn ejected(&self) -> usize {
        let endpoints = self.0.endpoints.load();
        endpoints.iter().filter(|each| each.is_ejected()).count()
    }

    /// How many connections each endpoint has, by address.
    #[must_use]
    pub fn connections(&self) -> Vec<(String, usize)> {
        let endpoints = self.0.endpoints.load();
        let counted = endpoints.iter();
        counted
            .map(|endpoint| (endpoint.address().to_owned(), endpoint.connections()))
            .collect()
    }

    /// What was counted of them.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.0.shared.stats
    }

    /// The endpoints that are not ready, and why, for a person to read.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let endpoints = self.0.endpoints.load();
        let found = self.0.trouble.lock().clone();
        let each = endpoints.iter().filter_map(|endpoint| endpoint.trouble());
        found.into_iter().chain(each).collect()
    }
}
