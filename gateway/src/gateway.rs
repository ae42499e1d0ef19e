//! A gateway: takes its ports, serves until it is told to end, and then drains.

use std::{collections::HashMap, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use config::{Bind, Config};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use proto::exproto::connection_adapter_server::{ConnectionAdapterServer, SERVICE_NAME as ADAPTER};
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};
use tonic::transport::Server;

use crate::{
    adapter::Adapter,
    auth::{Anonymous, Authenticator},
    broker::{self, Broker, queue},
    clients::Clients,
    conn_id::{ConnIds, KeyError},
    connection::{Policy, Settings},
    handler::{self, Handlers},
    http::{Health, router},
    listen::{self, Connections, Listener},
    metrics::{ListenerMetrics, Metrics},
    registry::Registry,
    shutdown::{self, Drained},
    transport::Transport,
};

/// By how much the deadline that handlers are told is longer than the true one.
const TOLD_LONGER: Duration = Duration::from_secs(1);
/// Bytes of requests that one HTTP/2 connection of a handler may have on their way. Half of it over 256 is how many
/// small requests `hyper` lets wait before it takes them for an attack: more than `max_concurrent_calls` can be.
const ADAPTER_WINDOW: u32 = 16 * 1024 * 1024;
/// How long the servers of handlers and health may take to end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// How often a handler's connection is asked whether it is still there.
const ADAPTER_PING: Duration = Duration::from_secs(60);
/// Connections to the adapter and to the HTTP port that the kernel holds until they are accepted.
const BACKLOG: u32 = 4096;

/// Why a gateway did not start.
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
    /// The service that tells handlers the adapter's schema could not be built.
    #[error("cannot build the reflection service: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
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
    config: Config,
    listeners: Vec<Listener>,
    connections: Connections,
    adapter: (TcpListener, Adapter),
    http: (TcpListener, Arc<Health>),
    handlers: Handlers,
    lingering: Arc<Semaphore>,
    addresses: Addresses,
}

impl Gateway {
    /// Takes all ports, and starts to connect to the handlers. Everybody may authenticate.
    pub fn bind(config: Config) -> Result<Self, Error> {
        Self::bind_with(config, Arc::new(Anonymous))
    }

    /// As `bind`, with an authenticator of the caller's.
    pub fn bind_with(config: Config, authenticator: Arc<dyn Authenticator>) -> Result<Self, Error> {
        let pod = config.pod.resolve_name();
        let ids = Arc::new(ConnIds::new(
            pod.as_str(),
            config.cluster.key_file.as_deref(),
        )?);
        let adapter_socket = bind("adapter.bind", config.adapter.bind, BACKLOG)?;
        let http_socket = bind("http.bind", config.http.bind, BACKLOG)?;
        let metrics = Metrics::new();
        let registry = Registry::default();
        let handlers = start_handlers(&config, &registry);
        let broker = Broker::memory(broker::Settings {
            node: pod.as_str().into(),
            max_payload: config.broker.max_payload.bytes(),
            max_levels: config.broker.max_topic_levels as usize,
        });
        metrics.observe_handlers(&handlers);
        metrics.observe_broker(&broker);

        let mut addresses = Addresses {
            listeners: HashMap::new(),
            adapter: address(&adapter_socket, "adapter.bind", config.adapter.bind)?,
            http: address(&http_socket, "http.bind", config.http.bind)?,
        };
        let lingering = Arc::new(Semaphore::new(shutdown::LINGERING));
        let shared = Shared {
            handlers: handlers.clone(),
            broker: broker.clone(),
            metrics: metrics.clone(),
            lingering: lingering.clone(),
        };
        let mut listeners = Vec::new();
        for listener in &config.listeners {
            let bound = bind_listener(&config, listener, addresses.adapter, &shared)?;
            addresses
                .listeners
                .insert(listener.name.to_string(), bound.address);
            listeners.push(bound.listener);
        }

        let adapter = Adapter {
            ids: ids.clone(),
            registry: registry.clone(),
            clients: Clients::new(authenticator, mountpoints(&config)),
            broker,
            metrics: metrics.clone(),
        };
        Ok(Self {
            listeners,
            connections: Connections {
                ids,
                registry,
                tasks: TaskTracker::new(),
            },
            adapter: (adapter_socket, adapter),
            http: (http_socket, Health::new(handlers.clone(), metrics)),
            handlers,
            lingering,
            addresses,
            config,
        })
    }

    /// The addresses that were taken.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Serves until `told_to_end` is ready, then drains.
    pub async fn run(self, told_to_end: impl Future<Output = ()>) -> Result<Drained, Error> {
        let Self {
            config,
            listeners,
            connections,
            adapter,
            http: (http_socket, health),
            handlers,
            lingering,
            addresses,
        } = self;
        let end = CancellationToken::new();
        let http = serve_http(http_socket, health.clone(), end.clone());
        let adapter = serve_adapter(adapter, &config.adapter, end.clone())?;
        let stop = CancellationToken::new();
        let accepting = TaskTracker::new();
        for listener in listeners {
            accepting.spawn(listener.serve(connections.clone(), stop.clone()));
        }
        tracing::info!(?addresses, "serving");
        told_to_end.await;

        tracing::info!("draining: no new devices, and the open connections are being closed");
        health.drain();
        stop.cancel();
        accepting.close();
        accepting.wait().await;
        let drained = shutdown::drain(&connections, &handlers, &lingering, &config.drain).await;
        end.cancel();
        // Their last answers; whoever keeps a connection open does not keep the process.
        let _ = timeout(LAST_ANSWERS, async { tokio::join!(http, adapter) }).await;
        Ok(drained)
    }
}

