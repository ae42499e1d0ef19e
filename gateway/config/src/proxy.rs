//! The PROXY protocol: a balancer tells whom it speaks for.

use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{limits::network, period::Period, text::text};

/// The PROXY protocol, in front of everything else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProxyProtocol {
    /// Whether balancers send a header. It must then be there.
    pub enabled: bool,

    /// Whose headers are believed: the balancers' addresses and networks, one at least. Whoever
    /// else sends a header could claim to be anybody.
    #[schemars(example = "[10.0.0.0/8]")]
    pub trusted: Vec<Network>,

    /// What becomes of devices that do not come through these balancers.
    pub others: Others,

    /// How long a balancer may take to send the header.
    #[serde(with = "Period")]
    pub timeout: Duration,
}

impl Default for ProxyProtocol {
    fn default() -> Self {
        Self {
            enabled: false,
            trusted: Vec::new(),
            others: Others::Refuse,
            timeout: Duration::from_secs(3),
        }
    }
}

/// What becomes of devices that do not come through a trusted balancer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Others {
    /// They are closed at once, and counted.
    #[default]
    Refuse,
    /// They are served as on a listener without PROXY protocol, and must send no header.
    Serve,
}

/// A network: `10.0.0.0/8`, or an address alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(pub IpNet);

text!(Network, "a network such as 10.0.0.0/8");

impl std::fmt::Display for Network {
    fn fmt(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
        self.0.fmt(to)
    }
}

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        network(text).map(Self).ok_or_else(|| {
            format!("\"{text}\" is not a network; write for example 10.0.0.0/8, or an address")
        })
    }
}
