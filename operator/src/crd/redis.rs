//! The Redis of the pods.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{Fields, SecretKey, Section, section::part};

/// The Redis through which pods work together, version 7.0 or newer.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.urls.all(each, each.startsWith('rediss://')) || !has(self.caSecretName)").message("redis.caSecretName needs urls with rediss://"),
    validation = Rule::new("self.urls.all(each, each.startsWith('rediss://')) || !has(self.clientSecretName)").message("redis.clientSecretName needs urls with rediss://"),
)]
pub struct Redis {
    /// Where it is: `redis://host:port`, or `rediss://…` for TLS, all of them the same. With `mode: standalone` one address;
    /// with `sentinel` those of sentinels, with `cluster` those of some nodes.
    #[schemars(length(min = 1, max = 32))]
    pub urls: Vec<String>,

    /// Its password. A changed Secret is used for new connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<SecretKey>,

    /// A Secret with the authorities that sign its certificate (`ca.crt`). Unset: those that the image trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_name: Option<String>,

    /// A Secret with the certificate that the gateway shows to it (`tls.crt`, `tls.key`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_name: Option<String>,

    /// All else that can be said of it.
    #[serde(flatten)]
    pub settings: Section<RedisSettings>,
}

part!(
    /// What a resource says of Redis.
    RedisSettings,
    config::Redis,
    Fields::AllBut(&["urls", "password_file", "ca_file", "certificate"])
);
