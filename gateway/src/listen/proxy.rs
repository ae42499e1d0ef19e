//! The PROXY protocol: a balancer tells whom it speaks for.
//!
//! The header is the first thing on a connection, and whatever follows it (TLS, WebSocket, the device's bytes) is left
//! in the socket. Whether a balancer is believed is not decided here.

use std::{io, net::SocketAddr};

use tokio::net::TcpStream;

use crate::transport::Details;

/// The line of version 1.
mod v1;
/// The binary header of version 2.
mod v2;

pub use self::v2::{Ssl, Tlvs};

/// What a balancer told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The device's address. `None`: the balancer speaks for itself, as it does to check the gateway's health, or
    /// cannot say.
    pub source: Option<SocketAddr>,
    /// Where the device connected to. `None` whenever `source` is.
    pub destination: Option<SocketAddr>,
    /// What else it told.
    pub tlvs: Tlvs,
}

/// Why a header cannot be read. The connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something else came: a device itself, or a balancer that is not told to send headers.
    #[error("what came first is no PROXY header; enable the PROXY protocol in the balancer")]
    NotProxy,
    /// It begins like one, and is none.
    #[error("the PROXY header is malformed: {0}")]
    Malformed(&'static str),
    /// A header of version 2 that contradicts itself.
    #[error("the PROXY header is malformed: {0}")]
    Version2(#[from] ppp::v2::ParseError),
    /// It is longer than any that is taken.
    #[error("the PROXY header is longer than {0} bytes")]
    TooLong(usize),
    /// The balancer closed the connection first.
    #[error("the connection was closed before its PROXY header was complete")]
    Closed,
    /// The socket failed.
    #[error("cannot read the PROXY header: {0}")]
    Io(#[source] io::Error),
}

impl Error {
    /// One word, for a metric.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotProxy => "not_proxy",
            Self::Malformed(_) | Self::Version2(_) => "malformed",
            Self::TooLong(_) => "too_long",
            Self::Closed => "closed",
            Self::Io(_) => "io",
        }
    }
}

/// Reads exactly the header from the socket and not one byte more. Waits for as long as the balancer takes: the caller
/// sets a limit.
pub async fn read(socket: &TcpStream) -> Result<Header, Error> {
    // The shortest header has 15 bytes, so all of these belong to it.
    let mut start = [0; v2::SIGNATURE.len()];
    let mut filled = 0;
    while filled < start.len() {
        filled += receive(socket, &mut start[filled..]).await?;
        let got = &start[..filled];
        let begins = |expected: &[u8]| got.iter().zip(expected).all(|(a, b)| a == b);
        if !begins(v1::PREFIX) && !begins(v2::SIGNATURE) {
            return Err(Error::NotProxy);
        }
    }
    if start == *v2::SIGNATURE {
        v2::read(socket).await
    } else {
        v1::read(socket, &start).await
    }
}

/// Some bytes, one at least.
async fn receive(socket: &TcpStream, into: &mut [u8]) -> Result<usize, Error> {
    loop {
        socket.readable().await.map_err(Error::Io)?;
        match socket.try_read(into) {
            Ok(0) => return Err(Error::Closed),
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(Error::Io(error)),
        }
    }
}

/// All of `into`.
async fn fill(socket: &TcpStream, into: &mut [u8]) -> Result<(), Error> {
    let mut filled = 0;
    while filled < into.len() {
        filled += receive(socket, &mut into[filled..]).await?;
    }
    Ok(())
}

impl Header {
    /// Adds what the balancer told to the metadata, and the balancer's own address.
    pub fn describe(&self, balancer: SocketAddr, details: &mut Details) {
        let balancer = SocketAddr::new(balancer.ip().to_canonical(), balancer.port());
        details.add("exproto-proxy-address", balancer.to_string().as_bytes());
        self.tlvs.describe(details);
    }
}

#[cfg(test)]
mod tests;
