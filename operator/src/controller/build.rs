//! From what is valid to the objects of Kubernetes. Nothing is asked for here, and the same makes the same.

/// What the gateway is told.
pub mod config_map;
/// The pods of the gateway.
pub mod deployment;
/// How many pods there may be, by their load.
pub mod autoscaler;
/// How many pods may be away at a time.
pub mod disruption_budget;
/// The pods of a handler's `template`.
pub mod handler;
/// Who may talk to the pods.
pub mod network_policy;
/// How pods are reached.
pub mod services;
/// As whom pods run.
pub mod service_account;
/// Files of the pods.
mod volumes;

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        autoscaling::v2::HorizontalPodAutoscaler,
        core::v1::{ConfigMap, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};

use super::validate::Validated;

/// What the operator was told for all resources.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The image of gateways, where a resource names none.
    pub image: String,
}

/// All objects of a resource, but for its key, which is made once and never again.
#[derive(Clone, Debug, PartialEq)]
pub struct Objects {
    /// As whom pods run.
    pub service_account: ServiceAccount,
    /// What they are told.
    pub config_map: ConfigMap,
    /// The pods of a handler's `template`. They come before those of the gateway.
    pub handler: Option<Deployment>,
    /// The pods of the gateway.
    pub deployment: Deployment,
    /// How they, and the handler's, are reached.
    pub services: Vec<Service>,
    /// How many may be away at a time.
    pub disruption_budget: Option<PodDisruptionBudget>,
    /// How many there may be.
    pub autoscaler: Option<HorizontalPodAutoscaler>,
    /// Who may talk to them.
    pub network_policy: NetworkPolicy,
}

/// All objects of a resource.
#[must_use]
pub fn build(valid: &Validated, settings: &Settings) -> Objects {
    let config_map = config_map::build(valid);
    Objects {
        service_account: service_account::build(valid),
        deployment: deployment::build(valid, settings),
        config_map,
        handler: handler::build(valid),
        services: services::build(valid),
        disruption_budget: disruption_budget::build(valid),
        autoscaler: autoscaler::build(valid),
        network_policy: network_policy::build(valid),
    }
}

/// What all objects have: the namespace, labels, and whose they are.
fn metadata(valid: &Validated, name: impl Into<String>) -> ObjectMeta {
    let mut labels = valid.names.selector();
    labels.remove("app.kubernetes.io/component");
    labels.insert(
        "app.kubernetes.io/managed-by".into(),
        "exproto-operator".into(),
    );
    ObjectMeta {
        name: Some(name.into()),
        namespace: Some(valid.names.namespace.clone()),
        labels: Some(labels),
        owner_references: Some(vec![OwnerReference {
            api_version: "exproto.dev/v1alpha1".to_owned(),
            kind: "ExProtoListener".to_owned(),
            name: valid.names.resource.clone(),
            uid: valid.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }]),
        ..ObjectMeta::default()
    }
}

/// Nothing, where there is nothing: an applied empty map would be a field of ours.
fn some(map: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then(|| map.clone())
}

#[cfg(test)]
mod tests;
