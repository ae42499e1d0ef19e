//! What a connection knows of its socket, whatever the listener: how to drive it, its two ends, its kind, and what
//! the device told before its first byte.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    task::{Context, Poll},
};

use bytes::Bytes;
use proto::exproto;
use tokio::io::ReadBuf;

/// A stream of bytes: TCP, or TLS over it.
pub mod stream;
/// A UDP peer.
pub mod udp;
/// A DTLS session.
pub mod dtls;
/// A DTLS 1.3 session.
#[cfg(feature = "dtls13")]
pub mod dtls13;
/// What is told of a device before its first byte.
mod details;
/// A WebSocket.
pub mod websocket;

pub(crate) use self::details::PSK_IDENTITY;
pub use self::details::{Details, PeerCertificate};
pub use config::Transport;

/// A device's socket, as its connection drives it: a stream of bytes, or one that keeps the boundaries of messages
/// (datagrams, WebSocket). One task drives it, and every method that is pending wakes this task.
pub trait Socket: Send + 'static {
    /// Whether it keeps the boundaries of messages.
    fn keeps_boundaries(&self) -> bool;

    /// Reads some bytes of a stream into `into`, or one whole message of its own, which may be empty.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Received>>;

    /// Takes some of the batch, one whole message of it at least, and tells how many bytes that were. What was taken
    /// is on its way only after [`Socket::poll_flush`].
    fn poll_send(&mut self, cx: &mut Context<'_>, batch: Batch<'_>) -> Poll<io::Result<usize>>;

    /// Ready once everything taken is handed to the system.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Says goodbye to the device, as the transport does that. What was taken is flushed first.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// From here on, being dropped ends it at once: nothing waits for a device that does not read.
    fn abort(&mut self);
}

/// What a read brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// What was filled in.
    Data,
    /// One whole message.
    Message(Bytes),
    /// Bytes came that are no message, or not yet: the device is there. So many of them were none of a message's.
    Part(usize),
    /// The device sends no more.
    End,
}

/// What is to be written. For a stream `size` means nothing.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Bytes; where boundaries are kept, one or more messages.
    pub bytes: &'a [u8],
    /// The length of each message; the last may be shorter. 0: it is one empty message.
    pub size: usize,
}

/// The contract's word for a kind of socket.
fn socket_type(transport: Transport) -> exproto::SocketType {
    match transport {
        Transport::Tcp | Transport::Ws => exproto::SocketType::Tcp,
        Transport::Tls | Transport::Wss => exproto::SocketType::Ssl,
        Transport::Udp => exproto::SocketType::Udp,
        Transport::Dtls => exproto::SocketType::Dtls,
    }
}

/// What is known of a connection before its first byte.
#[derive(Clone, Debug)]
pub struct ConnInfo {
    /// The kind of socket.
    pub transport: Transport,
    /// The device's address. An IPv4 device of a dual-stack listener has an IPv4 address.
    pub device: SocketAddr,
    /// The gateway's address, as the device sees it.
    pub local: SocketAddr,
    /// A balancer speaks for itself: `device` is its own address.
    pub is_balancer: bool,
    /// What the handler is told with `OnSocketCreated` alone.
    pub details: Details,
}

impl ConnInfo {
    /// IPv4-mapped addresses are shown as the IPv4 addresses that they are.
    #[must_use]
    pub fn new(transport: Transport, device: SocketAddr, local: SocketAddr) -> Self {
        let canonical =
            |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        Self {
            transport,
            device: canonical(device),
            local: canonical(local),
            is_balancer: false,
            details: Details::default(),
        }
    }

    /// The address to which bans apply.
    #[must_use]
    pub fn bannable(&self) -> Option<IpAddr> {
        (!self.is_balancer).then(|| self.device.ip())
    }

    /// As the contract has it.
    #[must_use]
    pub fn to_proto(&self) -> exproto::ConnInfo {
        let address = |host: IpAddr, port: u16| exproto::Address {
            host: host.to_string(),
            port: port.into(),
        };
        exproto::ConnInfo {
            socktype: socket_type(self.transport).into(),
            peername: Some(address(self.device.ip(), self.device.port())),
            sockname: Some(address(self.local.ip(), self.local.port())),
            peercert: self
                .details
                .certificate()
                .map(|certificate| exproto::CertificateInfo {
                    cn: certificate.cn.clone(),
                    dn: certificate.dn.clone(),
                }),
        }
    }
}
