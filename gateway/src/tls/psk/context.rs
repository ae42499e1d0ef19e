//! TLS with shared keys: what OpenSSL is told before the first device comes.

use std::{ffi::CString, sync::Arc};

use openssl::{
    bn::BigNum,
    dh::Dh,
    error::ErrorStack,
    ssl::{
        AlpnError, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions,
        SslSessionCacheMode, SslVersion,
    },
};

use super::{super::Error, PskStore, answer};
use crate::native;

/// Forward secrecy and AEAD first, then what small devices have. Level 0 lets CCM with a short tag in, which many of
/// them have alone; all else that it lets in is not in the list.
const CIPHERS: &str = "ECDHE-PSK-CHACHA20-POLY1305:DHE-PSK-AES256-GCM-SHA384:\
    DHE-PSK-AES128-GCM-SHA256:DHE-PSK-CHACHA20-POLY1305:PSK-AES256-GCM-SHA384:\
    PSK-AES128-GCM-SHA256:PSK-CHACHA20-POLY1305:PSK-AES256-CCM:PSK-AES128-CCM:PSK-AES256-CCM8:\
    PSK-AES128-CCM8:ECDHE-PSK-AES128-CBC-SHA256:PSK-AES128-CBC-SHA256:@SECLEVEL=0";

/// TLS 1.3: a shared key of a file goes with SHA-256.
const SUITES: &str = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_CCM_SHA256:\
    TLS_AES_128_CCM_8_SHA256";

/// Without certificates. Sessions are not resumed: with a shared key that would spare next to nothing, and a key that
/// was taken out of the file must not be good for longer.
pub(in crate::tls) fn context(
    listener: &config::Listener,
    store: Arc<PskStore>,
) -> Result<SslContext, Error> {
    let mut builder = SslContextBuilder::new(SslMethod::tls_server())?;
    builder.set_min_proto_version(Some(match listener.tls.min_version {
        config::TlsVersion::V1_2 => SslVersion::TLS1_2,
        config::TlsVersion::V1_3 => SslVersion::TLS1_3,
    }))?;
    builder.set_options(
        SslOptions::NO_TICKET
            | SslOptions::NO_RENEGOTIATION
            | SslOptions::NO_COMPRESSION
            | SslOptions::CIPHER_SERVER_PREFERENCE,
    );
    builder.set_mode(SslMode::RELEASE_BUFFERS);
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_num_tickets(0)?;
    let ciphers = listener.dtls.ciphers.as_deref();
    let list = ciphers.unwrap_or(CIPHERS);
    builder.set_cipher_list(list).map_err(|_| Error::Ciphers {
        ciphers: list.into(),
    })?;
    builder.set_ciphersuites(SUITES)?;
    builder.set_tmp_dh(&*group_14()?)?;
    builder.set_psk_server_callback(move |ssl, identity, into| answer(&store, ssl, identity, into));
    if let Some(hint) = &listener.psk.identity_hint {
        // The configuration takes none with a zero byte, and none that is too long.
        let taken = CString::new(hint.as_str())
            .is_ok_and(|hint| native::set_identity_hint(&mut builder, &hint));
        if !taken {
            tracing::warn!(listener = %listener.name, "OpenSSL does not take psk.identity_hint");
        }
    }
    protocols(&mut builder, &listener.tls.alpn);
    Ok(builder.build())
}

/// The group of 2048 bits of RFC 3526.
fn group_14() -> Result<Dh<openssl::pkey::Params>, ErrorStack> {
    let prime = BigNum::get_rfc3526_prime_2048()?;
    Dh::from_pqg(prime, None, BigNum::from_u32(2)?)
}

/// The first of our protocols that the device offers. One that offers others only is refused.
fn protocols(builder: &mut SslContextBuilder, names: &[String]) {
    if names.is_empty() {
        return;
    }
    let names = names.to_vec();
    builder.set_alpn_select_callback(move |_, offered| {
        let offers = |name: &String| entries(offered).find(|entry| *entry == name.as_bytes());
        names.iter().find_map(offers).ok_or(AlpnError::ALERT_FATAL)
    });
}

/// What stands behind its length each.
fn entries(mut wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = wire.split_first()?;
        let (entry, rest) = rest.split_at_checked(usize::from(*length))?;
        wire = rest;
        Some(entry)
    })
}