fn bind(what: &str, bind: Bind, backlog: u32) -> Result<TcpListener, Error> {
    listen::bind_tcp(bind, backlog).map_err(|source| Error::Bind {
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

/// What all listeners share.
struct Shared {
    handlers: Handlers,
    broker: Broker,
    metrics: Arc<Metrics>,
    lingering: Arc<Semaphore>,
}

struct Bound {
    listener: Listener,
    address: SocketAddr,
}

fn bind_listener(
    config: &Config,
    listener: &config::Listener,
    adapter: SocketAddr,
    shared: &Shared,
) -> Result<Bound, Error> {
    let what = format!("listener \"{}\"", listener.name);
    let socket = bind(&what, listener.bind, listener.backlog)?;
    let address = address(&socket, &what, listener.bind)?;
    let counts = Arc::new(ListenerMetrics::default());
    shared
        .metrics
        .observe_listener(listener.name.as_str(), &counts);
    let settings = Settings {
        listener: listener.name.to_string(),
        headers: headers(config, listener, adapter),
        limits: config.connection.clone(),
        queue: queue::Limits {
            messages: config.connection.message_queue as usize,
            bytes: config.connection.message_queue_bytes.bytes(),
        },
        first_byte_timeout: listener.first_byte_timeout,
        idle_timeout: listener.idle_timeout,
        authentication_timeout: listener.authentication_timeout,
        half_close: listener.half_close,
        policy: policy(&config.handler),
        handlers: shared.handlers.clone(),
        broker: shared.broker.clone(),
        counts,
        metrics: shared.metrics.clone(),
        lingering: shared.lingering.clone(),
    };
    Ok(Bound {
        listener: Listener::new(socket, listener, Arc::new(settings)),
        address,
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

fn policy(config: &config::Handler) -> Policy {
    Policy {
        park_timeout: config.park_timeout,
        on_handler_loss: config.on_handler_loss,
        retry_unacknowledged: config.retry_unacknowledged,
        backoff_min: config.backoff_min,
        backoff_max: config.backoff_max,
    }
}

fn mountpoints(config: &Config) -> HashMap<String, config::Mountpoint> {
    let own = |listener: &config::Listener| {
        let mountpoint = listener.mountpoint.as_ref().unwrap_or(&config.mountpoint);
        (listener.name.to_string(), mountpoint.clone())
    };
    config.listeners.iter().map(own).collect()
}

/// The metadata that all callbacks of a listener carry.
fn headers(config: &Config, listener: &config::Listener, adapter: SocketAddr) -> HeaderMap {
    let pod_ip = std::env::var("POD_IP").ok().and_then(|ip| ip.parse().ok());
    let advertised = config.adapter.advertise(adapter, pod_ip);
    // A little longer than we wait, so that we say when time is up and not the handler's library.
    let told = config.handler.deadline + TOLD_LONGER;
    // gRPC takes eight digits.
    let deadline = match told.as_millis() {
        millis if millis < 100_000_000 => format!("{millis}m"),
        _ => format!("{}S", told.as_secs()),
    };
    let agent = concat!("exproto-gateway/", env!("CARGO_PKG_VERSION"));
    let pairs: [(HeaderName, &str); 6] = [
        (header::TE, "trailers"),
        (header::CONTENT_TYPE, "application/grpc"),
        (header::USER_AGENT, agent),
        (HeaderName::from_static("grpc-timeout"), &deadline),
        (
            HeaderName::from_static("exproto-listener"),
            listener.name.as_str(),
        ),
        (
            HeaderName::from_static("exproto-transport"),
            Transport::Tcp.as_str(),
        ),
    ];
    // Room for what each callback adds.
    let mut headers = HeaderMap::with_capacity(16);
    for (name, value) in pairs {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    if let Some(address) = advertised
        && let Ok(address) = HeaderValue::from_str(&address)
    {
        headers.insert(HeaderName::from_static("exproto-adapter-address"), address);
    }
    headers
}

fn serve_http(
    socket: TcpListener,
    health: Arc<Health>,
    end: CancellationToken,
) -> AbortOnDropHandle<()> {
    let serve = axum::serve(socket, router(health)).with_graceful_shutdown(end.cancelled_owned());
    AbortOnDropHandle::new(tokio::spawn(async move {
        if let Err(error) = serve.await {
            tracing::error!(%error, "the HTTP port has failed");
        }
    }))
}

fn serve_adapter(
    (socket, adapter): (TcpListener, Adapter),
    config: &config::Adapter,
    end: CancellationToken,
) -> Result<AbortOnDropHandle<()>, Error> {
    let limit = config.max_request.bytes();
    let service = ConnectionAdapterServer::new(adapter).max_decoding_message_size(limit);
    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let serve = Server::builder()
        .max_concurrent_streams(Some(config.max_concurrent_calls))
        .initial_connection_window_size(ADAPTER_WINDOW)
        .http2_keepalive_interval(Some(ADAPTER_PING))
        .add_service(service)
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .serve_with_incoming_shutdown(listen::incoming(socket, "adapter"), end.cancelled_owned());
    Ok(AbortOnDropHandle::new(tokio::spawn(async move {
        reporter
            .set_service_status(ADAPTER, tonic_health::ServingStatus::Serving)
            .await;
        if let Err(error) = serve.await {
            tracing::error!(%error, "the adapter has failed");
        }
    })))
}
