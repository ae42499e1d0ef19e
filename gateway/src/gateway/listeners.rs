//! The listeners as they are served, and what a configuration makes of them: what did not change is not touched.

use std::{collections::HashMap, net::SocketAddr, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use config::{Bind, Config};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Error, handlers::policy, mirror, tuning::tuning};
use crate::{
    admission::{Bans, Gate, Level},
    broker::Broker,
    connection::{CloseReason, Executor, Handle, InProcess, Policy, Settings, Tuning},
    handler::Handlers,
    listen::{self, Connections, Listener, Security, Sockets},
    loss::Index,
    metrics::{ListenerMetrics, Metrics},
};

/// What all listeners share.
pub(super) struct Shared {
    pub(super) handlers: Handlers,
    /// Where the ordered stream is spoken: who carries out its commands.
    pub(super) executor: Option<Arc<dyn Executor>>,
    pub(super) in_process: Option<InProcess>,
    pub(super) mirror: Option<mirror::Started>,
    /// Where it is noted which handler knows a connection, where there are other pods.
    pub(super) index: Option<Index>,
    pub(super) broker: Broker,
    pub(super) metrics: Arc<Metrics>,
    /// Sockets that wait for their device to close.
    pub(super) lingering: Arc<Semaphore>,
    pub(super) connections: Connections,
    /// The limits of all listeners together.
    pub(super) pod: Arc<Level>,
    pub(super) bans: Bans,
    /// Where the adapter is.
    pub(super) adapter: SocketAddr,
}

/// All listeners of a gateway.
pub(super) struct Listeners {
    shared: Shared,
    served: Mutex<Served>,
    accepting: TaskTracker,
    stop: CancellationToken,
}

#[derive(Default)]
struct Served {
    /// Whether devices are let in yet.
    started: bool,
    by_name: HashMap<String, Entry>,
    /// What is counted goes on when a listener goes and comes back.
    counts: HashMap<String, Arc<ListenerMetrics>>,
}

/// One listener and its sockets.
struct Entry {
    listener: Arc<Listener>,
    level: Arc<Level>,
    bind: Bind,
    sockets: Sockets,
    /// Ends its workers.
    stop: CancellationToken,
}

/// What has been made ready for one listener; nothing that follows can fail.
struct Prepared {
    config: config::Listener,
    /// Unset: those that it has.
    sockets: Option<Sockets>,
    /// Unset: as they are.
    security: Option<Security>,
}

impl Listeners {
    pub(super) fn new(shared: Shared) -> Self {
        Self {
            shared,
            served: Mutex::default(),
            accepting: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The addresses that were taken, by name.
    pub(super) fn addresses(&self) -> HashMap<String, SocketAddr> {
        let served = self.served.lock();
        let each = served.by_name.iter();
        each.map(|(name, entry)| (name.clone(), entry.sockets.address()))
            .collect()
    }

    /// Makes the listeners what the configuration says: all of it, or, where an address cannot be taken or a file not
    /// be used, nothing. Connections stay, but for those of listeners that are gone.
    ///
    /// `commit` is called once nothing can fail any more, and before anybody is let in by the new configuration.
    pub(super) fn apply(&self, config: &Config, commit: impl FnOnce()) -> Result<(), Error> {
        let mut served = self.served.lock();
        let prepared: Vec<Prepared> = config
            .listeners
            .iter()
            .map(|listener| served.prepare(listener))
            .collect::<Result<_, _>>()?;
        commit();
        self.shared.pod.configure(&config.limits);
        self.shared.bans.configure(&config.bans);
        let mut before = std::mem::take(&mut served.by_name);
        for prepared in prepared {
            let name = prepared.config.name.to_string();
            let old = before.remove(&name);
            let entry = self.replace(&mut served, old, prepared, config);
            served.by_name.insert(name, entry);
        }
        for (name, gone) in before {
            tracing::info!(
                listener = name,
                "the listener is gone; its connections are closed"
            );
            gone.stop.cancel();
            gone.listener.end();
            self.close_all(|handle| handle.listener() == name);
        }
        self.shared.connections.registry.wake_all();
        Ok(())
    }

    fn replace(
        &self,
        served: &mut Served,
        old: Option<Entry>,
        prepared: Prepared,
        config: &Config,
    ) -> Entry {
        let Prepared {
            config: listener,
            sockets,
            security,
        } = prepared;
        let tuning = tuning(config, &listener, self.shared.adapter);
        let policy = policy(&config.handler);
        let Some(old) = old else {
            let sockets = sockets.expect("a listener that is new has been bound");
            return self.begin(served, listener, sockets, security, (tuning, policy));
        };
        old.level.configure(&listener.limits);
        let transport = old.listener.config().transport;
        if transport == listener.transport {
            return self.retune(served, old, listener, sockets, security, tuning);
        }
        // Open connections keep what they began with.
        let sockets = sockets.unwrap_or_else(|| old.sockets.anew());
        old.stop.cancel();
        if transport.is_datagram() {
            old.listener.end();
            self.close_all(|handle| handle.listener() == old.listener.name());
        }
        self.begin(served, listener, sockets, security, (tuning, policy))
    }

    /// A listener that goes on with the same transport.
    fn retune(
        &self,
        served: &Served,
        old: Entry,
        config: config::Listener,
        sockets: Option<Sockets>,
        security: Option<Security>,
        tuning: Tuning,
    ) -> Entry {
        old.listener.settings().tuning.store(Arc::new(tuning));
        if let Some(security) = security {
            old.listener.secure(security);
        }
        let (bind, transport) = (config.bind, config.transport);
        old.sockets.adjust(&config);
        old.listener.configure(config);
        let Some(sockets) = sockets else {
            return Entry { bind, ..old };
        };
        old.stop.cancel();
        if transport.is_datagram() {
            // They are known by the socket that is gone.
            self.close_all(|handle| handle.listener() == old.listener.name());
        }
        let entry = Entry {
            bind,
            sockets,
            stop: self.stop.child_token(),
            ..old
        };
        self.serve(served, &entry);
        entry
    }

    /// A listener that was not there before.
    fn begin(
        &self,
        served: &mut Served,
        config: config::Listener,
        sockets: Sockets,
        security: Option<Security>,
        (tuning, policy): (Tuning, Policy),
    ) -> Entry {
        let shared = &self.shared;
        let name = config.name.to_string();
        let counts = served.counts.entry(name.clone()).or_insert_with(|| {
            let counts = Arc::default();
            shared.metrics.observe_listener(&name, &counts);
            counts
        });
        let level = Level::new(&config.limits);
        let mut settings = Settings {
            listener: name,
            policy,
            handlers: shared.handlers.clone(),
            executor: shared.executor.clone(),
            in_process: shared.in_process.clone(),
            // Handlers of the ordered stream find out by themselves that a pod is gone.
            index: shared.index.clone().filter(|_| shared.executor.is_none()),
            broker: shared.broker.clone(),
            counts: counts.clone(),
            metrics: shared.metrics.clone(),
            lingering: shared.lingering.clone(),
            gate: Gate::new(shared.pod.clone(), level.clone(), shared.bans.clone()),
            tuning: Arc::new(ArcSwap::from_pointee(tuning)),
            mirrored: None,
        };
        let mirror = shared.mirror.as_ref();
        settings.mirrored = mirror.map(|mirror| mirror.of_listener(&settings));
        let bind = config.bind;
        // They may have been another listener's.
        sockets.adjust(&config);
        let security = security.unwrap_or(Security::None);
        let connections = shared.connections.clone();
        let listener = Listener::new(config, security, Arc::new(settings), connections);
        let entry = Entry {
            listener,
            level,
            bind,
            sockets,
            stop: self.stop.child_token(),
        };
        self.serve(served, &entry);
        entry
    }

    fn serve(&self, served: &Served, entry: &Entry) {
        if served.started {
            let (listener, stop) = (entry.listener.clone(), entry.stop.clone());
            entry.sockets.serve(&listener, &self.accepting, &stop);
        }
    }

    /// Lets devices in.
    pub(super) fn start(&self) {
        let mut served = self.served.lock();
        served.started = true;
        for entry in served.by_name.values() {
            self.serve(&served, entry);
        }
    }

    /// Lets nobody in any more.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        for entry in self.served.lock().by_name.values() {
            entry.listener.end();
        }
        self.accepting.close();
        self.accepting.wait().await;
    }

