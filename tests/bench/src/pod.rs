//! One of several gateways that share a Redis: its executable, with a handler in this process.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use proto::exproto::connection_unary_handler_server::{
    ConnectionUnaryHandler, ConnectionUnaryHandlerServer,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc::Receiver,
    task::JoinSet,
    time,
};

use crate::{
    clients::{self, Adapter},
    credentials::Credentials,
    gateway::{self, Addresses},
    grpc,
    handler::Service,
    process::{self, POLL, Process},
    transport::Transport,
};

/// How long pods may take to know each other.
const KNOWN: Duration = Duration::from_secs(20);

/// A running pod.
pub(crate) struct Pod {
    /// For its handler's calls.
    pub(crate) adapter: Adapter,
    device: SocketAddr,
    http: SocketAddr,
    created: Receiver<String>,
    server: Process,
    /// The handler. It ends when this is dropped.
    _serving: JoinSet<()>,
    /// Holds the configuration; removed when dropped.
    _folder: TempDir,
}

/// A client of a pod.
pub(crate) struct Client {
    pub(crate) conn: String,
    _device: TcpStream,
}

impl Pod {
    /// Starts it. `redis` is what the configuration has under that name, and `created` gets the names of connections from
    /// the handler.
    pub(crate) async fn start(
        executable: &Path,
        (name, key): (&str, &Path),
        redis: &Value,
        handler: impl ConnectionUnaryHandler,
        created: Receiver<String>,
    ) -> Result<Self> {
        let [handler_at, adapter, http, device, peers] = process::free_addresses::<5>()?;
        let addresses = Addresses {
            handler: handler_at,
            adapter,
            http,
        };
        let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
        let service = ConnectionUnaryHandlerServer::new(handler);
        let incoming = grpc::bind(handler_at).await?;
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let serving = grpc::server().add_service(service);
            if let Err(error) = serving.serve_with_incoming(incoming).await {
                eprintln!("the handler ended: {error}");
            }
        });
        let credentials = Credentials::create(folder.path())?;
        let listener = Transport::Tcp.listener(device, &credentials, Duration::ZERO);
        let mut config = gateway::config(&addresses, Service::Unary, &[listener]);
        config["pod"] = json!({ "name": name });
        config["cluster"] = json!({ "key_file": key, "peers": { "bind": peers } });
        config["broker"] = json!({ "kind": "redis" });
        config["redis"] = redis.clone();
        config["log"] = json!({ "level": "error" });
        let server = gateway::start(executable, folder.path(), &config, http).await?;
        let endpoint = grpc::endpoint(adapter)?;
        Ok(Self {
            adapter: Adapter::new(endpoint.connect().await?),
            device,
            http,
            created,
            server,
            _serving: serving,
            _folder: folder,
        })
    }

    /// A new client.
    pub(crate) async fn client(&mut self, clientid: &str) -> Result<Client> {
        let (devices, names) = clients::connect(self.device, 1, &mut self.created).await?;
        let device = devices.into_iter().next().context("one was asked for")?;
        let conn = names.into_iter().next().context("one was asked for")?;
        clients::authenticate(self.adapter.clone(), conn.clone(), clientid.to_owned()).await?;
        Ok(Client {
            conn,
            _device: device,
        })
    }

    /// The value of a metric, with its labels as they stand there; 0 if it is not there.
    pub(crate) async fn metric(&self, series: &str) -> Result<u64> {
        let mut socket = TcpStream::connect(self.http).await?;
        let request = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        socket.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        let line = answer.lines().find_map(|line| line.strip_prefix(series));
        Ok(line
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or(0))
    }

    /// Waits until it knows so many filters with wildcards of others.
    pub(crate) async fn knows(&self, filters: u64) -> Result<()> {
        let began = time::Instant::now();
        while self
            .metric("exproto_shared_filters{whose=\"foreign\"}")
            .await?
            != filters
        {
            ensure!(
                began.elapsed() < KNOWN,
                "the pods do not come to know each other"
            );
            time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Waits until its process ends by itself, which none should, and says how.
    pub(crate) async fn death(&mut self) -> anyhow::Error {
        self.server.death().await
    }

    /// Kills it and waits until it is gone.
    pub(crate) async fn stop(self) -> Result<()> {
        self.server.stop().await
    }
}
