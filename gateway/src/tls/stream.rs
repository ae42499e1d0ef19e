//! The bytes behind a handshake, whichever library made it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A TLS session over `Io`. What was written is on its way only after a flush. Its end without a goodbye
/// (`close_notify`) is [`io::ErrorKind::UnexpectedEof`].
#[derive(Debug)]
pub enum TlsStream<Io> {
    /// With certificates.
    Rustls(Box<tokio_rustls::server::TlsStream<Io>>),
    /// With a shared key.
    Openssl(tokio_openssl::SslStream<Below<Io>>),
}

impl<Io> TlsStream<Io> {
    /// What is below.
    #[must_use]
    pub fn get_ref(&self) -> &Io {
        match self {
            Self::Rustls(stream) => stream.get_ref().0,
            Self::Openssl(stream) => &stream.get_ref().0,
        }
    }

    /// The certificate, in DER, that the other side has shown.
    #[must_use]
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        match self {
            Self::Rustls(stream) => Some(stream.get_ref().1.peer_certificates()?.first()?),
            Self::Openssl(_) => None,
        }
    }

    /// What is below. Bytes read or written there break the session.
    pub fn get_mut(&mut self) -> &mut Io {
        match self {
            Self::Rustls(stream) => stream.get_mut().0,
            Self::Openssl(stream) => &mut stream.get_mut().0,
        }
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<Io> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Rustls(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Openssl(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<Io> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Rustls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Openssl(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Rustls(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            Self::Openssl(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Rustls(stream) => stream.is_write_vectored(),
            Self::Openssl(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Rustls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Openssl(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Rustls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Openssl(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// What is below OpenSSL. That it ends is an error, as OpenSSL knows of a goodbye before that; its binding would make
/// both the same.
#[derive(Debug)]
pub struct Below<Io>(pub(super) Io);

impl<Io: AsyncRead + Unpin> AsyncRead for Below<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (room, before) = (into.remaining(), into.filled().len());
        ready!(Pin::new(&mut self.0).poll_read(cx, into))?;
        if room > 0 && into.filled().len() == before {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Below<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
