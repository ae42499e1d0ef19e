//! A device's handshake: what it brought, or why it failed.

use std::{borrow::Cow, io, pin::Pin};

use openssl::ssl::{NameType, Ssl, SslRef};
use rustls::{HandshakeKind, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Kind, Secured, TlsStream, certificate, psk, stream::Below};
use crate::transport::{Details, PSK_IDENTITY};

/// Why a handshake failed.
mod reason;

pub use self::reason::Reason;

impl Secured {
    /// Shakes hands with a device, and tells what is known of it: its certificate or identity, version, cipher suite,
    /// SNI and ALPN. The caller limits the time; what is dropped in between closes `io`. The future is small: what a
    /// handshake needs is on the heap until it ends.
    ///
    /// # Errors
    /// The device is not let in, or did not speak TLS, or went away.
    pub async fn accept<Io>(&self, io: Io) -> Result<(TlsStream<Io>, Details), HandshakeError>
    where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        match &self.0 {
            Kind::Certificates(config) => {
                let acceptor = tokio_rustls::TlsAcceptor::from(config.clone());
                let stream = Box::pin(acceptor.accept(io)).await;
                let stream = stream.map_err(|error| HandshakeError::from_rustls(&error))?;
                let details = of_certificates(stream.get_ref().1)?;
                Ok((TlsStream::Rustls(Box::new(stream)), details))
            }
            Kind::Psk(context) => {
                let stream =
                    Ssl::new(context).and_then(|ssl| tokio_openssl::SslStream::new(ssl, Below(io)));
                let mut stream = stream.map_err(|error| HandshakeError {
                    reason: Reason::Other,
                    detail: error.to_string(),
                })?;
                let shaken = Pin::new(&mut stream).accept().await;
                shaken.map_err(|error| HandshakeError::from_openssl(&error, stream.ssl()))?;
                let details = of_psk(stream.ssl());
                Ok((TlsStream::Openssl(stream), details))
            }
        }
    }
}

/// Why a handshake failed. The text is for a log at the level of debug: whoever scans ports must not page anyone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct HandshakeError {
    reason: Reason,
    detail: String,
}

impl HandshakeError {
    /// One word of a small closed set, for metrics.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    fn from_rustls(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        Self {
            reason: inner.map_or_else(|| Reason::of_io(error), Reason::of_rustls),
            detail: error.to_string(),
        }
    }

    fn from_openssl(error: &openssl::ssl::Error, ssl: &SslRef) -> Self {
        let asked = psk::asked(ssl);
        let reason = match error.io_error() {
            Some(error) => Reason::of_io(error),
            None => Reason::of_openssl(error, asked),
        };
        let identity = asked.map(|asked| format!(" (identity {:?})", lossy(&asked.identity)));
        let detail = format!("{error}{}", identity.unwrap_or_default());
        Self { reason, detail }
    }
}

fn of_certificates(session: &ServerConnection) -> Result<Details, HandshakeError> {
    let mut details = Details::default();
    if let Some([device, ..]) = session.peer_certificates() {
        check_resumed(session, device)?;
        certificate::describe(device, &mut details);
    }
    let version = session
        .protocol_version()
        .and_then(|version| match version {
            rustls::ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
            rustls::ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
            _ => None,
        });
    // rustls writes TLS13_AES_128_GCM_SHA256, while IANA and OpenSSL write TLS_AES_128_GCM_SHA256.
    let suite = session.negotiated_cipher_suite();
    let suite = suite.map(|suite| format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1));
    add(&mut details, version, suite.as_deref());
    add_asked(&mut details, session.server_name(), session.alpn_protocol());
    Ok(details)
}

/// A session may be resumed again and again, and the certificate is not looked at by then: it may have expired.
fn check_resumed(session: &ServerConnection, device: &[u8]) -> Result<(), HandshakeError> {
    if session.handshake_kind() != Some(HandshakeKind::Resumed) {
        return Ok(());
    }
    match certificate::out_of_time(device) {
        Some(when) => Err(HandshakeError {
            reason: Reason::ExpiredCertificate,
            detail: format!("the certificate of a resumed session is {when}"),
        }),
        None => Ok(()),
    }
}

fn of_psk(ssl: &SslRef) -> Details {
    let mut details = Details::default();
    if let Some(asked) = psk::asked(ssl) {
        details.add(PSK_IDENTITY, &asked.identity);
    }
    let suite = ssl.current_cipher();
    let suite = suite.map(|suite| suite.standard_name().unwrap_or(suite.name()));
    add(&mut details, Some(ssl.version_str()), suite);
    add_asked(
        &mut details,
        ssl.servername(NameType::HOST_NAME),
        ssl.selected_alpn_protocol(),
    );
    details
}

fn add(details: &mut Details, version: Option<&str>, suite: Option<&str>) {
    if let Some(version) = version {
        details.add("exproto-tls-version", version.as_bytes());
    }
    if let Some(suite) = suite {
        details.add("exproto-tls-cipher", suite.as_bytes());
    }
}

fn add_asked(details: &mut Details, name: Option<&str>, protocol: Option<&[u8]>) {
    if let Some(name) = name {
        details.add("exproto-tls-sni", name.as_bytes());
    }
    if let Some(protocol) = protocol {
        details.add("exproto-tls-alpn", protocol);
    }
}

fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
