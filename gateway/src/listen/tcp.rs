//! TCP sockets: bind, accept, options.

use std::{io, net::SocketAddr, time::Duration};

use config::Bind;
use futures_util::{Stream, stream};
use socket2::{Domain, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// The pause after an accept that failed for want of files or memory: trying at once would fail as well.
const OUT_OF_RESOURCES: Duration = Duration::from_millis(100);

/// Takes the address. An IPv6 wildcard takes IPv4 devices too.
pub fn bind(bind: Bind, backlog: u32) -> io::Result<TcpListener> {
    let Bind(address) = bind;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(!bind.is_wildcard())?;
    }
    // A restarted gateway gets its port back although old connections still linger in the kernel.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    TcpListener::from_std(socket.into())
}

/// Sets a device's socket up, and tells its own address.
pub(super) fn prepare(socket: &TcpStream, nodelay: bool) -> io::Result<SocketAddr> {
    socket.set_nodelay(nodelay)?;
    socket.local_addr()
}

/// The connections of a gRPC server. It never ends, and failures cost a pause instead of a core.
pub fn incoming(
    socket: TcpListener,
    what: &'static str,
) -> impl Stream<Item = io::Result<TcpStream>> {
    stream::unfold(socket, async move |socket| {
        loop {
            match socket.accept().await {
                Ok((stream, _)) => {
                    // A connection that fails here has gone already, as its server will see.
                    let _ = stream.set_nodelay(true);
                    return Some((Ok(stream), socket));
                }
                Err(error) => failed(what, &error).await,
            }
        }
    })
}

/// Whoever left before it was accepted costs nothing; anything else is ours, and passes.
pub(super) async fn failed(listener: &str, error: &io::Error) {
    if matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    ) {
        tracing::debug!(listener, %error, "a connection ended before it was accepted");
    } else {
        tracing::error!(
            listener,
            %error,
            "cannot accept connections; check the process's limit of open files"
        );
        sleep(OUT_OF_RESOURCES).await;
    }
}
