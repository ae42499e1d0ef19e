//! Listeners: let devices in, within limits, and start a connection for each.

/// TCP sockets: bind, accept, options.
mod tcp;

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::tcp::{bind as bind_tcp, incoming};
use crate::{
    conn_id::ConnIds,
    connection::{Connection, Settings},
    registry::Registry,
    transport::{ConnInfo, Transport},
};

/// A bound listener. Nothing is accepted before [`Listener::serve`].
pub struct Listener {
    socket: TcpListener,
    nodelay: bool,
    permits: Arc<Semaphore>,
    settings: Arc<Settings>,
}

/// Where new connections go.
#[derive(Clone)]
pub struct Connections {
    /// Their names.
    pub ids: Arc<ConnIds>,
    /// The table of those that take calls.
    pub registry: Registry,
    /// The tasks of those that have not ended.
    pub tasks: TaskTracker,
}

impl Listener {
    /// A listener on a socket that is bound already.
    #[must_use]
    pub fn new(socket: TcpListener, config: &config::Listener, settings: Arc<Settings>) -> Self {
        let limit = config.max_connections.get() as usize;
        Self {
            socket,
            nodelay: config.nodelay,
            permits: Arc::new(Semaphore::new(limit)),
            settings,
        }
    }

    /// Accepts devices until `stop`.
    pub async fn serve(self, connections: Connections, stop: CancellationToken) {
        let accept = async {
            loop {
                match self.socket.accept().await {
                    Ok((socket, device)) => self.admit(socket, device, &connections),
                    Err(error) => tcp::failed(&self.settings.listener, &error).await,
                }
            }
        };
        stop.run_until_cancelled(accept).await;
    }

    fn admit(&self, socket: TcpStream, device: SocketAddr, connections: &Connections) {
        let counts = &self.settings.counts;
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            counts.refused();
            tracing::debug!(listener = self.settings.listener, %device, "refused: max_connections are open");
            return;
        };
        let local = match tcp::prepare(&socket, self.nodelay) {
            Ok(local) => local,
            Err(error) => {
                tracing::debug!(listener = self.settings.listener, %device, %error, "the device has gone already");
                return;
            }
        };
        let open = counts.accepted();
        let info = ConnInfo::new(Transport::Tcp, device, local);
        let (id, sequence) = connections.ids.mint();
        let settings = self.settings.clone();
        let (handle, connection) = Connection::new(id, sequence, info, settings, socket);
        let registration = connections.registry.register(sequence, handle);
        connections.tasks.spawn(async move {
            connection.run(Box::new(registration)).await;
            drop((permit, open));
        });
    }
}
