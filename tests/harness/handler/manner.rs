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
