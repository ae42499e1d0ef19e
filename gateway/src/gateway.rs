//! A gateway: takes its ports, serves until it is told to end, and then drains.

/// The listeners as they are served, and what a reload makes of them.
mod listeners;
/// What back ends call.
mod backends;
/// The broker, alone or with those of other pods.
mod brokers;
/// This pod, as others ask it.
mod local;
/// The handlers, and what a reload makes of them.
mod handlers;
/// The mirror.
mod mirror;
/// A new configuration for a gateway that runs.
mod reload;
/// What all callbacks of a listener carry.
mod headers;
/// What a reload may change of open connections.
mod tuning;
/// The ports that are not for devices, taken.
mod ports;
/// The servers on these ports.
mod servers;

use std::{
    collections::HashMap, future::Future, io, net::SocketAddr, path::PathBuf, sync::Arc,
    time::Duration,
};

use config::{Bind, Config, HandlerService};
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

pub use self::reload::{Reloaded, Reloader};
use self::{
    brokers::{Here, SharedBroker},
    listeners::{Listeners, Shared},
    local::Local,
    ports::Ports,
    servers::{Servers, serve_adapter, serve_http, serve_management, serve_peers},
};
use crate::{
    adapter::{self, Adapter},
    admission::{Bans, Level},
    auth::{self, Authentication},
    authorization::{self, Authorizer},
    broker::Broker,
    clients::Clients,
    conn_id::{ConnIds, KeyError},
    connection::{Executor, InProcess},
    handler::{self, Whose, stream::Identity},
    http::Health,
    listen::{self, Connections, Security},
    management::{Management, Subjects},
    metrics::Metrics,
    peers, redis,
    registry::Registry,
    shutdown::{self, Drained},
    tls, tokens,
    watch::{self, Watch},
};

