//! A device: a socket of any transport, and what a test does with it.

use std::{io, net::SocketAddr};

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use crate::within;

/// A DTLS client.
pub mod dtls;
/// A DTLS 1.3 client.
#[cfg(feature = "dtls13")]
pub mod dtls13;

use self::dtls::DtlsClient;

/// A connected device. What fails or never comes fails the test.
pub struct Device {
    wire: Wire,
    address: SocketAddr,
    /// Bytes of a message that were not asked for yet.
    rest: BytesMut,
}

/// What a stream of bytes must be able to do.
pub trait Bytestream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<Io: AsyncRead + AsyncWrite + Unpin + Send> Bytestream for Io {}

/// A device's end of its transport.
pub enum Wire {
    /// A plain TCP socket.
    Tcp(TcpStream),
    /// TLS over TCP.
    Tls(Box<dyn Bytestream>),
    /// WebSocket, over whatever it runs.
    WebSocket(Box<WebSocketStream<Box<dyn Bytestream>>>),
    /// A connected UDP socket.
    Udp(UdpSocket),
    /// A DTLS session.
    Dtls(Box<DtlsClient>),
    /// A DTLS 1.3 session.
    #[cfg(feature = "dtls13")]
    Dtls13(Box<dtls13::Dtls13Client>),
}

impl Device {
    /// Connects over TCP.
    ///
    /// # Panics
    /// When nobody listens there.
    pub async fn connect(address: SocketAddr) -> Self {
        let socket = within("a TCP connection", TcpStream::connect(address)).await;
        let socket = socket.expect("the listener accepts");
        socket.set_nodelay(true).expect("a TCP socket");
        Self::new(socket)
    }

