//! The service that handlers call.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Fields, SecretKey, Section, section::part};

/// Where handlers call the pods, and how they prove who they are.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.auth != 'None' || !has(self.callers) || self.callers.size() == 0").message("adapter.callers need auth Token or MTLS"),
    validation = Rule::new("self.auth == 'None' || (has(self.callers) && self.callers.size() > 0)").message("auth Token and MTLS need adapter.callers"),
    validation = Rule::new("self.auth != 'Token' || !has(self.callers) || self.callers.all(caller, has(caller.tokenSecret))").message("with auth Token each of adapter.callers needs tokenSecret"),
    validation = Rule::new("self.auth != 'MTLS' || !has(self.callers) || self.callers.all(caller, has(caller.certificate))").message("with auth MTLS each of adapter.callers needs certificate"),
    validation = Rule::new("self.auth != 'MTLS' || (has(self.tls) && has(self.tls.clientCaSecretName))").message("auth MTLS needs adapter.tls with clientCaSecretName"),
)]
pub struct Adapter {
    /// How callers prove who they are.
    pub auth: AdapterAuth,

    /// The port at which pods serve it, and the Service `NAME-adapter` too.
    #[serde(default = "port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,

    /// Who may call, and what for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub callers: Vec<Caller>,

    /// Its certificate. Unset: calls are not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<AdapterTls>,

    /// All else that can be said of it.
    #[serde(flatten)]
    pub settings: Section<AdapterSettings>,
}

fn port() -> u16 {
    9100
}

/// How callers of the adapter prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AdapterAuth {
    /// Not at all: a NetworkPolicy lets in the handler's pods and nobody else, where the cluster's network enforces it.
    None,
    /// By a bearer token.
    Token,
    /// By a certificate.
    #[serde(rename = "MTLS")]
    Mtls,
}

/// A caller of the adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Caller {
    /// What it is called in refusals and in the log.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,

    /// Its bearer token, 16 characters or more; more lines, more tokens, all of them good, so that one can follow the
    /// other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret: Option<SecretKey>,

    /// The name in its certificate: the common name, or a DNS name or URI (`spiffe://…`) of the alternative names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,

    /// What it may call: `send` (Send, Close), `session` (Authenticate, StartTimer, Subscribe, Unsubscribe), `publish`
    /// (Publish), `raw` (RawPublish), `backend_publish` and `backend_subscribe` (the service for back ends). Unset:
    /// `send`, `session` and `publish`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<config::Scope>>,

    /// Whether it is the mirror (`handler.mirror`): its calls are answered as if they were carried out, and are not.
    #[serde(default)]
    pub mirror: bool,
}

/// TLS of the adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdapterTls {
    /// A Secret with its certificate and key (`tls.crt`, `tls.key`).
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,

    /// A Secret with the authorities that sign callers' certificates (`ca.crt`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca_secret_name: Option<String>,
}

part!(
    /// What a resource says of the adapter.
    AdapterSettings,
    config::Adapter,
    Fields::Only(&["max_request", "max_connections", "max_concurrent_calls"])
);
