//! The ceiling of the ordered stream: a TCP server in plain tokio that sends back what it gets, with no handler at all.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    counts::Counts,
    process::{self, Process, own},
};

/// Where it listens.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Accepts devices here.
    #[arg(long)]
    device: SocketAddr,
    /// Tells here how many connections were opened and closed.
    #[arg(long)]
    counts: SocketAddr,
}

/// Starts one in a process of its own, and waits until it is ready.
pub(crate) async fn start(device: SocketAddr, counts: SocketAddr) -> Result<Process> {
    let options = [
        ("--device", device.to_string()),
        ("--counts", counts.to_string()),
    ];
    let mut process = Process::spawn("bare tcp", own("bare-tcp", &options)?)?;
    process
        .ready(async || process::is_listening(counts).await)
        .await?;
    Ok(process)
}

/// Serves until killed.
pub(crate) async fn run(args: Args) -> Result<()> {
    let devices = TcpListener::bind(args.device)
        .await
        .with_context(|| format!("cannot listen on {}", args.device))?;
    let telling = TcpListener::bind(args.counts)
        .await
        .with_context(|| format!("cannot listen on {}", args.counts))?;
    let counts = Arc::new(Counts::default());
    let teller = Arc::clone(&counts);
    tokio::spawn(async move { teller.tell(telling).await });
    loop {
        let (socket, _) = devices.accept().await?;
        let counts = Arc::clone(&counts);
        tokio::spawn(async move {
            counts.created.fetch_add(1, Ordering::SeqCst);
            // The device has gone, in order or not.
            let _ = echo(socket).await;
            counts.closed.fetch_add(1, Ordering::SeqCst);
        });
    }
}

async fn echo(mut socket: TcpStream) -> Result<()> {
    socket.set_nodelay(true)?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        socket.write_all(&buffer[..length]).await?;
    }
}
