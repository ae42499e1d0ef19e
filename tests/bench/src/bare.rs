//! The ceiling: the same sockets, the same calls per echo and per message published, the same number of HTTP/2
//! connections, in plain tokio and tonic. No queue, limit, deadline, metadata or timer: what the gateway does beyond this is its own cost.

/// `Send`, and the map by which it finds a socket.
mod adapter;
/// `Publish`, and the callbacks that it makes.
mod fan_out;

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Poll, ready},
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use proto::exproto::{
    Address, ConnInfo, ReceivedBytesRequest, SocketClosedRequest, SocketCreatedRequest,
    connection_adapter_server::ConnectionAdapterServer,
    connection_unary_handler_client::ConnectionUnaryHandlerClient,
};
use tokio::{
    io::{AsyncRead as _, ReadBuf},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
};
use tonic::transport::Channel;

use self::{
    adapter::{Adapter, Writers},
    fan_out::FanOut,
};
use crate::{
    gateway::Addresses,
    grpc,
    process::{self, Process, own},
};

/// Where the bare program listens, and whom it calls.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Accepts devices here.
    #[arg(long)]
    device: SocketAddr,
    /// Calls the handler here.
    #[arg(long)]
    handler: SocketAddr,
    /// Serves the adapter here.
    #[arg(long)]
    adapter: SocketAddr,
}

/// The most that one callback carries.
const READ: usize = 16 * 1024;

/// Starts one in a process of its own, and waits until it is ready.
pub(crate) async fn start(device: SocketAddr, addresses: &Addresses) -> Result<Process> {
    let options = [
        ("--device", device.to_string()),
        ("--handler", addresses.handler.to_string()),
        ("--adapter", addresses.adapter.to_string()),
    ];
    let mut process = Process::spawn("ceiling", own("bare", &options)?)?;
    process
        .ready(async || process::is_listening(addresses.adapter).await)
        .await?;
    Ok(process)
}

/// Serves until killed.
pub(crate) async fn run(args: Args) -> Result<()> {
    let devices = TcpListener::bind(args.device)
        .await
        .with_context(|| format!("cannot listen on {}", args.device))?;
    let mut handlers = Vec::new();
    for _ in 0..grpc::CHANNELS {
        let channel = grpc::endpoint(args.handler)?
            .connect()
            .await
            .with_context(|| format!("cannot connect to the handler at {}", args.handler))?;
        handlers.push(ConnectionUnaryHandlerClient::new(channel));
    }
    let writers = Writers::default();
    let adapter = Adapter {
        writers: writers.clone(),
        fan_out: FanOut::new(handlers.clone()),
    };
    tokio::spawn(accept(devices, handlers, writers));
    grpc::server()
        .add_service(ConnectionAdapterServer::new(adapter))
        .serve_with_incoming(grpc::bind(args.adapter).await?)
        .await?;
    Ok(())
}

async fn accept(
    devices: TcpListener,
    handlers: Vec<ConnectionUnaryHandlerClient<Channel>>,
    writers: Writers,
) {
    for (number, handler) in (0..).zip(handlers.iter().cycle()) {
        match devices.accept().await {
            Ok((socket, _)) => {
                tokio::spawn(connection(number, socket, handler.clone(), writers.clone()));
            }
            Err(error) => eprintln!("cannot accept a device: {error}"),
        }
    }
}

async fn connection(
    number: u64,
    socket: TcpStream,
    mut handler: ConnectionUnaryHandlerClient<Channel>,
    writers: Writers,
) {
    let conn = number.to_string();
    let done = async {
        socket.set_nodelay(true)?;
        let conninfo = Some(ConnInfo {
            peername: Some(address(socket.peer_addr()?)),
            sockname: Some(address(socket.local_addr()?)),
            ..ConnInfo::default()
        });
        let (reader, writer) = socket.into_split();
        writers.insert(number, writer);
        let created = SocketCreatedRequest {
            conn: conn.clone(),
            conninfo,
        };
        handler.on_socket_created(created).await?;
        forward(&conn, reader, &mut handler).await
    };
    let done = done.await;
    writers.remove(number);
    let reason = done.map_or_else(|error| error.to_string(), |()| "tcp_closed".to_owned());
    let closed = SocketClosedRequest { conn, reason };
    if let Err(error) = handler.on_socket_closed(closed).await {
        eprintln!("connection {number}: OnSocketClosed failed: {error}");
    }
}

/// The measured loop.
async fn forward(
    conn: &str,
    mut reader: OwnedReadHalf,
    handler: &mut ConnectionUnaryHandlerClient<Channel>,
) -> Result<()> {
    loop {
        let bytes = read(&mut reader).await?;
        if bytes.is_empty() {
            return Ok(());
        }
        let conn = conn.to_owned();
        handler
            .on_received_bytes(ReceivedBytesRequest { conn, bytes })
            .await?;
    }
}

/// Reads into the worker's buffer and takes a copy, so that waiting takes no memory.
async fn read(reader: &mut OwnedReadHalf) -> io::Result<Bytes> {
    thread_local!(static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]));
    poll_fn(|context| {
        BUFFER.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            ready!(Pin::new(&mut *reader).poll_read(context, &mut buffer))?;
            Poll::Ready(Ok(Bytes::copy_from_slice(buffer.filled())))
        })
    })
    .await
}

fn address(of: SocketAddr) -> Address {
    Address {
        host: of.ip().to_string(),
        port: of.port().into(),
    }
}
