//! A gateway: takes its ports, serves until it is told to end, and then drains.

/// The listeners as they are served, and what a reload makes of them.
mod listeners;
/// A new configuration for a gateway that runs.
mod reload;
/// What all callbacks of a listener carry.
mod headers;
/// What a reload may change of open connections.
mod tuning;
/// The ports that are not for devices.
mod servers;

use std::{collections::HashMap, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use config::{Bind, Config};
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

pub use self::reload::{Reloaded, Reloader};
use self::{
    listeners::{Listeners, Shared},
    servers::{serve_adapter, serve_http},
};
use crate::{
    adapter::Adapter,
    admission::{Bans, Level},
    auth::{Anonymous, Authenticator},
    broker::{self, Broker},
    clients::Clients,
    conn_id::{ConnIds, KeyError},
    connection::{InProcess, Policy},
    handler::{self, Handlers},
    http::Health,
    listen::{self, Connections, Security, tcp},
    metrics::Metrics,
    registry::Registry,
    shutdown::{self, Drained},
    tls,
    watch::{self, Watch},
};

/// How long the servers of handlers and health may take to end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// Connections to the adapter and to the HTTP port that the kernel holds until they are accepted.
const BACKLOG: u32 = 4096;

/// Why a gateway did not start, or does not take a new configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key of conn ids could not be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A port could not be taken.
    #[error("{what}: cannot listen on {bind} (choose another address, or end what uses it)")]
    Bind {
        /// The setting.
        what: String,
        /// Its value.
        bind: Bind,
        /// What the system said.
        source: io::Error,
    },
    /// Certificates or keys of a listener cannot be used.
    #[error("listener \"{listener}\"")]
    Security {
        /// The listener's name.
        listener: String,
        /// The file and what is wrong with it.
        source: tls::Error,
    },
    /// The service that tells handlers the adapter's schema could not be built.
    #[error("cannot build the reflection service")]
    Reflection(#[from] tonic_reflection::server::Error),
}

impl Error {
    fn security(listener: &config::Listener, source: tls::Error) -> Self {
        Self::Security {
            listener: listener.name.to_string(),
            source,
        }
    }
}

/// The addresses that a gateway has taken.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Those of the listeners, by name.
    pub listeners: HashMap<String, SocketAddr>,
    /// That of the adapter.
    pub adapter: SocketAddr,
    /// That of health and metrics.
    pub http: SocketAddr,
}

/// A gateway whose ports are taken, and which serves once it runs.
pub struct Gateway {
    reloader: Reloader,
    listeners: Arc<Listeners>,
    /// Of the files of certificates and keys.
    watch: Watch,
    adapter: (TcpListener, Adapter),
    http: (TcpListener, Arc<Health>),
    addresses: Addresses,
}

impl Gateway {
    /// Takes all ports, and starts to connect to the handlers. Everybody may authenticate.
    pub fn bind(config: Config) -> Result<Self, Error> {
        Self::bind_with(config, Arc::new(Anonymous))
    }

    /// As `bind`, with an authenticator of the caller's.
    pub fn bind_with(config: Config, authenticator: Arc<dyn Authenticator>) -> Result<Self, Error> {
        Self::build(config, authenticator, None)
    }

    /// As `bind`, with a handler in this process, which is called for bytes alone, in place of the configured ones.
    /// For benchmarks, which so measure the gateway without gRPC.
    pub fn bind_in_process(mut config: Config, handler: InProcess) -> Result<Self, Error> {
        config.handler.addresses.clear();
        Self::build(config, Arc::new(Anonymous), Some(handler))
    }

    /// Reads every file that the configuration names, as a start would, and tells of each listener what cannot be used.
    /// Takes no port.
    #[must_use]
    pub fn check_files(config: &Config) -> Vec<Error> {
        let key = ConnIds::new("check", config.cluster.key_file.as_deref());
        let listeners = config.listeners.iter().map(|listener| {
            let loaded = Security::load(listener).map(drop);
            loaded.map_err(|source| Error::security(listener, source))
        });
        std::iter::once(key.map(drop).map_err(Error::from))
            .chain(listeners)
            .filter_map(Result::err)
            .collect()
    }

