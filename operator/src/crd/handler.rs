//! Where the user's handler is.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Fields, Section, section::part};

/// The handler: exactly one of `serviceRef`, `addresses` and `template` says where it is.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.serviceRef), has(self.addresses), has(self.template)].filter(each, each).size() == 1").message("write exactly one of handler.serviceRef, handler.addresses and handler.template"),
)]
pub struct Handler {
    /// A Service whose pods are the handler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_ref: Option<ServiceRef>,

    /// Where the replicas of a handler outside the cluster listen: `http://host:port`, or `https://host:port` for TLS, each
    /// the address of one process. They can be changed while the gateway runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub addresses: Option<Vec<String>>,

    /// Pods of the handler that the operator runs, and rolls out before the gateways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<HandlerTemplate>,

    /// How replicas that are spoken to by TLS are known, and know the gateway. With `serviceRef` and `template` it is
    /// what has TLS spoken at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<HandlerTls>,

    /// All else that can be said of the handler.
    #[serde(flatten)]
    pub settings: Section<HandlerSettings>,
}

/// A Service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceRef {
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,

    /// Its namespace. Unset: that of the resource. A Service elsewhere has to allow it, by the annotation
    /// `exproto.dev/allow-from` with the names of namespaces, separated by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,

    /// The port of the Service, by its name or number. Unset: the only one that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<k8s_openapi::apimachinery::pkg::util::intstr::IntOrString>,
}

/// Pods of a handler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HandlerTemplate {
    /// How many there are.
    #[serde(default = "super::one")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,

    /// The port at which they serve gRPC.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,

    /// The pod, as in a Deployment: `spec` with containers, and maybe `metadata` with labels and annotations. Where its
    /// first container has no readiness probe, it gets one: gRPC health at `port`.
    #[schemars(schema_with = "pod_template")]
    pub pod: PodTemplateSpec,
}

/// The API server checks it when the Deployment is made; a schema of it here would be larger than all the rest.
fn pod_template(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true
    })
}

/// TLS towards the handler.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HandlerTls {
    /// A Secret with the authorities that sign the handler's certificate (`ca.crt`). Unset: those that the image trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_name: Option<String>,

    /// A Secret with the certificate that the gateway shows (`tls.crt`, `tls.key`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_name: Option<String>,

    /// The name that the handler's certificate must have. Unset: the host of its address, or the Service's name
    /// (`NAME.NAMESPACE.svc`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

part!(
    /// What a resource says of the handler.
    HandlerSettings,
    config::Handler,
    Fields::AllBut(&["addresses", "dns", "file", "tls"])
);
