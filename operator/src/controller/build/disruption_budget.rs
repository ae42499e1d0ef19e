//! How many pods may be away at a time when nodes are emptied: one. Of a single pod nothing is said, as a node could
//! never be emptied then.

use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::metadata;
use crate::controller::validate::Validated;

pub(super) fn build(valid: &Validated) -> Option<PodDisruptionBudget> {
    let spec = &valid.spec;
    let fewest = spec
        .autoscaling
        .as_ref()
        .map_or(spec.replicas, |scaling| scaling.min_replicas);
    (fewest > 1).then(|| PodDisruptionBudget {
        metadata: metadata(valid, valid.names.base()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(valid.names.selector()),
                ..LabelSelector::default()
            }),
            // A pod that is not ready holds up nobody.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    })
}
