//! The ways in which devices reach the gateway, and the listener for each.

use std::{fmt, net::SocketAddr, time::Duration};

use serde_json::{Value, json};

use crate::credentials::Credentials;

/// How a device connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Transport {
    /// Plain TCP.
    Tcp,
    /// Plain TCP, cut into lines: each is an event, and the handler counts it.
    Lines,
    /// TLS with an ECDSA certificate.
    Tls,
    /// Plain UDP.
    Udp,
    /// DTLS with an ECDSA certificate.
    Dtls,
    /// DTLS with a shared key.
    DtlsPsk,
}

impl Transport {
    /// As in options and listeners' names.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Lines => "lines",
            Self::Tls => "tls",
            Self::Udp => "udp",
            Self::Dtls => "dtls",
            Self::DtlsPsk => "dtls-psk",
        }
    }

    /// Whether a device speaks as soon as it is there, so that it is known, or its handshake is over for the gateway.
    pub(crate) fn speaks_at_once(self) -> bool {
        !self.has_sockets()
    }

    /// Whether each connection is a socket of the gateway's.
    pub(crate) fn has_sockets(self) -> bool {
        matches!(self, Self::Tcp | Self::Lines | Self::Tls)
    }

    /// A listener of the gateway's configuration. Datagrams' devices are forgotten after `idle`.
    pub(crate) fn listener(
        self,
        bind: SocketAddr,
        credentials: &Credentials,
        idle: Duration,
    ) -> Value {
        let transport = match self {
            Self::DtlsPsk => "dtls",
            Self::Lines => "tcp",
            other => other.name(),
        };
        let mut listener = json!({
            "name": self.name(),
            "bind": bind,
            "transport": transport,
            "limits": { "max_connections": 1_000_000 },
            "first_byte_timeout": "off",
        });
        match self {
            Self::Tcp | Self::Udp => {}
            Self::Lines => listener["framing"] = json!({ "kind": "line" }),
            Self::Tls | Self::Dtls => {
                let (chain, key) = (&credentials.chain, &credentials.key);
                listener["tls"] = json!({ "certificates": [{ "chain": chain, "key": key }] });
            }
            Self::DtlsPsk => listener["psk"] = json!({ "file": &credentials.psk }),
        }
        if !self.has_sockets() {
            listener["idle_timeout"] = json!(format!("{}s", idle.as_secs()));
        }
        listener
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
