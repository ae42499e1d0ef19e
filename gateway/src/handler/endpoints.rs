//! All handler endpoints of a gateway, as they come and go, and the choice among them.

/// What they are like.
mod shown;

use std::{
    path::PathBuf,
    pin::pin,
    sync::{Arc, OnceLock, Weak, atomic::Ordering},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use config::{HandlerList, HandlerSource};
use hickory_resolver::net::NetError;
use parking_lot::Mutex;
use tokio::{sync::Notify, time::sleep};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    affinity::Wish,
    bound::Bound,
    budget::Budget,
    discovery::{self, Target, dns::Follower},
    ejection::Bench,
    endpoint::Endpoint,
    secure::Secure,
    settings::{Resolution, Settings, Shared, Stats},
    stream::{self, Identity},
};
use crate::tls;

/// Why endpoints cannot be found, or spoken to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file with their addresses cannot be used.
    #[error("handler.file")]
    List(#[from] config::Error),
    /// Certificates or keys cannot be used.
    #[error("handler.tls")]
    Tls(#[from] tls::Error),
    /// Names cannot be asked for.
    #[error(
        "handler.dns: cannot ask the servers of the system (/etc/resolv.conf); write handler.dns.nameservers"
    )]
    Dns(#[source] Box<NetError>),
}

/// All handler endpoints of a gateway. Clones are the same.
#[derive(Clone)]
pub struct Handlers(Arc<Inner>);

pub(super) struct Inner {
    endpoints: ArcSwap<Vec<Arc<Endpoint>>>,
    /// Held by whoever changes the list.
    turn: Mutex<()>,
    shared: Arc<Shared>,
    /// A file with their addresses.
    file: Option<PathBuf>,
    /// Why there may be others than are known.
    trouble: Mutex<Option<String>>,
    /// Whoever asks for a name.
    follower: OnceLock<AbortOnDropHandle<()>>,
    /// Nobody is to wait for an endpoint any more.
    given_up: CancellationToken,
}

impl Handlers {
    /// Starts to connect to every endpoint that is known, and to look for others. `on_loss` is called each time an
    /// endpoint was lost. Within a runtime; blocks while files are read.
    ///
    /// # Errors
    /// What the configuration names and cannot be used.
    pub fn start(
        config: &config::Handler,
        identity: Identity,
        on_loss: Arc<dyn Fn() + Send + Sync>,
    ) -> Result<Self, Error> {
        let inner = Arc::new(Inner {
            endpoints: ArcSwap::default(),
            turn: Mutex::new(()),
            shared: Arc::new(Shared {
                settings: Settings::new(config, identity),
                secure: Secure::new(&config.tls),
                bench: Bench::new(config.ejection.max_share),
                budget: Budget::new(&config.retry_budget, Instant::now()),
                ready: Notify::new(),
                on_loss,
                stats: Stats::default(),
                stream_counts: Arc::default(),
            }),
            file: config.file.clone(),
            trouble: Mutex::new(None),
            follower: OnceLock::new(),
            given_up: CancellationToken::new(),
        });
        inner.take(discovery::known(config)?)?;
        if let HandlerSource::Dns(name, dns) = config.source() {
            if dns.secure {
                inner.shared.secure.prepare()?;
            }
            let follower = Follower::new(name, dns).map_err(|error| Error::Dns(error.into()))?;
            *inner.trouble.lock() = Some(follower.trouble());
            let following = tokio::spawn(follower.follow(Arc::downgrade(&inner)));
            let _ = inner.follower.set(AbortOnDropHandle::new(following));
        }
        Ok(Self(inner))
    }

    /// Tells handlers that the pod is about to go, where they can be told.
    pub fn drain(&self, within: Duration) {
        for endpoint in self.0.endpoints.load().iter() {
            endpoint.lanes().drain(within);
        }
    }

    /// Reads the files for nothing but to see whether they can be used, and tells which cannot.
    #[must_use]
    pub fn check(config: &config::Handler) -> Vec<Error> {
        let known = discovery::known(config).map(drop).map_err(Error::from);
        let secure = Secure::check(&config.tls).map_err(Error::from);
        let named = config.tls != config::HandlerTls::default();
        let secure = Some(secure).filter(|_| named);
        let checked = [Some(known), secure].into_iter().flatten();
        checked.filter_map(Result::err).collect()
    }

    /// What a new configuration would find is made ready; what can fail does so here, and changes nothing.
    ///
    /// # Errors
    /// The files of TLS, which were not needed before.
    pub fn prepare(&self, config: &config::Handler) -> Result<(), Error> {
        let is_secure = config
            .addresses
            .iter()
            .any(config::HandlerAddress::is_secure);
        if is_secure {
            self.0.shared.secure.prepare()?;
        }
        Ok(())
    }

