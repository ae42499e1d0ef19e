//! Certificates, keys and revocation lists as they stand in PEM files.

use std::path::{Path, PathBuf};

use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer,
    pem::{self, PemObject},
};

use super::Error;
use crate::files::{self, Limit};

/// Authorities of the whole world take a quarter of a MiB, long revocation lists some.
const LARGEST: Limit = Limit::mib(64, "name the file with the PEM blocks that are meant");

/// All certificates of a file, at least one, in the order of the file.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    certificates_in(path, &read(path)?)
}

/// The same of what was read from the file.
pub(crate) fn certificates_in(
    path: &Path,
    bytes: &[u8],
) -> Result<Vec<CertificateDer<'static>>, Error> {
    all(path, bytes, "certificate", "-----BEGIN CERTIFICATE-----")
}

/// All revocation lists of a file, at least one.
pub(crate) fn revocation_lists(
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, Error> {
    let bytes = read(path)?;
    all(path, &bytes, "revocation list", "-----BEGIN X509 CRL-----")
}

/// The first private key of a file: PKCS#8, PKCS#1 or SEC1.
pub(crate) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    key_in(path, &read(path)?)
}

/// The same of what was read from the file.
pub(crate) fn key_in(path: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
    // Both `ENCRYPTED PRIVATE KEY` and `Proc-Type: 4,ENCRYPTED`. Base64 of a key has no such word by chance often
    // enough to matter, as lines of it hold neither a blank nor a comma.
    let encrypted = [&b" ENCRYPTED "[..], b",ENCRYPTED"];
    if encrypted.iter().any(|word| contains(bytes, word)) {
        return Err(Error::Encrypted { path: path.into() });
    }
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => Error::Nothing {
            path: path.into(),
            kind: "private key",
            block: "-----BEGIN PRIVATE KEY-----",
        },
        error => damaged(path.into(), &error),
    })
}

/// The bytes of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, files::Error> {
    files::read(path, LARGEST)
}

fn all<T: PemObject>(
    path: &Path,
    bytes: &[u8],
    kind: &'static str,
    block: &'static str,
) -> Result<Vec<T>, Error> {
    let found = T::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|error| damaged(path.into(), &error))?;
    if found.is_empty() {
        let path = path.into();
        return Err(Error::Nothing { path, kind, block });
    }
    Ok(found)
}

/// Without the library's text: it shows bytes of the file, which may be a key.
fn damaged(path: PathBuf, error: &pem::Error) -> Error {
    let problem = match error {
        pem::Error::MissingSectionEnd { .. } => "the -----END line of a block is missing",
        pem::Error::IllegalSectionStart { .. } => "a -----BEGIN line is not one",
        pem::Error::Base64Decode(_) => "a block is not base64",
        _ => "it is not PEM",
    };
    Error::Pem { path, problem }
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}
