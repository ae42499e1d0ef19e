//! A DTLS 1.3 session as a socket: a UDP peer whose datagrams go through the library's tunnel.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::ReadBuf;
use tokio_dtls::DtlsConnection;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    Batch, Details, Received, Socket,
    udp::{Outward, PeerSocket},
};
use crate::{
    dtls13::{self, Error, LARGEST, RECORD, Tunnel},
    metrics::Dropped,
};

/// So many datagrams are forwarded before the library gets its turn.
const TURN: usize = 32;

/// What is under way in the library.
type Work<T> = Pin<Box<dyn Future<Output = Result<T, tokio_dtls::Error>> + Send>>;

/// A DTLS 1.3 session over a UDP peer.
pub struct Dtls13Socket {
    inward: Inward,
    connection: DtlsConnection,
    /// The next message of the device; none once the session is over.
    receiving: Option<Work<Vec<u8>>>,
    /// A message that the library did not take yet.
    sending: Option<Work<()>>,
    /// Its goodbye.
    closing: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    outward: Option<Draining>,
    /// The most bytes of a message that is taken.
    max_message: usize,
}

impl Dtls13Socket {
    /// The handshake of a device whose hello waits in `peer`. Waits for as long as it takes: the caller sets a limit.
    pub async fn accept(
        context: dtls13::Context,
        peer: PeerSocket,
        max_message: usize,
    ) -> Result<Self, Error> {
        let (tunnel, end) = Tunnel::open().await.map_err(Error::Tunnel)?;
        let tunnel = Arc::new(tunnel);
        let outward = Draining::start(tunnel.clone(), peer.outward());
        let mut inward = Inward {
            peer,
            tunnel,
            waiting: None,
            established: false,
        };
        let mut accept = std::pin::pin!(context.accept(end));
        let connection = std::future::poll_fn(|cx| {
            if let Poll::Ready(Err(error)) = inward.poll_forward(cx) {
                return Poll::Ready(Err(tokio_dtls::Error::Io(error)));
            }
            accept.as_mut().poll(cx)
        });
        let connection = connection.await?;
        inward.established = true;
        Ok(Self {
            inward,
            receiving: Some(receive(&connection)),
            connection,
            sending: None,
            closing: None,
            outward: Some(outward),
            max_message,
        })
    }

    /// What to tell of the device.
    #[must_use]
    pub fn details(&self) -> Details {
        let mut details = Details::default();
        details.add("exproto-tls-version", b"DTLSv1.3");
        if let Some(name) = self.connection.peer_server_name() {
            details.add("exproto-tls-sni", name.as_bytes());
        }
        if let Some(protocol) = self.connection.negotiated_alpn() {
            details.add("exproto-tls-alpn", protocol);
        }
        details
    }
}

fn receive(connection: &DtlsConnection) -> Work<Vec<u8>> {
    let connection = connection.clone();
    Box::pin(async move { connection.recv().await })
}

