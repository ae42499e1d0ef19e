//! TCP sockets: bind, accept, options.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use config::{Bind, Others};
use futures_util::{Stream, stream};
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    Listener,
    handshake::{self, Place},
};
use crate::{
    admission::Refusal,
    transport::{ConnInfo, Transport, stream::Stream as ByteStream},
};

/// The pause after an accept that failed for want of files or memory: trying at once would fail as well.
const OUT_OF_RESOURCES: Duration = Duration::from_millis(100);
/// How many questions of TCP keepalive may stay without an answer, within the time of one silence.
const KEEPALIVE_RETRIES: u32 = 3;

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

/// Changes how many devices may wait to be accepted.
pub fn set_backlog(socket: &TcpListener, backlog: u32) -> io::Result<()> {
    SockRef::from(socket).listen(i32::try_from(backlog).unwrap_or(i32::MAX))
}

/// Accepts devices until `stop`.
pub(super) async fn serve(
    listener: Arc<Listener>,
    socket: Arc<TcpListener>,
    stop: CancellationToken,
) {
    let accept = async {
        loop {
            match socket.accept().await {
                Ok((socket, device)) => admit(&listener, socket, device, &stop),
                Err(error) => failed(listener.name(), &error).await,
            }
        }
    };
    stop.run_until_cancelled(accept).await;
}

fn admit(
    listener: &Arc<Listener>,
    socket: TcpStream,
    device: SocketAddr,
    stop: &CancellationToken,
) {
    let config = listener.config().clone();
    let place = match place(listener, &config.proxy_protocol, device) {
        Ok(place) => place,
        Err(refusal) => {
            listener.refused(device, refusal);
            return;
        }
    };
    let local = match prepare(&socket, &config.tcp) {
        Ok(local) => local,
        Err(error) => {
            tracing::debug!(listener = listener.name(), %device, %error, "the device has gone already");
            return;
        }
    };
    match place {
        Place::Known(admitted) if config.transport == Transport::Tcp => {
            let info = ConnInfo::new(Transport::Tcp, device, local);
            listener.open(Box::new(ByteStream(socket)), info, admitted);
        }
        place => {
            let newcomer = handshake::Newcomer {
                listener: listener.clone(),
                config,
                socket,
                device,
                local,
                place,
            };
            let tasks = &listener.connections.tasks;
            tasks.spawn(handshake::run(newcomer, stop.clone()));
        }
    }
}

/// The device's place within the limits; behind a balancer, whose it is shows later.
fn place(
    listener: &Listener,
    config: &config::ProxyProtocol,
    device: SocketAddr,
) -> Result<Place, Refusal> {
    let gate = &listener.settings().gate;
    let ip = device.ip().to_canonical();
    if config.enabled {
        if config.trusted.iter().any(|network| network.0.contains(&ip)) {
            return gate.admit_unknown().map(Place::Unknown);
        }
        if config.others == Others::Refuse {
            return Err(Refusal::Untrusted);
        }
    }
    gate.admit(ip).map(Place::Known)
}

/// Sets a device's socket up, and tells its own address.
fn prepare(socket: &TcpStream, config: &config::Tcp) -> io::Result<SocketAddr> {
    socket.set_nodelay(config.nodelay)?;
    let options = SockRef::from(socket);
    if let Some(silence) = config.keepalive {
        // The kernel counts in whole seconds.
        let interval = (silence / KEEPALIVE_RETRIES).max(Duration::from_secs(1));
        let keepalive = TcpKeepalive::new()
            .with_time(silence.max(Duration::from_secs(1)))
            .with_interval(interval)
            .with_retries(KEEPALIVE_RETRIES);
        options.set_tcp_keepalive(&keepalive)?;
    }
    if let Some(size) = config.receive_buffer {
        options.set_recv_buffer_size(size.bytes())?;
    }
    if let Some(size) = config.send_buffer {
        options.set_send_buffer_size(size.bytes())?;
    }
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
async fn failed(listener: &str, error: &io::Error) {
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
