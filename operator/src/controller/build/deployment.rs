//! The pods of the gateway: to the *restricted* Pod Security Standard, without a token, with a root that is read-only, and
//! with as much time as a drain may take.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::{
            Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction, Lifecycle,
            LifecycleHandler, ObjectFieldSelector, PodSecurityContext, PodSpec, PodTemplateSpec,
            Probe, ResourceRequirements, SeccompProfile, SecurityContext, SleepAction, Sysctl,
            TopologySpreadConstraint,
        },
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use super::{Settings, config_map, metadata, volumes};
use crate::{
    controller::validate::Validated,
    names::{CONFIG_PATH, HTTP_PORT, PEERS_PORT},
};

/// The user and group that nobody is.
const NOBODY: i64 = 65_532;
/// How long a pod that ends still takes devices that have not heard of it, in seconds.
const LINGERS: i64 = 5;
/// How much longer than a drain a pod may take, in seconds.
const SPARE: i64 = 5;
/// Ports below are for root, unless the kernel is told otherwise.
const PRIVILEGED: u16 = 1024;

pub(super) fn build(valid: &Validated, settings: &Settings) -> Deployment {
    let selector = valid.names.selector();
    Deployment {
        metadata: metadata(valid, valid.names.base()),
        spec: Some(DeploymentSpec {
            replicas: Some(valid.spec.replicas),
            selector: LabelSelector {
                match_labels: Some(selector.clone()),
                ..LabelSelector::default()
            },
            strategy: Some(one_after_another()),
            template: PodTemplateSpec {
                metadata: Some(pod_metadata(valid, selector)),
                spec: Some(pod(valid, settings)),
            },
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

/// A new pod is ready before an old one goes: devices need somewhere to go.
pub(super) fn one_after_another() -> DeploymentStrategy {
    DeploymentStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(RollingUpdateDeployment {
            max_surge: Some(IntOrString::Int(1)),
            max_unavailable: Some(IntOrString::Int(0)),
        }),
    }
}

fn pod_metadata(valid: &Validated, selector: BTreeMap<String, String>) -> ObjectMeta {
    let mut labels = valid.spec.pod.labels.clone();
    labels.extend(selector);
    let mut annotations = valid.spec.pod.annotations.clone();
    let fixed = config_map::fixed(&valid.config);
    annotations.insert("exproto.dev/config".to_owned(), fixed);
    ObjectMeta {
        labels: Some(labels),
        annotations: Some(annotations),
        ..ObjectMeta::default()
    }
}

fn pod(valid: &Validated, settings: &Settings) -> PodSpec {
    let said = &valid.spec.pod;
    let (volumes, mounts) = volumes::build(valid);
    let drain = valid.config.drain.timeout.as_secs_f64().ceil();
    #[expect(clippy::cast_possible_truncation, reason = "it is a year at most")]
    let grace = LINGERS + drain as i64 + SPARE;
    let container = Container {
        name: "gateway".to_owned(),
        image: Some(said.image.clone().unwrap_or_else(|| settings.image.clone())),
        image_pull_policy: said.image_pull_policy.clone(),
        args: Some(vec![
            "run".to_owned(),
            format!("--config={CONFIG_PATH}/{}", config_map::KEY),
        ]),
        env: Some(vec![
            of_pod("POD_IP", "status.podIP"),
            of_pod("HOSTNAME", "metadata.name"),
        ]),
        ports: Some(ports(valid)),
        liveness_probe: Some(probe("/livez")),
        readiness_probe: Some(probe("/readyz")),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction { seconds: LINGERS }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        resources: Some(said.resources.clone().unwrap_or_else(modest)),
        security_context: Some(restricted()),
        volume_mounts: Some(mounts),
        ..Container::default()
    };
    PodSpec {
        containers: vec![container],
        volumes: Some(volumes),
        service_account_name: Some(valid.names.base().to_owned()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(grace),
        security_context: Some(nobody(valid)),
        image_pull_secrets: list(&said.image_pull_secrets),
        node_selector: super::some(&said.node_selector),
        tolerations: list(&said.tolerations),
        affinity: said.affinity.clone(),
        topology_spread_constraints: Some(
            said.topology_spread_constraints
                .clone()
                .unwrap_or_else(|| spread(valid)),
        ),
        priority_class_name: said.priority_class_name.clone(),
        ..PodSpec::default()
    }
}

/// Those that are not for devices: their ports may change without new pods.
fn ports(valid: &Validated) -> Vec<ContainerPort> {
    let peers = valid.spec.redis.as_ref().map(|_| ("peers", PEERS_PORT));
    let all = [("http", HTTP_PORT), ("adapter", valid.spec.adapter.port)];
    let all = all.into_iter().chain(peers);
    let all = all.map(|(name, port)| ContainerPort {
        name: Some(name.to_owned()),
        container_port: port.into(),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    });
    all.collect()
}

fn of_pod(name: &str, field: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: field.to_owned(),
                ..ObjectFieldSelector::default()
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

fn probe(path: &str) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("http".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(5),
        timeout_seconds: Some(3),
        ..Probe::default()
    }
}

fn modest() -> ResourceRequirements {
    let requests = [("cpu", "100m"), ("memory", "128Mi")];
    let requests = requests.map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned())));
    ResourceRequirements {
        requests: Some(requests.into()),
        ..ResourceRequirements::default()
    }
}

fn restricted() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            ..Capabilities::default()
        }),
        ..SecurityContext::default()
    }
}

fn nobody(valid: &Validated) -> PodSecurityContext {
    let is_privileged = valid.spec.ports.iter().any(|port| port.port < PRIVILEGED);
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(NOBODY),
        run_as_group: Some(NOBODY),
        fs_group: Some(NOBODY),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        sysctls: is_privileged.then(|| {
            vec![Sysctl {
                name: "net.ipv4.ip_unprivileged_port_start".to_owned(),
                value: "0".to_owned(),
            }]
        }),
        ..PodSecurityContext::default()
    }
}

fn spread(valid: &Validated) -> Vec<TopologySpreadConstraint> {
    let over = ["topology.kubernetes.io/zone", "kubernetes.io/hostname"];
    let over = over.map(|key| TopologySpreadConstraint {
        max_skew: 1,
        topology_key: key.to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(LabelSelector {
            match_labels: Some(valid.names.selector()),
            ..LabelSelector::default()
        }),
        match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
        ..TopologySpreadConstraint::default()
    });
    over.into()
}

fn list<T: Clone>(items: &[T]) -> Option<Vec<T>> {
    (!items.is_empty()).then(|| items.to_vec())
}
