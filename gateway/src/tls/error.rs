//! Why the files of a listener cannot be used. No text shows a key.

use std::path::PathBuf;

use super::psk;
use crate::files;

/// Why the files of a listener cannot be used: which one, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] files::Error),

    /// A file is not PEM, or its PEM is damaged.
    #[error("{} is damaged: {problem}; write the whole PEM file again", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },

    /// A file holds nothing of the kind that is expected in it.
    #[error("{} holds no {kind}; it must have a PEM block {block}", path.display())]
    Nothing {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        kind: &'static str,
        /// How it would start.
        block: &'static str,
    },

    /// A private key is encrypted.
    #[error("the key in {} is encrypted; decrypt it, such as with `openssl pkey -in FILE -out DECRYPTED`", path.display())]
    Encrypted {
        /// The file.
        path: PathBuf,
    },

    /// A certificate, a key or a list cannot be understood, or is of a kind that cannot be used.
    #[error("cannot use the {kind} in {}: {problem}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
        /// What is wrong with it.
        problem: String,
    },

    /// A key is not the one of its certificate.
    #[error("the key in {} does not belong to the certificate in {}; give the pair", key.display(), chain.display())]
    Mismatch {
        /// The file with the certificate.
        chain: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },

    /// A certificate or a list is not good any more, or not yet.
    #[error("the {kind} in {} is {when}; renew it, or mend the clock", path.display())]
    OutOfTime {
        /// The file.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
        /// Since when, or until when.
        when: String,
    },

    /// A revocation list has the name of an authority that did not sign it.
    #[error("the revocation list in {} is not signed by the authority {issuer} in {}; get both from there", path.display(), ca.display())]
    ForeignList {
        /// The file with the list.
        path: PathBuf,
        /// The file with the authority.
        ca: PathBuf,
        /// Who is named as its issuer.
        issuer: String,
    },

    /// There is neither a certificate nor a key.
    #[error("there is nothing to show to devices; write tls.certificates or psk.file")]
    NothingToShow,

    /// Certificates are wanted, and nobody is trusted to sign them.
    #[error("tls.verify asks for certificates, and nobody may sign them; write tls.ca_file")]
    NoAuthority,

    /// A line of a file with shared keys is wrong.
    #[error("{}:{line}: {problem}", path.display())]
    Psk {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: psk::Problem,
    },

    /// The list of cipher suites is none.
    #[error(
        "dtls.ciphers: \"{ciphers}\" names no cipher suite of OpenSSL; see `openssl ciphers -v`"
    )]
    Ciphers {
        /// The list.
        ciphers: String,
    },

    /// The version needs what was left out of the build.
    #[cfg(not(feature = "dtls13"))]
    #[error(
        "dtls.versions: DTLS 1.3 is an option of the build; build the gateway with --features dtls13, or write [\"1.2\"]"
    )]
    NotBuilt,

    /// The library of DTLS 1.3 refused the settings.
    #[cfg(feature = "dtls13")]
    #[error("cannot prepare DTLS 1.3: {0}")]
    Dtls13(String),

    /// OpenSSL does not take the hint.
    #[error("psk.identity_hint: OpenSSL does not take \"{hint}\"; write a shorter one")]
    Hint {
        /// The hint.
        hint: String,
    },

    /// The certificates of a server cannot be checked.
    #[error("cannot check certificates with what the system trusts; write ca_file")]
    Roots(#[source] rustls::Error),

    /// rustls refused the settings.
    #[error("cannot prepare TLS")]
    Rustls(#[source] rustls::Error),

    /// OpenSSL refused the settings.
    #[error("OpenSSL refuses the settings")]
    OpenSsl(#[from] openssl::error::ErrorStack),
}
