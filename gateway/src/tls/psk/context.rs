//! TLS with shared keys: what OpenSSL is told before the first device comes.

use std::{ffi::CString, sync::Arc};

use openssl::{
    bn::BigNum,
    dh::Dh,
    error::ErrorStack,
    ssl::{
        SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslSessionCacheMode,
        SslVersion,
    },
};

use super::{super::Error, PskStore, answer};
use crate::{native, tls::alpn};

/// Suites with shared keys: forward secrecy and AEAD first, then what small devices have. The short tags of CCM-8 are
/// what `CoAP` and `LwM2M` prescribe, and OpenSSL 3 has them at its lowest level of security alone.
pub(crate) const CIPHERS: &str = "ECDHE-PSK-CHACHA20-POLY1305:DHE-PSK-AES256-GCM-SHA384:\
    DHE-PSK-AES128-GCM-SHA256:DHE-PSK-CHACHA20-POLY1305:\
    PSK-AES256-GCM-SHA384:PSK-AES128-GCM-SHA256:PSK-CHACHA20-POLY1305:\
    PSK-AES256-CCM:PSK-AES128-CCM:PSK-AES256-CCM8:PSK-AES128-CCM8:\
    ECDHE-PSK-AES256-CBC-SHA384:ECDHE-PSK-AES128-CBC-SHA256:\
    PSK-AES256-CBC-SHA384:PSK-AES128-CBC-SHA256";

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
    // What waits for the device grows and moves between two tries to write it.
    builder.set_mode(
        SslMode::RELEASE_BUFFERS
            | SslMode::ENABLE_PARTIAL_WRITE
            | SslMode::ACCEPT_MOVING_WRITE_BUFFER,
    );
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_num_tickets(0)?;
    set_ciphers(&mut builder, listener, CIPHERS)?;
    builder.set_ciphersuites(SUITES)?;
    share_keys(&mut builder, listener, store)?;
    alpn::choose(&mut builder, &listener.tls.alpn);
    Ok(builder.build())
}

/// The suites of a context that takes shared keys: those of the configuration, or `default`, at level 0.
pub(crate) fn set_ciphers(
    builder: &mut SslContextBuilder,
    listener: &config::Listener,
    default: &str,
) -> Result<(), Error> {
    let ciphers = listener.dtls.ciphers.as_deref().unwrap_or(default);
    let list = if ciphers.contains("@SECLEVEL") {
        ciphers.to_owned()
    } else {
        format!("{ciphers}:@SECLEVEL=0")
    };
    builder.set_cipher_list(&list).map_err(|_| Error::Ciphers {
        ciphers: ciphers.into(),
    })
}

/// Has a context of TLS or DTLS take the keys of the store.
pub(crate) fn share_keys(
    builder: &mut SslContextBuilder,
    listener: &config::Listener,
    store: Arc<PskStore>,
) -> Result<(), Error> {
    builder.set_tmp_dh(&*group_14()?)?;
    builder.set_psk_server_callback(move |ssl, identity, into| answer(&store, ssl, identity, into));
    let Some(hint) = &listener.psk.identity_hint else {
        return Ok(());
    };
    let taken =
        CString::new(hint.as_str()).is_ok_and(|hint| native::set_identity_hint(builder, &hint));
    taken
        .then_some(())
        .ok_or_else(|| Error::Hint { hint: hint.clone() })
}

/// The group of 2048 bits of RFC 3526.
fn group_14() -> Result<Dh<openssl::pkey::Params>, ErrorStack> {
    let prime = BigNum::get_rfc3526_prime_2048()?;
    Dh::from_pqg(prime, None, BigNum::from_u32(2)?)
}