    /// These are the addresses now, where they stand in the configuration.
    pub fn configure(&self, config: &config::Handler) {
        if let HandlerSource::Addresses(addresses) = config.source() {
            self.0
                .set(addresses.iter().cloned().map(Target::from).collect());
        }
    }

    /// Reads again what stands in these files, and tells what was read and what came of it. Blocks while they are read.
    pub fn refresh(&self, changed: &[PathBuf]) -> Vec<(&'static str, Result<(), Error>)> {
        let mut read = Vec::new();
        let secure = &self.0.shared.secure;
        if secure.concerns(changed) {
            read.push(("certificates", secure.reload().map_err(Error::from)));
        }
        if let Some(file) = self.0.file.as_ref().filter(|file| changed.contains(file)) {
            let most = u32::try_from(self.0.most()).unwrap_or(u32::MAX);
            let list = HandlerList::load(file, most).map_err(Error::from);
            let taken = list.and_then(|HandlerList(addresses)| {
                self.0
                    .take(addresses.into_iter().map(Target::from).collect())
            });
            read.push(("handlers", taken));
        }
        read
    }

    /// A place at the endpoint that suits best, which is the same as before wherever that still takes connections.
    #[must_use]
    pub fn bind(&self, wish: Wish) -> Option<Bound> {
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

    /// As `bind`, but waits until an endpoint takes connections. `None` once everybody has given up.
    pub async fn wait(&self, wish: Wish) -> Option<Bound> {
        let found = async {
            loop {
                let mut ready = pin!(self.0.shared.ready.notified());
                ready.as_mut().enable();
                if let Some(bound) = self.bind(wish) {
                    return bound;
                }
                ready.await;
            }
        };
        self.0.given_up.run_until_cancelled(found).await
    }

    /// A callback is about to be made that is no repeat.
    pub fn made(&self) {
        self.0.shared.budget.made();
    }

    /// A callback is about to be made again: after how long it may be. `None` where that is longer than `patience`.
    #[must_use]
    pub fn repeat(&self, patience: Duration) -> Option<Duration> {
        let wait = self.0.shared.budget.repeat(patience, Instant::now());
        if wait.is_none_or(|wait| !wait.is_zero()) {
            let delayed = &self.0.shared.stats.repeats_delayed;
            delayed.fetch_add(1, Ordering::Relaxed);
        }
        wait
    }

    /// From now on nobody waits for an endpoint: the pod is about to end.
    pub fn give_up(&self) {
        let (ready, total) = self.ready();
        if ready == 0 {
            tracing::warn!(
                total,
                "no handler endpoint is ready; connections end untold"
            );
        }
        self.0.given_up.cancel();
    }

    /// Whether nobody waits any more.
    #[must_use]
    pub fn gave_up(&self) -> bool {
        self.0.given_up.is_cancelled()
    }
}

impl Inner {
    /// The most endpoints that there may be.
    pub(super) fn most(&self) -> usize {
        self.shared.settings.max_endpoints
    }

    /// A name stands for these.
    pub(super) fn found(self: &Arc<Self>, targets: Vec<Target>) {
        self.shared.stats.resolved(Resolution::Answered);
        if let Some(before) = self.trouble.lock().take() {
            tracing::info!(
                before,
                found = targets.len(),
                "the handler's name is answered"
            );
        }
        self.set(targets);
    }

    /// A name stands for nothing, or nobody knows: what was found before stays. Said once for as long as it lasts.
    pub(super) fn found_none(&self, resolution: Resolution, trouble: String) {
        self.shared.stats.resolved(resolution);
        let mut before = self.trouble.lock();
        let known = self.endpoints.load().len();
        if before.as_ref() == Some(&trouble) {
            tracing::debug!(trouble, known, "the handler's name has no addresses");
        } else {
            tracing::warn!(
                trouble,
                known,
                "the handler's name has no addresses; those that are known stay"
            );
        }
        *before = Some(trouble);
    }

    /// Like `set`, where the files of TLS may not have been needed before.
    fn take(self: &Arc<Self>, targets: Vec<Target>) -> Result<(), Error> {
        if targets.iter().any(Target::is_secure) {
            self.shared.secure.prepare()?;
        }
        self.set(targets);
        Ok(())
    }

    /// These are the endpoints now. Those that were there are not touched.
    fn set(self: &Arc<Self>, targets: Vec<Target>) {
        let _turn = self.turn.lock();
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

async fn remove_later(handlers: Weak<Inner>, endpoint: Weak<Endpoint>, left: Instant) {
    let Some(grace) = handlers
        .upgrade()
        .map(|all| all.shared.settings.removal_grace)
    else {
        return;
    };
    sleep(grace).await;
    if let (Some(handlers), Some(endpoint)) = (handlers.upgrade(), endpoint.upgrade()) {
        handlers.remove(&endpoint, left);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for endpoint in &**self.endpoints.load() {
            endpoint.stop();
        }
    }
}
