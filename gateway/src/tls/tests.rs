//! Handshakes with real clients of rustls and OpenSSL, over a pipe in memory.

use std::{path::Path, sync::Arc};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::{HandshakeError, Reason, Secured, TlsStream};
use crate::transport::Details;

/// rustls and its certificates.
mod certificates;
/// Files that cannot be used.
mod files;
/// OpenSSL and its shared keys.
mod psk;
/// New files in the place of old ones.
mod reload;

// The same authority as that of the tests of a whole gateway.
#[allow(dead_code, unreachable_pub)]
#[path = "../../../tests/harness/pki.rs"]
mod pki;

/// A listener that shows these.
fn listener(certificates: &[&pki::Files]) -> config::Listener {
    let mut listener = config::Listener {
        transport: config::Transport::Tls,
        ..Default::default()
    };
    for files in certificates {
        listener.tls.certificates.push(config::Certificate {
            chain: files.chain.clone(),
            key: files.key.clone(),
        });
    }
    listener
}

/// A client of rustls, which trusts this authority.
struct Client {
    roots: rustls::RootCertStore,
    versions: Vec<&'static rustls::SupportedProtocolVersion>,
    own: Option<pki::Files>,
    alpn: Vec<Vec<u8>>,
}

impl Client {
    fn new(ca: &Path) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in super::pem::certificates(ca).unwrap() {
            roots.add(certificate).unwrap();
        }
        Self {
            roots,
            versions: rustls::ALL_VERSIONS.to_vec(),
            own: None,
            alpn: Vec::new(),
        }
    }

    fn showing(mut self, files: &pki::Files) -> Self {
        self.own = Some(files.clone());
        self
    }

    fn build(self) -> Arc<rustls::ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(self.roots);
        let mut config = match self.own {
            Some(own) => builder.with_client_auth_cert(
                super::pem::certificates(&own.chain).unwrap(),
                super::pem::key(&own.key).unwrap(),
            ),
            None => Ok(builder.with_no_client_auth()),
        }
        .unwrap();
        config.alpn_protocols = self.alpn;
        Arc::new(config)
    }
}

/// A session that stands.
struct Session {
    details: Details,
    /// The certificate that the client was shown.
    shown: Vec<u8>,
    resumed: bool,
}

impl Session {
    fn header(&self, name: &str) -> Option<&str> {
        self.details.headers()?.get(name)?.to_str().ok()
    }
}

/// Shakes hands, and sends a byte to and fro. Why the client fails is told by the server, too.
async fn shake(
    secured: &Secured,
    client: &Arc<rustls::ClientConfig>,
    name: &str,
) -> Result<Session, HandshakeError> {
    let (far, near) = tokio::io::duplex(1 << 16);
    let connector = tokio_rustls::TlsConnector::from(client.clone());
    let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
    let device = tokio::spawn(async move {
        let mut stream = connector.connect(name, far).await?;
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        stream.write_all(b"x").await?;
        stream.read_exact(&mut [0]).await?;
        std::io::Result::Ok(shown)
    });
    let (mut stream, details) = secured.accept(near).await?;
    echo(&mut stream).await;
    let TlsStream::Rustls(session) = &stream else {
        panic!("it has certificates");
    };
    let kind = session.get_ref().1.handshake_kind();
    Ok(Session {
        details,
        shown: device.await.unwrap().unwrap(),
        resumed: kind == Some(rustls::HandshakeKind::Resumed),
    })
}

async fn echo(stream: &mut TlsStream<DuplexStream>) {
    let mut byte = [0];
    stream.read_exact(&mut byte).await.unwrap();
    stream.write_all(&byte).await.unwrap();
    stream.flush().await.unwrap();
}

fn reason(result: Result<Session, HandshakeError>) -> Reason {
    match result {
        Ok(_) => panic!("it was let in"),
        Err(error) => error.reason(),
    }
}

/// What is sent instead of a handshake, and what it is called.
async fn send(secured: &Secured, bytes: &[u8]) -> HandshakeError {
    let (mut far, near) = tokio::io::duplex(1 << 16);
    far.write_all(bytes).await.unwrap();
    let answer = secured.accept(near).await;
    drop(far);
    match answer {
        Ok(_) => panic!("it was let in"),
        Err(error) => error,
    }
}
