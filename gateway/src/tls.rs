//! Certificates, shared keys, and the handshake of TLS, between a listener's socket and its connection.
//!
//! What the files say is read once into a `Secured`; changed files make another one. Certificates are served by
//! rustls, shared keys by OpenSSL, as rustls has none. Nothing here reads a device's bytes after its handshake.

use std::{path::PathBuf, sync::Arc};

/// Why files cannot be used.
mod error;
/// Certificates, keys and revocation lists in files.
pub(crate) mod pem;
/// The certificates that a listener shows.
mod shown;
/// The certificates that a listener wants.
mod wanted;
/// TLS where the gateway is the client.
pub(crate) mod client;
/// What a device's certificate tells.
pub mod certificate;
/// Keys shared with devices.
pub mod psk;
/// The choice of a protocol.
pub(crate) mod alpn;
/// A device's handshake, and why it failed.
mod handshake;
/// The bytes behind a handshake.
mod stream;

#[cfg(test)]
mod tests;

pub use self::{
    error::Error,
    handshake::{HandshakeError, Reason},
    stream::{Below, TlsStream},
};

/// What a listener shows and wants in handshakes, as read from its files. A clone is cheap.
#[derive(Clone)]
pub struct Secured(Kind);

#[derive(Clone)]
enum Kind {
    Certificates(Arc<rustls::ServerConfig>),
    Psk(openssl::ssl::SslContext),
}

impl Secured {
    /// Reads the files of a listener with transport tls or wss, for its start. What is expired is used all the same
    /// and said loudly: a gateway that does not start helps nobody. Blocks for as long as the files take to read.
    ///
    /// # Errors
    /// The first file that cannot be used, and why.
    pub fn load(listener: &config::Listener) -> Result<Self, Error> {
        let (secured, expired) = Self::read(listener)?;
        for error in expired {
            tracing::error!(listener = %listener.name, %error, "devices will refuse this listener, or it them");
        }
        Ok(secured)
    }

    /// Like [`Secured::load`], for files that have changed while others are in use: what is expired is refused.
    /// Nobody resumes a session of before: whoever comes is looked at by the new rules.
    ///
    /// # Errors
    /// The first file that cannot be used, and why.
    pub fn reload(listener: &config::Listener) -> Result<Self, Error> {
        match Self::read(listener)? {
            (secured, expired) if expired.is_empty() => Ok(secured),
            (_, mut expired) => Err(expired.swap_remove(0)),
        }
    }

    /// Also tells what of it is out of its time.
    fn read(listener: &config::Listener) -> Result<(Self, Vec<Error>), Error> {
        let tls = &listener.tls;
        if let (Some(file), true) = (&listener.psk.file, tls.certificates.is_empty()) {
            let store = psk::PskStore::load(file)?;
            let context = psk::context(listener, Arc::new(store))?;
            return Ok((Self(Kind::Psk(context)), Vec::new()));
        }
        Self::of_server(tls)
    }

    /// Reads the files of a server that has certificates, whoever it is for, and tells what of them is out of its time.
    ///
    /// # Errors
    /// The first file that cannot be used, and why.
    pub fn of_server(tls: &config::Tls) -> Result<(Self, Vec<Error>), Error> {
        let mut expired = Vec::new();
        let config = server(tls, &mut expired)?;
        Ok((Self(Kind::Certificates(Arc::new(config))), expired))
    }
}

/// Every file that [`Secured::load`] reads, to be watched. It is right for transport dtls, too.
#[must_use]
pub fn files(listener: &config::Listener) -> Vec<PathBuf> {
    let own = files_of(&listener.tls);
    own.chain(&listener.psk.file).cloned().collect()
}

/// Every file that [`Secured::of_server`] reads.
pub fn files_of(tls: &config::Tls) -> impl Iterator<Item = &PathBuf> {
    let own = tls.certificates.iter();
    own.flat_map(|certificate| [&certificate.chain, &certificate.key])
        .chain(&tls.ca_file)
        .chain(&tls.crl_file)
}

fn server(tls: &config::Tls, expired: &mut Vec<Error>) -> Result<rustls::ServerConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[_] = match tls.min_version {
        config::TlsVersion::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        config::TlsVersion::V1_3 => &[&rustls::version::TLS13],
    };
    let shown = shown::Shown::load(&tls.certificates, &provider, expired)?;
    let wanted = wanted::verifier(tls, &provider, expired)?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(Error::Rustls)?
        .with_client_cert_verifier(wanted)
        .with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = tls.alpn.iter().map(|name| name.clone().into()).collect();
    // Sessions are in the tickets that devices keep, encrypted with a key of this config's own: no memory here, and
    // none that outlives a reload.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = usize::from(tls.resumption);
    if tls.resumption {
        config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(Error::Rustls)?;
    }
    Ok(config)
}