    fn build(
        config: Config,
        authenticator: Arc<dyn Authenticator>,
        in_process: Option<InProcess>,
    ) -> Result<Self, Error> {
        let pod = config.pod.resolve_name();
        let ids = Arc::new(ConnIds::new(
            pod.as_str(),
            config.cluster.key_file.as_deref(),
        )?);
        let adapter_socket = bind("adapter.bind", config.adapter.bind, BACKLOG)?;
        let http_socket = bind("http.bind", config.http.bind, BACKLOG)?;
        let adapter_address = address(&adapter_socket, "adapter.bind", config.adapter.bind)?;
        let http_address = address(&http_socket, "http.bind", config.http.bind)?;
        let metrics = Metrics::new();
        let registry = Registry::default();
        let handlers = start_handlers(&config, &registry);
        let broker = Broker::memory(broker::Settings {
            node: pod.as_str().into(),
            max_payload: config.broker.max_payload.bytes(),
            max_levels: config.broker.max_topic_levels as usize,
            retained: retained(&config.broker.retained),
        });
        metrics.observe_handlers(&handlers);
        metrics.observe_broker(&broker);
        let bans = Bans::new(&config.bans);
        let listeners = Arc::new(Listeners::new(Shared {
            handlers: handlers.clone(),
            broker: broker.clone(),
            metrics: metrics.clone(),
            lingering: Arc::new(Semaphore::new(shutdown::LINGERING)),
            connections: Connections {
                ids: ids.clone(),
                registry: registry.clone(),
                tasks: TaskTracker::new(),
            },
            pod: Level::new(&config.limits),
            bans: bans.clone(),
            adapter: adapter_address,
            in_process,
        }));
        let files = config.listeners.iter().flat_map(listen::files).collect();
        let watch = Watch::new(files, watch::POLL);
        listeners.apply(&config)?;
        let clients = Clients::new(authenticator, &config, bans, broker.clone());
        let adapter = Adapter {
            ids,
            registry,
            clients: clients.clone(),
            broker,
            metrics: metrics.clone(),
        };
        Ok(Self {
            addresses: Addresses {
                listeners: listeners.addresses(),
                adapter: adapter_address,
                http: http_address,
            },
            adapter: (adapter_socket, adapter),
            http: (http_socket, Health::new(handlers, metrics)),
            reloader: Reloader::new(config, listeners.clone(), clients),
            listeners,
            watch,
        })
    }

    /// The addresses that were taken.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What takes a new configuration while the gateway runs.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// Serves until `told_to_end` is ready, then drains.
    pub async fn run(self, told_to_end: impl Future<Output = ()>) -> Result<Drained, Error> {
        let Self {
            reloader,
            listeners,
            watch,
            adapter,
            http: (http_socket, health),
            addresses,
        } = self;
        let end = CancellationToken::new();
        let http = serve_http(http_socket, health.clone(), end.clone());
        let adapter = serve_adapter(adapter, &reloader.config().adapter, end.clone())?;
        listeners.start();
        let clients = reloader.clients().clone();
        let sessions = clients.sessions().clone();
        let expiring = AbortOnDropHandle::new(tokio::spawn(sessions.expire()));
        let watching = reload::watch(&listeners, clients, watch);
        tracing::info!(?addresses, "serving");
        told_to_end.await;

        tracing::info!("draining: no new devices, and the open connections are being closed");
        health.drain();
        listeners.stop().await;
        drop((watching, expiring));
        let Shared {
            connections,
            handlers,
            lingering,
            ..
        } = listeners.shared();
        let drain = reloader.config().drain.clone();
        let drained = shutdown::drain(connections, handlers, lingering, &drain).await;
        end.cancel();
        // Their last answers; whoever keeps a connection open does not keep the process.
        let _ = timeout(LAST_ANSWERS, async { tokio::join!(http, adapter) }).await;
        Ok(drained)
    }
}

fn bind(what: &str, bind: Bind, backlog: u32) -> Result<TcpListener, Error> {
    tcp::bind(bind, backlog).map_err(|source| Error::Bind {
        what: what.to_owned(),
        bind,
        source,
    })
}

fn address(socket: &TcpListener, what: &str, bind: Bind) -> Result<SocketAddr, Error> {
    socket.local_addr().map_err(|source| Error::Bind {
        what: what.to_owned(),
        bind,
        source,
    })
}

fn start_handlers(config: &Config, registry: &Registry) -> Handlers {
    let config = &config.handler;
    let settings = handler::Settings {
        service: config.service.full_name(),
        lanes: config.connections_per_endpoint as usize,
        connect_timeout: config.connect_timeout,
        deadline: config.deadline,
        backoff_min: config.backoff_min,
        backoff_max: config.backoff_max,
    };
    let registry = registry.clone();
    let on_loss: Arc<dyn Fn() + Send + Sync> = Arc::new(move || registry.wake_all());
    Handlers::start(config, &settings, &on_loss)
}

fn retained(config: &config::Retained) -> broker::RetainedLimits {
    broker::RetainedLimits {
        messages: config.max_messages as usize,
        bytes: config.max_bytes.bytes(),
        age: config.max_age,
    }
}

fn policy(config: &config::Handler) -> Policy {
    Policy {
        park_timeout: config.park_timeout,
        on_handler_loss: config.on_handler_loss,
        retry_unacknowledged: config.retry_unacknowledged,
        redelivery_timeout: config.redelivery_timeout,
        backoff_min: config.backoff_min,
        backoff_max: config.backoff_max,
    }
}