    /// Uses a socket that is connected already.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    pub fn new(socket: TcpStream) -> Self {
        let address = socket.local_addr().expect("a connected socket");
        Self::over(Wire::Tcp(socket), address)
    }

    /// Uses what is connected already from that address.
    #[must_use]
    pub fn over(wire: Wire, address: SocketAddr) -> Self {
        Self {
            wire,
            address,
            rest: BytesMut::new(),
        }
    }

    /// The device's own address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn tcp(&mut self) -> &mut TcpStream {
        match &mut self.wire {
            Wire::Tcp(socket) => socket,
            _ => panic!("only a TCP device can do that"),
        }
    }

    /// Sends all of it: as bytes of a stream, or as one message.
    ///
    /// # Panics
    /// When the gateway does not take it.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let sent = within("bytes to be taken", self.try_send(bytes)).await;
        sent.expect("the gateway takes bytes");
    }

    /// Like `send`, for a gateway that may not take it.
    pub async fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.wire {
            Wire::Tcp(socket) => socket.write_all(bytes).await,
            Wire::Tls(socket) => {
                socket.write_all(bytes).await?;
                socket.flush().await
            }
            Wire::WebSocket(socket) => {
                let message = Message::Binary(Bytes::copy_from_slice(bytes));
                socket.send(message).await.map_err(io::Error::other)
            }
            Wire::Udp(socket) => socket.send(bytes).await.map(drop),
            Wire::Dtls(session) => session.send(bytes).await,
            #[cfg(feature = "dtls13")]
            Wire::Dtls13(session) => session.send(bytes).await,
        }
    }

    /// Sends a datagram past the session that the device has. DTLS alone.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub async fn send_raw(&mut self, datagram: &[u8]) {
        let socket = match &self.wire {
            Wire::Dtls(session) => session.socket(),
            #[cfg(feature = "dtls13")]
            Wire::Dtls13(session) => session.socket(),
            _ => panic!("only a DTLS device can do that"),
        };
        let sent = socket.send(datagram).await;
        sent.expect("a connected socket");
    }

    /// Writes until the gateway takes no more, and tells how much it took. TCP alone.
    ///
    /// # Panics
    /// When the socket fails.
    pub fn send_what_fits(&mut self, most: usize) -> usize {
        let chunk = vec![7; 64 * 1024];
        let mut sent = 0;
        while sent < most {
            match self.tcp().try_write(&chunk) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("the socket failed: {error}"),
            }
        }
        sent
    }

    /// Some bytes of a stream, or one message; `None` once the gateway has closed.
    ///
    /// # Panics
    /// When nothing comes.
    pub async fn receive(&mut self) -> io::Result<Option<Bytes>> {
        within("something from the gateway", self.next()).await
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if !self.rest.is_empty() {
            return Ok(Some(self.rest.split().freeze()));
        }
        let mut chunk = BytesMut::with_capacity(64 * 1024);
        match &mut self.wire {
            Wire::Tcp(socket) => {
                let count = socket.read_buf(&mut chunk).await?;
                Ok((count > 0).then(|| chunk.freeze()))
            }
            Wire::Tls(socket) => {
                let count = socket.read_buf(&mut chunk).await?;
                Ok((count > 0).then(|| chunk.freeze()))
            }
            Wire::WebSocket(socket) => loop {
                match socket.next().await {
                    Some(Ok(Message::Binary(bytes))) => return Ok(Some(bytes)),
                    Some(Ok(Message::Close(_))) | None => return Ok(None),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(io::Error::other(error)),
                }
            },
            Wire::Udp(socket) => {
                socket.recv_buf(&mut chunk).await?;
                Ok(Some(chunk.freeze()))
            }
            Wire::Dtls(session) => session.receive().await,
            #[cfg(feature = "dtls13")]
            Wire::Dtls13(session) => session.receive().await,
        }
    }

    /// Reads exactly so many bytes, in as many messages as they come in.
    ///
    /// # Panics
    /// When fewer come.
    pub async fn read(&mut self, count: usize) -> Vec<u8> {
        let read = async {
            let mut bytes = Vec::with_capacity(count);
            while bytes.len() < count {
                let next = self.next().await.expect("the gateway sends");
                let mut next = next.expect("the gateway sends enough");
                let wanted = next.len().min(count - bytes.len());
                bytes.extend_from_slice(&next[..wanted]);
                next.advance(wanted);
                self.rest.extend_from_slice(&next);
            }
            bytes
        };
        within("bytes from the gateway", read).await
    }

    /// Reads until the gateway closes.
    ///
    /// # Panics
    /// When it resets the connection instead, or does not close.
    pub async fn read_to_end(&mut self) -> Vec<u8> {
        let read = async {
            let mut bytes = Vec::new();
            while let Some(next) = self.next().await.expect("the gateway closes in order") {
                bytes.extend_from_slice(&next);
            }
            bytes
        };
        within("the gateway to close", read).await
    }

    /// Waits until the gateway has closed the connection, in order or not. A UDP device never hears of that.
    pub async fn closed(&mut self) {
        let read = async { while let Ok(Some(_)) = self.next().await {} };
        within("the gateway to close", read).await;
    }

    /// Says goodbye as the transport does that: no more bytes will come. A UDP device just falls silent.
    ///
    /// # Panics
    /// When the socket has failed.
    pub async fn finish(&mut self) {
        let finished = match &mut self.wire {
            Wire::Tcp(socket) => socket.shutdown().await,
            Wire::Tls(socket) => socket.shutdown().await,
            Wire::WebSocket(socket) => (**socket).close(None).await.map_err(io::Error::other),
            Wire::Udp(_) => Ok(()),
            Wire::Dtls(session) => session.finish().await,
            #[cfg(feature = "dtls13")]
            Wire::Dtls13(session) => session.finish().await,
        };
        finished.expect("an open socket");
    }

    /// Says goodbye, and reads until the gateway has closed; fails where it does not do so in order.
    pub async fn finish_and_read(&mut self) -> io::Result<()> {
        let ended = async {
            if !matches!(self.wire, Wire::Udp(_)) {
                self.finish().await;
            }
            while self.next().await?.is_some() {}
            Ok(())
        };
        ended.await
    }

    /// Resets the connection. TCP alone.
    ///
    /// # Panics
    /// Never: it is a TCP socket.
    pub fn reset(mut self) {
        self.tcp().set_zero_linger().expect("a TCP socket");
    }
}
