//! A new configuration for a gateway that runs.

use std::{sync::Arc, time::Duration};

use config::Config;
use parking_lot::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::{Error, Listeners};
use crate::{clients::Clients, watch::Watch};

/// The least time between two looks for connections that are banned.
const GATHER: Duration = Duration::from_millis(500);

/// Takes new configurations. Clones are the same.
#[derive(Clone)]
pub struct Reloader(Arc<Inner>);

struct Inner {
    config: Mutex<Arc<Config>>,
    listeners: Arc<Listeners>,
    clients: Clients,
}

/// What a reload came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// Settings that differ from those in use, and that only a restart can change.
    pub needs_restart: Vec<&'static str>,
}

impl Reloader {
    pub(super) fn new(config: Config, listeners: Arc<Listeners>, clients: Clients) -> Self {
        Self(Arc::new(Inner {
            config: Mutex::new(Arc::new(config)),
            listeners,
            clients,
        }))
    }

    /// The configuration in use.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.0.config.lock().clone()
    }

    /// Makes the gateway what the configuration says, as far as that goes without a restart: all of it, or nothing.
    pub fn reload(&self, config: Config) -> Result<Reloaded, Error> {
        let mut current = self.0.config.lock();
        let needs_restart = needs_restart(&current, &config);
        // What only a restart changes stays as it is, also where other settings depend on it.
        let config = Config {
            pod: current.pod.clone(),
            cluster: current.cluster.clone(),
            handler: current.handler.clone(),
            adapter: current.adapter.clone(),
            broker: current.broker.clone(),
            http: current.http.clone(),
            ..config
        };
        let reloaded = self.0.listeners.apply(&config);
        let metrics = &self.0.listeners.shared().metrics;
        metrics.reloaded("configuration", reloaded.is_ok());
        reloaded?;
        self.0.clients.configure(&config);
        *current = Arc::new(config);
        Ok(Reloaded { needs_restart })
    }

    /// Who has which clientid.
    pub(super) fn clients(&self) -> &Clients {
        &self.0.clients
    }

    /// Counts a configuration that could not even be read.
    pub fn refused(&self) {
        let metrics = &self.0.listeners.shared().metrics;
        metrics.reloaded("configuration", false);
    }

    /// Reads certificates and keys again although nothing told of a change.
    pub fn refresh_certificates(&self) {
        let files = self.0.listeners.files();
        self.0.listeners.refresh(&files);
    }
}

/// The settings that differ and that only a restart can change.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let differs = [
        ("pod", old.pod != new.pod),
        ("cluster", old.cluster != new.cluster),
        ("handler", old.handler != new.handler),
        ("adapter", old.adapter != new.adapter),
        ("broker", old.broker != new.broker),
        ("http", old.http != new.http),
        ("log.format", old.log.format != new.log.format),
    ];
    let changed = differs.iter().filter(|(_, differs)| *differs);
    let mut changed: Vec<_> = changed.map(|(name, _)| *name).collect();
    let resized = new.listeners.iter().any(|listener| {
        let before = old.listeners.iter().find(|each| each.name == listener.name);
        // Elsewhere, or with another kind of transport, its sockets are new ones.
        before.is_some_and(|before| {
            before.bind == listener.bind
                && before.transport.is_datagram()
                && listener.transport.is_datagram()
                && before.udp.workers != listener.udp.workers
        })
    });
    if resized {
        changed.push("listeners.udp.workers");
    }
    changed
}

/// Takes changed certificates and keys, and closes the connections of whoever is banned, until dropped.
pub(super) struct Watching {
    _certificates: AbortOnDropHandle<()>,
    _bans: AbortOnDropHandle<()>,
}

/// `watch` was made before the files were read.
pub(super) fn watch(listeners: &Arc<Listeners>, clients: Clients, mut watch: Watch) -> Watching {
    let watched = listeners.clone();
    let certificates = async move {
        loop {
            let changed = tokio::select! {
                changed = watch.changed() => changed,
                () = watched.applied() => {
                    watch.set_files(watched.files());
                    continue;
                }
            };
            let listeners = watched.clone();
            // Reads files.
            let refresh = tokio::task::spawn_blocking(move || listeners.refresh(&changed));
            if let Err(error) = refresh.await {
                tracing::error!(%error, "cannot read certificates and keys");
            }
        }
    };
    let watched = listeners.clone();
    let bans = async move {
        let mut changes = watched.shared().bans.changed();
        while changes.changed().await.is_ok() {
            watched.close_banned();
            clients.end_banned_sessions();
            // Bans may come by the thousand, and each look is at all connections.
            tokio::time::sleep(GATHER).await;
        }
    };
    Watching {
        _certificates: AbortOnDropHandle::new(tokio::spawn(certificates)),
        _bans: AbortOnDropHandle::new(tokio::spawn(bans)),
    }
}
