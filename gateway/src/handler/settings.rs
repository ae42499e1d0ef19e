//! How endpoints are spoken to, and what is counted of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::{
    budget::Budget,
    canary::Trial,
    discovery::Whose,
    ejection::Bench,
    gate::Gate,
    secure::Secure,
    stream::{self, Identity},
};

/// How endpoints are spoken to.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// The service whose methods are called.
    pub(super) service: &'static str,
    /// HTTP/2 connections to each address.
    pub(super) lanes: usize,
    /// A connection that is not up by then is given up.
    pub(super) connect_timeout: Duration,
    /// A call that is not answered by then is given up.
    pub(super) deadline: Duration,
    /// The pause before the first new try to connect; it doubles up to `backoff_max`.
    pub(super) backoff_min: Duration,
    /// The longest pause.
    pub(super) backoff_max: Duration,
    /// How long an endpoint stays that is no longer found.
    pub(super) removal_grace: Duration,
    /// How long it takes until a new endpoint has its whole share.
    pub(super) slow_start: Duration,
    /// Whether and how endpoints are asked how they are.
    pub(super) health: config::HealthChecks,
    /// When endpoints that fail are ejected.
    pub(super) ejection: config::Ejection,
    /// How many callbacks may be repeats.
    pub(super) retry_budget: config::RetryBudget,
    /// Calls that may be under way at an endpoint.
    pub(super) max_streams: usize,
    /// Whether fewer may be, where it does not keep up.
    pub(super) concurrency: config::Concurrency,
    /// Connections that may be bound to an endpoint.
    pub(super) max_connections: usize,
    /// Endpoints that there may be; and as many that are leaving.
    pub(super) max_endpoints: usize,
    /// Callbacks are messages of client streams, and no unary calls.
    pub(super) client_streams: bool,
    /// Where the ordered stream is spoken: how.
    pub(super) stream: Option<stream::Settings>,
}

impl Settings {
    pub(super) fn new(config: &config::Handler, identity: Identity) -> Self {
        let speaks = |service| config.service == service;
        let streams = speaks(config::HandlerService::ConnectionStream);
        let most = config.max_connections_per_endpoint;
        Self {
            service: config.service.full_name(),
            lanes: config.connections_per_endpoint as usize,
            connect_timeout: config.connect_timeout,
            deadline: config.deadline,
            backoff_min: config.backoff_min,
            backoff_max: config.backoff_max,
            removal_grace: config.removal_grace,
            slow_start: config.slow_start,
            health: config.health.clone(),
            ejection: config.ejection.clone(),
            retry_budget: config.retry_budget.clone(),
            max_streams: config.max_streams as usize,
            concurrency: config.concurrency.clone(),
            max_connections: most.map_or(usize::MAX, |most| most.get() as usize),
            max_endpoints: config.max_endpoints as usize,
            client_streams: speaks(config::HandlerService::ConnectionHandler),
            stream: streams.then(|| stream::Settings::new(&config.stream, identity)),
        }
    }

    /// A gate for the calls of one life.
    pub(super) fn gate(&self) -> Gate {
        let min = self
            .concurrency
            .enabled
            .then_some(self.concurrency.min as usize);
        Gate::new(self.max_streams, min)
    }
}

/// What the endpoints of a set share. Most of it is the same for the handler and its canary; not what one of them could
/// use up for the other: the places of the bench, the repeats of the budget, and who is woken by a free place.
#[derive(Clone)]
pub(super) struct Shared {
    /// Whose they are.
    pub(super) whose: Whose,
    pub(super) settings: Arc<Settings>,
    pub(super) secure: Arc<Secure>,
    /// Places for endpoints that are ejected.
    pub(super) bench: Arc<Bench>,
    /// Repeats of callbacks that may be made.
    pub(super) budget: Arc<Budget>,
    /// Told whenever an endpoint takes connections that it did not take before.
    pub(super) ready: Arc<Notify>,
    /// Called each time an endpoint was lost.
    pub(super) on_loss: Arc<dyn Fn() + Send + Sync>,
    pub(super) stats: Arc<Stats>,
    /// What is counted of ordered streams.
    pub(super) stream_counts: Arc<stream::Counts>,
    /// Who judges what becomes of callbacks, where they are a canary's.
    pub(super) trial: Option<Arc<Trial>>,
}

/// What is counted of all endpoints.
#[derive(Default)]
pub struct Stats {
    /// How often an endpoint was ejected.
    pub ejections: AtomicU64,
    /// How many repeats of callbacks had to wait for `retry_budget`.
    pub repeats_delayed: AtomicU64,
    resolutions: [AtomicU64; Resolution::ALL.len()],
}

/// What became of a question for the addresses of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// There are some.
    Answered,
    /// There are none.
    Empty,
    /// There was no answer, or an error.
    Failed,
}

impl Resolution {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Answered, Self::Empty, Self::Failed];

    /// Its label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Empty => "empty",
            Self::Failed => "failed",
        }
    }
}

impl Stats {
    pub(super) fn resolved(&self, resolution: Resolution) {
        self.resolutions[resolution as usize].fetch_add(1, Relaxed);
    }

    /// How many questions for a name came to this.
    #[must_use]
    pub fn resolutions(&self, resolution: Resolution) -> u64 {
        self.resolutions[resolution as usize].load(Relaxed)
    }
}
