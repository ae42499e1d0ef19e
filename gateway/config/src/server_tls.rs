//! What the servers that are not for devices show of themselves and want of whoever connects.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Certificate, Tls, Verify};

/// TLS of the adapter or of the management API. The files are watched, as those of listeners are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerTls {
    /// What the server shows: the files of its certificate (`chain`) and of its private key (`key`).
    /// Unset: no TLS, bytes are plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = Certificate {
        chain: "/tls/tls.crt".into(),
        key: "/tls/tls.key".into(),
    })]
    pub certificate: Option<Certificate>,

    /// Whether whoever connects must show a certificate of their own, signed by an authority in
    /// `ca_file`.
    pub verify: Verify,

    /// The authorities that sign callers' certificates. `verify` needs them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/tls/ca.crt")]
    pub ca_file: Option<PathBuf>,

    /// Certificates that are no longer good: revocation lists of these authorities. Where it is set,
    /// each authority of a caller's certificate needs a list in it. They are looked at when somebody
    /// connects.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/tls/ca.crl")]
    pub crl_file: Option<PathBuf>,
}

impl ServerTls {
    /// The same as a listener would have it, for a server that speaks `protocol` (ALPN). Nobody resumes a session:
    /// whoever connects is looked at.
    #[must_use]
    pub fn as_listener(&self, protocol: &str) -> Tls {
        Tls {
            certificates: self.certificate.iter().cloned().collect(),
            verify: self.verify,
            ca_file: self.ca_file.clone(),
            crl_file: self.crl_file.clone(),
            alpn: vec![protocol.to_owned()],
            resumption: false,
            ..Tls::default()
        }
    }

    /// Every file that is named here.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let own = self.certificate.iter();
        own.flat_map(|certificate| [&certificate.chain, &certificate.key])
            .chain(&self.ca_file)
            .chain(&self.crl_file)
            .cloned()
            .collect()
    }
}
