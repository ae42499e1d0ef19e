//! A transport as the tests use it: the listener that speaks it, and a device that does.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use config::{Config, Transport};
use openssl::ssl::{Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::net::{TcpStream, UdpSocket};

use crate::{
    Device, TestHandler,
    device::{Bytestream, Wire, dtls::DtlsClient},
    gateway::config,
    pki::{Files, Pki},
    within,
};

/// The identity of the device that has a shared key.
pub const IDENTITY: &str = "device-7";
/// Its key.
pub const KEY: [u8; 16] = *b"sixteen byte key";
/// The name in the listener's certificate.
pub const SERVER: &str = "gateway.test";

/// A transport as the tests use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// Plain TCP.
    Tcp,
    /// TLS with certificates.
    Tls,
    /// TLS with shared keys.
    Psk,
    /// WebSocket over TCP.
    Ws,
    /// WebSocket over TLS.
    Wss,
    /// Plain UDP.
    Udp,
    /// DTLS with certificates.
    Dtls,
    /// DTLS with shared keys.
    DtlsPsk,
    /// DTLS 1.3.
    #[cfg(feature = "dtls13")]
    Dtls13,
}

/// The files of a listener and its devices.
#[derive(Clone)]
pub struct Credentials {
    /// Who signs.
    pub pki: Arc<Pki>,
    /// The listener's certificate.
    pub server: Files,
}

impl Default for Credentials {
    fn default() -> Self {
        let pki = Arc::new(Pki::new());
        let server = pki.server(SERVER);
        Self { pki, server }
    }
}

impl Carrier {
    /// Whether each message stays one.
    #[must_use]
    pub fn keeps_boundaries(self) -> bool {
        !matches!(self, Self::Tcp | Self::Tls | Self::Psk)
    }

    /// Whether it is over UDP.
    #[must_use]
    pub fn is_datagram(self) -> bool {
        matches!(self.transport(), Transport::Udp | Transport::Dtls)
    }

    /// What the configuration calls it.
    #[must_use]
    pub fn transport(self) -> Transport {
        match self {
            Self::Tcp => Transport::Tcp,
            Self::Tls | Self::Psk => Transport::Tls,
            Self::Ws => Transport::Ws,
            Self::Wss => Transport::Wss,
            Self::Udp => Transport::Udp,
            Self::Dtls | Self::DtlsPsk => Transport::Dtls,
            #[cfg(feature = "dtls13")]
            Self::Dtls13 => Transport::Dtls,
        }
    }

    /// A configuration whose one listener speaks it.
    ///
    /// # Panics
    /// When a file cannot be written.
    #[must_use]
    pub fn config(self, handlers: &[&TestHandler], credentials: &Credentials) -> Config {
        let mut config = config(handlers);
        let listener = &mut config.listeners[0];
        listener.transport = self.transport();
        let certificate = config::Certificate {
            chain: credentials.server.chain.clone(),
            key: credentials.server.key.clone(),
        };
        match self {
            Self::Tls | Self::Wss | Self::Dtls => listener.tls.certificates = vec![certificate],
            #[cfg(feature = "dtls13")]
            Self::Dtls13 => {
                listener.tls.certificates = vec![certificate];
                listener.dtls.versions = vec![config::DtlsVersion::V1_3];
            }
            Self::Psk | Self::DtlsPsk => {
                let file = credentials.pki.folder().join("psk");
                let key = u128::from_be_bytes(KEY);
                std::fs::write(&file, format!("{IDENTITY}:{key:032x}\n"))
                    .expect("a folder to write in");
                listener.psk.file = Some(file);
            }
            Self::Tcp | Self::Ws | Self::Udp => {}
        }
        config
    }

    /// A device that is connected, as far as this transport connects: a UDP device is known by its first datagram.
    ///
    /// # Panics
    /// When the gateway does not let it in.
    pub async fn connect(self, address: SocketAddr, credentials: &Credentials) -> Device {
        let connected = within("a connection", self.try_connect(address, credentials, None)).await;
        connected.expect("the gateway lets the device in")
    }

    /// Like `connect`, from an address of before. UDP and DTLS alone.
    ///
    /// # Panics
    /// When the gateway does not let it in.
    pub async fn connect_from(
        self,
        from: SocketAddr,
        address: SocketAddr,
        credentials: &Credentials,
    ) -> Device {
        let connected = within(
            "a connection",
            self.over_udp(from, address, credentials, None),
        );
        connected.await.expect("the gateway lets the device in")
    }

    /// Like `connect`, for a gateway that may refuse, and with a certificate where one is given.
    pub async fn try_connect(
        self,
        address: SocketAddr,
        credentials: &Credentials,
        certificate: Option<&Files>,
    ) -> anyhow::Result<Device> {
        if self.is_datagram() {
            let any = (Ipv4Addr::LOCALHOST, 0).into();
            return self.over_udp(any, address, credentials, certificate).await;
        }
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        self.connect_over(socket, credentials, certificate).await
    }

