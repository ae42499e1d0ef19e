//! A DTLS 1.3 client on dimpl over a connected UDP socket.

use std::{collections::VecDeque, io, sync::Arc, time::Instant};

use bytes::Bytes;
use dimpl::{Config, Dtls, DtlsCertificate, Output};
use tokio::{net::UdpSocket, time::timeout_at};

/// A session with the gateway.
pub struct Dtls13Client {
    socket: UdpSocket,
    dtls: Dtls,
    /// When the engine wants to be woken.
    wake: Instant,
    messages: VecDeque<Bytes>,
    connected: bool,
    closed: bool,
    /// What the gateway has shown, in DER.
    certificate: Vec<u8>,
}

impl Dtls13Client {
    /// Shakes hands over a connected socket.
    pub async fn connect(
        config: Arc<Config>,
        certificate: DtlsCertificate,
        socket: UdpSocket,
    ) -> io::Result<Self> {
        let mut dtls = Dtls::new_13(config, certificate, Instant::now());
        dtls.set_active(true);
        dtls.handle_timeout(Instant::now())
            .map_err(io::Error::other)?;
        let mut client = Self {
            socket,
            dtls,
            wake: Instant::now(),
            messages: VecDeque::new(),
            connected: false,
            closed: false,
            certificate: Vec::new(),
        };
        client.drain().await?;
        while !client.connected {
            client.step().await?;
        }
        Ok(client)
    }

    /// The socket under the session.
    #[must_use]
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// The certificate that the gateway has shown, in DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Waits for a datagram or the engine's clock, and does what follows.
    async fn step(&mut self) -> io::Result<()> {
        let mut datagram = Vec::with_capacity(64 * 1024);
        let received = timeout_at(self.wake.into(), self.socket.recv_buf(&mut datagram)).await;
        let done = if let Ok(received) = received {
            received?;
            self.dtls.handle_packet(&datagram)
        } else {
            self.dtls.handle_timeout(Instant::now())
        };
        done.map_err(io::Error::other)?;
        self.drain().await
    }

    /// Does what the engine says, until it wants to wait.
    async fn drain(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 32 * 1024];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(datagram) => drop(self.socket.send(datagram).await?),
                Output::BufferTooSmall { needed } => buffer.resize(needed, 0),
                Output::Connected => self.connected = true,
                Output::PeerCert(der) => self.certificate = der.to_vec(),
                Output::ApplicationData(message) => {
                    self.messages.push_back(Bytes::copy_from_slice(message));
                }
                Output::CloseNotify => self.closed = true,
                Output::Timeout(wake) => {
                    self.wake = wake;
                    return Ok(());
                }
                _ => {}
            }
        }
    }

    /// Sends one message.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.dtls
            .send_application_data(bytes)
            .map_err(io::Error::other)?;
        self.drain().await
    }

    /// The next message; `None` once the gateway has said goodbye.
    pub async fn receive(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Ok(Some(message));
            }
            if self.closed {
                return Ok(None);
            }
            self.step().await?;
        }
    }

    /// Says goodbye.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.dtls.close().map_err(io::Error::other)?;
        self.drain().await
    }
}
