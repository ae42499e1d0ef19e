//! The certificates that a listener wants of its devices, and which of them it takes.
//!
//! With revocation lists, every authority of a chain needs one, signed by it and not past its next update: what a
//! missing or an old list would say is not known, and then the device is refused, as OpenSSL does.

use std::{path::Path, sync::Arc};

use openssl::x509::{X509, X509Crl};
use rustls::{
    RootCertStore,
    crypto::CryptoProvider,
    pki_types::CertificateRevocationListDer,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use x509_parser::{prelude::FromDer, revocation_list::CertificateRevocationList, time::ASN1Time};

use super::{Error, certificate, pem};

/// Who looks at devices' certificates. What is out of its time is added to `expired`.
pub(super) fn verifier(
    tls: &config::Tls,
    provider: &Arc<CryptoProvider>,
    expired: &mut Vec<Error>,
) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    if tls.verify == config::Verify::None {
        return Ok(WebPkiClientVerifier::no_client_auth());
    }
    let ca = tls.ca_file.as_deref().ok_or(Error::NoAuthority)?;
    let roots = Arc::new(authorities(ca)?);
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
    if let Some(path) = &tls.crl_file {
        let lists = revocation_lists(path, ca, expired)?;
        builder = builder.with_crls(lists).enforce_revocation_expiration();
    }
    if tls.verify == config::Verify::Optional {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| {
        let path = tls.crl_file.as_deref().unwrap_or(ca).into();
        let (kind, problem) = ("revocation list", error.to_string());
        Error::Unusable {
            path,
            kind,
            problem,
        }
    })
}

fn authorities(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(path)? {
        roots.add(certificate).map_err(|error| Error::Unusable {
            path: path.into(),
            kind: "certificate",
            problem: error.to_string(),
        })?;
    }
    Ok(roots)
}

fn revocation_lists(
    path: &Path,
    ca: &Path,
    expired: &mut Vec<Error>,
) -> Result<Vec<CertificateRevocationListDer<'static>>, Error> {
    let authorities = pem::certificates(ca)?;
    let authorities: Vec<X509> = authorities
        .iter()
        .filter_map(|der| X509::from_der(der).ok())
        .collect();
    let lists = pem::revocation_lists(path)?;
    for list in &lists {
        check_signature(list, path, &authorities, ca)?;
        expired.extend(out_of_time(list).map(|when| Error::OutOfTime {
            path: path.into(),
            kind: "revocation list",
            when,
        }));
    }
    Ok(lists)
}

/// A list with the name of an authority that we know is signed by it. Of others, such as those of authorities that
/// devices bring along, it cannot be told here.
fn check_signature(der: &[u8], path: &Path, authorities: &[X509], ca: &Path) -> Result<(), Error> {
    let parsed = CertificateRevocationList::from_der(der).ok();
    let Some(((_, parsed), list)) = parsed.zip(X509Crl::from_der(der).ok()) else {
        return Err(Error::Unusable {
            path: path.into(),
            kind: "revocation list",
            problem: "it is not X.509".into(),
        });
    };
    let issuer = parsed.issuer();
    let is_named = |authority: &&X509| {
        let name = authority.subject_name().to_der();
        name.is_ok_and(|name| name == issuer.as_raw())
    };
    let signed = |authority: &X509| {
        let key = authority.public_key();
        key.is_ok_and(|key| list.verify(&key).unwrap_or_default())
    };
    let mut named = authorities.iter().filter(is_named).peekable();
    if named.peek().is_none() || named.any(signed) {
        return Ok(());
    }
    Err(Error::ForeignList {
        path: path.into(),
        ca: ca.into(),
        issuer: certificate::distinguished(issuer),
    })
}

fn out_of_time(der: &[u8]) -> Option<String> {
    let (_, list) = CertificateRevocationList::from_der(der).ok()?;
    let next = list.next_update()?;
    (next < ASN1Time::now()).then(|| format!("overdue: its next update was to come by {next}"))
}
