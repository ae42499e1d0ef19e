//! What a listener shows of itself and wants of its devices, read once for all of its sessions. A changed file is
//! taken by loading anew: sessions keep the context that they began with.

use std::{ffi::CString, io, path::PathBuf, sync::Arc};

use config::{Listener, Verify};
use openssl::{
    error::ErrorStack,
    sha::sha256,
    ssl::{
        AlpnError, SniError, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions,
        SslSessionCacheMode, SslVersion, select_next_proto,
    },
};

use self::shown::Shown;
use crate::native;

/// Certificates that are shown.
mod shown;
/// Authorities of devices' certificates.
mod trust;

/// Finds the key of an identity. OpenSSL waits for it in the middle of a handshake, so it must not wait for anything.
pub type PskLookup = Arc<dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync>;

/// With certificates: forward secrecy and AEAD.
const CIPHERS: &str = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AESCCM";
/// With shared keys also what small devices have. The short tags of CCM-8 are what `CoAP` and `LwM2M` prescribe, and
/// OpenSSL 3 has them at its lowest level of security alone; so this level is taken where keys are shared, and what it
/// would let in besides is shut out by [`SIGNATURES`] and by [`trust`].
const PSK_CIPHERS: &str = "ECDHE-PSK-CHACHA20-POLY1305:\
    PSK-AES256-GCM-SHA384:PSK-AES128-GCM-SHA256:PSK-CHACHA20-POLY1305:\
    PSK-AES256-CCM:PSK-AES128-CCM:PSK-AES256-CCM8:PSK-AES128-CCM8:\
    ECDHE-PSK-AES256-CBC-SHA384:ECDHE-PSK-AES128-CBC-SHA256:\
    PSK-AES256-CBC-SHA384:PSK-AES128-CBC-SHA256:@SECLEVEL=0";
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
    pub(super) psk: Option<PskLookup>,
}

/// Why a listener's files or settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read {}: check that it exists and that this user may read it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{} holds no {what} in PEM that OpenSSL can read", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
        /// What OpenSSL said.
        source: ErrorStack,
    },
    /// A certificate is of no use.
    #[error("{} cannot be shown: choose a stronger certificate", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What OpenSSL said.
        source: ErrorStack,
    },
    /// A key is not the certificate's.
    #[error("the key in {} is not that of the certificate in {}", key.display(), chain.display())]
    KeyMismatch {
        /// The certificate.
        chain: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// There is nothing to show.
    #[error("dtls needs tls.certificates or psk.file")]
    NothingToShow,
    /// Certificates cannot be checked.
    #[error("tls.verify needs tls.ca_file")]
    NoAuthorities,
    /// A setting does not mean anything.
    #[error("{field} is not usable: {value:?}")]
    Setting {
        /// The setting.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// OpenSSL refused what nobody chose.
    #[error("OpenSSL cannot be set up")]
    OpenSsl(#[from] ErrorStack),
}

impl Context {
    /// Reads what the settings of the listener name. `psk` finds the keys of `psk.file`; without it none are taken.
    pub fn load(listener: &Listener, psk: Option<PskLookup>) -> Result<Self, Error> {
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
        Ok(Self { ssl, psk })
    }
}

/// A context that shows one certificate, or one of each kind of key for the same names.
fn builder(
    listener: &Listener,
    shown: Option<&Shown>,
    psk: Option<&PskLookup>,
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
    set_ciphers(&mut context, listener, psk.is_some())?;
    if listener.tls.verify != Verify::None {
        trust::require(&mut context, &listener.tls)?;
    }
    set_alpn(&mut context, &listener.tls.alpn)?;
    if let Some(psk) = psk {
        set_psk(
            &mut context,
            psk.clone(),
            listener.psk.identity_hint.as_ref(),
        )?;
    }
    Ok(context)
}

fn set_ciphers(
    context: &mut SslContextBuilder,
    listener: &Listener,
    psk: bool,
) -> Result<(), Error> {
    context.set_sigalgs_list(SIGNATURES)?;
    match &listener.dtls.ciphers {
        Some(ciphers) => context
            .set_cipher_list(ciphers)
            .map_err(|_| Error::Setting {
                field: "dtls.ciphers",
                value: ciphers.clone(),
            }),
        None if psk => Ok(context.set_cipher_list(&format!("{CIPHERS}:{PSK_CIPHERS}"))?),
        None => Ok(context.set_cipher_list(CIPHERS)?),
    }
}

/// The first of ours that the device offers.
fn set_alpn(context: &mut SslContextBuilder, protocols: &[String]) -> Result<(), Error> {
    if protocols.is_empty() {
        return Ok(());
    }
    let mut ours = Vec::new();
    for protocol in protocols {
        let length = u8::try_from(protocol.len())
            .ok()
            .filter(|length| *length > 0);
        ours.push(length.ok_or_else(|| Error::Setting {
            field: "tls.alpn",
            value: protocol.clone(),
        })?);
        ours.extend(protocol.as_bytes());
    }
    context.set_alpn_select_callback(move |_, offered| {
        // What is chosen must be a part of what was offered, so the crate's function cannot be used: it may return
        // one of ours.
        select_next_proto(&ours, offered)
            .and_then(|chosen| find(offered, chosen))
            .ok_or(AlpnError::ALERT_FATAL)
    });
    Ok(())
}

/// A protocol in a list of such, each after its length.
fn find<'a>(list: &'a [u8], protocol: &[u8]) -> Option<&'a [u8]> {
    let mut rest = list;
    while let Some((length, following)) = rest.split_first() {
        let (this, following) = following.split_at_checked(usize::from(*length))?;
        if this == protocol {
            return Some(this);
        }
        rest = following;
    }
    None
}

fn set_psk(
    context: &mut SslContextBuilder,
    psk: PskLookup,
    hint: Option<&String>,
) -> Result<(), Error> {
    context.set_psk_server_callback(move |_, identity, into| {
        let key = identity.and_then(|identity| psk(identity));
        // No bytes: the identity is not known.
        let Some(key) = key.filter(|key| key.len() <= into.len()) else {
            return Ok(0);
        };
        into[..key.len()].copy_from_slice(&key);
        Ok(key.len())
    });
    let Some(hint) = hint else { return Ok(()) };
    let usable =
        CString::new(hint.as_str()).is_ok_and(|hint| native::set_identity_hint(context, &hint));
    usable.then_some(()).ok_or_else(|| Error::Setting {
        field: "psk.identity_hint",
        value: hint.clone(),
    })
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
