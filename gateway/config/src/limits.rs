//! How much is let in: connections, bytes, messages, and from where.

use std::{fmt, num::NonZeroU32, str::FromStr};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    count::{Count, CountOrOff},
    rate::{ByteRateOrOff, Rate, RateOrOff},
    text::text,
};

/// Limits of one listener, or of all listeners together. What is above a limit is turned away and
/// counted by the limit that it met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// How many connections may be open at a time. Devices above it are closed at once (TCP) or not
    /// answered (UDP).
    #[serde(with = "Count::<1, 10_000_000>")]
    pub max_connections: NonZeroU32,

    /// How many of them may come from one IP address; an IPv6 device counts with its /64 network.
    #[serde(with = "CountOrOff::<1, 10_000_000>")]
    pub max_connections_per_ip: Option<NonZeroU32>,

    /// How fast new connections are let in. `1000/s`: a thousand at once, and what was used comes
    /// back evenly over a second; `600/1m` is slower by far in the long run, and nearly as generous
    /// to a burst.
    #[serde(with = "RateOrOff")]
    pub connection_rate: Option<Rate>,

    /// How fast new connections of one IP address (an IPv6 device: its /64 network) are let in.
    #[serde(with = "RateOrOff")]
    pub connection_rate_per_ip: Option<Rate>,

    /// Who may connect: rules `allow WHO` and `deny WHO`, where WHO is an address, a network such as
    /// `10.0.0.0/8`, or `all`. The first rule that fits decides; where none fits, the device is let
    /// in. Thousands of rules cost no more than a few.
    #[schemars(example = r#"["allow 10.0.0.0/8", "deny all"]"#)]
    pub access: Vec<AccessRule>,

    /// What one connection may send and be sent. A message is what comes at once (a read, a frame,
    /// a datagram, a WebSocket message), or what one `Send` carries. Above a rate a connection over
    /// TCP waits, so that the device is slowed down by TCP itself; datagrams are dropped and
    /// counted.
    pub traffic_per_connection: Traffic,

    /// What all these connections together may send and be sent, counted in the same way.
    pub traffic: Traffic,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: NonZeroU32::new(100_000).expect("the number is not zero"),
            max_connections_per_ip: None,
            connection_rate: None,
            connection_rate_per_ip: None,
            access: Vec::new(),
            traffic_per_connection: Traffic::default(),
            traffic: Traffic::default(),
        }
    }
}

/// How fast bytes and messages may come and go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Traffic {
    /// Bytes from devices.
    #[serde(with = "ByteRateOrOff")]
    pub bytes_in: Option<Rate>,

    /// Bytes to devices.
    #[serde(with = "ByteRateOrOff")]
    pub bytes_out: Option<Rate>,

    /// Messages from devices.
    #[serde(with = "RateOrOff")]
    pub messages_in: Option<Rate>,

    /// Messages to devices.
    #[serde(with = "RateOrOff")]
    pub messages_out: Option<Rate>,
}

/// One rule of who may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccessRule {
    /// Whether it lets in or keeps out.
    pub allow: bool,
    /// Whom; `None` is everybody.
    pub network: Option<IpNet>,
}

text!(AccessRule, "a rule such as \"deny 10.0.0.0/8\"");

impl fmt::Display for AccessRule {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        let verb = if self.allow { "allow" } else { "deny" };
        match self.network {
            Some(network) => write!(to, "{verb} {network}"),
            None => write!(to, "{verb} all"),
        }
    }
}

impl FromStr for AccessRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "\"{text}\" is not a rule; write allow or deny and then an address, a network or all, \
                 for example \"deny 10.0.0.0/8\""
            )
        };
        let (verb, who) = text
            .trim()
            .split_once(char::is_whitespace)
            .ok_or_else(wrong)?;
        let allow = match verb {
            "allow" => true,
            "deny" => false,
            _ => return Err(wrong()),
        };
        let network = match who.trim() {
            "all" => None,
            who => Some(network(who).ok_or_else(wrong)?),
        };
        Ok(Self { allow, network })
    }
}

/// An address alone is the network that holds only it. IPv4-mapped addresses are IPv4 addresses, as
/// devices have them.
pub(crate) fn network(text: &str) -> Option<IpNet> {
    let network: IpNet = match text.parse() {
        Ok(network) => network,
        Err(_) => IpNet::from(text.parse::<std::net::IpAddr>().ok()?),
    };
    let mapped = match network {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => v6
            .addr()
            .to_ipv4_mapped()
            .and_then(|v4| ipnet::Ipv4Net::new(v4, v6.prefix_len() - 96).ok()),
        _ => None,
    };
    Some(mapped.map_or(network, IpNet::V4).trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        text.parse::<AccessRule>().ok().map(|rule| rule.to_string())
    }

    #[test]
    fn a_rule_names_an_address_a_network_or_all() {
        let cases = [
            ("allow all", "allow all"),
            ("deny 10.1.2.3/8", "deny 10.0.0.0/8"),
            ("deny  10.1.2.3", "deny 10.1.2.3/32"),
            ("allow fe80::/10", "allow fe80::/10"),
            ("allow ::ffff:10.0.0.1", "allow 10.0.0.1/32"),
        ];
        for (text, rule) in cases {
            assert_eq!(shown(text).as_deref(), Some(rule), "{text}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in [
            "",
            "allow",
            "permit all",
            "deny 10.0.0.0/33",
            "deny localhost",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }
}