/// How long the servers of handlers and health may take to end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

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
    /// A file that an authenticator needs cannot be used.
    #[error("authentication")]
    Authentication(#[from] auth::Error),
    /// A file that a source of authorization needs cannot be used.
    #[error("authorization")]
    Authorization(#[from] authorization::Error),
    /// Certificates or keys of a server that is not for devices cannot be used.
    #[error("{server}.tls")]
    Server {
        /// The server, as in the configuration.
        server: &'static str,
        /// The file and what is wrong with it.
        source: tls::Error,
    },
    /// A file with tokens cannot be used.
    #[error("{field}")]
    Tokens {
        /// The setting.
        field: &'static str,
        /// The file and what is wrong with it.
        source: tokens::Error,
    },
    /// What tells where handlers are, or how they are spoken to, cannot be used.
    #[error(transparent)]
    Handler(#[from] handler::Error),
    /// A file that is needed to speak to Redis cannot be used.
    #[error(transparent)]
    Redis(#[from] redis::Error),
    /// The handler or its canary would be the mirror that runs.
    #[error(
        "{place}: {what} is the mirror that runs; first write handler.mirror.percent: 0 and wait \
         until exproto_mirror_shadows is 0, or restart the gateway"
    )]
    OfMirror {
        /// The setting.
        place: String,
        /// What it has in common with that of the mirror.
        what: String,
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
    /// That of the management API, where it is on.
    pub management: Option<SocketAddr>,
    /// That of other pods, where there may be others.
    pub peers: Option<SocketAddr>,
}

/// A gateway whose ports are taken, and which serves once it runs.
pub struct Gateway {
    reloader: Reloader,
    listeners: Arc<Listeners>,
    /// Of the files of certificates and keys.
    watch: Watch,
    adapter: (TcpListener, Arc<Adapter>),
    http: (TcpListener, Arc<Health>),
    management: Option<(TcpListener, Management)>,
    servers: Arc<Servers>,
    shared_broker: Option<SharedBroker>,
    /// Of other pods, where there may be others.
    peers: Option<(TcpListener, peers::Server)>,
    addresses: Addresses,
}

impl Gateway {
    /// Takes all ports, and starts to connect to the handlers.
    pub fn bind(config: Config) -> Result<Self, Error> {
        Self::build(config, None)
    }

    /// As `bind`, with a handler in this process, which is called for bytes alone, in place of the configured ones.
    /// For benchmarks, which so measure the gateway without gRPC.
    pub fn bind_in_process(mut config: Config, handler: InProcess) -> Result<Self, Error> {
        config.handler = config::Handler {
            addresses: Vec::new(),
            ..config::Handler::default()
        };
        Self::build(config, Some(handler))
    }

    /// Reads every file that the configuration names, as a start would, and tells of each listener what cannot be used.
    /// Takes no port. Within a runtime.
    #[must_use]
    pub fn check_files(config: &Config) -> Vec<Error> {
        let key = ConnIds::new("check", config.cluster.key_file.as_deref());
        let listeners = config.listeners.iter().map(|listener| {
            let loaded = Security::load(listener).map(drop);
            loaded.map_err(|source| Error::security(listener, source))
        });
        let authentication = auth::check(config).map_err(Error::from);
        let authorization = Authorizer::check(&config.authorization);
        [key.map(drop).map_err(Error::from), authentication]
            .into_iter()
            .chain(listeners)
            .filter_map(Result::err)
            .chain(authorization.into_iter().map(Error::from))
            .chain(Servers::check(config))
            .chain(handlers::check(&config.handler))
            .collect()
    }

    fn build(config: Config, in_process: Option<InProcess>) -> Result<Self, Error> {
        let pod = config.pod.resolve_name();
        let ids = Arc::new(ConnIds::new(
            pod.as_str(),
            config.cluster.key_file.as_deref(),
        )?);
        let ports = Ports::take(&config)?;
        let metrics = Metrics::new();
        let registry = Registry::default();
        let identity = Identity {
            pod: pod.to_string(),
            epoch: ids.epoch(),
            adapter_address: headers::adapter_address(&config, ports.adapter.1).unwrap_or_default(),
        };
        let handlers =
            handlers::start(Whose::Handler, &config.handler, identity.clone(), &registry)?;
        metrics.observe_handlers(&handlers);
        metrics.observe_streams(&handlers);
        let bans = Bans::new(&config.bans);
        let here = Here::new((&ids, &registry), (&handlers, &bans), &ports, &metrics);
        let brokers = brokers::start(&config, pod.as_str(), &here)?;
        let (broker, shared) = (brokers.broker, brokers.shared);
        let watch = Watch::new(files(&config), watch::POLL);
        let authentication = Authentication::load(&config, metrics.clone())?;
        let authorizer = Authorizer::new(&config.authorization, metrics.clone())?;
        let servers = Arc::new(Servers::load(&config, metrics.clone())?);
        let clients = Clients::new(
            authentication.clone(),
            &config,
            bans.clone(),
            (broker.clone(), brokers.sessions),
            shared.as_ref().map(SharedBroker::clientids),
        );
        let shadows = Registry::default();
        let adapter = Arc::new(Adapter {
            ids: ids.clone(),
            registry: registry.clone(),
            shadows: shadows.clone(),
            clients: clients.clone(),
            authorizer: authorizer.clone(),
            broker: broker.clone(),
            peers: shared.as_ref().map(SharedBroker::peers),
            metrics: metrics.clone(),
        });
        let streams = config.handler.service == HandlerService::ConnectionStream;
        let commands: Arc<dyn Executor> = Arc::new(adapter::Commands::new(adapter.clone()));
        let mirror = mirror::start(&config.handler, identity, &shadows, &commands)?;
        if let Some(started) = &mirror {
            metrics.observe_mirror(&started.mirror);
        }
        let executor = Some(commands).filter(|_| streams && in_process.is_none());
        let listeners = Arc::new(Listeners::new(Shared {
            index: shared.as_ref().map(SharedBroker::index),
            handlers: handlers.clone(),
            broker,
            metrics: metrics.clone(),
            lingering: Arc::new(Semaphore::new(shutdown::LINGERING)),
            connections: Connections::new(&ids, &registry),
            pod: Level::new(&config.limits),
            bans: bans.clone(),
            adapter: ports.adapter.1,
            executor,
            in_process,
            mirror,
        }));
        listeners.apply(&config, || ())?;
        let instance = ids.instance();
        let subjects = Subjects {
            ids,
            registry,
            clients: clients.clone(),
            bans,
            metrics: metrics.clone(),
            others: shared.as_ref().map(SharedBroker::others),
        };
        let management = Management::new(subjects, servers.management_tokens(), &config.management);
        let local = Local::new(&adapter, &management);
        let cluster = shared.as_ref().map(SharedBroker::cluster);
        Ok(Self {
            addresses: ports.addresses(listeners.addresses()),
            peers: ports
                .peers
                .zip(shared.as_ref())
                .map(|((socket, _), shared)| (socket, shared.server(instance, local))),
            adapter: (ports.adapter.0, adapter),
            http: (ports.http.0, Health::new(handlers, cluster, metrics)),
            management: ports.management.map(|(socket, _)| (socket, management)),
            reloader: Reloader::new(
                config,
                listeners.clone(),
                authentication,
                authorizer,
                clients,
                servers.clone(),
            ),
            servers,
            listeners,
            watch,
            shared_broker: shared,
        })
    }

    /// Its broker. For benchmarks, which so measure what passes between pods without devices and gRPC.
    #[must_use]
    pub fn broker(&self) -> Broker {
        self.adapter.1.broker.clone()
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
            management,
            servers,
            shared_broker,
            peers,
            addresses,
        } = self;
        let end = CancellationToken::new();
        let http = serve_http(http_socket, health.clone(), end.clone());
        let adapter = {
            let logs = shared_broker.as_ref().map(SharedBroker::logs);
            serve_adapter(adapter, logs, &servers, &reloader.config(), end.clone())?
        };
        let peers = peers
            .map(|peers| serve_peers(peers, &reloader.config(), servers.metrics(), end.clone()))
            .transpose()?;
        let management =
            management.map(|management| serve_management(management, &servers, end.clone()));
        listeners.start();
        let sessions = reloader.clients().sessions().clone();
        let expiring = AbortOnDropHandle::new(tokio::spawn(sessions.expire()));
        let watching = reload::watch(&reloader, watch);
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
            mirror,
            ..
        } = listeners.shared();
        let drain = reloader.config().drain.clone();
        handlers.drain(drain.timeout);
        if let Some(started) = mirror {
            started.mirror.handlers.drain(drain.timeout);
        }
        let drained = shutdown::drain(connections, handlers, lingering, &drain).await;
        if let Some(shared) = shared_broker {
            shared.leave(matches!(drained, Drained::All)).await;
        }
        if let Some(started) = mirror {
            // Nobody waits for it longer than that.
            let _ = timeout(LAST_ANSWERS, started.mirror.drain()).await;
        }
        end.cancel();
        // Their last answers; whoever keeps a connection open does not keep the process.
        let management = async {
            if let Some(serving) = management {
                drop(serving.await);
            }
        };
        let _ = timeout(LAST_ANSWERS, async {
            let peers = async {
                if let Some(serving) = peers {
                    drop(serving.await);
                }
            };
            tokio::join!(http, adapter, management, peers)
        })
        .await;
        Ok(drained)
    }
}

/// Every file that may change while the gateway runs, but for the configuration itself.
fn files(config: &Config) -> Vec<PathBuf> {
    let of_listeners = config.listeners.iter().flat_map(listen::files);
    let mut files: Vec<PathBuf> = of_listeners
        .chain(auth::files(config))
        .chain(authorization::files(&config.authorization))
        .chain(Servers::files_of(config))
        .chain(config.handler.files())
        .collect();
    files.sort();
    files.dedup();
    files
}
