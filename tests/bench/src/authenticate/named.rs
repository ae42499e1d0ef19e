//! Connections which know what the gateway calls them, so that somebody else may call the adapter about them.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time,
};

use crate::{
    counts,
    generator::{self, PATIENCE},
    handler::WHO,
};

/// A connection, and its name.
pub(super) struct Named {
    pub(super) conn: String,
    socket: TcpStream,
}

/// Opens `count` connections.
pub(super) async fn open(device: SocketAddr, count: usize) -> Result<Vec<Named>> {
    generator::in_turns(0..count, |_| async move {
        let named = time::timeout(PATIENCE, Named::open(device)).await;
        named.context("a connection was not told its name in time")?
    })
    .await
}

/// Ends all connections, and waits until the handler that answers at `counts` knows of the end of every one there is.
pub(super) async fn close(connections: Vec<Named>, counts: SocketAddr) -> Result<()> {
    for Named { socket, .. } in connections {
        // At once, so that its port is free for another.
        socket.set_zero_linger()?;
    }
    counts::wait_for_open(counts, 0).await
}

impl Named {
    async fn open(device: SocketAddr) -> Result<Self> {
        let mut socket = TcpStream::connect(device).await?;
        socket.set_nodelay(true)?;
        socket.write_all(&[WHO]).await?;
        let mut conn = String::new();
        BufReader::new(&mut socket).read_line(&mut conn).await?;
        ensure!(conn.ends_with('\n'), "the connection was closed");
        conn.pop();
        Ok(Self { conn, socket })
    }
}