    fn close_all(&self, which: impl Fn(&Handle) -> bool) {
        let all = self.shared.connections.registry.snapshot();
        for handle in all.into_iter().filter(which) {
            handle.end(CloseReason::Draining);
        }
    }

    /// Closes the connections of whoever is banned now.
    pub(super) fn close_banned(&self) {
        for handle in self.shared.connections.registry.snapshot() {
            let client = handle.client().ok().map(|client| client.clientid.clone());
            let device = handle.info().bannable();
            let ban = self.shared.bans.covers(device, client.as_deref());
            if ban.is_some() {
                handle.end(CloseReason::Banned);
            }
        }
    }

    /// Reads certificates and keys again, of listeners that have one of these files. What cannot be used is said, and
    /// what was read before stays.
    pub(super) fn refresh(&self, changed: &[PathBuf]) {
        let served = self.served.lock();
        for (name, entry) in &served.by_name {
            let config = entry.listener.config().clone();
            if !listen::files(&config)
                .iter()
                .any(|file| changed.contains(file))
            {
                continue;
            }
            match Security::reload(&config) {
                Ok(security) => {
                    tracing::info!(listener = name, "took changed certificates and keys");
                    entry.listener.secure(security);
                    self.shared.metrics.reloaded("certificates", true);
                }
                Err(error) => {
                    let error = anyhow::Error::from(error);
                    tracing::error!(
                        listener = name,
                        error = format!("{error:#}"),
                        "cannot use changed certificates or keys; the old ones stay in use"
                    );
                    self.shared.metrics.reloaded("certificates", false);
                }
            }
        }
    }
}

impl Served {
    /// Everything that may fail.
    fn prepare(&self, listener: &config::Listener) -> Result<Prepared, Error> {
        let old = self.by_name.get(listener.name.as_str());
        let unchanged = old.is_some_and(|old| {
            let before = old.listener.config();
            before.transport == listener.transport
                && before.tls == listener.tls
                && before.psk == listener.psk
                && before.dtls == listener.dtls
        });
        let security = if unchanged {
            None
        } else {
            let loaded = match old {
                Some(_) => Security::reload(listener),
                None => Security::load(listener),
            };
            Some(loaded.map_err(|source| Error::security(listener, source))?)
        };
        let stays = old.is_some_and(|old| old.bind == listener.bind && old.sockets.suits(listener));
        let sockets = if stays {
            None
        } else {
            // One that another listener had goes on under a new name.
            let same = self.by_name.values().find(|entry| {
                entry.bind == listener.bind
                    && listener.bind.0.port() != 0
                    && entry.sockets.suits(listener)
            });
            Some(match same {
                Some(entry) => entry.sockets.anew(),
                None => Sockets::bind(listener).map_err(|source| Error::Bind {
                    what: format!("listener \"{}\"", listener.name),
                    bind: listener.bind,
                    source,
                })?,
            })
        };
        Ok(Prepared {
            config: listener.clone(),
            sockets,
            security,
        })
    }
}
