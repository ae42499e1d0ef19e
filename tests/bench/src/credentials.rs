//! What the gateway shows in handshakes, in files, and the devices that trust it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use openssl::ssl::{SslContext, SslContextBuilder, SslMethod, SslOptions, SslVerifyMode};
use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};

/// In the certificate, and what devices ask for.
pub(crate) const NAME: &str = "localhost";
const IDENTITY: &[u8] = b"device";
const KEY: [u8; 16] = *b"sixteen bytes ok";

/// Files for listeners, and contexts for their devices.
pub(crate) struct Credentials {
    /// PEM with a certificate, ECDSA over P-256, signed by itself.
    pub(crate) chain: PathBuf,
    /// PEM with its key.
    pub(crate) key: PathBuf,
    /// A file of shared keys.
    pub(crate) psk: PathBuf,
    pub(crate) clients: Clients,
}

/// What devices begin handshakes with. Nothing is resumed.
#[derive(Clone)]
pub(crate) struct Clients {
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) dtls: SslContext,
    pub(crate) dtls_psk: SslContext,
}

impl Credentials {
    /// Puts new ones into `folder`.
    pub(crate) fn create(folder: &Path) -> Result<Self> {
        let pair = KeyPair::generate()?;
        let certificate = CertificateParams::new([NAME.to_owned()])?.self_signed(&pair)?;
        let write = |name: &str, text: String| -> Result<PathBuf> {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            Ok(path)
        };
        let identity = String::from_utf8_lossy(IDENTITY);
        let key = KEY
            .iter()
            .fold(String::new(), |key, byte| key + &format!("{byte:02x}"));
        Ok(Self {
            chain: write("tls.crt", certificate.pem())?,
            key: write("tls.key", pair.serialize_pem())?,
            psk: write("psk", format!("{identity}:{key}\n"))?,
            clients: Clients {
                tls: tls(certificate.der())?,
                dtls: dtls()?.build(),
                dtls_psk: dtls_psk()?,
            },
        })
    }
}

fn tls(certificate: &CertificateDer<'static>) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

fn dtls() -> Result<SslContextBuilder> {
    let mut context = SslContextBuilder::new(SslMethod::dtls_client())?;
    // What devices check costs the gateway nothing.
    context.set_verify(SslVerifyMode::NONE);
    // No socket can be asked.
    context.set_options(SslOptions::NO_QUERY_MTU | SslOptions::NO_TICKET);
    Ok(context)
}

fn dtls_psk() -> Result<SslContext> {
    let mut context = dtls()?;
    context.set_cipher_list("PSK-AES128-GCM-SHA256")?;
    context.set_psk_client_callback(|_, _, identity, key| {
        // OpenSSL wants a zero after the identity.
        identity[..IDENTITY.len()].copy_from_slice(IDENTITY);
        identity[IDENTITY.len()] = 0;
        key[..KEY.len()].copy_from_slice(&KEY);
        Ok(KEY.len())
    });
    Ok(context.build())
}
