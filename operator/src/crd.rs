//! The resource `ExProtoListener`: what a user writes, and what is told of it. The documentation of its fields is the
//! user's manual.

#![allow(
    unreachable_pub,
    reason = "`KubeSchema` makes copies of types inside of functions"
)]

/// The service that handlers call.
pub mod adapter;
/// The definition.
mod definition;
/// Where handlers are.
pub mod handler;
/// The pods.
pub mod pod;
/// Where devices connect.
pub mod port;
/// The Redis of the pods.
pub mod redis;
/// Settings that are the gateway's own.
pub mod section;
/// How devices and others reach the pods.
pub mod service;
/// What is told of it.
pub mod status;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use self::section::part;

pub use self::{
    adapter::{Adapter, AdapterAuth, AdapterTls, Caller},
    definition::{definition, schema},
    handler::{Handler, HandlerTemplate, HandlerTls, ServiceRef},
    pod::{Autoscaling, Files, Pod},
    port::{ClientAuth, ClientAuthMode, Port, PortTls, Psk, Transport},
    redis::Redis,
    section::{Fields, Part, Section, camel},
    service::Service,
    status::Status,
};

/// A key of a Secret in the namespace of the resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKey {
    /// The Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// Gateways for the devices of one kind: the ports that they connect to, the handler that speaks their protocol, and
/// how many pods there are.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "exproto.dev",
    version = "v1alpha1",
    kind = "ExProtoListener",
    plural = "exprotolisteners",
    shortname = "exl",
    category = "exproto",
    namespaced,
    status = "Status",
    derive = "PartialEq",
    doc = "Gateways for the devices of one kind: the ports that they connect to, the handler that speaks their protocol, and how many pods there are.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "Ports", type_ = "string", json_path = ".status.ports"),
    printcolumn(
        name = "Handlers",
        type_ = "string",
        json_path = ".status.handlers.summary"
    ),
    printcolumn(
        name = "Connections",
        type_ = "integer",
        json_path = ".status.connections"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.ports.all(a, self.ports.exists_one(b, a.port == b.port && (a.transport in ['UDP', 'DTLS']) == (b.transport in ['UDP', 'DTLS'])))").message("ports: two ports of TCP, TLS, WS and WSS, or two of UDP and DTLS, have the same number; give each its own"),
    validation = Rule::new("!has(self.autoscaling) || has(self.redis)").message("autoscaling needs redis: pods share clientids, topics and sessions through it"),
    validation = Rule::new("!has(self.replicas) || self.replicas <= 1 || has(self.redis)").message("replicas above 1 need redis: pods share clientids, topics and sessions through it"),
)]
pub struct Spec {
    /// Where devices connect.
    #[schemars(length(min = 1, max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub ports: Vec<Port>,

    /// The user's gRPC server, which is called for every device.
    pub handler: Handler,

    /// The gRPC service that the handler calls back.
    pub adapter: Adapter,

    /// The Redis through which the pods work together. It is needed for more than one pod, and for sessions and retained
    /// messages that outlive a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<Redis>,

    /// How many pods there are. With `autoscaling` it is written by that, and what stands here is where it begins.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,

    /// The number of pods follows their load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,

    /// How devices reach the pods. A port may say otherwise for itself.
    #[serde(default)]
    pub service: Service,

    /// The pods: image, resources, where they run.
    #[serde(default)]
    pub pod: Pod,

    /// Secrets and ConfigMaps that settings name as files: users, keys of tokens, rules. Each is found in
    /// `/etc/exproto/files/NAME`, one file for each key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub files: Vec<Files>,

    /// All else that the gateway can be told.
    #[serde(flatten)]
    pub settings: Section<Settings>,
}

fn one() -> i32 {
    1
}

part!(
    /// What a resource says of the gateway as a whole.
    Settings,
    config::Config,
    Fields::AllBut(&[
        // What the operator sees to.
        "pod",
        "listeners",
        "handler",
        "adapter",
        "redis",
        "http",
        "management",
        "broker.kind",
        "cluster.name",
        "cluster.key_file",
        "cluster.peers.bind",
        "cluster.peers.advertised_address",
    ])
);
