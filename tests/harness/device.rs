//! A device: a TCP socket and what a test does with it.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::within;

/// A connected device. What fails or never comes fails the test.
pub struct Device {
    socket: TcpStream,
}

impl Device {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens there.
    pub async fn connect(address: SocketAddr) -> Self {
        let socket = within("a TCP connection", TcpStream::connect(address)).await;
        let socket = socket.expect("the listener accepts");
        socket.set_nodelay(true).expect("a TCP socket");
        Self { socket }
    }

    /// Uses a socket that is connected already.
    #[must_use]
    pub fn new(socket: TcpStream) -> Self {
        Self { socket }
    }

    /// The device's own address.
    ///
    /// # Panics
    /// Never: it is connected.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("a connected socket")
    }

    /// Writes all of it.
    ///
    /// # Panics
    /// When the gateway does not take it.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within("bytes to be taken", self.socket.write_all(bytes.as_ref()))
            .await
            .expect("the gateway takes bytes");
    }

    /// Writes until the gateway takes no more, and tells how much it took.
    ///
    /// # Panics
    /// When the socket fails.
    pub fn send_what_fits(&mut self, most: usize) -> usize {
        let chunk = vec![7; 64 * 1024];
        let mut sent = 0;
        while sent < most {
            match self.socket.try_write(&chunk) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("the socket failed: {error}"),
            }
        }
        sent
    }

    /// Reads exactly so many bytes.
    ///
    /// # Panics
    /// When fewer come.
    pub async fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        within("bytes from the gateway", self.socket.read_exact(&mut bytes))
            .await
            .expect("the gateway sends enough");
        bytes
    }

    /// Reads until the gateway closes.
    ///
    /// # Panics
    /// When it resets the connection instead, or does not close.
    pub async fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        within("the gateway to close", self.socket.read_to_end(&mut bytes))
            .await
            .expect("the gateway closes in order");
        bytes
    }

    /// Waits until the gateway has closed the connection, in order or not.
    pub async fn closed(&mut self) {
        let mut bytes = Vec::new();
        let _ = within("the gateway to close", self.socket.read_to_end(&mut bytes)).await;
    }

    /// Says that it sends no more.
    ///
    /// # Panics
    /// When the socket has failed.
    pub async fn finish(&mut self) {
        self.socket.shutdown().await.expect("an open socket");
    }

    /// Resets the connection.
    ///
    /// # Panics
    /// Never: it is a TCP socket.
    pub fn reset(self) {
        self.socket.set_zero_linger().expect("a TCP socket");
    }
}
