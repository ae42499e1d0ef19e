//! TCP sockets: bind, accept, options.

use std::{io, net::SocketAddr};

use config::Bind;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

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
