//! The HTTP/2 settings of the bare program and of the handler: wide enough never to be what limits a run.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tonic::transport::{Endpoint, Server, server::TcpIncoming};

/// HTTP/2 connections from the bare program to the handler, and from the handler to the adapter.
/// The gateway is configured with the same number.
pub(crate) const CHANNELS: usize = 2;

/// In bytes, for a stream; a connection gets 16 times as much.
const WINDOW: u32 = 1 << 20;

/// A server without a limit that a load could meet. (hyper's own is 200 calls at a time per connection.)
pub(crate) fn server() -> Server {
    Server::builder()
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(16 * WINDOW)
        .max_concurrent_streams(u32::MAX)
}

/// Takes the port, before anything that could make a caller expect it.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpIncoming> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    Ok(TcpIncoming::from(listener).with_nodelay(Some(true)))
}

/// A peer to connect to.
pub(crate) fn endpoint(address: SocketAddr) -> Result<Endpoint> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?
        .tcp_nodelay(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(16 * WINDOW))
}
