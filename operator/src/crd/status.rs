//! What is told of a resource.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of what the resource says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The generation that this tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Accepted`, `ResolvedRefs`, `HandlersReady`, `Available`, `Progressing`, `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// How many pods there are.
    #[serde(default)]
    pub replicas: i32,

    /// What pods are found by, for whoever scales them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,

    /// The ports in short, such as `7993/TCP,7994/DTLS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<String>,

    /// The endpoints of the handler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handlers: Option<Handlers>,

    /// Connections of devices, over all pods, now and then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<i64>,
}

/// Endpoints of a handler.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Handlers {
    /// Those that are ready.
    pub ready: i32,
    /// All.
    pub total: i32,
    /// Both, such as `2/3`.
    pub summary: String,
}
