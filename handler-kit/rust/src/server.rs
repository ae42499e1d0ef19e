//! What the user starts.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use proto::{
    exproto::connection_unary_handler_server::ConnectionUnaryHandlerServer,
    stream::connection_stream_server::ConnectionStreamServer,
};
use tokio::{net::TcpListener, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::transport;

use crate::{
    Conn, Handler,
    pods::Pods,
    socket,
    stream::{self, Settings},
    unary::{self, Caller},
};

/// What HTTP/2 lets a gateway send before it was looked at, for each stream.
const WINDOW: u32 = 1024 * 1024;
/// What a batch may be larger than what was asked for: a single event goes out whatever its size.
const SLACK: usize = 3 * 1024 * 1024;

/// Why a handler does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address could not be taken.
    #[error("cannot listen on {address} (choose another address, or end what uses it): {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The adapter's address is none.
    #[error("\"{address}\" is no address of an adapter; write host:port: {source}")]
    Adapter {
        /// What was written.
        address: String,
        /// What is wrong with it.
        source: transport::Error,
    },
    /// The server failed.
    #[error("the server failed: {0}")]
    Server(#[from] transport::Error),
}

/// How the server ends.
#[derive(Clone, Default)]
pub(crate) struct Ending {
    /// It has been told to.
    pub(crate) leaving: CancellationToken,
    /// Streams and calls that it waits for.
    pub(crate) busy: TaskTracker,
}

/// A gRPC server with one object for each connection.
pub struct Server<F> {
    accept: Arc<F>,
    adapter: Option<String>,
    settings: Settings,
    shutdown_timeout: Duration,
}

impl<F, H> Server<F>
where
    F: Fn(&Conn) -> H + Send + Sync + 'static,
    H: Handler,
{
    /// `accept` makes the object of a connection. It serves the ordered stream, for gateways with
    /// `handler.service: ConnectionStream`.
    pub fn new(accept: F) -> Self {
        Self {
            accept: Arc::new(accept),
            adapter: None,
            settings: Settings {
                max_events: 64,
                max_event_bytes: 256 * 1024,
                max_batch_bytes: 1024 * 1024,
                detached_timeout: Duration::from_secs(60),
            },
            shutdown_timeout: Duration::from_secs(10),
        }
    }

    /// The switch: also serves `emqx.exproto.v1.ConnectionUnaryHandler`, and calls the adapter at `address`, as
    /// `host:port` or a URL. For gateways with `handler.service: ConnectionUnaryHandler`, and for EMQX.
    #[must_use]
    pub fn adapter(mut self, address: impl Into<String>) -> Self {
        self.adapter = Some(address.into());
        self
    }

    /// How many events of a connection, and how many bytes of them, may wait for their callbacks; 64 and 256 KiB unless
    /// said. Beyond that the gateway does not read the device.
    #[must_use]
    pub fn credits(mut self, events: u32, bytes: u32) -> Self {
        self.settings.max_events = events;
        self.settings.max_event_bytes = bytes;
        self
    }

    /// For how long an object is kept whose gateway is not heard of; one minute unless said. If its connection does not
    /// come back by then, it is closed as `detached`.
    #[must_use]
    pub fn detached_timeout(mut self, timeout: Duration) -> Self {
        self.settings.detached_timeout = timeout;
        self
    }

    /// How long callbacks that run may take once the server is told to end; 10 seconds unless said. Then streams are cut,
    /// and commands that wait end with [`Error::Gone`](crate::Error::Gone).
    #[must_use]
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Serves until the process is told to end by SIGTERM or Ctrl-C. Then it says goodbye: what has come is done with,
    /// connections go to other handlers, and no device notices.
    pub async fn serve(self, address: SocketAddr) -> Result<(), ServeError> {
        self.serve_until(address, told_to_end()).await
    }

    /// As [`Server::serve`], until `end` is ready.
    pub async fn serve_until(
        self,
        address: SocketAddr,
        end: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let socket = TcpListener::bind(address).await;
        let socket = socket.map_err(|source| ServeError::Bind { address, source })?;
        self.serve_on(socket, end).await
    }

    /// As [`Server::serve_until`], on a socket that listens already.
    pub async fn serve_on(
        self,
        socket: TcpListener,
        end: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let shutdown_timeout = self.shutdown_timeout;
        let (ending, cut) = (Ending::default(), CancellationToken::new());
        let pods = Arc::default();
        let (mut health, health_service) = tonic_health::server::health_reporter();
        health
            .set_service_status("", tonic_health::ServingStatus::Serving)
            .await;
        let router = self.router(&pods, &ending)?.add_service(health_service);
        let mut serving = tokio::spawn(router.serve_with_incoming_shutdown(
            socket::incoming(socket, cut.clone()),
            ending.leaving.clone().cancelled_owned(),
        ));
        tokio::select! {
            served = &mut serving => return Ok(served.unwrap_or(Ok(()))?),
            () = end => {}
        }
        health
            .set_service_status("", tonic_health::ServingStatus::NotServing)
            .await;
        ending.leaving.cancel();
        ending.busy.close();
        let served = timeout(shutdown_timeout, async {
            ending.busy.wait().await;
            // Who watches would hold the server.
            health.clear_service_status("").await;
            (&mut serving).await
        });
        let served = served.await;
        // What has not ended by then is done again elsewhere.
        cut.cancel();
        pods.abandon();
        let served = match served {
            Ok(served) => served,
            Err(_) => serving.await,
        };
        Ok(served.unwrap_or(Ok(()))?)
    }

    /// What is served, but for its health.
    fn router(
        self,
        pods: &Arc<Pods<H>>,
        ending: &Ending,
    ) -> Result<transport::server::Router, ServeError> {
        let largest = self.settings.max_batch_bytes as usize + SLACK;
        let accept = self.accept.clone();
        let streams = stream::Service::new(accept, pods.clone(), self.settings, ending.clone());
        let streams = ConnectionStreamServer::new(streams).max_decoding_message_size(largest);
        let unary = match self.adapter {
            None => None,
            Some(address) => {
                let caller = Caller::new(&address);
                let caller = caller.map_err(|source| ServeError::Adapter { address, source })?;
                let service = unary::Service::new(self.accept, caller, ending.clone());
                Some(ConnectionUnaryHandlerServer::new(service))
            }
        };
        let server = transport::Server::builder()
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .add_service(streams)
            .add_optional_service(unary);
        Ok(server)
    }
}

async fn told_to_end() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                () = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    interrupt.await;
}
