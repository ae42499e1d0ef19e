//! The canary: a second set of endpoints for a share of the connections, given up when too many callbacks fail there.

/// Whether it keeps up.
mod trial;

use std::{
    sync::{Arc, Weak},
    time::Instant,
};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::sync::Notify;

pub(super) use self::trial::Trial;
use super::{
    affinity::Seeker,
    bound::Bound,
    budget::Budget,
    discovery::{Source, Whose},
    ejection::Bench,
    endpoints::Endpoints,
    settings::Shared,
};

/// The second set, which may be empty. Clones are the same.
#[derive(Clone)]
pub(super) struct Canary(Arc<Inner>);

struct Inner {
    endpoints: Endpoints,
    trial: Arc<Trial>,
    /// Held by whoever changes where endpoints are found.
    settings: Mutex<config::Canary>,
    /// Who goes there, if anybody does.
    split: ArcSwapOption<config::Canary>,
    /// Told whenever one of its endpoints takes connections that it did not take before.
    ready: Arc<Notify>,
    /// Whoever waits for an endpoint, of this set or the other one, waits for this.
    waiting: Arc<Notify>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // So that whoever watches sees that there is nothing left to watch.
        self.trial.wake();
    }
}

/// How the canary stands.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// It gets connections.
    pub is_on: bool,
    /// Endpoints that take connections.
    pub ready: usize,
    /// Endpoints that are found.
    pub total: usize,
    /// Its callbacks that were answered, since the pod has started.
    pub ok: u64,
    /// Those that failed.
    pub failed: u64,
    /// How often it was given up.
    pub rollbacks: u64,
}

impl Canary {
    /// None yet, beside the endpoints that have this in common. Within a runtime.
    pub(super) fn start(main: &Shared) -> Self {
        let trial = Arc::new(Trial::default());
        let ready = Arc::<Notify>::default();
        let shared = Shared {
            whose: Whose::Canary,
            // Neither set takes anything from the other.
            bench: Bench::new(main.settings.ejection.max_share),
            budget: Arc::new(Budget::new(&main.settings.retry_budget, Instant::now())),
            // A free place here wakes nobody who may not take it.
            ready: ready.clone(),
            trial: Some(trial.clone()),
            ..main.clone()
        };
        let inner = Arc::new(Inner {
            endpoints: Endpoints::new(Arc::new(shared)),
            trial: trial.clone(),
            settings: Mutex::default(),
            split: ArcSwapOption::empty(),
            ready,
            waiting: main.ready.clone(),
        });
        tokio::spawn(watch(Arc::downgrade(&inner), trial));
        Self(inner)
    }

    pub(super) fn endpoints(&self) -> &Endpoints {
        &self.0.endpoints
    }

    /// A place at one of its endpoints, for a connection that goes there.
    pub(super) fn bind(&self, seeker: Seeker<'_>) -> Option<Bound> {
        self.gets(seeker)
            .then(|| self.0.endpoints.bind(seeker.wish))?
    }

    /// Whether the connection goes there, where an endpoint takes it.
    pub(super) fn gets(&self, seeker: Seeker<'_>) -> bool {
        let split = self.0.split.load();
        split.as_ref().is_some_and(|split| {
            split.names(seeker.listener, seeker.ip) || seeker.wish.is_among(split.percent.share())
        })
    }

    /// Told whenever one of its endpoints takes connections that it did not take before.
    pub(super) fn ready(&self) -> &Notify {
        &self.0.ready
    }

    /// This holds from now on, whatever came of it before.
    pub(super) fn configure(&self, settings: config::Canary, source: Source) {
        let mut current = self.0.settings.lock();
        let is_there = settings.source().is_some();
        let gets_some = is_there && settings.gets_some();
        self.0.trial.begin(settings.rollback.clone());
        self.0.endpoints.find_by(source);
        self.0
            .split
            .store(gets_some.then(|| Arc::new(settings.clone())));
        // Others may go there than before.
        self.0.waiting.notify_waiters();
        if gets_some {
            let (percent, listeners) = (&settings.percent, settings.listeners.len());
            let networks = settings.client_ips.len();
            tracing::info!(%percent, listeners, networks, "the canary gets new connections");
        } else if is_there {
            tracing::info!("the canary gets no new connections: percent is 0, and nobody is named");
        } else if current.source().is_some() {
            tracing::info!("there is no canary any more");
        }
        *current = settings;
    }

    /// How it stands.
    pub(super) fn standing(&self) -> Standing {
        let (ready, total) = self.0.endpoints.ready();
        let counts = self.0.trial.counts();
        Standing {
            is_on: self.0.split.load().is_some(),
            ready,
            total,
            ok: counts.ok,
            failed: counts.failed,
            rollbacks: counts.rollbacks,
        }
    }
}

/// Gives the canary up whenever its trial is lost.
async fn watch(canary: Weak<Inner>, trial: Arc<Trial>) {
    loop {
        trial.changed().await;
        let Some(canary) = canary.upgrade() else {
            return;
        };
        let _settings = canary.settings.lock();
        // It may have begun anew meanwhile.
        if let Some(lost) = trial.why() {
            canary.split.store(None);
            canary.endpoints.find_by(Source::none());
            tracing::error!(
                failed = lost.failed,
                callbacks = lost.callbacks,
                "too many callbacks of the canary failed (handler.canary.rollback): it is given up \
                 until handler.canary is changed"
            );
        }
    }
}
