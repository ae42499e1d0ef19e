//! The sockets of one listener: taken, served, and kept over a reload where nothing about them changed.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Listener, tcp, udp};
use crate::transport::udp::{
    Peers,
    port::{self, Port},
};

/// The sockets of one listener. Clones are the same.
#[derive(Clone)]
pub enum Sockets {
    /// For transports over TCP.
    Tcp(Arc<TcpListener>, SocketAddr),
    /// For transports over UDP.
    Udp(Vec<Arc<Port>>, Peers),
}

impl Sockets {
    /// Takes the listener's address.
    pub fn bind(listener: &config::Listener) -> io::Result<Self> {
        if listener.transport.is_datagram() {
            let ports = port::bind(listener.bind, &listener.udp)?;
            return Ok(Self::Udp(ports, Peers::default()));
        }
        let socket = tcp::bind(listener.bind, listener.tcp.backlog)?;
        let address = socket.local_addr()?;
        Ok(Self::Tcp(Arc::new(socket), address))
    }

    /// The address that was taken.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Tcp(_, address) => *address,
            Self::Udp(ports, _) => ports[0].address(),
        }
    }

    /// Whether they can carry the listener's transport.
    #[must_use]
    pub fn suits(&self, listener: &config::Listener) -> bool {
        matches!(self, Self::Udp(..)) == listener.transport.is_datagram()
    }

    /// Takes the options that can be changed on open sockets.
    pub fn adjust(&self, listener: &config::Listener) {
        let adjusted = match self {
            Self::Tcp(socket, _) => tcp::set_backlog(socket, listener.tcp.backlog),
            Self::Udp(ports, _) => ports
                .iter()
                .try_for_each(|port| port.set_buffers(&listener.udp)),
        };
        if let Err(error) = adjusted {
            tracing::warn!(listener = %listener.name, %error, "cannot change the options of the socket");
        }
    }

    /// The same sockets for another listener: the peers of before are none of its own.
    #[must_use]
    pub fn anew(&self) -> Self {
        match self {
            Self::Tcp(socket, address) => Self::Tcp(socket.clone(), *address),
            Self::Udp(ports, _) => Self::Udp(ports.clone(), Peers::default()),
        }
    }

    /// Lets devices in until `stop`.
    pub fn serve(&self, listener: &Arc<Listener>, workers: &TaskTracker, stop: &CancellationToken) {
        match self {
            Self::Tcp(socket, _) => {
                let (listener, socket) = (listener.clone(), socket.clone());
                workers.spawn(tcp::serve(listener, socket, stop.clone()));
            }
            Self::Udp(ports, peers) => {
                for port in ports {
                    let (listener, peers) = (listener.clone(), peers.clone());
                    workers.spawn(udp::serve(listener, port.clone(), peers, stop.clone()));
                }
            }
        }
    }
}
