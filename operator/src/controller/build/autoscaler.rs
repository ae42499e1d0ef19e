//! How many pods there are, by their load. It writes `spec.replicas` of the resource, by its subresource `scale`, and is
//! the only one who does.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec,
    MetricTarget, ResourceMetricSource,
};

use super::metadata;
use crate::controller::validate::Validated;

/// How much of the CPU that they request pods should use, where nothing is said, in percent.
const USUAL: i32 = 70;

pub(super) fn build(valid: &Validated) -> Option<HorizontalPodAutoscaler> {
    let scaling = valid.spec.autoscaling.as_ref()?;
    let usual = scaling.metrics.is_empty().then_some(USUAL);
    let cpu = scaling.cpu_percent.or(usual).map(of_cpu);
    let metrics = cpu.into_iter().chain(scaling.metrics.iter().cloned());
    Some(HorizontalPodAutoscaler {
        metadata: metadata(valid, valid.names.base()),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("exproto.dev/v1alpha1".to_owned()),
                kind: "ExProtoListener".to_owned(),
                name: valid.names.resource.clone(),
            },
            min_replicas: Some(scaling.min_replicas),
            max_replicas: scaling.max_replicas,
            metrics: Some(metrics.collect()),
            ..HorizontalPodAutoscalerSpec::default()
        }),
        ..HorizontalPodAutoscaler::default()
    })
}

fn of_cpu(percent: i32) -> MetricSpec {
    MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource {
            name: "cpu".to_owned(),
            target: MetricTarget {
                type_: "Utilization".to_owned(),
                average_utilization: Some(percent),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    }
}
