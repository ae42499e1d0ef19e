//! The ports that are not for devices: the adapter, the management API, other pods, and health and metrics.

/// What they read from files.
mod secrets;

use std::{sync::Arc, time::Duration};

use config::Config;
use proto::{
    cluster::peer_server::PeerServer,
    exproto::connection_adapter_server::{ConnectionAdapterServer, SERVICE_NAME as ADAPTER},
    gateway::backend_server::{BackendServer, SERVICE_NAME as BACKEND},
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::transport::Server;

pub(super) use self::secrets::Servers;
use super::{Error, backends};
use crate::{
    adapter::Adapter,
    callers::{Guard, guard},
    cluster::Logs,
    door::{Door, Security},
    http::{Health, router},
    management::{self, Management},
    metrics::Metrics,
    peers,
};

/// Bytes of requests that one HTTP/2 connection of a handler may have on their way. Half of it over 256 is how many
/// small requests `hyper` lets wait before it takes them for an attack: more than `max_concurrent_calls` can be.
const ADAPTER_WINDOW: u32 = 16 * 1024 * 1024;
/// How often a handler's connection is asked whether it is still there.
const ADAPTER_PING: Duration = Duration::from_secs(60);

pub(super) fn serve_http(
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

/// What handlers call, and beside it what back ends call. The logs are where there are other pods.
pub(super) fn serve_adapter(
    (socket, adapter): (TcpListener, Arc<Adapter>),
    logs: Option<Logs>,
    servers: &Servers,
    config: &Config,
    end: CancellationToken,
) -> Result<AbortOnDropHandle<()>, Error> {
    let backend = backends::new(&config.backend, &adapter, logs, end.clone());
    let config = &config.adapter;
    let limit = config.max_request.bytes();
    let metrics = adapter.metrics.clone();
    let service = ConnectionAdapterServer::from_arc(adapter).max_decoding_message_size(limit);
    let service = (service, guard::adapter as _);
    let service = Guard::new(service, servers.callers(), metrics.clone());
    let backend = BackendServer::new(backend).max_decoding_message_size(limit);
    let backend = (backend, guard::backend as _);
    let backend = Guard::new(backend, servers.callers(), metrics.clone());
    let door = Door::open(socket, servers.adapter(), metrics, config.max_connections);
    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // The files know other services as well, which are not served here.
            .with_service_name(ADAPTER)
            .with_service_name(BACKEND)
            .with_service_name("grpc.health.v1.Health")
    };
    let serve = Server::builder()
        .max_concurrent_streams(Some(config.max_concurrent_calls))
        .initial_connection_window_size(ADAPTER_WINDOW)
        .http2_keepalive_interval(Some(ADAPTER_PING))
        .add_service(service)
        .add_service(backend)
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .serve_with_incoming_shutdown(door, end.cancelled_owned());
    Ok(AbortOnDropHandle::new(tokio::spawn(async move {
        for service in [ADAPTER, BACKEND] {
            let serving = tonic_health::ServingStatus::Serving;
            reporter.set_service_status(service, serving).await;
        }
        if let Err(error) = serve.await {
            tracing::error!(%error, "the adapter has failed");
        }
    })))
}

pub(super) fn serve_peers(
    (socket, server): (TcpListener, peers::Server),
    config: &Config,
    metrics: Arc<Metrics>,
    end: CancellationToken,
) -> Result<AbortOnDropHandle<()>, Error> {
    let limits = &config.cluster.peers;
    // What a handler may send to the adapter must get through here as well.
    let largest = config.adapter.max_request.bytes() + peers::SEAL;
    let service = PeerServer::new(server).max_decoding_message_size(largest);
    let plain = Security::load("peers", &config::ServerTls::default(), "h2");
    let plain = plain.map_err(|source| Error::Server {
        server: "peers",
        source,
    })?;
    let door = Door::open(socket, Arc::new(plain), metrics, limits.max_connections);
    let serve = Server::builder()
        .max_concurrent_streams(Some(limits.max_concurrent_calls))
        .initial_connection_window_size(ADAPTER_WINDOW)
        .add_service(service)
        .serve_with_incoming_shutdown(door, end.cancelled_owned());
    Ok(AbortOnDropHandle::new(tokio::spawn(async move {
        if let Err(error) = serve.await {
            tracing::error!(%error, "the port of other pods has failed");
        }
    })))
}

pub(super) fn serve_management(
    (socket, management): (TcpListener, Management),
    servers: &Servers,
    end: CancellationToken,
) -> AbortOnDropHandle<()> {
    let door = Door::open(
        socket,
        servers.management(),
        servers.metrics(),
        management::CONNECTIONS + 1,
    );
    AbortOnDropHandle::new(tokio::spawn(management::serve(door, management, end)))
}
