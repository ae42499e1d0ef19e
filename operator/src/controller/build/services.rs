//! How pods are reached: by devices, by handlers, by each other; and how the gateway finds the handler's.

use std::time::Duration;

use config::Listener;
use k8s_openapi::{
    api::core::v1::{ClientIPConfig, Service, ServicePort, ServiceSpec, SessionAffinityConfig},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{metadata, some};
use crate::{
    controller::validate::Validated,
    crd::{
        Port,
        service::{Affinity, Service as Said, ServiceType, TrafficPolicy},
    },
    names::PEERS_PORT,
};

/// The longest that Kubernetes can remember where an address went, in seconds.
const LONGEST_AFFINITY: u64 = 86_400;
/// How long it does where nothing is said, in seconds.
const USUAL_AFFINITY: u64 = 10_800;

pub(super) fn build(valid: &Validated) -> Vec<Service> {
    let (own, shared): (Vec<_>, Vec<_>) = (valid.spec.ports.iter())
        .partition(|port| port.service.is_some() || port.transport.is_datagram());
    let mut all = Vec::new();
    if !shared.is_empty() {
        let name = valid.names.base().to_owned();
        all.push(for_devices(valid, name, &valid.spec.service, &shared));
    }
    for port in own {
        let said = port.service.as_ref().unwrap_or(&valid.spec.service);
        all.push(for_devices(
            valid,
            valid.names.port(&port.name),
            said,
            &[port],
        ));
    }
    all.push(adapter(valid));
    if valid.spec.redis.is_some() {
        all.push(peers(valid));
    }
    all.extend(handler(valid));
    all
}

fn for_devices(valid: &Validated, name: String, said: &Said, ports: &[&Port]) -> Service {
    let is_datagram = ports.iter().any(|port| port.transport.is_datagram());
    let is_outside = said.kind != ServiceType::ClusterIp;
    let policy = said.external_traffic_policy.unwrap_or(if is_datagram {
        TrafficPolicy::Local
    } else {
        TrafficPolicy::Cluster
    });
    let affinity = said.session_affinity.unwrap_or(if is_datagram {
        Affinity::ClientIp
    } else {
        Affinity::None
    });
    let remembers = (affinity == Affinity::ClientIp).then(|| SessionAffinityConfig {
        client_ip: Some(ClientIPConfig {
            timeout_seconds: Some(longest_silence(valid, ports)),
        }),
    });
    let mut metadata = metadata(valid, name);
    metadata.annotations = some(&said.annotations);
    let ranges = &said.load_balancer_source_ranges;
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(said.kind.as_str().to_owned()),
            selector: Some(valid.names.selector()),
            ports: Some(ports.iter().map(|port| for_port(port)).collect()),
            external_traffic_policy: is_outside.then(|| policy.as_str().to_owned()),
            session_affinity: Some(affinity.as_str().to_owned()),
            session_affinity_config: remembers,
            load_balancer_class: said.load_balancer_class.clone(),
            load_balancer_source_ranges: (!ranges.is_empty()).then(|| ranges.clone()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn for_port(port: &Port) -> ServicePort {
    let protocol = if port.transport.is_datagram() {
        "UDP"
    } else {
        "TCP"
    };
    ServicePort {
        name: Some(port.name.clone()),
        port: port.service_port.unwrap_or(port.port).into(),
        target_port: Some(IntOrString::Int(port.port.into())),
        protocol: Some(protocol.to_owned()),
        ..ServicePort::default()
    }
}

/// In seconds: for so long a device may be silent, and must come back to the same pod then.
fn longest_silence(valid: &Validated, ports: &[&Port]) -> i32 {
    let listeners = valid.config.listeners.iter();
    let these =
        listeners.filter(|listener| ports.iter().any(|port| port.name == listener.name.as_str()));
    let longest = these.filter_map(Listener::idle_timeout).max();
    let seconds = longest.unwrap_or(Duration::ZERO).as_secs();
    let seconds = seconds.clamp(USUAL_AFFINITY, LONGEST_AFFINITY);
    i32::try_from(seconds).expect("it is a day at most")
}

fn adapter(valid: &Validated) -> Service {
    within(
        valid,
        valid.names.adapter(),
        ("grpc", valid.spec.adapter.port),
        None,
    )
}

/// Of all pods, also of those that are not ready: they have connections.
fn peers(valid: &Validated) -> Service {
    let mut service = within(
        valid,
        valid.names.peers(),
        ("grpc", PEERS_PORT),
        Some("None"),
    );
    if let Some(spec) = &mut service.spec {
        spec.publish_not_ready_addresses = Some(true);
    }
    service
}

/// Kubernetes itself tells the gateway which pods of the handler are ready.
fn handler(valid: &Validated) -> Option<Service> {
    let (selector, port) = match (&valid.spec.handler.template, &valid.handler) {
        (Some(template), _) => (valid.names.handler_selector(), template.port),
        (None, Some(target)) => (target.selector.clone()?, target.port),
        (None, None) => return None,
    };
    let mut service = within(valid, valid.names.handler(), ("grpc", port), Some("None"));
    if let Some(spec) = &mut service.spec {
        spec.selector = Some(selector);
    }
    Some(service)
}

/// A Service for whoever is in the cluster.
fn within(
    valid: &Validated,
    name: String,
    (port, number): (&str, u16),
    address: Option<&str>,
) -> Service {
    Service {
        metadata: metadata(valid, name),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            cluster_ip: address.map(str::to_owned),
            selector: Some(valid.names.selector()),
            ports: Some(vec![ServicePort {
                name: Some(port.to_owned()),
                port: number.into(),
                target_port: Some(IntOrString::Int(number.into())),
                protocol: Some("TCP".to_owned()),
                app_protocol: Some("grpc".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}