impl Socket for Dtls13Socket {
    fn keeps_boundaries(&self) -> bool {
        true
    }

    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Received>> {
        loop {
            let Some(receiving) = &mut self.receiving else {
                return Poll::Ready(Ok(Received::End));
            };
            match receiving.as_mut().poll(cx) {
                // Only while nothing waits in the library, which throws away what it cannot hold.
                Poll::Pending => {
                    ready!(self.inward.poll_forward(cx))?;
                }
                Poll::Ready(Err(_)) => self.receiving = None,
                Poll::Ready(Ok(message)) => {
                    self.receiving = Some(receive(&self.connection));
                    if message.len() <= self.max_message {
                        return Poll::Ready(Ok(Received::Message(message.into())));
                    }
                    self.inward.peer.dropped(Dropped::TooLarge);
                }
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, batch: Batch<'_>) -> Poll<io::Result<usize>> {
        let message = &batch.bytes[..batch.size];
        if message.is_empty() {
            // The library would wait for ever for somebody to take it. DTLS 1.2 has no empty messages either.
            return Poll::Ready(Ok(0));
        }
        // What is under way already is this same message: nothing else is taken before it.
        let sending = self.sending.get_or_insert_with(|| {
            let (connection, message) = (self.connection.clone(), message.to_vec());
            Box::pin(async move { connection.send_vec(message).await })
        });
        let sent = ready!(sending.as_mut().poll(cx));
        self.sending = None;
        let gone = |error| io::Error::new(io::ErrorKind::BrokenPipe, error);
        Poll::Ready(sent.map(|()| message.len()).map_err(gone))
    }

    /// The library sends what it has taken by itself, also before its goodbye.
    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closing = self.closing.get_or_insert_with(|| {
            let (connection, outward) = (self.connection.clone(), self.outward.take());
            Box::pin(async move {
                // What it sent before it failed is all that there is.
                let _ = connection.close().await;
                if let Some(outward) = outward {
                    outward.finish().await;
                }
            })
        });
        ready!(closing.as_mut().poll(cx));
        // Polled again, it is over as well.
        self.closing = Some(Box::pin(std::future::ready(())));
        Poll::Ready(Ok(()))
    }

    fn abort(&mut self) {}
}

/// From the device to the library.
struct Inward {
    peer: PeerSocket,
    tunnel: Arc<Tunnel>,
    /// A datagram that the tunnel did not take yet.
    waiting: Option<Bytes>,
    established: bool,
}

impl Inward {
    /// Forwards what waits; pending, unless another peer has taken the place of this one.
    fn poll_forward(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<std::convert::Infallible>> {
        for _ in 0..TURN {
            let datagram = match self.waiting.take() {
                Some(datagram) => datagram,
                None => ready!(self.peer.poll_datagram(cx))?,
            };
            if datagram.len() > LARGEST {
                self.peer.dropped(Dropped::TooLarge);
                continue;
            }
            // After the handshake a device encrypts all that it says, and the library ends the session over what is
            // not, which anyone may send who can forge an address.
            if self.established && !is_encrypted(&datagram) {
                self.peer.dropped(Dropped::NoSession);
                continue;
            }
            match self.tunnel.socket().poll_send(cx, &datagram) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => self.peer.dropped(Dropped::NotSent),
                Poll::Pending => {
                    self.waiting = Some(datagram);
                    return Poll::Pending;
                }
            }
        }
        // Now it is the library's turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Whether a datagram begins with an encrypted record (RFC 9147, section 4: `001` and five flags).
fn is_encrypted(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| first >> 5 == 1)
}

/// From the library to the device, by a task of its own: the library speaks whether the connection listens or not.
/// Dropped, it ends at once.
struct Draining {
    task: AbortOnDropHandle<()>,
    stop: CancellationToken,
}

impl Draining {
    fn start(tunnel: Arc<Tunnel>, mut out: Outward) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            loop {
                let ended = tokio::select! {
                    readable = tunnel.readable() => readable.is_err(),
                    () = stopped.cancelled() => true,
                };
                pass_on(&tunnel, &mut out).await;
                if ended {
                    return;
                }
            }
        });
        Self {
            task: AbortOnDropHandle::new(task),
            stop,
        }
    }

    /// Passes on what is there, and ends.
    async fn finish(self) {
        self.stop.cancel();
        // It ends by itself.
        let _ = self.task.await;
    }
}

/// Passes on all that is there. The buffer goes with it, so a quiet session holds none.
async fn pass_on(tunnel: &Tunnel, out: &mut Outward) {
    let mut buffer = vec![0; 2 * RECORD];
    loop {
        match tunnel.try_take(&mut buffer) {
            Ok(size) => {
                let bytes = &buffer[..size];
                // What the port refuses is counted there, and lost as on any network.
                let _ =
                    std::future::poll_fn(|cx| out.poll_datagrams(cx, Batch { bytes, size })).await;
            }
            // The library has closed its end, which says so once.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_unified_header_is_encrypted() {
        assert!(is_encrypted(&[0b0010_1111, 0, 1]));
        assert!(is_encrypted(&[0b0011_1111, 0, 1]));
        for first in [20, 21, 22, 23, 26, 0b0100_0000, 0b0001_1111] {
            assert!(!is_encrypted(&[first, 0xfe, 0xfd]), "{first}");
        }
        assert!(!is_encrypted(&[]));
    }
}
