//! A second set of replicas that is tried with a share of the connections.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HandlerAddress, HandlerDns, HandlerSource};
use crate::{ListenerName, Network, Percent, count::Count, period::Period};

/// A second set of replicas, which gets a share of the connections: a new version that is tried. It is
/// on where its replicas are to be found: one of `addresses`, `dns` and `file`, as for the handler. It
/// speaks the same `service`, and all other settings of the handler hold for it too. A connection stays
/// with its replica while it lives, whatever is written here meanwhile; where no replica of the canary
/// takes it, it goes to the others. All of this can be changed while the gateway runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Canary {
    /// As `handler.addresses`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = vec!["http://10.0.0.9:9001"])]
    pub addresses: Vec<HandlerAddress>,

    /// As `handler.dns`.
    pub dns: HandlerDns,

    /// As `handler.file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/etc/exproto/canary")]
    pub file: Option<PathBuf>,

    /// How many of a hundred new connections it gets. What `affinity` goes by decides which: with
    /// `client-ip` and `clientid` a device that comes back is with the canary again, and one that was
    /// there at 5 % still is at 20 %.
    pub percent: Percent,

    /// Devices that all go there, by address: networks such as `10.1.0.0/16`, or single addresses.
    #[schemars(example = "[10.1.0.0/16]")]
    pub client_ips: Vec<Network>,

    /// Listeners whose connections all go there, by name.
    #[schemars(example = "[trial]")]
    pub listeners: Vec<ListenerName>,

    /// When it is given up.
    pub rollback: Rollback,
}

impl Canary {
    /// Where its replicas are found; `None` where there is no canary.
    #[must_use]
    pub fn source(&self) -> Option<HandlerSource<'_>> {
        HandlerSource::of_another(&self.addresses, &self.dns, self.file.as_ref())
    }

    /// Whether any connection may go there, where it is to be found.
    #[must_use]
    pub fn gets_some(&self) -> bool {
        self.percent != Percent::default()
            || !self.client_ips.is_empty()
            || !self.listeners.is_empty()
    }

    /// Whether all connections of that listener, or from that address, go there.
    #[must_use]
    pub fn names(&self, listener: &str, ip: IpAddr) -> bool {
        self.listeners.iter().any(|each| each.as_str() == listener)
            || self.client_ips.iter().any(|each| each.0.contains(&ip))
    }
}

/// When the canary is given up: too many of its callbacks failed, by an error, by no answer within
/// `deadline`, or by a replica that was lost meanwhile. It then gets no new connections, and its
/// replicas are left as if they were no longer found: after `removal_grace`, `on_handler_loss` says what
/// becomes of their connections. So it stays until `handler.canary` is changed, or the pod starts again.
/// Each pod judges by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rollback {
    /// Whether it is ever given up.
    pub enabled: bool,

    /// More failures than this of a hundred callbacks are too many.
    pub failures: Percent,

    /// How many callbacks there must be before it is judged.
    #[serde(with = "Count::<1, 1_000_000>")]
    pub min_callbacks: u32,

    /// How far back callbacks count.
    #[serde(with = "Period")]
    pub interval: Duration,
}

impl Default for Rollback {
    fn default() -> Self {
        Self {
            enabled: true,
            failures: Percent::whole(5),
            min_callbacks: 100,
            interval: Duration::from_secs(60),
        }
    }
}
