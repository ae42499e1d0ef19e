//! Certificates that a listener shows: read, checked, and grouped by the names that they are for.

use std::path::Path;

use config::Certificate;
use openssl::{
    error::ErrorStack,
    nid::Nid,
    pkey::{Id, PKey, Private},
    ssl::SslContextBuilder,
    x509::{X509, X509Ref},
};

use crate::tls::{Error, pem};

/// Certificates for the same names, each with another kind of key: OpenSSL shows what the device can check.
pub(super) struct Shown {
    /// In lower case; the first label may be `*`.
    names: Vec<String>,
    pairs: Vec<(Certificate, PKey<Private>)>,
}

/// Reads certificates and keys, in the order of the settings.
pub(super) fn read(certificates: &[Certificate]) -> Result<Vec<Shown>, Error> {
    let mut all: Vec<Shown> = Vec::new();
    for certificate in certificates {
        let leaf = read_certificates(&certificate.chain)?.swap_remove(0);
        let key = read_key(&certificate.key)?;
        if !leaf.public_key()?.public_eq(&key) {
            return Err(Error::Mismatch {
                chain: certificate.chain.clone(),
                key: certificate.key.clone(),
            });
        }
        let names = names_of(&leaf);
        let pair = (certificate.clone(), key);
        let fits = |shown: &&mut Shown| shown.names == names && !shown.has_key_like(pair.1.id());
        match all.iter_mut().find(fits) {
            Some(shown) => shown.pairs.push(pair),
            None => all.push(Shown {
                names,
                pairs: vec![pair],
            }),
        }
    }
    Ok(all)
}

impl Shown {
    /// Whether a device that asks for this name, in lower case, is to get it.
    pub(super) fn is_for(&self, name: &str) -> bool {
        self.names.iter().any(|own| match own.strip_prefix("*.") {
            // One label, whatever it is.
            Some(domain) => name.split_once('.').is_some_and(|(_, rest)| rest == domain),
            None => own == name,
        })
    }

    pub(super) fn show(&self, context: &mut SslContextBuilder) -> Result<(), Error> {
        for (Certificate { chain, .. }, key) in &self.pairs {
            let refused = |error| unusable(chain, "certificate", &error);
            // By file, as the rest of the chain goes with its own certificate then.
            context.set_certificate_chain_file(chain).map_err(refused)?;
            context.set_private_key(key).map_err(refused)?;
            context.check_private_key().map_err(refused)?;
        }
        Ok(())
    }

    fn has_key_like(&self, kind: Id) -> bool {
        self.pairs.iter().any(|(_, key)| key.id() == kind)
    }
}

/// The certificates of a file, one at least.
pub(super) fn read_certificates(path: &Path) -> Result<Vec<X509>, Error> {
    pem::certificates(path)?
        .iter()
        .map(|der| X509::from_der(der).map_err(|error| unusable(path, "certificate", &error)))
        .collect()
}

fn read_key(path: &Path) -> Result<PKey<Private>, Error> {
    let key = pem::key(path)?;
    PKey::private_key_from_der(key.secret_der())
        .map_err(|error| unusable(path, "private key", &error))
}

fn unusable(path: &Path, kind: &'static str, error: &ErrorStack) -> Error {
    Error::Unusable {
        path: path.into(),
        kind,
        problem: error.to_string(),
    }
}

/// The names that a certificate is for: those of the extension, and where there is none the common name.
fn names_of(leaf: &X509Ref) -> Vec<String> {
    let mut names: Vec<String> = match leaf.subject_alt_names() {
        Some(names) => names
            .iter()
            .filter_map(|name| name.dnsname().map(str::to_ascii_lowercase))
            .collect(),
        None => leaf
            .subject_name()
            .entries_by_nid(Nid::COMMONNAME)
            .filter_map(|entry| entry.data().to_string().ok())
            .map(|name| name.to_ascii_lowercase())
            .collect(),
    };
    names.sort_unstable();
    names
}
