//! The handler of every run: `OnReceivedBytes` sends the bytes back by the adapter's Send, waits for its answer, and
//! then answers. Gateway and bare program get the same one, each in a process of its own.

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
    connection_unary_handler_server::{ConnectionUnaryHandler, ConnectionUnaryHandlerServer},
};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, transport::Channel};

use crate::{
    counts::Counts,
    grpc,
    process::{self, Process, own},
};

/// A device that sends this byte alone gets the connection's name and a line end. No device that echoes sends it.
pub(crate) const WHO: u8 = 255;

/// Where the handler listens, and whom it calls.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Serves the callbacks here.
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    /// Calls the adapter here.
    #[arg(long)]
    pub(crate) adapter: SocketAddr,
    /// Tells here how many connections were created and closed: a line of two numbers to whoever connects.
    #[arg(long)]
    pub(crate) counts: SocketAddr,
}

/// Starts one in a process of its own, and waits until it is ready.
pub(crate) async fn start(args: &Args) -> Result<Process> {
    let options = [
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
    let incoming = grpc::bind(args.listen).await?;
    let endpoint = grpc::endpoint(args.adapter)?;
    // Lazily, since whoever hosts the adapter is started after its handler.
    let adapters = (0..grpc::CHANNELS)
        .map(|_| ConnectionAdapterClient::new(endpoint.connect_lazy()))
        .collect();
    let counts = Arc::new(Counts::default());
    let handler = Handler {
        adapters,
        next: AtomicUsize::new(0),
        counts: Arc::clone(&counts),
    };
    tokio::spawn(async move { counts.tell(counts_listener).await });
    grpc::server()
        .add_service(ConnectionUnaryHandlerServer::new(handler))
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

#[tonic::async_trait]
impl ConnectionUnaryHandler for Handler {
    async fn on_received_bytes(
        &self,
        request: Request<ReceivedBytesRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let ReceivedBytesRequest { conn, mut bytes } = request.into_inner();
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
