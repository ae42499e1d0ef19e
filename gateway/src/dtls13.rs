//! DTLS 1.3, on tokio-dtls: what a listener shows, and one session.
//!
//! The library reads from a UDP socket of its own, one for each session, and holds memory for whoever sends it
//! anything. So a session begins once its device was let in, and the library has one end of a tunnel: limits, bans,
//! rates and the table of peers stand in front of it.

use std::{io, net::Ipv4Addr, sync::Arc, time::Duration};

use config::Listener;
use dimpl13::{Config, DtlsCertificate};
use rustix::net::{RecvFlags, recv};
use socket2::{Domain, SockRef, Socket, Type};
use tokio::{
    net::UdpSocket,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_dtls::{ConfigOptions, DtlsConnection};

use crate::tls::{self, pem};

/// The largest datagram of a device, in bytes: the library has a buffer of that size for each session, and cuts off
/// what is longer.
pub const LARGEST: usize = 4096;
/// The most bytes in one message to a device, the limit of a record.
pub const RECORD: usize = 16 * 1024;
/// What a record of a device has besides its message, at most: header, kind, and the tag of its cipher.
const OVERHEAD: u16 = 64;
/// Messages that wait between the library and the connection, in each direction. Beyond it the library keeps those of
/// the device until it is woken by something else: more than datagrams of 16 records each bring at once.
const MESSAGES: usize = 1024;
/// For datagrams on loopback, in bytes; the system may give less.
const BUFFER: usize = 1024 * 1024;
/// Datagrams of one flight.
const FLIGHT: usize = 64;
/// The library gives up after that; `handshake_timeout` is looked after elsewhere.
const BACKSTOP: Duration = Duration::from_secs(24 * 60 * 60);

/// What a listener shows, read once for all of its sessions. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    options: ConfigOptions,
    /// Places for handshakes.
    handshakes: Arc<Semaphore>,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tunnel could not be made.
    #[error("cannot open sockets on loopback: {0}; check the process's limit of open files")]
    Tunnel(#[source] io::Error),
    /// The handshake failed.
    #[error(transparent)]
    Handshake(#[from] tokio_dtls::Error),
}

impl Error {
    /// A word for metrics, of a closed set.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Handshake(tokio_dtls::Error::HandshakeFailed) => "timeout",
            Self::Handshake(tokio_dtls::Error::Closed) => "closed",
            _ => "other",
        }
    }
}

impl Context {
    /// Reads the certificate and its key, which the listener's checks have passed.
    ///
    /// # Errors
    /// The file that cannot be used, and why.
    pub fn load(listener: &Listener) -> Result<Self, tls::Error> {
        let files = listener.tls.certificates.first();
        let files = files.ok_or(tls::Error::NothingToShow)?;
        let certificate = pem::certificates(&files.chain)?.swap_remove(0).to_vec();
        let private_key = pem::key(&files.key)?.secret_der().to_vec();
        let alpn: Vec<&[u8]> = listener.tls.alpn.iter().map(String::as_bytes).collect();
        let config = Config::builder()
            .require_client_certificate(false)
            .mtu(listener.dtls.mtu as usize)
            .max_queue_rx(FLIGHT)
            .max_queue_tx(FLIGHT)
            .handshake_timeout(BACKSTOP)
            .record_size_limit(u16::try_from(LARGEST).map_or(u16::MAX, |most| most - OVERHEAD))
            .alpn_protocols(&alpn)
            .build()
            .map_err(|error| tls::Error::Dtls13(error.to_string()))?;
        let keys = config.crypto_provider().key_provider;
        if keys.load_private_key(&private_key).is_err() {
            return Err(tls::Error::Unusable {
                path: files.key.clone(),
                kind: "private key",
                problem: "DTLS 1.3 takes ECDSA P-256 and P-384 alone; choose such a key, or write \
                          dtls.versions: [\"1.2\"]"
                    .into(),
            });
        }
        let options = ConfigOptions {
            handshake_timeout: BACKSTOP,
            initial_buffer_size: LARGEST,
            channel_capacity: MESSAGES,
            dtls_config: Some(Arc::new(config)),
            dtls_cert: Some(Arc::new(DtlsCertificate {
                certificate,
                private_key,
            })),
            ..ConfigOptions::default()
        };
        let places = listener.dtls.max_handshakes as usize;
        Ok(Self {
            options,
            handshakes: Arc::new(Semaphore::new(places)),
        })
    }

    /// A place for a handshake, until it is dropped; `None` where all are taken.
    #[must_use]
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.handshakes.clone().try_acquire_owned().ok()
    }

    /// The session of a device whose datagrams come out of `end`. Waits for as long as the handshake takes: the caller
    /// sets a limit, and feeds the tunnel in the meantime.
    pub fn accept(
        &self,
        end: UdpSocket,
    ) -> impl Future<Output = Result<DtlsConnection, tokio_dtls::Error>> + Send + use<> {
        let options = self.options.clone();
        // Devices are asked for no certificate.
        DtlsConnection::accept_with(end, |_| true, options)
    }
}

/// Our end of a pair of sockets on loopback, between a device's datagrams and the library.
pub struct Tunnel(UdpSocket);

impl Tunnel {
    /// Our end, and the library's.
    pub async fn open() -> io::Result<(Self, UdpSocket)> {
        let ours = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        // Connected from the first moment on: nobody else on this machine gets a word in.
        let theirs = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        theirs.set_nonblocking(true)?;
        theirs.connect(&ours.local_addr()?.into())?;
        let theirs = UdpSocket::from_std(theirs.into())?;
        ours.connect(theirs.local_addr()?).await?;
        for end in [SockRef::from(&ours), SockRef::from(&theirs)] {
            end.set_recv_buffer_size(BUFFER)?;
        }
        let tunnel = Self(ours);
        // What others on this machine sent before the two were connected.
        while tunnel.try_take(&mut [0; 1]).is_ok() {}
        Ok((tunnel, theirs))
    }

    /// The socket, to hand over what came from the device.
    #[must_use]
    pub fn socket(&self) -> &UdpSocket {
        &self.0
    }

    /// Waits until the library may have something for the device.
    pub async fn readable(&self) -> io::Result<()> {
        self.0.readable().await
    }

    /// The next datagram for the device, if there is one. Asks the system, whatever the runtime has seen so far.
    pub fn try_take(&self, into: &mut [u8]) -> io::Result<usize> {
        let taken = self.0.try_io(tokio::io::Interest::READABLE, || {
            Ok(recv(&self.0, &mut *into, RecvFlags::DONTWAIT)?.0)
        });
        match taken {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Ok(recv(&self.0, into, RecvFlags::DONTWAIT)?.0)
            }
            taken => taken,
        }
    }
}
