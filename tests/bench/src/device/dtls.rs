//! A DTLS client on OpenSSL, which reads from and writes to its socket by itself.

use std::{
    io::{self, Read, Write},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use openssl::ssl::{Error, ErrorCode, Ssl, SslContext, SslStream};
use tokio::{net::UdpSocket, time};

/// OpenSSL sends a flight again when it is called a second later.
const REPEAT: Duration = Duration::from_millis(1050);
/// How often it may do so.
const ATTEMPTS: usize = 10;
/// Loopback takes more.
const MTU: u32 = 1400;

/// A session with the gateway. Says goodbye when dropped.
pub(super) struct Session(SslStream<Datagrams>);

struct Datagrams(UdpSocket);

impl Read for Datagrams {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.try_recv(into)
    }
}

impl Write for Datagrams {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.try_send(bytes) {
            // Lost, as datagrams may be: what matters is sent again.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(bytes.len()),
            sent => sent,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Session {
    /// Shakes hands over a connected socket.
    pub(super) async fn open(context: &SslContext, socket: UdpSocket) -> Result<Self> {
        // Before it has heard of a socket, tokio takes it for full.
        socket.writable().await?;
        let mut ssl = Ssl::new(context)?;
        ssl.set_mtu(MTU)?;
        let mut stream = SslStream::new(ssl, Datagrams(socket))?;
        let mut repeated = 0;
        loop {
            match stream.connect() {
                Ok(()) => return Ok(Self(stream)),
                Err(error) if waits(&error) => {}
                Err(error) => return Err(error).context("the DTLS handshake failed"),
            }
            let readable = time::timeout(REPEAT, stream.get_ref().0.readable()).await;
            if let Ok(readable) = readable {
                readable?;
            } else {
                repeated += 1;
                ensure!(repeated < ATTEMPTS, "nobody answers in the DTLS handshake");
            }
        }
    }

    /// Sends one message.
    pub(super) fn send(&mut self, message: &[u8]) -> Result<()> {
        let sent = self.0.ssl_write(message);
        sent.context("cannot send a payload")?;
        Ok(())
    }

    /// The length of the next message. Loses nothing when dropped.
    pub(super) async fn receive(&mut self, into: &mut [u8]) -> Result<usize> {
        loop {
            match self.0.ssl_read(into) {
                Ok(length) => return Ok(length),
                Err(error) if waits(&error) => self.0.get_ref().0.readable().await?,
                Err(error) => return Err(error).context("cannot receive an echo"),
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It is enough to have said it.
        let _ = self.0.shutdown();
    }
}

fn waits(error: &Error) -> bool {
    error.code() == ErrorCode::WANT_READ
}