    /// Like `try_connect`, over a socket that is connected, and on which something may have been said already. Not for
    /// UDP and DTLS.
    pub async fn connect_over(
        self,
        socket: TcpStream,
        credentials: &Credentials,
        certificate: Option<&Files>,
    ) -> anyhow::Result<Device> {
        let own = socket.local_addr()?;
        let wire = match self {
            Self::Tls => Wire::Tls(tls(socket, credentials, certificate).await?),
            Self::Psk => {
                let ssl = self.ssl(credentials, certificate)?;
                let mut stream = tokio_openssl::SslStream::new(ssl, socket)?;
                std::pin::Pin::new(&mut stream).connect().await?;
                Wire::Tls(Box::new(stream))
            }
            Self::Ws => websocket(Box::new(socket), "ws").await?,
            Self::Wss => websocket(tls(socket, credentials, certificate).await?, "wss").await?,
            _ => Wire::Tcp(socket),
        };
        Ok(Device::over(wire, own))
    }

    async fn over_udp(
        self,
        from: SocketAddr,
        address: SocketAddr,
        credentials: &Credentials,
        certificate: Option<&Files>,
    ) -> anyhow::Result<Device> {
        let socket = UdpSocket::bind(from).await?;
        socket.connect(address).await?;
        let own = socket.local_addr()?;
        let wire = match self {
            Self::Udp => Wire::Udp(socket),
            #[cfg(feature = "dtls13")]
            Self::Dtls13 => Wire::Dtls13(Box::new(dtls13(credentials, socket).await?)),
            _ => {
                let ssl = self.ssl(credentials, certificate)?;
                Wire::Dtls(Box::new(DtlsClient::connect(ssl, socket).await?))
            }
        };
        Ok(Device::over(wire, own))
    }

    /// The device's side of OpenSSL.
    fn ssl(self, credentials: &Credentials, certificate: Option<&Files>) -> anyhow::Result<Ssl> {
        let method = if self.is_datagram() {
            SslMethod::dtls_client()
        } else {
            SslMethod::tls_client()
        };
        let mut context = SslContext::builder(method)?;
        context.set_options(SslOptions::NO_QUERY_MTU);
        if matches!(self, Self::Psk | Self::DtlsPsk) {
            shared_key(&mut context)?;
        } else {
            context.set_ca_file(credentials.pki.ca_file())?;
            context.set_verify(openssl::ssl::SslVerifyMode::PEER);
        }
        if let Some(files) = certificate {
            context.set_certificate_chain_file(&files.chain)?;
            context.set_private_key_file(&files.key, openssl::ssl::SslFiletype::PEM)?;
        }
        let mut ssl = Ssl::new(&context.build())?;
        if self.is_datagram() {
            ssl.set_mtu(1400)?;
        }
        ssl.set_hostname(SERVER)?;
        Ok(ssl)
    }
}

#[cfg(feature = "dtls13")]
async fn dtls13(
    credentials: &Credentials,
    socket: UdpSocket,
) -> anyhow::Result<crate::device::dtls13::Dtls13Client> {
    // It is not asked for, and the engine has one all the same.
    let own = &credentials.server;
    let certificate = dimpl::DtlsCertificate {
        certificate: own.der.clone(),
        private_key: PrivateKeyDer::from_pem_file(&own.key)?
            .secret_der()
            .to_vec(),
    };
    let config = Arc::new(dimpl::Config::builder().build()?);
    let client = crate::device::dtls13::Dtls13Client::connect(config, certificate, socket).await?;
    anyhow::ensure!(client.certificate() == own.der, "another certificate");
    Ok(client)
}

fn shared_key(context: &mut SslContextBuilder) -> anyhow::Result<()> {
    context.set_cipher_list("PSK")?;
    context.set_psk_client_callback(|_, _, identity, key| {
        identity[..IDENTITY.len()].copy_from_slice(IDENTITY.as_bytes());
        identity[IDENTITY.len()] = 0;
        key[..KEY.len()].copy_from_slice(&KEY);
        Ok(KEY.len())
    });
    Ok(())
}

/// TLS with the server that has the name [`SERVER`] and a certificate of this authority.
///
/// # Errors
/// The handshake fails, or a file cannot be used.
pub async fn tls(
    socket: TcpStream,
    credentials: &Credentials,
    certificate: Option<&Files>,
) -> anyhow::Result<Box<dyn Bytestream>> {
    let mut roots = rustls::RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(credentials.pki.ca_file())? {
        roots.add(authority?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let client = match certificate {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let chain = CertificateDer::pem_file_iter(&files.chain)?.collect::<Result<_, _>>()?;
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&files.key)?)?
        }
    };
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let stream = connector
        .connect(ServerName::try_from(SERVER)?, socket)
        .await?;
    Ok(Box::new(stream))
}

async fn websocket(stream: Box<dyn Bytestream>, scheme: &str) -> anyhow::Result<Wire> {
    let url = format!("{scheme}://{SERVER}/devices?token=secret");
    let (socket, _) = tokio_tungstenite::client_async(url, stream).await?;
    Ok(Wire::WebSocket(Box::new(socket)))
}
