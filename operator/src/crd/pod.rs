//! The pods of the gateway.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    autoscaling::v2::MetricSpec,
    core::v1::{
        Affinity, LocalObjectReference, ResourceRequirements, Toleration, TopologySpreadConstraint,
    },
};
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// How the pods run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pod {
    /// The image of the gateway, by tag or digest. Unset: the one that the operator was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,

    /// When the image is pulled: `Always`, `IfNotPresent` or `Never`. Unset: what Kubernetes makes of the tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<String>,

    /// Secrets with which it is pulled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,

    /// CPU and memory. Unset: requests of 100m and 128Mi, and no limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,

    /// Labels of the pods, beside those of the operator.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,

    /// Annotations of the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,

    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,

    /// Taints that the pods bear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,

    /// On which nodes and beside which pods they run, as in a Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "as_in_a_pod")]
    pub affinity: Option<Affinity>,

    /// How they are spread. Unset: over zones and nodes as evenly as can be, without waiting for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "list_as_in_a_pod")]
    pub topology_spread_constraints: Option<Vec<TopologySpreadConstraint>>,

    /// Their priority class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
}

/// The number of pods follows their load.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("self.minReplicas <= self.maxReplicas").message("autoscaling.minReplicas is more than autoscaling.maxReplicas"),
)]
pub struct Autoscaling {
    /// The fewest pods.
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: i32,

    /// The most.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,

    /// How much of the CPU that they request pods should use, in percent. Unset, and without `metrics`: 70.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub cpu_percent: Option<i32>,

    /// More that counts, as in `spec.metrics` of a HorizontalPodAutoscaler.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "list_as_in_a_pod")]
    pub metrics: Vec<MetricSpec>,
}

/// A Secret or a ConfigMap whose keys are files in the pods: write one of both.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("has(self.secretName) != has(self.configMapName)").message("files: write one of secretName and configMapName"),
)]
pub struct Files {
    /// The folder under `/etc/exproto/files`.
    #[schemars(
        length(min = 1, max = 40),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,

    /// The Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,

    /// The ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_name: Option<String>,
}

/// The API server checks it when the object is made of which it is part.
fn as_in_a_pod(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

fn list_as_in_a_pod(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": as_in_a_pod(generator) })
}
