//! A stream of bytes as a socket: TCP, or TLS over it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{Batch, Received, Socket};
use crate::tls::TlsStream;

/// What can be ended at once.
pub trait Abort {
    /// From here on, being dropped throws away what the other side has not taken, and tells it so.
    fn abort(&mut self);
}

impl Abort for TcpStream {
    fn abort(&mut self) {
        // One that fails has ended already.
        let _ = self.set_zero_linger();
    }
}

/// A stream of bytes.
pub struct Stream<Io>(pub Io);

impl<Io: AsyncRead + AsyncWrite + Abort + Unpin + Send + 'static> Socket for Stream<Io> {
    fn keeps_boundaries(&self) -> bool {
        false
    }

    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Received>> {
        let before = into.filled().len();
        let read = ready!(Pin::new(&mut self.0).poll_read(cx, into));
        Poll::Ready(match read {
            Ok(()) if into.filled().len() == before => Ok(Received::End),
            Ok(()) => Ok(Received::Data),
            // TLS without its goodbye: the same as a TCP socket's FIN.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Received::End),
            Err(error) => Err(error),
        })
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, batch: Batch<'_>) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, batch.bytes)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn abort(&mut self) {
        self.0.abort();
    }
}

impl<Io: Abort> Abort for TlsStream<Io> {
    fn abort(&mut self) {
        self.get_mut().abort();
    }
}
