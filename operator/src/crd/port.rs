//! Where devices connect.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Fields, Section, Service, section::part};

/// A port to which devices connect.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(self.transport in ['TLS', 'DTLS']) || has(self.tls) || has(self.psk)").message("transport TLS and DTLS need tls.secretName, or psk"),
    validation = Rule::new("self.transport != 'WSS' || has(self.tls)").message("transport WSS needs tls.secretName"),
    validation = Rule::new("!has(self.tls) || self.transport in ['TLS', 'WSS', 'DTLS']").message("tls is for transport TLS, WSS and DTLS; choose one of them, or leave it out"),
    validation = Rule::new("!has(self.psk) || self.transport in ['TLS', 'DTLS']").message("psk is for transport TLS and DTLS; choose one of them, or leave it out"),
    validation = Rule::new("self.transport != 'TLS' || !has(self.tls) || !has(self.psk)").message("transport TLS has either tls or psk, not both"),
)]
pub struct Port {
    /// Names the port in logs and metrics, towards the handler (`exproto-listener`), and in Services: up to 15 lower-case
    /// letters, digits and `-`, with a letter among them.
    #[schemars(
        length(min = 1, max = 15),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,

    /// What carries the bytes.
    pub transport: Transport,

    /// The number at which pods listen.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,

    /// The number at which devices reach the Service. Unset: `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub service_port: Option<u16>,

    /// A Service of its own for this port, instead of the one that `spec.service` tells of. Ports of UDP and DTLS have
    /// one of their own in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,

    /// What the port shows of itself and wants of its devices, with transport TLS, WSS and DTLS. Changed Secrets are used
    /// for the next handshakes, and close no connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<PortTls>,

    /// Keys that devices and the port share, instead of certificates, with transport TLS and DTLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub psk: Option<Psk>,

    /// All else that a listener can be told.
    #[serde(flatten)]
    pub settings: Section<PortSettings>,
}

/// What carries the bytes of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Transport {
    /// Plain TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// Plain UDP.
    Udp,
    /// DTLS over UDP.
    Dtls,
    /// WebSocket over TCP.
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl Transport {
    /// What the gateway calls it.
    #[must_use]
    pub fn in_config(self) -> config::Transport {
        match self {
            Self::Tcp => config::Transport::Tcp,
            Self::Tls => config::Transport::Tls,
            Self::Udp => config::Transport::Udp,
            Self::Dtls => config::Transport::Dtls,
            Self::Ws => config::Transport::Ws,
            Self::Wss => config::Transport::Wss,
        }
    }

    /// Whether devices send datagrams.
    #[must_use]
    pub fn is_datagram(self) -> bool {
        self.in_config().is_datagram()
    }
}

/// Certificates of a port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortTls {
    /// A Secret with the certificate and its key (`tls.crt`, `tls.key`; type `kubernetes.io/tls`), as cert-manager writes
    /// it. Devices that ask for no name, or for one that no certificate has, get this one.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,

    /// More such Secrets, for devices that ask for another name (SNI).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub more_secret_names: Vec<String>,

    /// Whether devices must show certificates of their own. Unset: they are not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_auth: Option<ClientAuth>,

    /// All else that can be said of TLS.
    #[serde(flatten)]
    pub settings: Section<TlsSettings>,
}

/// How devices prove who they are by certificates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientAuth {
    /// Whether a device without a certificate is let in.
    pub mode: ClientAuthMode,

    /// A Secret with the authorities that sign the devices' certificates (`ca.crt`), and maybe with their revocation lists
    /// (`ca.crl`).
    #[schemars(length(min = 1, max = 253))]
    pub ca_secret_name: String,

    /// Whether the Secret has revocation lists, which are then needed of every authority.
    #[serde(default)]
    pub revocation_lists: bool,
}

/// Whether devices show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClientAuthMode {
    /// Whoever shows none is let in, whoever shows a bad one is not.
    Optional,
    /// Whoever shows none is refused.
    Required,
}

/// Keys that devices and a port share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Psk {
    /// A Secret with a line `IDENTITY:KEY` for each device, KEY in hexadecimal digits. A changed Secret is used for the
    /// next handshakes.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,

    /// The key of the Secret.
    #[serde(default = "devices")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,

    /// What devices are told so that they can choose an identity (up to TLS 1.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub identity_hint: Option<String>,
}

fn devices() -> String {
    "devices".to_owned()
}

part!(
    /// What a resource says of a listener.
    PortSettings,
    config::Listener,
    Fields::AllBut(&["name", "bind", "transport", "tls", "psk"])
);

part!(
    /// What a resource says of TLS.
    TlsSettings,
    config::Tls,
    Fields::Only(&["min_version", "alpn", "resumption"])
);
