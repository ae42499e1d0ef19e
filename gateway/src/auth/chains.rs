//! All chains: the gateway's, and those of listeners that have their own. An authenticator that a new configuration
//! has as it was stays, with its keys, its connections and what it remembers.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use config::{Authenticator, Config};
use parking_lot::Mutex;

use super::{
    Credentials, Error, Grant,
    chain::{Chain, Decoy, Link, Refused},
    hasher::Hasher,
    stats::Stats,
};
use crate::{
    admission::{Denials, Pace},
    metrics::Metrics,
    transport::Transport,
};

/// Who may be a client, on each listener. Clones are the same.
#[derive(Clone)]
pub struct Authentication(Arc<Inner>);

struct Inner {
    chains: ArcSwap<Chains>,
    /// One change at a time.
    changing: Mutex<()>,
    denials: Denials,
    stats: Arc<Stats>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Chains {
    gateway: Chain,
    /// By listener; `None` is the gateway's.
    listeners: HashMap<String, Option<Chain>>,
    hashing: Option<(config::Authentication, Hasher)>,
    failure_rate: Option<Pace>,
}

/// Chains that have been read, and are not in use yet. Nothing that follows can fail.
pub(crate) struct Prepared(Chains);

/// Every file that the chains of a configuration read.
#[must_use]
pub fn files(config: &Config) -> Vec<PathBuf> {
    let own = config.listeners.iter();
    let own = own.flat_map(|listener| listener.authentication_chain.iter().flatten());
    let all = config.authentication.chain.iter().chain(own);
    all.flat_map(Link::files).collect()
}

/// Reads all files that the chains name, as a start would, and keeps nothing. Within a runtime.
///
/// # Errors
/// The first that cannot be used, and why.
pub fn check(config: &Config) -> Result<(), Error> {
    Chains::default().next(config).map(drop)
}

impl Authentication {
    /// Reads all files that the chains name.
    pub fn load(config: &Config, metrics: Arc<Metrics>) -> Result<Self, Error> {
        let Prepared(chains) = Chains::default().next(config)?;
        let stats = Arc::default();
        metrics.observe_authentication(&stats);
        Ok(Self(Arc::new(Inner {
            chains: ArcSwap::from_pointee(chains),
            changing: Mutex::new(()),
            denials: Denials::default(),
            stats,
            metrics,
        })))
    }

    /// Reads what a new configuration names and this one does not.
    pub(crate) fn prepare(&self, config: &Config) -> Result<Prepared, Error> {
        self.0.chains.load().next(config)
    }

    /// Asks other chains from now on.
    pub(crate) fn apply(&self, Prepared(chains): Prepared) {
        let _one = self.0.changing.lock();
        if chains.failure_rate.is_none() {
            self.0.denials.clear();
        }
        self.0.chains.store(Arc::new(chains));
    }

    /// Reads changed files again. What cannot be used is said, and what was read before stays.
    pub fn refresh(&self, changed: &[PathBuf]) {
        let _one = self.0.changing.lock();
        let chains = self.0.chains.load_full();
        let mut done: Vec<*const Link> = Vec::new();
        for link in chains.links() {
            let touched = Link::files(&link.config)
                .iter()
                .any(|file| changed.contains(file));
            if !touched || done.contains(&Arc::as_ptr(link)) {
                continue;
            }
            done.push(Arc::as_ptr(link));
            let known = chains.hashing.as_ref().map(|(_, hasher)| hasher.clone());
            let mut hashers = || Ok(known.clone().expect("it was made with the authenticator"));
            let refreshed = link.refresh(&mut hashers);
            self.0.metrics.reloaded("authentication", refreshed.is_ok());
            let authenticator = link.config.as_str();
            match refreshed {
                Ok(()) => tracing::info!(authenticator, "took changed files"),
                Err(error) => {
                    let error = anyhow::Error::from(error);
                    tracing::error!(
                        authenticator,
                        error = format!("{error:#}"),
                        "cannot use changed files; what was read before stays in use"
                    );
                }
            }
        }
    }

