//! One set of handler endpoints, as they come and go, and the choice among them.

/// What they are like.
mod shown;

use std::{
    path::PathBuf,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::{
    Error,
    affinity::Wish,
    bound::Bound,
    discovery::{Source, Target, dns::Follower, listed},
    endpoint::Endpoint,
    settings::{Resolution, Shared},
};

/// One set of endpoints. Clones are the same.
#[derive(Clone)]
pub(super) struct Endpoints(Arc<Inner>);

pub(super) struct Inner {
    endpoints: ArcSwap<Vec<Arc<Endpoint>>>,
    /// How often it was said where they are found. Held by whoever changes the list.
    turn: Mutex<u64>,
    shared: Arc<Shared>,
    /// A file with their addresses, and the setting that names it.
    file: Mutex<Option<(&'static str, PathBuf)>>,
    /// Why there may be others than are known.
    trouble: Mutex<Option<String>>,
    /// Whoever asks for a name.
    follower: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Endpoints {
    /// None.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(Arc::new(Inner {
            endpoints: ArcSwap::default(),
            turn: Mutex::default(),
            shared,
            file: Mutex::default(),
            trouble: Mutex::default(),
            follower: Mutex::default(),
        }))
    }

    /// They are found there from now on. Starts to connect to those that are known, and to look for others; those that
    /// were there already are not touched. Within a runtime.
    pub(super) fn find_by(&self, source: Source) {
        let mut turn = self.0.turn.lock();
        *turn += 1;
        *self.0.trouble.lock() = source.follower.as_ref().map(Follower::trouble);
        *self.0.file.lock() = source.file;
        *self.0.follower.lock() = source.follower.map(|follower| {
            let following = follower.follow(Arc::downgrade(&self.0), *turn);
            AbortOnDropHandle::new(tokio::spawn(following))
        });
        if let Some(known) = source.known {
            self.0.set(known);
        }
    }

    /// Reads the file with their addresses again, if it is one of these. Blocks while it is read.
    pub(super) fn refresh(&self, changed: &[PathBuf]) -> Option<Result<(), Error>> {
        let file = self.0.file.lock().clone();
        let (field, path) = file.filter(|(_, path)| changed.contains(path))?;
        let most = u32::try_from(self.0.most()).unwrap_or(u32::MAX);
        Some(listed(field, &path, most).and_then(|addresses| {
            let targets: Vec<_> = addresses.into_iter().map(Target::from).collect();
            if targets.iter().any(Target::is_secure) {
                self.0.shared.secure.prepare()?;
            }
            let _turn = self.0.turn.lock();
            // It may have been said meanwhile that they are found elsewhere.
            if self.0.file.lock().as_ref() == Some(&(field, path)) {
                self.0.set(targets);
            }
            Ok(())
        }))
    }

    /// A place at the endpoint that suits best, which is the same as before wherever that still takes connections.
    pub(super) fn bind(&self, wish: Wish) -> Option<Bound> {
        let endpoints = self.0.endpoints.load();
        loop {
            let scored = endpoints.iter().filter_map(|endpoint| {
                let offer = endpoint.offer()?;
                let connections = offer.life.connections();
                let score = wish.score(endpoint.seed(), offer.weight, connections);
                Some((score, offer.life))
            });
            let (_, best) = scored.max_by(|(one, _), (other, _)| one.cmp(other))?;
            // Else others took its last places in the meantime.
            if let Some(bound) = Bound::take(best) {
                return Some(bound);
            }
        }
    }

    /// The endpoint of that address.
    pub(super) fn at(&self, address: &str) -> Option<Arc<Endpoint>> {
        let endpoints = self.0.endpoints.load();
        let found = endpoints.iter().find(|each| each.address() == address);
        found.cloned()
    }

    /// Tells handlers that the pod is about to go, where they can be told.
    pub(super) fn drain(&self, within: Duration) {
        for endpoint in self.0.endpoints.load().iter() {
            endpoint.lanes().drain(within);
        }
    }
}

