//! A new configuration for a gateway that runs.

use std::{path::PathBuf, sync::Arc, time::Duration};

use config::Config;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::{Error, Listeners, files, handlers, servers::Servers};
use crate::{auth::Authentication, authorization::Authorizer, clients::Clients, watch::Watch};

/// The least time between two looks for connections that are banned.
const GATHER: Duration = Duration::from_millis(500);

/// Takes new configurations. Clones are the same.
#[derive(Clone)]
pub struct Reloader(Arc<Inner>);

struct Inner {
    config: Mutex<Arc<Config>>,
    listeners: Arc<Listeners>,
    authentication: Authentication,
    authorizer: Authorizer,
    clients: Clients,
    servers: Arc<Servers>,
    /// Another configuration is in use.
    applied: Notify,
}

/// What a reload came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// Settings that differ from those in use, and that only a restart can change.
    pub needs_restart: Vec<&'static str>,
}

impl Reloader {
    pub(super) fn new(
        config: Config,
        listeners: Arc<Listeners>,
        authentication: Authentication,
        authorizer: Authorizer,
        clients: Clients,
        servers: Arc<Servers>,
    ) -> Self {
        Self(Arc::new(Inner {
            config: Mutex::new(Arc::new(config)),
            listeners,
            authentication,
            authorizer,
            clients,
            servers,
            applied: Notify::new(),
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
        let handler = handlers::stays(&current.handler, &config.handler);
        let needs_restart = needs_restart(&current, &config, &handler);
        // What only a restart changes stays as it is, also where other settings depend on it.
        let config = Config {
            pod: current.pod.clone(),
            cluster: current.cluster.clone(),
            handler,
            adapter: current.adapter.clone(),
            broker: current.broker.clone(),
            http: current.http.clone(),
            management: current.management.clone(),
            ..config
        };
        let reloaded = self.apply(&current, &config);
        let metrics = &self.0.listeners.shared().metrics;
        metrics.reloaded("configuration", reloaded.is_ok());
        reloaded?;
        *current = Arc::new(config);
        self.0.applied.notify_one();
        Ok(Reloaded { needs_restart })
    }

    /// What can fail comes first, and changes nothing.
    fn apply(&self, current: &Config, config: &Config) -> Result<(), Error> {
        let mirror = self.0.listeners.shared().mirror.as_ref();
        handlers::told_apart(&config.handler, mirror)?;
        let authentication = self.0.authentication.prepare(config)?;
        let authorization = self.0.authorizer.prepare(&config.authorization)?;
        let handlers = self.0.listeners.shared().handlers.clone();
        let found = handlers.prepare(&current.handler, &config.handler)?;
        self.0.listeners.apply(config, || {
            self.0.authentication.apply(authentication);
            self.0.authorizer.apply(authorization);
            self.0.clients.configure(config);
            handlers.configure(found);
            if let Some(mirror) = mirror {
                mirror.configure(&config.handler);
            }
        })
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

    /// Reads the files that the configuration names again, although nothing told of a change.
    pub fn refresh_files(&self) {
        self.refresh(&files(&self.config()));
    }

    fn refresh(&self, changed: &[PathBuf]) {
        self.0.listeners.refresh(changed);
        self.0.authentication.refresh(changed);
        self.0.authorizer.refresh(changed);
        self.0.servers.refresh(changed);
        let shared = self.0.listeners.shared();
        handlers::refresh("handler", &shared.handlers, changed, &shared.metrics);
        if let Some(mirror) = &shared.mirror {
            mirror.refresh(changed, &shared.metrics);
        }
    }
}

/// The settings that differ and that only a restart can change; of those of the handler some are taken.
fn needs_restart(old: &Config, new: &Config, handler: &config::Handler) -> Vec<&'static str> {
    let differs = [
        ("pod", old.pod != new.pod),
        ("cluster", old.cluster != new.cluster),
        ("handler", *handler != new.handler),
        ("adapter", old.adapter != new.adapter),
        ("broker", old.broker != new.broker),
        ("redis", old.redis != new.redis),
        ("http", old.http != new.http),
        ("management", old.management != new.management),
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

/// Takes changed files, and closes the connections of whoever is banned, until dropped.
pub(super) struct Watching {
    _files: AbortOnDropHandle<()>,
    _bans: AbortOnDropHandle<()>,
}

/// `watch` was made before the files were read.
pub(super) fn watch(reloader: &Reloader, mut watch: Watch) -> Watching {
    let watched = reloader.clone();
    let read_again = async move {
        loop {
            let changed = tokio::select! {
                changed = watch.changed() => changed,
                () = watched.0.applied.notified() => Vec::new(),
            };
            let reloader = watched.clone();
            // It reads files; within the runtime, as some of what is made needs one.
            let refreshed = tokio::task::spawn_blocking(move || {
                let mut changed = changed;
                // What was read with a new configuration was not watched yet, and may have changed since.
                changed.extend(watch.set_files(files(&reloader.config())));
                reloader.refresh(&changed);
                watch
            });
            match refreshed.await {
                Ok(same) => watch = same,
                // The runtime ends.
                Err(_) => return,
            }
        }
    };
    let (watched, clients) = (reloader.0.listeners.clone(), reloader.0.clients.clone());
    let bans = async move {
        let mut changes = watched.shared().bans.changed();
        while changes.changed().await.is_ok() {
            let (listeners, clients) = (watched.clone(), clients.clone());
            // They look at all there is.
            let looked = tokio::task::spawn_blocking(move || {
                listeners.close_banned();
                clients.end_banned_sessions();
            });
            if looked.await.is_err() {
                return;
            }
            // Bans may come by the thousand, and each look is at all connections.
            tokio::time::sleep(GATHER).await;
        }
    };
    Watching {
        _files: AbortOnDropHandle::new(tokio::spawn(read_again)),
        _bans: AbortOnDropHandle::new(tokio::spawn(bans)),
    }
}
