//! What a handler is besides a handler.

use std::{fs, path::PathBuf};

use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::pki::Files;

/// What a handler is besides a handler.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// It speaks TLS, with this certificate.
    pub certificate: Option<Files>,
    /// And wants one that this authority has signed.
    pub ca_file: Option<PathBuf>,
    /// It tells how it is.
    pub has_health: bool,
    /// It serves client streams, and answers them like this; no unary calls.
    pub client_streams: Option<Answering>,
}

/// How client streams are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answering {
    /// With OK, once the gateway has ended them.
    AtTheEnd,
    /// With OK, after their first message.
    AtOnce,
    /// Like `AtTheEnd`, but those with bytes with this error, after their first message.
    Bytes(tonic::Code),
    /// Those with bytes are not read, and never answered; the others like `AtTheEnd`.
    BytesAreNotRead,
}

impl Manner {
    pub(super) fn tls(&self) -> Option<ServerTlsConfig> {
        let read = |path: &PathBuf| fs::read(path).expect("a file of the test");
        let files = self.certificate.as_ref()?;
        let identity = Identity::from_pem(read(&files.chain), read(&files.key));
        let tls = ServerTlsConfig::new().identity(identity);
        Some(match &self.ca_file {
            Some(path) => tls.client_ca_root(Certificate::from_pem(read(path))),
            None => tls,
        })
    }
}
