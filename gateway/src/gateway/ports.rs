//! The ports that are not for devices: the adapter's, that of health and metrics, that of the management API, that of
//! other pods.

use std::{collections::HashMap, net::SocketAddr};

use config::{Bind, BrokerKind, Config};
use tokio::net::TcpListener;

use super::{Addresses, Error};
use crate::listen::tcp;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 4096;

/// The ports that are not for devices, taken.
pub(super) struct Ports {
    pub(super) adapter: (TcpListener, SocketAddr),
    pub(super) http: (TcpListener, SocketAddr),
    pub(super) management: Option<(TcpListener, SocketAddr)>,
    pub(super) peers: Option<(TcpListener, SocketAddr)>,
}

impl Ports {
    pub(super) fn take(config: &Config) -> Result<Self, Error> {
        let management = config.management.is_on();
        Ok(Self {
            adapter: bind("adapter.bind", config.adapter.bind)?,
            http: bind("http.bind", config.http.bind)?,
            management: management
                .then(|| bind("management.bind", config.management.bind))
                .transpose()?,
            peers: (config.broker.kind == BrokerKind::Redis)
                .then(|| bind("cluster.peers.bind", config.cluster.peers.bind))
                .transpose()?,
        })
    }

    pub(super) fn addresses(&self, listeners: HashMap<String, SocketAddr>) -> Addresses {
        Addresses {
            listeners,
            adapter: self.adapter.1,
            http: self.http.1,
            management: self.management.as_ref().map(|(_, address)| *address),
            peers: self.peers.as_ref().map(|(_, address)| *address),
        }
    }
}

fn bind(what: &str, bind: Bind) -> Result<(TcpListener, SocketAddr), Error> {
    let socket = tcp::bind(bind, BACKLOG);
    let bound = socket.and_then(|socket| socket.local_addr().map(|address| (socket, address)));
    bound.map_err(|source| Error::Bind {
        what: what.to_owned(),
        bind,
        source,
    })
}
