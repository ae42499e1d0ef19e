//! The handler of every run: `OnReceivedBytes` sends the bytes back by the adapter's Send, waits for its answer, and
//! then answers. Gateway and bare program get the same one, each in a process of its own. Lines are only counted.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use proto::exproto::{
    EmptySuccess, ReceivedBytesRequest, ReceivedMessagesRequest, ResultCode, SendBytesRequest,
    SocketClosedRequest, SocketCreatedRequest, TimerTimeoutRequest,
    connection_adapter_client::ConnectionAdapterClient,
    connection_handler_server::ConnectionHandlerServer,
    connection_unary_handler_server::{ConnectionUnaryHandler, ConnectionUnaryHandlerServer},
};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, metadata::MetadataMap, transport::Channel};

use crate::{
    counts::Counts,
    grpc,
    process::{self, Process, own},
    transport::Transport,
};

/// The same by client streams.
mod client_streams;
/// The same by the ordered stream.
mod stream;

/// A device that sends this byte alone gets the connection's name and a line end. No device that echoes sends it.
pub(crate) const WHO: u8 = 255;

/// Which service a handler serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Service {
    /// `emqx.exproto.v1.ConnectionUnaryHandler`.
    Unary,
    /// `emqx.exproto.v1.ConnectionHandler`.
    ClientStream,
    /// `exproto.stream.v1.ConnectionStream`, by the handler kit for Rust.
    OrderedStream,
}

impl Service {
    /// As in options.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::ClientStream => "client-stream",
            Self::OrderedStream => "ordered-stream",
        }
    }

    /// As `handler.service` has it.
    pub(crate) fn configured(self) -> &'static str {
        match self {
            Self::Unary => "ConnectionUnaryHandler",
            Self::ClientStream => "ConnectionHandler",
            Self::OrderedStream => "ConnectionStream",
        }
    }
}

/// Where the handler listens, and whom it calls.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Serves this.
    #[arg(long, value_enum, default_value_t = Service::Unary)]
    pub(crate) service: Service,
    /// Serves the callbacks here.
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    /// Calls the adapter here.
    #[arg(long)]
    pub(crate) adapter: SocketAddr,
    /// Tells here how many connections were created and closed, and how many lines came, to whoever connects.
    #[arg(long)]
    pub(crate) counts: SocketAddr,
}

/// Starts one in a process of its own, and waits until it is ready.
pub(crate) async fn start(args: &Args) -> Result<Process> {
    let options = [
        ("--service", args.service.name().to_owned()),
        ("--listen", args.listen.to_string()),
        ("--adapter", args.adapter.to_string()),
        ("--counts", args.counts.to_string()),
    ];
    let mut process = Process::spawn("handler", own("handler", &options)?)?;
    process
        .ready(async || process::is_listening(args.listen).await)
        .await?;
    Ok(process)
}

/// Serves until killed.
pub(crate) async fn run(args: Args) -> Result<()> {
    let counts_listener = TcpListener::bind(args.counts)
        .await
        .with_context(|| format!("cannot listen on {}", args.counts))?;
    let counts = Arc::new(Counts::default());
    let telling = Arc::clone(&counts);
    tokio::spawn(async move { telling.tell(counts_listener).await });
    match args.service {
        Service::Unary | Service::ClientStream => serve_calls(&args, counts).await,
        Service::OrderedStream => stream::serve(&args, counts).await,
    }
}

async fn serve_calls(args: &Args, counts: Arc<Counts>) -> Result<()> {
    let incoming = grpc::bind(args.listen).await?;
    let endpoint = grpc::endpoint(args.adapter)?;
    // Lazily, since whoever hosts the adapter is started after its handler.
    let adapters = (0..grpc::CHANNELS)
        .map(|_| ConnectionAdapterClient::new(endpoint.connect_lazy()))
        .collect();
    let handler = Handler {
        adapters,
        next: AtomicUsize::new(0),
        counts,
    };
    let (calls, streams) = match args.service {
        Service::ClientStream => (None, Some(ConnectionHandlerServer::new(handler))),
        _ => (Some(ConnectionUnaryHandlerServer::new(handler)), None),
    };
    grpc::server()
        .add_optional_service(calls)
        .add_optional_service(streams)
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}

struct Handler {
    adapters: Vec<ConnectionAdapterClient<Channel>>,
    /// Counts calls, so that they go to each channel in turn.
    next: AtomicUsize,
    counts: Arc<Counts>,
}

impl Handler {
    async fn received(
        &self,
        metadata: &MetadataMap,
        request: ReceivedBytesRequest,
    ) -> Result<(), Status> {
        let is_line = metadata.get("exproto-listener");
        if is_line.is_some_and(|listener| listener == Transport::Lines.name()) {
            self.counts.lines.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        let ReceivedBytesRequest { conn, mut bytes } = request;
        if bytes[..] == [WHO] {
            bytes = Bytes::from(format!("{conn}\n"));
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.adapters.len();
        let mut adapter = self.adapters[turn].clone();
        let answer = adapter.send(SendBytesRequest { conn, bytes }).await?;
        let answer = answer.into_inner();
        if answer.code() != ResultCode::Success {
            return Err(Status::internal(answer.message));
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl ConnectionUnaryHandler for Handler {
    async fn on_received_bytes(
        &self,
        request: Request<ReceivedBytesRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.received(&metadata, request).await?;
        Ok(Response::new(EmptySuccess {}))
    }

    async fn on_socket_created(
        &self,
        _: Request<SocketCreatedRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        self.counts.created.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(EmptySuccess {}))
    }

    async fn on_socket_closed(
        &self,
        _: Request<SocketClosedRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        self.counts.closed.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(EmptySuccess {}))
    }

    async fn on_timer_timeout(
        &self,
        _: Request<TimerTimeoutRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        Err(Status::unimplemented("no benchmark starts a timer"))
    }

    async fn on_received_messages(
        &self,
        _: Request<ReceivedMessagesRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        Err(Status::unimplemented("no benchmark subscribes"))
    }
}
