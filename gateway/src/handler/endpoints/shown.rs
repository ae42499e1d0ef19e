//! What endpoints are like, for people and metrics.

use super::Endpoints;

impl Endpoints {
    /// How many callbacks may be under way at all of them together, and how many are.
    pub(in crate::handler) fn concurrency(&self) -> (usize, usize) {
        let endpoints = self.0.endpoints.load();
        let each = endpoints.iter().filter_map(|endpoint| endpoint.calls());
        each.fold((0, 0), |(limits, calls), (limit, under_way)| {
            (limits + limit, calls + under_way)
        })
    }

    /// How many take new connections, and of how many that are found.
    pub(in crate::handler) fn ready(&self) -> (usize, usize) {
        let endpoints = self.0.endpoints.load();
        let ready = endpoints.iter().filter(|endpoint| endpoint.is_ready());
        let found = endpoints.iter().filter(|each| each.left().is_none());
        (ready.count(), found.count())
    }

    /// Whether a connection to any of them stands.
    pub(in crate::handler) fn stand(&self) -> bool {
        let endpoints = self.0.endpoints.load();
        endpoints.iter().any(|endpoint| endpoint.stands())
    }

    /// How many are ejected.
    pub(in crate::handler) fn ejected(&self) -> usize {
        let endpoints = self.0.endpoints.load();
        endpoints.iter().filter(|each| each.is_ejected()).count()
    }

    /// How many connections each has, by address.
    pub(in crate::handler) fn connections(&self) -> Vec<(String, usize)> {
        let endpoints = self.0.endpoints.load();
        let counted = endpoints.iter();
        counted
            .map(|endpoint| (endpoint.address().to_owned(), endpoint.connections()))
            .collect()
    }

    /// Those that are not ready, and why, for a person to read.
    pub(in crate::handler) fn troubles(&self) -> Vec<String> {
        let endpoints = self.0.endpoints.load();
        let found = self.0.trouble.lock().clone();
        let each = endpoints.iter().filter_map(|endpoint| endpoint.trouble());
        found.into_iter().chain(each).collect()
    }
}
