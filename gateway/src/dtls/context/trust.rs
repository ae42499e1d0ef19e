//! Who may sign devices' certificates, and which of these are no longer good.

use std::path::Path;

use config::{Tls, Verify};
use openssl::{
    nid::Nid,
    ssl::{SslContextBuilder, SslFiletype, SslVerifyMode},
    x509::{
        X509Ref, X509StoreContextRef, X509VerifyResult,
        store::{X509Lookup, X509StoreBuilder},
        verify::X509VerifyFlags,
    },
};

use super::shown;
use crate::tls::{Error, pem};

/// The least bits of security in a device's key: RSA of 2048 bits, any curve of TLS.
const LEAST_BITS: u32 = 112;

/// Has devices asked for certificates.
pub(super) fn require(context: &mut SslContextBuilder, tls: &Tls) -> Result<(), Error> {
    let path = tls.ca_file.as_ref().ok_or(Error::NoAuthority)?;
    let mut store = X509StoreBuilder::new()?;
    for authority in shown::read_certificates(path)? {
        context.add_client_ca(&authority)?;
        store.add_cert(authority)?;
    }
    // Whatever is in the file is trusted, be it a root or not.
    let mut flags = X509VerifyFlags::PARTIAL_CHAIN;
    if let Some(path) = &tls.crl_file {
        load_lists(&mut store, path)?;
        flags |= X509VerifyFlags::CRL_CHECK | X509VerifyFlags::CRL_CHECK_ALL;
    }
    store.set_flags(flags)?;
    context.set_verify_cert_store(store.build())?;
    let mode = match tls.verify {
        Verify::None => SslVerifyMode::NONE,
        Verify::Optional => SslVerifyMode::PEER,
        Verify::Required => SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT,
    };
    context.set_verify_callback(mode, |good, chain| good && is_strong(chain));
    Ok(())
}

fn load_lists(store: &mut X509StoreBuilder, path: &Path) -> Result<(), Error> {
    // For a better error than that of OpenSSL, which reads it once more.
    pem::revocation_lists(path)?;
    let lookup = store.add_lookup(X509Lookup::file())?;
    lookup.load_crl_file(path, SslFiletype::PEM)?;
    Ok(())
}

/// What OpenSSL checks at its usual level of security, and not at the lowest, which small devices need.
fn is_strong(chain: &mut X509StoreContextRef) -> bool {
    let strong = chain.current_cert().is_none_or(|certificate| {
        let key = certificate.public_key();
        key.is_ok_and(|key| key.security_bits() >= LEAST_BITS) && has_strong_signature(certificate)
    });
    if !strong {
        chain.set_error(X509VerifyResult::APPLICATION_VERIFICATION);
    }
    strong
}

fn has_strong_signature(certificate: &X509Ref) -> bool {
    // Nobody relies on what a root says of itself.
    let own = certificate
        .subject_name()
        .try_cmp(certificate.issuer_name());
    let is_root = own.is_ok_and(std::cmp::Ordering::is_eq);
    let nid = certificate.signature_algorithm().object().nid();
    let digest = nid
        .signature_algorithms()
        .map(|algorithms| algorithms.digest);
    is_root || !matches!(digest, Some(Nid::MD5 | Nid::SHA1))
}
