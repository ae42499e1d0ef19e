//! The pods of a handler's `template`.

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec},
        core::v1::{ContainerPort, GRPCAction, Probe},
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};

use super::{deployment::one_after_another, metadata};
use crate::controller::validate::Validated;

pub(super) fn build(valid: &Validated) -> Option<Deployment> {
    let template = valid.spec.handler.template.as_ref()?;
    let selector = valid.names.handler_selector();
    let mut pod = template.pod.clone();
    let labels = &mut pod.metadata.get_or_insert_default().labels;
    labels.get_or_insert_default().extend(selector.clone());
    let containers = pod.spec.as_mut().map(|spec| &mut spec.containers);
    if let Some(first) = containers.and_then(|all| all.first_mut()) {
        let port = i32::from(template.port);
        let ports = first.ports.get_or_insert_default();
        if !ports.iter().any(|known| known.container_port == port) {
            ports.push(ContainerPort {
                name: Some("grpc".to_owned()),
                container_port: port,
                protocol: Some("TCP".to_owned()),
                ..ContainerPort::default()
            });
        }
        first.readiness_probe.get_or_insert_with(|| Probe {
            grpc: Some(GRPCAction {
                port,
                ..GRPCAction::default()
            }),
            period_seconds: Some(5),
            ..Probe::default()
        });
    }
    Some(Deployment {
        metadata: metadata(valid, valid.names.handler()),
        spec: Some(DeploymentSpec {
            replicas: Some(template.replicas),
            selector: LabelSelector {
                match_labels: Some(selector),
                ..LabelSelector::default()
            },
            strategy: Some(one_after_another()),
            template: pod,
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    })
}
