//! The door of a server that is not for devices: it accepts, and shakes hands in a task for each newcomer, so that one
//! who says nothing holds up nobody. What comes out is ready for HTTP. It knows nothing of who may do what behind it.

/// Tasks with a bound, of which the oldest gives way.
mod crowd;
/// A connection that is through.
mod opened;
/// What a server shows and wants in handshakes.
mod security;

use std::{
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, StreamExt as _};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

pub use self::{
    crowd::Crowd,
    opened::{Opened, Peer},
    security::Security,
};
use crate::{
    listen::tcp,
    metrics::Metrics,
    tls::{Secured, certificate},
};

/// How long a handshake may take, and how long somebody may say nothing before the first byte.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes under way at once. One takes a millisecond or two, so whoever gives way is not shaking hands.
const HANDSHAKES: usize = 256;
/// Connections that are through and that the server has not taken yet; more wait, and then the kernel holds them.
const WAITING: usize = 64;

/// A server's door: a stream of connections, which ends only with its runtime. Dropped, it is shut.
pub struct Door {
    opened: mpsc::Receiver<Opened>,
    _accepting: AbortOnDropHandle<()>,
}

impl Door {
    /// Lets in whoever comes to the socket.
    #[must_use]
    ///
    /// `most` connections may be open; more wait in the kernel's queue.
    pub fn open(
        socket: TcpListener,
        security: Arc<Security>,
        metrics: Arc<Metrics>,
        most: u32,
    ) -> Self {
        let (to, opened) = mpsc::channel(WAITING);
        let places = Arc::new(Semaphore::new(most as usize));
        let accepting = tokio::spawn(accept(socket, security, metrics, places, to));
        Self {
            opened,
            _accepting: AbortOnDropHandle::new(accepting),
        }
    }
}

impl Stream for Door {
    type Item = io::Result<Opened>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.opened.poll_recv(cx).map(|opened| opened.map(Ok))
    }
}

async fn accept(
    socket: TcpListener,
    security: Arc<Security>,
    metrics: Arc<Metrics>,
    places: Arc<Semaphore>,
    to: mpsc::Sender<Opened>,
) {
    let server = security.server();
    let mut handshakes = Crowd::new(HANDSHAKES);
    let mut incoming = pin!(tcp::incoming(socket, server));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let Some(Ok(stream)) = incoming.next().await else {
            return;
        };
        let Ok(address) = stream.peer_addr() else {
            // It has gone already.
            continue;
        };
        let Some(secured) = security.secured() else {
            let newcomer = speaks_up(stream, address, place, to.clone());
            if handshakes.spawn(newcomer) {
                metrics.server_handshake_failed(server, "crowded_out");
            }
            continue;
        };
        let newcomer = Newcomer {
            server,
            address,
            metrics: metrics.clone(),
            place,
        };
        if handshakes.spawn(newcomer.shake_hands(secured, stream, to.clone())) {
            metrics.server_handshake_failed(server, "crowded_out");
        }
    }
}

struct Newcomer {
    server: &'static str,
    address: SocketAddr,
    metrics: Arc<Metrics>,
    place: OwnedSemaphorePermit,
}

/// Whoever says nothing does not keep a place.
async fn speaks_up(
    stream: TcpStream,
    address: SocketAddr,
    place: OwnedSemaphorePermit,
    to: mpsc::Sender<Opened>,
) {
    if matches!(timeout(HANDSHAKE, stream.readable()).await, Ok(Ok(()))) {
        // The server may have ended.
        let _ = to.send(Opened::plain(stream, address, place)).await;
    }
}

impl Newcomer {
    async fn shake_hands(self, secured: Secured, stream: TcpStream, to: mpsc::Sender<Opened>) {
        match timeout(HANDSHAKE, secured.accept(stream)).await {
            Ok(Ok((stream, _))) => {
                let names = stream.peer_certificate().map(certificate::names);
                let opened =
                    Opened::secured(stream, self.address, names.unwrap_or_default(), self.place);
                // The server may have ended.
                let _ = to.send(opened).await;
            }
            Ok(Err(error)) => self.failed(error.reason().as_str(), &error.to_string()),
            Err(_) => self.failed("timeout", "it took too long"),
        }
    }

    fn failed(&self, reason: &'static str, detail: &str) {
        let (server, address) = (self.server, self.address);
        self.metrics.server_handshake_failed(server, reason);
        tracing::debug!(server, %address, reason, detail, "handshake failed");
    }
}
