//! A DTLS client on OpenSSL over a connected UDP socket, for networks that lose nothing.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
};

use bytes::Bytes;
use openssl::ssl::{ErrorCode, Ssl, SslStream};
use tokio::net::UdpSocket;

/// A session with the gateway.
pub struct DtlsClient {
    socket: UdpSocket,
    stream: SslStream<Pipe>,
}

/// Datagrams between OpenSSL and the socket.
#[derive(Default)]
struct Pipe {
    incoming: VecDeque<Vec<u8>>,
    outgoing: Vec<Vec<u8>>,
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let datagram = self.incoming.pop_front();
        let datagram = datagram.ok_or(io::ErrorKind::WouldBlock)?;
        let count = datagram.len().min(into.len());
        into[..count].copy_from_slice(&datagram[..count]);
        Ok(count)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DtlsClient {
    /// Shakes hands over a connected socket.
    pub async fn connect(ssl: Ssl, socket: UdpSocket) -> io::Result<Self> {
        let stream = SslStream::new(ssl, Pipe::default())?;
        let mut client = Self { socket, stream };
        loop {
            let step = client.stream.connect();
            client.flush().await?;
            match step {
                Ok(()) => return Ok(client),
                Err(error) if error.code() == ErrorCode::WANT_READ => client.wait().await?,
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }

    /// The socket under the session.
    #[must_use]
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    async fn flush(&mut self) -> io::Result<()> {
        for datagram in self.stream.get_mut().outgoing.drain(..) {
            self.socket.send(&datagram).await?;
        }
        Ok(())
    }

    async fn wait(&mut self) -> io::Result<()> {
        let mut datagram = Vec::with_capacity(64 * 1024);
        self.socket.recv_buf(&mut datagram).await?;
        self.stream.get_mut().incoming.push_back(datagram);
        Ok(())
    }

    /// Sends one message.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.ssl_write(bytes).map_err(io::Error::other)?;
        self.flush().await
    }

    /// The next message; `None` once the gateway has said goodbye.
    pub async fn receive(&mut self) -> io::Result<Option<Bytes>> {
        let mut message = vec![0; 16 * 1024];
        loop {
            let step = self.stream.ssl_read(&mut message);
            self.flush().await?;
            match step {
                Ok(count) => {
                    message.truncate(count);
                    return Ok(Some(message.into()));
                }
                Err(error) if error.code() == ErrorCode::WANT_READ => self.wait().await?,
                Err(error) if error.code() == ErrorCode::ZERO_RETURN => return Ok(None),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }

    /// Says goodbye.
    pub async fn finish(&mut self) -> io::Result<()> {
        // It is enough to have said it.
        let _ = self.stream.shutdown();
        self.flush().await
    }
}
