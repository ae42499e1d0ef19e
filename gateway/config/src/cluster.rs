//! Who this pod is, and which pods it works with.

use std::{env, fs, net::Ipv4Addr, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Bind, HostPort, Percent,
    count::Count,
    name::{ClusterName, PodName},
    period::Period,
};

/// Who this pod is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pod {
    /// Tells this pod from its peers, and stands in every conn id: 1 to 63 letters, digits, `.`,
    /// `_` or `-`. Unset: `$HOSTNAME`, which Kubernetes sets to the pod's name, else the machine's
    /// host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "gateway-0")]
    pub name: Option<PodName>,
}

impl Pod {
    /// The configured name, else `$HOSTNAME`, else the machine's host name.
    #[must_use]
    pub fn resolve_name(&self) -> PodName {
        let machine = || fs::read_to_string("/proc/sys/kernel/hostname").ok();
        self.name
            .clone()
            .or_else(|| PodName::from_host(&env::var("HOSTNAME").ok()?))
            .or_else(|| PodName::from_host(&machine()?))
            .unwrap_or_else(|| PodName::from_host("gateway").expect("the name is not empty"))
    }
}

/// The pods that work together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// Names the cluster: 1 to 63 lower-case letters, digits or `-`. Pods with the same name and
    /// the same key belong together.
    pub name: ClusterName,

    /// A file with the cluster's key: at least 32 random bytes, the same for all pods. Conn ids
    /// carry a MAC under this key, so that nobody can guess or forge one. Unset: each process makes
    /// a key of its own, which is enough for one pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/etc/exproto/cluster.key")]
    pub key_file: Option<PathBuf>,

    /// After how long without a sign of life a pod counts as gone. It gives one three times as often.
    #[serde(with = "Period")]
    pub lease: Duration,

    /// How often a pod sends itself a message through Redis, to see whether messages get through. When one does
    /// not come back until the next, it subscribes anew.
    #[serde(with = "Period")]
    pub probe_interval: Duration,

    /// When a pod that Redis delivers nothing to is not ready.
    pub deaf: Deaf,

    /// How pods reach each other, with `broker.kind: redis`.
    pub peers: Peers,

    /// Who has a clientid, of all pods, with `broker.kind: redis`.
    pub clientids: Clientids,

    /// What becomes of the connections of a pod that dies, with `broker.kind: redis`.
    pub pod_loss: PodLoss,
}

/// The port at which other pods call this one: for a handler that called them about a connection of this pod.
/// Their calls are sealed with the cluster's key, and not encrypted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Peers {
    /// The address to listen on, written as a listener's `bind`.
    pub bind: Bind,

    /// The address under which other pods reach this one, as host:port. Unset: `bind`; when that is every
    /// address of the machine, `$POD_IP` with the port of `bind`, or nothing where that is unset as well:
    /// then handlers have to call the pod that has the connection (`exproto-adapter-address`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "gateway-0.example.net:9103")]
    pub advertised_address: Option<HostPort>,

    /// How long a call to another pod may take.
    #[serde(with = "Period")]
    pub timeout: Duration,

    /// How many HTTP/2 connections of other pods may be open; more wait.
    #[serde(with = "Count::<1, 65_535>")]
    pub max_connections: u32,

    /// How many calls one of them may have in flight; more wait.
    #[serde(with = "Count::<1, 30_000>")]
    pub max_concurrent_calls: u32,
}

/// A pod is deaf when Redis takes its messages and does not deliver them, as its probes do not come back. It connects anew;
/// where that is in vain, its `/readyz` says so, and new devices go to other pods. That all pods are deaf says nothing
/// about any of them, so only a share of them may be unready for it at once. A pod that cannot reach Redis stays ready.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Deaf {
    /// How many probes in a row are lost before the pod is not ready.
    #[serde(with = "Count::<1, 1_000>")]
    pub lost_probes: u32,

    /// How many of the pods that live may be unready for it at once, in percent; one may be where there is another.
    pub max_share: Percent,
}

impl Default for Deaf {
    fn default() -> Self {
        Self {
            lost_probes: 6,
            max_share: Percent::whole(34),
        }
    }
}

/// A clientid is one connection's, over all pods: whoever authenticates with it last has it, and the older connection is
/// closed with `discarded`, also in another pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Clientids {
    /// How long Authenticate waits for Redis to say which pod has the clientid. Then it goes on all the same, and an older
    /// connection in another pod is closed once Redis is there again.
    #[serde(with = "Period")]
    pub timeout: Duration,

    /// How long Redis remembers which pod has a clientid, after it was last told. Pods tell it three times as often.
    #[serde(with = "Period")]
    pub ttl: Duration,

    /// How many clientids a pod tells Redis of in a second, when it does so: as time passes, and all of them whenever Redis
    /// was away.
    #[serde(with = "Count::<1, 1_000_000>")]
    pub renewals: u32,
}

/// When a pod dies (`cluster.lease` has run out, and it does not answer when it is asked), another one calls
/// `OnSocketClosed` with the reason `pod_lost` for the connections that it had. Handlers of the ordered stream find out by
/// themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PodLoss {
    /// How often a pod writes into Redis which handler knows which of its connections. What is younger when it dies is
    /// not told, or told twice.
    #[serde(with = "Period")]
    pub interval: Duration,

    /// How long Redis keeps that of a pod that died, while no other pod is there to see to it; and for how long a pod that
    /// wakes up finds out that it was taken for dead.
    #[serde(with = "Period")]
    pub keep: Duration,

    /// How many handlers are called at a time.
    #[serde(with = "Count::<1, 10_000>")]
    pub concurrent_calls: u32,
}

impl Default for PodLoss {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(200),
            keep: Duration::from_secs(24 * 3600),
            concurrent_calls: 64,
        }
    }
}

impl Default for Clientids {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(2),
            ttl: Duration::from_secs(3600),
            renewals: 10_000,
        }
    }
}

impl Default for Peers {
    fn default() -> Self {
        Self {
            bind: Bind((Ipv4Addr::LOCALHOST, 9103).into()),
            advertised_address: None,
            timeout: Duration::from_secs(5),
            max_connections: 1024,
            max_concurrent_calls: 1024,
        }
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            name: ClusterName::default(),
            key_file: None,
            lease: Duration::from_secs(15),
            probe_interval: Duration::from_secs(5),
            deaf: Deaf::default(),
            peers: Peers::default(),
            clientids: Clientids::default(),
            pod_loss: PodLoss::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_always_has_a_name() {
        let mut pod = Pod::default();
        assert!(!pod.resolve_name().as_str().is_empty());
        pod.name = Some("gateway-7".parse().unwrap());
        assert_eq!(pod.resolve_name().as_str(), "gateway-7");
    }
}
