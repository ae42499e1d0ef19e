//! Where replicas of the handler are found by name, and how they are spoken to.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HostName, Nameserver};
use crate::{Certificate, count::Count, period::Period};

/// A name that stands for the addresses (A and AAAA) of all replicas. An answer without addresses, and
/// none at all, leave what was found before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HandlerDns {
    /// The name. With a dot at its end it is asked for as it stands; else the search list of the
    /// system applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "handler.default.svc.cluster.local.")]
    pub name: Option<HostName>,

    /// The port of all replicas.
    #[serde(with = "Count::<1, 65_535>")]
    pub port: u16,

    /// Whether they are spoken to over TLS. Their certificates are for `name`, unless
    /// `handler.tls.server_name` says otherwise.
    pub secure: bool,

    /// How long an answer is used at least, whatever time it gives itself (TTL).
    #[serde(with = "Period")]
    pub refresh_min: Duration,

    /// How long an answer is used at most; not less than `refresh_min`.
    #[serde(with = "Period")]
    pub refresh_max: Duration,

    /// How long a server may take to answer; then the next one is asked, or the same once more.
    #[serde(with = "Period")]
    pub timeout: Duration,

    /// The servers that are asked, without the search list of the system. Empty: those of the system
    /// (`/etc/resolv.conf`, as it is when the gateway starts).
    #[schemars(example = "[10.96.0.10]")]
    pub nameservers: Vec<Nameserver>,
}

impl Default for HandlerDns {
    fn default() -> Self {
        Self {
            name: None,
            port: 9001,
            secure: false,
            refresh_min: Duration::from_secs(1),
            refresh_max: Duration::from_secs(10),
            timeout: Duration::from_secs(2),
            nameservers: Vec::new(),
        }
    }
}

/// TLS to replicas with `https://` addresses. The files are watched, and what they hold is used for
/// connections from then on; a bad file changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HandlerTls {
    /// The authorities that sign the replicas' certificates. Unset: those that the system trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/tls/ca.crt")]
    pub ca_file: Option<PathBuf>,

    /// The certificate that the gateway shows to replicas that ask for one: the files of the
    /// certificate (`chain`) and of its private key (`key`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = Certificate {
        chain: "/tls/tls.crt".into(),
        key: "/tls/tls.key".into(),
    })]
    pub certificate: Option<Certificate>,

    /// The name that the replicas' certificates are for. Unset: that of their address, or of `dns`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "handler.example.net")]
    pub server_name: Option<HostName>,
}

impl HandlerTls {
    /// Every file that is named here.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let own = self.certificate.iter();
        own.flat_map(|certificate| [&certificate.chain, &certificate.key])
            .chain(&self.ca_file)
            .cloned()
            .collect()
    }
}
