//! The canary: a second set of endpoints for a share of the connections, given up when too many callbacks fail there.

/// Whether it keeps up.
mod trial;

use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

pub(super) use self::trial::Trial;
use super::{
    affinity::Seeker, bound::Bound, discovery::Source, ejection::Bench, endpoints::Endpoints,
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
        let shared = Shared {
            // Endpoints of one set take no places from the other.
            bench: Bench::new(main.settings.ejection.max_share),
            trial: Some(trial.clone()),
            ..main.clone()
        };
        let inner = Arc::new(Inner {
            endpoints: Endpoints::new(Arc::new(shared)),
            trial: trial.clone(),
            settings: Mutex::default(),
            split: ArcSwapOption::empty(),
        });
        tokio::spawn(watch(Arc::downgrade(&inner), trial));
        Self(inner)
    }

    pub(super) fn endpoints(&self) -> &Endpoints {
        &self.0.endpoints
    }

    /// A place at one of its endpoints, for a connection that goes there.
    pub(super) fn bind(&self, seeker: Seeker<'_>) -> Option<Bound> {
        let split = self.0.split.load();
        let goes = split.as_ref().is_some_and(|split| {
            split.names(seeker.listener, seeker.ip) || seeker.wish.is_among(split.percent.share())
        });
        goes.then(|| self.0.endpoints.bind(seeker.wish))?
    }

    /// This holds from now on, whatever came of it before.
    pub(super) fn configure(&self, settings: config::Canary, source: Source) {
        let mut current = self.0.settings.lock();
        let is_on = settings.source().is_some();
        self.0.trial.begin(settings.rollback.clone());
        self.0.endpoints.find_by(source);
        self.0
            .split
            .store(is_on.then(|| Arc::new(settings.clone())));
        if is_on {
            let (percent, listeners) = (&settings.percent, settings.listeners.len());
            let networks = settings.client_ips.len();
            tracing::info!(%percent, listeners, networks, "the canary gets new connections");
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
