//! One of a listener's UDP sockets: datagrams in batches, each with both its ends.

use std::{
    io::{self, IoSliceMut},
    net::SocketAddr,
    sync::Arc,
};

use config::Bind;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, SockRef, Socket, Type};
use tokio::{io::Interest, net::UdpSocket};

use super::Ends;
use crate::native;

/// The largest batch that the kernel hands over as one, and so the size of each buffer.
const BUFFER: usize = 64 * 1024;
/// The most bytes that the kernel takes at once, for IPv4 and IPv6.
const MOST_AT_ONCE: usize = 65_000;
/// The longest datagrams that are sent several at once: longer ones may not fit the path, and a system that refuses
/// them refuses all.
const LONGEST_SEGMENT: usize = 1200;

/// One of a listener's sockets.
pub struct Port {
    socket: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
}

impl Port {
    /// Where this machine is reached by a peer.
    #[must_use]
    pub fn local(&self, ends: Ends) -> SocketAddr {
        SocketAddr::new(ends.local.unwrap_or(self.local.ip()), self.local.port())
    }

    /// The address that was taken.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.local
    }

    /// How many datagrams of that length the system takes at once.
    #[must_use]
    pub fn most_segments(&self, size: usize) -> usize {
        if size == 0 || size > LONGEST_SEGMENT {
            return 1;
        }
        self.state.max_gso_segments().min(MOST_AT_ONCE / size)
    }

    /// Sends datagrams of `size` bytes each, from the address that the peer sends to.
    pub fn try_send(&self, ends: Ends, bytes: &[u8], size: usize) -> io::Result<()> {
        let transmit = Transmit {
            destination: ends.device,
            ecn: None,
            contents: bytes,
            segment_size: (bytes.len() > size).then_some(size),
            src_ip: ends.local,
        };
        self.socket.try_io(Interest::WRITABLE, || {
            self.state
                .try_send(UdpSockRef::from(&self.socket), &transmit)
        })
    }

    /// Waits until the system takes datagrams again.
    pub async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// As the configuration has the kernel's buffers; it may give less.
    pub fn set_buffers(&self, config: &config::Udp) -> io::Result<()> {
        let socket = SockRef::from(&self.socket);
        socket.set_recv_buffer_size(config.receive_buffer.bytes())?;
        socket.set_send_buffer_size(config.send_buffer.bytes())
    }
}

/// Takes the address with as many sockets as the configuration says.
pub fn bind(bind: Bind, config: &config::Udp) -> io::Result<Vec<Arc<Port>>> {
    let workers = config.workers.map_or_else(
        || std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        |workers| workers.get() as usize,
    );
    let Bind(mut address) = bind;
    let mut ports = Vec::with_capacity(workers);
    for _ in 0..workers {
        // The first one shows whether somebody else has the address: with SO_REUSEPORT all would share it.
        if ports.is_empty() && address.port() != 0 {
            drop(open(bind.0, bind, false)?);
        }
        let socket = open(address, bind, true)?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        may_fragment(&socket, address)?;
        let port = Port {
            local: socket.local_addr()?,
            socket,
            state,
        };
        port.set_buffers(config)?;
        address.set_port(port.local.port());
        ports.push(Arc::new(port));
    }
    Ok(ports)
}

fn open(address: SocketAddr, bind: Bind, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(!bind.is_wildcard())?;
    }
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// The library forbids fragments, as QUIC wants it; here a large Send is a large datagram.
fn may_fragment(socket: &UdpSocket, address: SocketAddr) -> io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_ip_mtu_discover(socket, sockopt::Ipv4PathMtuDiscovery::WANT).or_else(|error| {
        if address.is_ipv6() {
            Ok(())
        } else {
            Err(error)
        }
    })?;
    if address.is_ipv6() {
        sockopt::set_ipv6_mtu_discover(socket, sockopt::Ipv6PathMtuDiscovery::WANT)?;
        native::may_fragment(socket)?;
    }
    Ok(())
}

/// What one look at a socket brought.
pub struct Datagrams {
    memory: Vec<u8>,
    metas: [RecvMeta; BATCH_SIZE],
}

impl Default for Datagrams {
    fn default() -> Self {
        Self::new()
    }
}

impl Datagrams {
    /// Room for a batch.
    #[must_use]
    pub fn new() -> Self {
        Self {
            memory: vec![0; BUFFER * BATCH_SIZE],
            metas: [RecvMeta::default(); BATCH_SIZE],
        }
    }

    /// Waits for some, and tells how many entries they fill.
    pub async fn receive(&mut self, port: &Port) -> io::Result<usize> {
        loop {
            port.socket.readable().await?;
            let received = port.socket.try_io(Interest::READABLE, || {
                let mut chunks = self.memory.chunks_mut(BUFFER);
                let mut slices: [IoSliceMut; BATCH_SIZE] = std::array::from_fn(|_| {
                    IoSliceMut::new(chunks.next().expect("a chunk for each slice"))
                });
                let socket = UdpSockRef::from(&port.socket);
                port.state.recv(socket, &mut slices, &mut self.metas)
            });
            match received {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return received,
            }
        }
    }

    /// Each datagram of the first `count` entries, with its ends.
    pub fn each(&self, count: usize) -> impl Iterator<Item = (Ends, &[u8])> {
        let entries = self.metas[..count].iter().zip(self.memory.chunks(BUFFER));
        entries.flat_map(|(meta, chunk)| {
            let ends = Ends {
                device: meta.addr,
                local: meta.dst_ip,
            };
            let bytes = &chunk[..meta.len];
            // An empty datagram is one, too.
            let empty = bytes.is_empty().then_some(bytes);
            let each = bytes.chunks(meta.stride.max(1));
            each.chain(empty).map(move |datagram| (ends, datagram))
        })
    }
}
