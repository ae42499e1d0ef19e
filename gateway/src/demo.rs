//! A gateway and a small handler in one process, to try it out: rooms to talk in, one command a line.
//!
//! The handler is a real one: it serves gRPC on a port of its own and knows the gateway only by the contract.

/// The line protocol, and what the handler does for each command.
mod lines;

use std::{collections::HashMap, future::Future, net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use config::{Bind, BrokerKind, Config, Log, PodName, RedisUrl};
use parking_lot::Mutex;
use proto::exproto::{
    EmptySuccess, ReceivedBytesRequest, ReceivedMessagesRequest, SocketClosedRequest,
    SocketCreatedRequest, TimerTimeoutRequest,
    connection_unary_handler_server::{ConnectionUnaryHandler, ConnectionUnaryHandlerServer},
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, transport::Server};

use self::lines::{Room, Session};
use crate::{Gateway, listen::tcp};

/// Where the demo listens.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The address for devices: try nc on it.
    #[arg(long, default_value = "127.0.0.1:7993", value_name = "HOST:PORT")]
    pub device: SocketAddr,
    /// The address of the adapter, which the handler calls.
    #[arg(long, default_value = "127.0.0.1:9100", value_name = "HOST:PORT")]
    pub adapter: SocketAddr,
    /// The address of the handler, which the gateway calls.
    #[arg(long, default_value = "127.0.0.1:9001", value_name = "HOST:PORT")]
    pub handler: SocketAddr,
    /// The address of health and metrics.
    #[arg(long, default_value = "127.0.0.1:9102", value_name = "HOST:PORT")]
    pub http: SocketAddr,
    /// The Redis that this demo shares with others, such as `redis://127.0.0.1:6379`: whoever is in a room there is in it
    /// here.
    #[arg(long, value_name = "URL", requires_all = ["key_file", "pod"])]
    pub redis: Option<RedisUrl>,
    /// The cluster's key, the same for all demos that share a Redis: 32 random bytes.
    #[arg(long, value_name = "FILE", requires = "redis")]
    pub key_file: Option<PathBuf>,
    /// The address for the calls of other demos.
    #[arg(long, default_value = "127.0.0.1:9103", value_name = "HOST:PORT")]
    pub peers: SocketAddr,
    /// What tells this demo from the others.
    #[arg(long, value_name = "NAME", requires = "redis")]
    pub pod: Option<PodName>,
}

/// Runs the demo until `shutdown`.
pub async fn run(arguments: Arguments, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    let handler = tcp::bind(Bind(arguments.handler), 128)
        .with_context(|| format!("cannot listen on {} (--handler)", arguments.handler))?;
    let handler_address = handler.local_addr()?;
    let gateway = Gateway::bind(config(&arguments, handler_address)?)?;
    let addresses = gateway.addresses().clone();
    let device = addresses.listeners.values().copied().next();
    let device = device.context("the demo has one listener")?;

    let end = CancellationToken::new();
    let serve = Server::builder()
        .add_service(ConnectionUnaryHandlerServer::new(Handler::new(
            addresses.adapter,
        )?))
        .serve_with_incoming_shutdown(
            tcp::incoming(handler, "demo handler"),
            end.clone().cancelled_owned(),
        );
    let serve = tokio::spawn(serve);
    print!("{}", banner(device, handler_address, addresses.adapter));
    gateway.run(shutdown).await?;
    end.cancel();
    serve.await??;
    Ok(())
}

/// Only trouble is logged: the rest is said in the banner.
#[must_use]
pub fn log() -> Log {
    Log {
        level: "warn".parse().unwrap_or_default(),
        ..Log::default()
    }
}

fn config(arguments: &Arguments, handler: SocketAddr) -> anyhow::Result<Config> {
    let mut config = Config::default();
    let listener = config.listeners.first_mut();
    let listener = listener.context("the default configuration has a listener")?;
    listener.bind = Bind(arguments.device);
    // Somebody who types needs time to think.
    listener.first_byte_timeout = None;
    config.adapter.bind = Bind(arguments.adapter);
    config.adapter.insecure = !config.adapter.bind.is_loopback();
    config.http.bind = Bind(arguments.http);
    config.handler.addresses = vec![handler.to_string().parse().map_err(anyhow::Error::msg)?];
    if let Some(redis) = &arguments.redis {
        config.broker.kind = BrokerKind::Redis;
        config.redis.urls = vec![redis.clone()];
        config.cluster.peers.bind = Bind(arguments.peers);
        config.cluster.key_file.clone_from(&arguments.key_file);
        config.pod.name.clone_from(&arguments.pod);
    }
    Ok(config)
}

fn banner(device: SocketAddr, handler: SocketAddr, adapter: SocketAddr) -> String {
    let (ip, port) = (device.ip(), device.port());
    format!(
        "ExProto Gateway demo\n\
         \n  devices connect to    {device}\
         \n  the handler serves    {handler}   (gRPC, ConnectionUnaryHandler)\
         \n  the handler calls     {adapter}   (gRPC, ConnectionAdapter)\n\
         \nIn another terminal:\n\
         \n  nc {ip} {port}\n\
         \nand there, one command a line:\n\
         \n  name truck-1\
         \n  sub room/1\
         \n  pub room/1 hello there\
         \n  unsub room/1\
         \n  quit\n\
         \nA second nc with another name talks to the first. Ctrl-C ends the demo.\n\n"
    )
}

/// The handler: what each connection has said so far, and a way to the adapter.
struct Handler {
    room: Room,
    sessions: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Session>>>>,
}

impl Handler {
    fn new(adapter: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self {
            room: Room::new(adapter)?,
            sessions: Mutex::default(),
        })
    }

    fn session(&self, conn: &str) -> Arc<tokio::sync::Mutex<Session>> {
        let mut sessions = self.sessions.lock();
        sessions.entry(conn.to_owned()).or_default().clone()
    }
}

#[tonic::async_trait]
impl ConnectionUnaryHandler for Handler {
    async fn on_socket_created(
        &self,
        request: Request<SocketCreatedRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        self.session(&request.into_inner().conn);
        Ok(Response::new(EmptySuccess {}))
    }

    async fn on_socket_closed(
        &self,
        request: Request<SocketClosedRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        self.sessions.lock().remove(&request.into_inner().conn);
        Ok(Response::new(EmptySuccess {}))
    }

    async fn on_received_bytes(
        &self,
        request: Request<ReceivedBytesRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let ReceivedBytesRequest { conn, bytes } = request.into_inner();
        let session = self.session(&conn);
        let mut session = session.lock().await;
        self.room.received(&conn, &mut session, &bytes).await?;
        Ok(Response::new(EmptySuccess {}))
    }

    async fn on_timer_timeout(
        &self,
        _: Request<TimerTimeoutRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        Ok(Response::new(EmptySuccess {}))
    }

    async fn on_received_messages(
        &self,
        request: Request<ReceivedMessagesRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let request = request.into_inner();
        self.room.deliver(&request.conn, &request.messages).await?;
        Ok(Response::new(EmptySuccess {}))
    }
}
