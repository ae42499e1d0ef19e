//! Who may talk to the pods: devices to their ports, anybody to health and metrics, pods to each other, and to the adapter
//! the handler's pods alone where callers need not prove who they are.

use std::net::IpAddr;

use config::HandlerSource;
use k8s_openapi::{
    api::networking::v1::{
        IPBlock, NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
        NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::metadata;
use crate::{
    controller::validate::Validated,
    crd::AdapterAuth,
    names::{HTTP_PORT, PEERS_PORT},
};

type Labels = std::collections::BTreeMap<String, String>;

pub(super) fn build(valid: &Validated) -> NetworkPolicy {
    let devices = valid.spec.ports.iter().map(|port| {
        let protocol = if port.transport.is_datagram() {
            "UDP"
        } else {
            "TCP"
        };
        to(protocol, port.port)
    });
    let open: Vec<_> = devices.chain([to("TCP", HTTP_PORT)]).collect();
    let mut rules = vec![
        rule(open, None),
        rule(vec![to("TCP", valid.spec.adapter.port)], callers(valid)),
    ];
    if valid.spec.redis.is_some() {
        let own = pods(None, valid.names.selector());
        rules.push(rule(vec![to("TCP", PEERS_PORT)], Some(vec![own])));
    }
    NetworkPolicy {
        metadata: metadata(valid, valid.names.base()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector {
                match_labels: Some(valid.names.selector()),
                ..LabelSelector::default()
            }),
            ingress: Some(rules),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ..NetworkPolicySpec::default()
        }),
    }
}

/// Who may reach the adapter; none for anybody.
fn callers(valid: &Validated) -> Option<Vec<NetworkPolicyPeer>> {
    if valid.spec.adapter.auth != AdapterAuth::None {
        return None;
    }
    if valid.spec.handler.template.is_some() {
        return Some(vec![pods(None, valid.names.handler_selector())]);
    }
    if let Some(target) = &valid.handler {
        let selector = target.pods.clone()?;
        return Some(vec![pods(target.namespace.as_deref(), selector)]);
    }
    let HandlerSource::Addresses(addresses) = valid.config.handler.source() else {
        return None;
    };
    let addresses = addresses.iter().filter_map(|each| each.host().parse().ok());
    let blocks = addresses.map(|address: IpAddr| NetworkPolicyPeer {
        ip_block: Some(IPBlock {
            cidr: format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 }),
            ..IPBlock::default()
        }),
        ..NetworkPolicyPeer::default()
    });
    Some(blocks.collect())
}

fn pods(namespace: Option<&str>, labels: Labels) -> NetworkPolicyPeer {
    let elsewhere = namespace.map(|name| LabelSelector {
        match_labels: Some([("kubernetes.io/metadata.name".to_owned(), name.to_owned())].into()),
        ..LabelSelector::default()
    });
    NetworkPolicyPeer {
        namespace_selector: elsewhere,
        pod_selector: Some(LabelSelector {
            match_labels: Some(labels),
            ..LabelSelector::default()
        }),
        ..NetworkPolicyPeer::default()
    }
}

fn rule(
    ports: Vec<NetworkPolicyPort>,
    from: Option<Vec<NetworkPolicyPeer>>,
) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        ports: Some(ports),
        from,
    }
}

fn to(protocol: &str, port: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(port.into())),
        ..NetworkPolicyPort::default()
    }
}
