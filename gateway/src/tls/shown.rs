//! The certificates that a listener shows, and which of them a device gets to see.

use std::{collections::HashMap, sync::Arc};

use rustls::{
    crypto::CryptoProvider,
    pki_types::CertificateDer,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use x509_parser::prelude::{GeneralName, X509Certificate};

use super::{Error, certificate, pem};

/// The certificates that a listener may show, at least one, the first one for whoever asks for no name that is known.
/// Of several with the same name, such as RSA and ECDSA, a device gets the first that it understands.
#[derive(Debug)]
pub(super) struct Shown {
    all: Vec<Arc<CertifiedKey>>,
    /// By lower-case name, places in `all`.
    names: HashMap<String, Vec<usize>>,
    /// By what stands behind `*.`.
    wildcards: HashMap<String, Vec<usize>>,
}

impl Shown {
    /// Reads the files. What is out of its time is added to `expired`.
    pub(super) fn load(
        certificates: &[config::Certificate],
        provider: &CryptoProvider,
        expired: &mut Vec<Error>,
    ) -> Result<Self, Error> {
        if certificates.is_empty() {
            return Err(Error::NothingToShow);
        }
        let mut shown = Self {
            all: Vec::new(),
            names: HashMap::new(),
            wildcards: HashMap::new(),
        };
        for files in certificates {
            let chain = pem::certificates(&files.chain)?;
            // Not those behind it: an old one that leads to an authority of before does no harm.
            let problem = certificate::out_of_time(&chain[0]);
            expired.extend(problem.map(|when| Error::OutOfTime {
                path: files.chain.clone(),
                kind: "certificate",
                when,
            }));
            shown.add(names(&chain[0], files)?);
            shown.all.push(Arc::new(certified(chain, files, provider)?));
        }
        Ok(shown)
    }

    /// Names of the certificate that comes next.
    fn add(&mut self, names: Vec<String>) {
        let place = self.all.len();
        for name in names {
            let (table, name) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.wildcards, parent.to_owned()),
                None => (&mut self.names, name),
            };
            table.entry(name).or_default().push(place);
        }
    }

    fn choose(
        &self,
        name: Option<&str>,
        fits: impl Fn(&CertifiedKey) -> bool,
    ) -> &Arc<CertifiedKey> {
        let name = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let exact = name.as_ref().and_then(|name| self.names.get(name));
        let parent = name.as_ref().and_then(|name| name.split_once('.'));
        let wildcard = parent.and_then(|(_, parent)| self.wildcards.get(parent));
        [exact, wildcard]
            .into_iter()
            .flatten()
            .flatten()
            .map(|place| &self.all[*place])
            .chain(&self.all)
            .find(|certified| fits(certified))
            .unwrap_or(&self.all[0])
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fits = |certified: &CertifiedKey| {
            let schemes = hello.signature_schemes();
            certified.key.choose_scheme(schemes).is_some()
        };
        Some(self.choose(hello.server_name(), fits).clone())
    }
}

/// A certificate with its key, which belongs to it.
pub(super) fn certified(
    chain: Vec<CertificateDer<'static>>,
    files: &config::Certificate,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, Error> {
    let key = pem::key(&files.key)?;
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|error| Error::Unusable {
        path: files.key.clone(),
        kind: "private key",
        problem: format!(
            "{error}; RSA of 2048 bits and more, ECDSA P-256 and P-384, Ed25519 are known"
        ),
    })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(certified)
        }
        Err(rustls::Error::InconsistentKeys(_)) => Err(Error::Mismatch {
            chain: files.chain.clone(),
            key: files.key.clone(),
        }),
        Err(error) => Err(unusable(files, error.to_string())),
    }
}

/// The DNS names that a certificate is for, in lower case. Old ones have their name in the subject alone.
fn names(der: &[u8], files: &config::Certificate) -> Result<Vec<String>, Error> {
    let certificate =
        certificate::parse(der).ok_or_else(|| unusable(files, "it is not X.509".into()))?;
    let mut names = alternative_names(&certificate);
    if names.is_empty() {
        let common = certificate.subject().iter_common_name().last();
        names.extend(common.and_then(|name| name.as_str().ok()?.to_ascii_lowercase().into()));
    }
    Ok(names)
}

fn alternative_names(certificate: &X509Certificate) -> Vec<String> {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let names = extension.map(|extension| &extension.value.general_names);
    names
        .into_iter()
        .flatten()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

fn unusable(files: &config::Certificate, problem: String) -> Error {
    Error::Unusable {
        path: files.chain.clone(),
        kind: "certificate",
        problem,
    }
}
