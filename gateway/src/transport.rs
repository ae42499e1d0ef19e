//! What a connection knows of its socket, whatever the listener: the two ends and the kind.

use std::net::{IpAddr, SocketAddr};

use proto::exproto;

/// The kind of socket, as the contract names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A TCP socket.
    Tcp,
}

impl Transport {
    /// The word in `exproto-transport`, in logs and as a metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
        }
    }

    fn socket_type(self) -> exproto::SocketType {
        match self {
            Self::Tcp => exproto::SocketType::Tcp,
        }
    }
}

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnInfo {
    /// The kind of socket.
    pub transport: Transport,
    /// The device's address. An IPv4 device of a dual-stack listener has an IPv4 address.
    pub device: SocketAddr,
    /// The gateway's address, as the device sees it.
    pub local: SocketAddr,
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
        }
    }

    /// As the contract has it.
    #[must_use]
    pub fn to_proto(&self) -> exproto::ConnInfo {
        let address = |host: IpAddr, port: u16| exproto::Address {
            host: host.to_string(),
            port: port.into(),
        };
        exproto::ConnInfo {
            socktype: self.transport.socket_type().into(),
            peername: Some(address(self.device.ip(), self.device.port())),
            sockname: Some(address(self.local.ip(), self.local.port())),
            peercert: None,
        }
    }
}
