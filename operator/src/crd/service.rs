//! How devices reach the pods.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Service for devices.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Service {
    /// Who reaches it.
    #[serde(default, rename = "type")]
    pub kind: ServiceType,

    /// Its annotations, such as those that cloud providers read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,

    /// Who provides the balancer, with type `LoadBalancer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer_class: Option<String>,

    /// The networks that the balancer lets in, with type `LoadBalancer`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub load_balancer_source_ranges: Vec<String>,

    /// Where devices' traffic goes, with types `NodePort` and `LoadBalancer`. Unset: `Local` with UDP and DTLS, so that
    /// the gateway sees the addresses of devices and their datagrams stay with one pod; else `Cluster`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<TrafficPolicy>,

    /// Whether all connections of one address go to the same pod. Unset: `ClientIP` with UDP and DTLS, as a device that was
    /// silent must come back to the pod that has its session; else `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_affinity: Option<Affinity>,
}

/// Who reaches a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// Whoever is in the cluster.
    #[default]
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// Whoever reaches a node, too.
    NodePort,
    /// Whoever reaches the balancer, too.
    LoadBalancer,
}

impl ServiceType {
    /// The word that Kubernetes has for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIp => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// Where traffic from outside goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TrafficPolicy {
    /// To any pod.
    Cluster,
    /// To pods on the node that it came to, with its source address.
    Local,
}

impl TrafficPolicy {
    /// The word that Kubernetes has for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Local => "Local",
        }
    }
}

/// Whether connections of one address go to the same pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Affinity {
    /// They need not.
    None,
    /// They do, for as long as a device may be silent.
    #[serde(rename = "ClientIP")]
    ClientIp,
}

impl Affinity {
    /// The word that Kubernetes has for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::ClientIp => "ClientIP",
        }
    }
}
