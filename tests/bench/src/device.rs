//! One device: a connection to the program measured, which sends a payload and waits until all of it has come back.
//! What comes back is compared, so that a fast but wrong program has no figures.

/// A DTLS client.
mod dtls;

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use self::dtls::Session;
use crate::{credentials, generator::Target, transport::Transport};

/// After this long a datagram or its echo is lost, and the payload is sent again.
const LOST: Duration = Duration::from_secs(1);

/// A connection to the program measured.
pub(crate) struct Device {
    socket: Socket,
    payload: Vec<u8>,
    /// Longer than the payload: a read that fills its buffer makes tokio try once more, and what was not asked for
    /// is seen.
    echo: Vec<u8>,
}

enum Socket {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Udp(UdpSocket),
    Dtls(Session),
}

impl Device {
    /// Connects, as the `number`th of all devices, which each have another payload of `length` bytes.
    pub(crate) async fn open(to: &Target, number: usize, length: usize) -> Result<Self> {
        let socket = match to.transport {
            Transport::Tcp | Transport::Lines => Socket::Tcp(tcp(to).await?),
            Transport::Tls => {
                let connector = TlsConnector::from(to.clients.tls.clone());
                let name = ServerName::try_from(credentials::NAME)?;
                let stream = connector.connect(name, tcp(to).await?).await;
                Socket::Tls(Box::new(stream.context("the TLS handshake failed")?))
            }
            Transport::Udp => Socket::Udp(udp(to).await?),
            Transport::Dtls => Socket::Dtls(Session::open(&to.clients.dtls, udp(to).await?).await?),
            Transport::DtlsPsk => {
                Socket::Dtls(Session::open(&to.clients.dtls_psk, udp(to).await?).await?)
            }
        };
        let bytes = (0_u8..=250).cycle().skip(number % 251);
        Ok(Self {
            socket,
            payload: bytes.take(length).collect(),
            echo: vec![0; length + 1],
        })
    }

    /// Sends the payload and waits until all of it has come back.
    pub(crate) async fn echo(&mut self) -> Result<()> {
        let Self {
            socket,
            payload,
            echo,
        } = self;
        let length = match socket {
            Socket::Tcp(socket) => {
                let (reader, writer) = socket.split();
                stream_echo(reader, writer, payload, echo).await?
            }
            Socket::Tls(socket) => {
                let (reader, writer) = tokio::io::split(socket);
                stream_echo(reader, writer, payload, echo).await?
            }
            Socket::Udp(socket) => loop {
                let sent = socket.send(payload).await;
                sent.context("cannot send a payload")?;
                let received = time::timeout(LOST, socket.recv(echo)).await;
                if let Ok(received) = received {
                    break received.context("cannot receive an echo")?;
                }
            },
            Socket::Dtls(session) => loop {
                session.send(payload)?;
                if let Ok(received) = time::timeout(LOST, session.receive(echo)).await {
                    break received?;
                }
            },
        };
        ensure!(
            echo[..length] == *payload,
            "what came back is not what was sent"
        );
        Ok(())
    }

    /// Ends the connection at once, so that its port is free for another.
    pub(crate) fn reset(self) -> Result<()> {
        match &self.socket {
            Socket::Tcp(socket) => socket.set_zero_linger()?,
            Socket::Tls(socket) => socket.get_ref().0.set_zero_linger()?,
            Socket::Udp(_) | Socket::Dtls(_) => {}
        }
        Ok(())
    }
}

async fn tcp(to: &Target) -> Result<TcpStream> {
    let socket = TcpStream::connect(to.device).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

async fn udp(to: &Target) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(to.device).await?;
    Ok(socket)
}

/// Writes and reads at the same time: a large payload fits into no socket's buffer, and comes back in parts.
async fn stream_echo(
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    payload: &[u8],
    echo: &mut [u8],
) -> Result<usize> {
    let write = async {
        let written = writer.write_all(payload).await;
        written.context("cannot send a payload")?;
        writer.flush().await.context("cannot send a payload")
    };
    let read = async {
        let mut length = 0;
        while length < payload.len() {
            let read = reader.read(&mut echo[length..]).await;
            let read = read.context("cannot receive an echo")?;
            ensure!(read > 0, "the connection was closed instead of an echo");
            length += read;
        }
        Ok(length)
    };
    let ((), length) = tokio::try_join!(write, read)?;
    Ok(length)
}
