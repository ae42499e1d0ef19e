use k8s_openapi::Resource;
use serde::Serialize;

use super::*;
use crate::{
    controller::validate::{HandlerTarget, References, validate},
    crd::ExProtoListener,
};

/// The objects of a resource, as YAML, in the order in which they are applied.
fn built(resource: &str, references: &References) -> String {
    let resource: ExProtoListener = serde_saphyr::from_str(resource).expect("a resource");
    let valid = validate(&resource, references).expect("it is valid");
    let settings = Settings {
        image: "exproto-gateway:test".to_owned(),
    };
    let objects = build(&valid, &settings);
    assert_eq!(build(&valid, &settings), objects);
    let mut all = String::new();
    write(&mut all, &objects.service_account);
    write(&mut all, &objects.config_map);
    objects
        .handler
        .iter()
        .for_each(|each| write(&mut all, each));
    write(&mut all, &objects.deployment);
    objects
        .services
        .iter()
        .for_each(|each| write(&mut all, each));
    objects
        .disruption_budget
        .iter()
        .for_each(|each| write(&mut all, each));
    objects
        .autoscaler
        .iter()
        .for_each(|each| write(&mut all, each));
    write(&mut all, &objects.network_policy);
    all
}

fn write<T: Resource + Serialize>(all: &mut String, object: &T) {
    let yaml = serde_saphyr::to_string(object).expect("objects can be written");
    all.push_str("---\n");
    all.push_str(&yaml);
}

#[test]
fn the_least() {
    let resource = "
apiVersion: exproto.dev/v1alpha1
kind: ExProtoListener
metadata: {name: trackers, namespace: fleet, uid: u-1}
spec:
  ports: [{name: tcp, transport: TCP, port: 7993}]
  handler: {serviceRef: {name: tracker}}
  adapter: {auth: None}
";
    let references = References {
        handler: Some(HandlerTarget {
            name: "trackers-handler.fleet.svc".to_owned(),
            port: 9001,
            selector: Some([("app".to_owned(), "tracker".to_owned())].into()),
            pods: Some([("app".to_owned(), "tracker".to_owned())].into()),
            namespace: None,
        }),
    };
    insta::assert_snapshot!(built(resource, &references));
}

#[test]
fn much() {
    let resource = "
apiVersion: exproto.dev/v1alpha1
kind: ExProtoListener
metadata: {name: meters, namespace: fleet, uid: u-2}
spec:
  ports:
  - {name: tls, transport: TLS, port: 443, servicePort: 8443, tls: {secretName: front, moreSecretNames: [other], minVersion: '1.3', clientAuth: {mode: Required, caSecretName: devices, revocationLists: true}}}
  - {name: dtls, transport: DTLS, port: 7994, psk: {secretName: keys, identityHint: fleet}, idleTimeout: 6h}
  - {name: ws, transport: WS, port: 8080, service: {type: LoadBalancer, annotations: {a: b}, externalTrafficPolicy: Local}}
  handler:
    template:
      port: 9001
      replicas: 2
      pod: {spec: {containers: [{name: handler, image: 'meters:1'}]}}
    service: ConnectionStream
    tls: {caSecretName: internal}
  adapter:
    auth: MTLS
    tls: {secretName: adapter, clientCaSecretName: internal}
    callers: [{name: handler, certificate: meters, scopes: [send, session, publish, raw]}]
  redis: {urls: ['rediss://redis:6379'], passwordSecret: {name: redis, key: password}, caSecretName: internal, mode: cluster}
  replicas: 3
  autoscaling: {minReplicas: 2, maxReplicas: 10}
  service: {type: NodePort}
  files: [{name: rules, configMapName: rules}]
  authorization: {sources: [{file: {path: /etc/exproto/files/rules/rules.yaml}}]}
  drain: {timeout: 90s}
  broker: {retained: {maxMessages: 1000}}
  pod: {image: 'exproto-gateway@sha256:0', labels: {team: meters}, resources: {limits: {memory: 1Gi}}}
";
    insta::assert_snapshot!(built(resource, &References::default()));
}
