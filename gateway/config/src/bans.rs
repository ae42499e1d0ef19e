//! Who is kept out for a time.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime},
};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    count::Count,
    limits::network,
    period::Period,
    rate::{Rate, RateOrOff},
    text::text,
};

/// Who is kept out, on all listeners.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Bans {
    /// Bans that stand in this file. A reload adds and lifts them while the gateway runs.
    #[schemars(example = r#"[{who: 10.1.2.0/24, until: "2027-01-31T12:00:00Z", reason: scan}]"#)]
    pub list: Vec<Ban>,

    /// How many failures an IP address is allowed before it is banned by itself: failed handshakes
    /// (TLS, DTLS 1.2, WebSocket) and refused Authenticates, those over plain UDP excepted. Many
    /// devices may share one address behind NAT: choose a rate that they do not reach together.
    #[serde(with = "RateOrOff")]
    pub failure_rate: Option<Rate>,

    /// How long such a ban lasts.
    #[serde(with = "Period")]
    pub duration: Duration,

    /// How many bans there may be that stand in no file. At the limit the one that ends first gives
    /// way to a new one.
    #[serde(with = "Count::<1, 10_000_000>")]
    pub max_entries: u32,
}

impl Default for Bans {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            failure_rate: None,
            duration: Duration::from_secs(600),
            max_entries: 100_000,
        }
    }
}

/// One ban of the list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ban {
    /// Whom: an IP address, a network such as `10.0.0.0/8`, or `clientid:NAME`.
    pub who: Banned,

    /// Until when, as `2027-01-31T12:00:00Z`; once that is past, the entry says nothing. Unset: for
    /// good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "2027-01-31T12:00:00Z")]
    pub until: Option<Until>,

    /// Why; said in the log and to the handler whose Authenticate is refused.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// Whom a ban names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Banned {
    /// Whoever connects from there.
    Network(IpNet),
    /// Whoever would be that client.
    ClientId(String),
}

text!(Banned, "an IP address, a network or clientid:NAME");

const CLIENTID: &str = "clientid:";

impl fmt::Display for Banned {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(to),
            Self::ClientId(clientid) => write!(to, "{CLIENTID}{clientid}"),
        }
    }
}

impl FromStr for Banned {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix(CLIENTID) {
            Some(clientid) if !clientid.is_empty() => Ok(Self::ClientId(clientid.into())),
            _ => network(text).map(Self::Network).ok_or_else(|| {
                format!(
                    "\"{text}\" names nobody; write an IP address, a network such as 10.0.0.0/8, or \
                     clientid:NAME"
                )
            }),
        }
    }
}

/// A moment, written as in RFC 3339 and in UTC: `2027-01-31T12:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until(pub SystemTime);

text!(Until, "a time such as 2027-01-31T12:00:00Z");

impl fmt::Display for Until {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        humantime::format_rfc3339_seconds(self.0).fmt(to)
    }
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_rfc3339(text).map(Self).map_err(|_| {
            format!("\"{text}\" is not a time in UTC; write for example 2027-01-31T12:00:00Z")
        })
    }
}