impl Inner {
    /// The most endpoints that there may be.
    pub(super) fn most(&self) -> usize {
        self.shared.settings.max_endpoints
    }

    /// A name stands for these.
    pub(super) fn found(self: &Arc<Self>, turn: u64, targets: Vec<Target>) {
        let current = self.turn.lock();
        if *current != turn {
            return;
        }
        self.shared.stats.resolved(Resolution::Answered);
        let whose = self.shared.whose.as_str();
        if let Some(before) = self.trouble.lock().take() {
            tracing::info!(
                whose,
                before,
                found = targets.len(),
                "the handler's name is answered"
            );
        }
        self.set(targets);
    }

    /// A name stands for nothing, or nobody knows: what was found before stays. Said once for as long as it lasts.
    pub(super) fn found_none(&self, turn: u64, resolution: Resolution, trouble: String) {
        // Held, so that it is not said of another name that was written meanwhile.
        let current = self.turn.lock();
        if *current != turn {
            return;
        }
        self.shared.stats.resolved(resolution);
        let whose = self.shared.whose.as_str();
        let mut before = self.trouble.lock();
        let known = self.endpoints.load().len();
        if before.as_ref() == Some(&trouble) {
            tracing::debug!(whose, trouble, known, "the handler's name has no addresses");
        } else {
            tracing::warn!(
                whose,
                trouble,
                known,
                "the handler's name has no addresses; those that are known stay"
            );
        }
        *before = Some(trouble);
    }

    /// These are the endpoints now. Those that were there are not touched. `turn` is held.
    fn set(self: &Arc<Self>, targets: Vec<Target>) {
        self.shared.bench.set_endpoints(targets.len());
        let before = self.endpoints.load_full();
        let mut next = Vec::with_capacity(before.len());
        for endpoint in before.iter() {
            if targets.contains(endpoint.target()) {
                endpoint.stays();
            } else if let Some(left) = endpoint.leaves() {
                let remove = remove_later(Arc::downgrade(self), Arc::downgrade(endpoint), left);
                tokio::spawn(remove);
            }
            next.push(endpoint.clone());
        }
        for target in targets {
            if !before.iter().any(|endpoint| *endpoint.target() == target) {
                next.push(Endpoint::start(target, &self.shared));
            }
        }
        let surplus = self.surplus(&mut next);
        self.endpoints.store(Arc::new(next));
        for endpoint in surplus {
            endpoint.remove();
        }
    }

    /// Takes out those that left first, where names change faster than endpoints may leave.
    fn surplus(&self, endpoints: &mut Vec<Arc<Endpoint>>) -> Vec<Arc<Endpoint>> {
        let mut left: Vec<Instant> = endpoints.iter().filter_map(|each| each.left()).collect();
        if left.len() <= self.most() {
            return Vec::new();
        }
        left.sort();
        let last = left[left.len() - self.most() - 1];
        let goes = |endpoint: &mut Arc<Endpoint>| endpoint.left().is_some_and(|left| left <= last);
        endpoints.extract_if(.., goes).collect()
    }

    /// The endpoint's time is over, unless it was found again.
    fn remove(&self, endpoint: &Arc<Endpoint>, left: Instant) {
        let _turn = self.turn.lock();
        if endpoint.left() != Some(left) {
            return;
        }
        let mut next = self.endpoints.load().to_vec();
        next.retain(|each| !Arc::ptr_eq(each, endpoint));
        self.endpoints.store(Arc::new(next));
        endpoint.remove();
    }
}

async fn remove_later(endpoints: Weak<Inner>, endpoint: Weak<Endpoint>, left: Instant) {
    let Some(grace) = endpoints
        .upgrade()
        .map(|all| all.shared.settings.removal_grace)
    else {
        return;
    };
    sleep(grace).await;
    if let (Some(endpoints), Some(endpoint)) = (endpoints.upgrade(), endpoint.upgrade()) {
        endpoints.remove(&endpoint, left);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for endpoint in &**self.endpoints.load() {
            endpoint.stop();
        }
    }
}
