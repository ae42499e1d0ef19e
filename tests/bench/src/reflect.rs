//! Hidden subcommands: what `udp` and `dtls` measure. Both send back what begins with `ECHO` and drop the rest, in
//! their own process and without gRPC.

use std::{
    fs, future,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use config::Config;
use exproto_gateway::Gateway;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, UdpSocket},
};

use crate::{
    credentials::{Clients, Credentials},
    gateway,
    handler::Service,
    process::{self, Process, own},
    transport::Transport,
};

/// The first byte of what is to be sent back.
pub(crate) const ECHO: u8 = 1;

/// The gateway as a library.
#[derive(Debug, clap::Args)]
pub(crate) struct GatewayArgs {
    /// The gateway's configuration.
    #[arg(long)]
    config: PathBuf,
}

/// A loop around a socket.
#[derive(Debug, clap::Args)]
pub(crate) struct BareArgs {
    /// Takes datagrams here.
    #[arg(long)]
    device: SocketAddr,
    /// Answers whoever connects here, once it is ready.
    #[arg(long)]
    ready: SocketAddr,
    /// How many sockets share the address, as the gateway's do.
    #[arg(long)]
    sockets: usize,
}

/// Serves until killed.
pub(crate) async fn run_gateway(args: GatewayArgs) -> Result<()> {
    let text = fs::read_to_string(&args.config)?;
    let config: Config = serde_json::from_str(&text)?;
    let gateway = Gateway::bind_in_process(
        config,
        Arc::new(|connection, bytes| {
            Box::pin(async move {
                if bytes.first() == Some(&ECHO) {
                    // A connection that has ended needs no echo.
                    let _ = connection.send(bytes).await;
                }
            })
        }),
    )?;
    gateway.run(future::pending()).await?;
    Ok(())
}

/// Serves until killed.
pub(crate) async fn run_bare(args: BareArgs) -> Result<()> {
    for _ in 0..args.sockets {
        let socket = Socket::new(Domain::for_address(args.device), Type::DGRAM, None)?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        // As many bytes as the gateway asks for.
        socket.set_recv_buffer_size(4 << 20)?;
        socket.set_send_buffer_size(4 << 20)?;
        socket.bind(&args.device.into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        tokio::spawn(async move {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                // What fails is lost, as datagrams may be.
                if let Ok((length, device)) = socket.recv_from(&mut buffer).await
                    && buffer[..length].first() == Some(&ECHO)
                {
                    let _ = socket.send_to(&buffer[..length], device).await;
                }
            }
        });
    }
    let ready = TcpListener::bind(args.ready).await?;
    loop {
        let (mut socket, _) = ready.accept().await?;
        // Whoever has asked will see it, or ask again.
        let _ = socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    }
}

/// One of the two, running and ready.
pub(crate) struct Reflector {
    pub(crate) process: Process,
    /// Where devices connect, in the order of the transports.
    pub(crate) devices: [SocketAddr; 5],
    pub(crate) clients: Clients,
    /// Holds the configuration; removed when dropped.
    _folder: TempDir,
}

impl Reflector {
    /// The gateway.
    pub(crate) async fn gateway(transports: &[Transport]) -> Result<Self> {
        Self::start("gateway", |devices, ready, folder, credentials| {
            let idle = crate::udp::IDLE;
            let listeners = transports.iter().zip(devices);
            let listeners: Vec<_> = listeners
                .map(|(transport, device)| transport.listener(*device, credentials, idle))
                .collect();
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let addresses = gateway::Addresses {
                // Nobody is called.
                handler: SocketAddr::from(([127, 0, 0, 1], 9)),
                adapter: any,
                http: ready,
            };
            let path = folder.join("gateway.json");
            fs::write(
                &path,
                gateway::config(&addresses, Service::Unary, &listeners).to_string(),
            )
            .with_context(|| format!("cannot write {}", path.display()))?;
            own("reflect", &[("--config", path)])
        })
        .await
    }

    /// The ceiling of UDP.
    pub(crate) async fn bare(sockets: usize) -> Result<Self> {
        Self::start("ceiling", |devices, ready, _, _| {
            let options = [
                ("--device", devices[0].to_string()),
                ("--ready", ready.to_string()),
                ("--sockets", sockets.to_string()),
            ];
            own("reflect-bare", &options)
        })
        .await
    }

    async fn start(
        name: &'static str,
        command: impl FnOnce(
            &[SocketAddr; 5],
            SocketAddr,
            &Path,
            &Credentials,
        ) -> Result<tokio::process::Command>,
    ) -> Result<Self> {
        let [ready, devices @ ..] = process::free_addresses::<6>()?;
        let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
        let credentials = Credentials::create(folder.path())?;
        let command = command(&devices, ready, folder.path(), &credentials)?;
        let mut process = Process::spawn(name, command)?;
        process
            .ready(async || gateway::is_serving(ready).await)
            .await?;
        Ok(Self {
            process,
            devices,
            clients: credentials.clients,
            _folder: folder,
        })
    }
}