    /// Asks the listener's chain. A device whose address was denied too often is not looked at.
    pub async fn authenticate(&self, credentials: &Credentials) -> Result<Grant, Refused> {
        let chains = self.0.chains.load_full();
        let info = &credentials.conninfo;
        // On plain UDP anybody may claim to be there.
        let device = info.bannable().filter(|_| info.transport != Transport::Udp);
        let limited = device.zip(chains.failure_rate);
        if let Some((device, pace)) = limited
            && self.0.denials.is_over(device, pace, Instant::now())
        {
            self.0.stats.refused_unseen();
            return Err(Refused::Denied(
                "too many Authenticates of this address were denied (authentication.failure_rate); try later".to_owned(),
            ));
        }
        let Some(chain) = chains.of(&credentials.listener) else {
            return Err(Refused::Unavailable("the listener is gone".to_owned()));
        };
        let outcome = chain.authenticate(credentials, &self.0.stats).await;
        if let (Err(Refused::Denied(_)), Some((device, pace))) = (&outcome, limited) {
            self.0.denials.count(device, pace, Instant::now());
        }
        outcome
    }
}

impl Chains {
    /// None where there is no such listener, or not any more.
    fn of(&self, listener: &str) -> Option<&Chain> {
        let own = self.listeners.get(listener)?;
        Some(own.as_ref().unwrap_or(&self.gateway))
    }

    fn all(&self) -> impl Iterator<Item = &Chain> {
        std::iter::once(&self.gateway).chain(self.listeners.values().flatten())
    }

    fn links(&self) -> impl Iterator<Item = &Arc<Link>> {
        self.all().flat_map(|chain| &*chain.links)
    }

    /// What a configuration makes of them.
    fn next(&self, config: &Config) -> Result<Prepared, Error> {
        let authentication = &config.authentication;
        let mut next = Self {
            failure_rate: authentication.failure_rate.map(|rate| Pace::new(rate, 1)),
            ..Self::default()
        };
        let same = |(before, _): &&(config::Authentication, Hasher)| {
            before.hashing_threads == authentication.hashing_threads
                && before.max_waiting_passwords == authentication.max_waiting_passwords
        };
        let kept = self.hashing.as_ref().filter(same);
        let mut hasher = kept.map(|(_, hasher)| hasher.clone());
        // Those that hash keep to the threads that they have.
        let reusable = |link: &&Arc<Link>| kept.is_some() || !link.hashes();
        let mut made: Vec<Arc<Link>> = self.links().filter(reusable).cloned().collect();
        let mut chain = |links: &[Authenticator]| {
            let mut hashers = || {
                if let Some(hasher) = &hasher {
                    return Ok(hasher.clone());
                }
                let started = Hasher::start(authentication).map_err(Error::Thread)?;
                hasher = Some(started.clone());
                Ok(started)
            };
            let mut chain = Vec::new();
            for config in links {
                let known = made.iter().find(|link| link.config == *config).cloned();
                let link = if let Some(link) = known {
                    link
                } else {
                    let before = made.iter().find(|link| link.has_keys_of(config));
                    Arc::new(Link::load(
                        config,
                        &mut hashers,
                        before.map(|link| &**link),
                    )?)
                };
                made.push(link.clone());
                chain.push(link);
            }
            Ok::<_, Error>(chain)
        };
        let gateway = chain(&authentication.chain)?;
        let mut own = Vec::new();
        for listener in &config.listeners {
            let links = listener.authentication_chain.as_deref();
            own.push((
                listener.name.to_string(),
                links.map(&mut chain).transpose()?,
            ));
        }
        let decoy = hasher.as_ref().map(|hasher| Decoy::new(hasher.clone()));
        next.gateway = Chain::new(gateway, decoy.as_ref());
        next.listeners = own
            .into_iter()
            .map(|(name, links)| {
                let chain = links.map(|links| Chain::new(links, decoy.as_ref()));
                (name, chain)
            })
            .collect();
        next.hashing = hasher.map(|hasher| (authentication.clone(), hasher));
        Ok(Prepared(next))
    }
}
