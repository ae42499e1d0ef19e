//! What a listener shows of itself and wants of its devices, read once for all of its sessions. A changed file is
//! taken by loading anew: sessions keep the context that they began with.

use std::sync::Arc;

use config::{Listener, Verify};
use openssl::{
    sha::sha256,
    ssl::{
        SniError, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions,
        SslSessionCacheMode, SslVersion,
    },
};

use self::shown::Shown;
use crate::tls::{
    Error, alpn,
    psk::{self, PskStore},
};

/// Certificates that are shown.
mod shown;
/// Authorities of devices' certificates.
mod trust;

/// With certificates: forward secrecy and AEAD. With shared keys what small devices have comes after them, at the lowest
/// level of security; what that would let in besides is shut out by [`SIGNATURES`] and by [`trust`].
const CIPHERS: &str = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AESCCM";
/// Signatures without MD5 and SHA-1.
const SIGNATURES: &str = "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:ed448:\
    RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512";
/// `SSL_OP_NO_ENCRYPT_THEN_MAC`, which the crate does not name. With this extension OpenSSL ends a session over a
/// record with a wrong MAC, which anyone can send who can forge an address; without it the record is dropped.
const NO_ENCRYPT_THEN_MAC: u64 = 1 << 19;

/// Everything that the sessions of a listener share. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    pub(super) ssl: SslContext,
}

impl Context {
    /// Reads the files that the settings of the listener name.
    pub fn load(listener: &Listener) -> Result<Self, Error> {
        let psk = match &listener.psk.file {
            Some(file) => Some(Arc::new(PskStore::load(file)?)),
            None => None,
        };
        let mut shown = shown::read(&listener.tls.certificates)?.into_iter();
        let first = shown.next();
        if first.is_none() && psk.is_none() {
            return Err(Error::NothingToShow);
        }
        let mut default = builder(listener, first.as_ref(), psk.as_ref())?;
        let mut others = Vec::new();
        for shown in shown {
            let context = builder(listener, Some(&shown), psk.as_ref())?.build();
            others.push((shown, context));
        }
        if let Some(first) = first.filter(|_| !others.is_empty()) {
            choose_by_name(&mut default, first, others);
        }
        let ssl = default.build();
        Ok(Self { ssl })
    }
}

/// A context that shows one certificate, or one of each kind of key for the same names.
fn builder(
    listener: &Listener,
    shown: Option<&Shown>,
    psk: Option<&Arc<PskStore>>,
) -> Result<SslContextBuilder, Error> {
    let mut context = SslContextBuilder::new(SslMethod::dtls_server())?;
    context.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
    context.set_max_proto_version(Some(SslVersion::DTLS1_2))?;
    // Above all `NO_QUERY_MTU`: no socket can be asked.
    context.set_options(
        SslOptions::COOKIE_EXCHANGE
            | SslOptions::NO_QUERY_MTU
            | SslOptions::NO_RENEGOTIATION
            | SslOptions::NO_COMPRESSION
            | SslOptions::CIPHER_SERVER_PREFERENCE
            | SslOptions::PRIORITIZE_CHACHA
            | SslOptions::from_bits_retain(NO_ENCRYPT_THEN_MAC),
    );
    context.set_mode(SslMode::RELEASE_BUFFERS | SslMode::AUTO_RETRY);
    // Whoever comes back brings a ticket, or does the whole handshake: nothing is kept here.
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    context.set_session_id_context(&sha256(listener.name.as_str().as_bytes()))?;
    if !listener.tls.resumption {
        context.set_options(SslOptions::NO_TICKET);
    }
    // `Cookies` has done this before: the cookie is one of ours.
    context.set_cookie_generate_cb(|_, cookie| {
        cookie[0] = 0;
        Ok(1)
    });
    context.set_cookie_verify_cb(|_, _| true);
    if let Some(shown) = shown {
        shown.show(&mut context)?;
    }
    context.set_sigalgs_list(SIGNATURES)?;
    if let Some(store) = psk {
        let ciphers = format!("{CIPHERS}:{}", psk::CIPHERS);
        psk::set_ciphers(&mut context, listener, &ciphers)?;
        psk::share_keys(&mut context, listener, store.clone())?;
    } else {
        let ciphers = listener.dtls.ciphers.as_deref().unwrap_or(CIPHERS);
        let refused = |_| Error::Ciphers {
            ciphers: ciphers.into(),
        };
        context.set_cipher_list(ciphers).map_err(refused)?;
    }
    if listener.tls.verify != Verify::None {
        trust::require(&mut context, &listener.tls)?;
    }
    alpn::choose(&mut context, &listener.tls.alpn);
    Ok(context)
}

/// Whoever asks for a name gets the certificate that is for it, any other the first.
fn choose_by_name(default: &mut SslContextBuilder, first: Shown, others: Vec<(Shown, SslContext)>) {
    default.set_servername_callback(move |ssl, _| {
        let name = ssl.servername(openssl::ssl::NameType::HOST_NAME);
        let Some(name) = name.map(str::to_ascii_lowercase) else {
            return Ok(());
        };
        if first.is_for(&name) {
            return Ok(());
        }
        let other = others.iter().find(|(shown, _)| shown.is_for(&name));
        if let Some((_, context)) = other {
            ssl.set_ssl_context(context)
                .map_err(|_| SniError::ALERT_FATAL)?;
        }
        Ok(())
    });
}
