//! What an API server makes of the objects of a resource.

use exproto_operator::{
    ExProtoListener,
    controller::{
        build::{Objects, Settings, build},
        validate::{References, validate},
    },
};
use serde_json::Value;

use super::kubernetes;

/// As much as can be said of a resource.
const MUCH: &str = "
apiVersion: exproto.dev/v1alpha1
kind: ExProtoListener
metadata: {name: meters, namespace: fleet}
spec:
  ports:
  - {name: tls, transport: TLS, port: 443, tls: {secretName: front, clientAuth: {mode: Optional, caSecretName: ca}}}
  - {name: dtls, transport: DTLS, port: 7994, psk: {secretName: keys}, service: {type: LoadBalancer}}
  - {name: ws, transport: WS, port: 8080, service: {type: NodePort, sessionAffinity: ClientIP}}
  handler: {addresses: ['http://10.0.0.1:9001']}
  adapter:
    auth: Token
    callers: [{name: handler, tokenSecret: {name: tokens, key: handler}}]
  redis: {urls: ['redis://redis:6379'], passwordSecret: {name: redis, key: password}}
  replicas: 3
  autoscaling: {minReplicas: 2, maxReplicas: 10, metrics: [{type: Resource, resource: {name: memory, target: {type: Utilization, averageUtilization: 80}}}]}
  files: [{name: rules, configMapName: rules}]
  pod:
    imagePullSecrets: [{name: registry}]
    tolerations: [{key: edge, operator: Exists}]
    nodeSelector: {edge: 'true'}
    topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {a: b}}}]
";

fn all(objects: &Objects) -> Vec<Value> {
    let Objects {
        service_account,
        config_map,
        handler,
        deployment,
        services,
        disruption_budget,
        autoscaler,
        network_policy,
    } = objects;
    let mut all = vec![
        serde_json::to_value(service_account),
        serde_json::to_value(config_map),
        serde_json::to_value(deployment),
        serde_json::to_value(network_policy),
    ];
    all.extend(handler.iter().map(serde_json::to_value));
    all.extend(services.iter().map(serde_json::to_value));
    all.extend(disruption_budget.iter().map(serde_json::to_value));
    all.extend(autoscaler.iter().map(serde_json::to_value));
    all.into_iter()
        .map(|each| each.expect("it can be written"))
        .collect()
}

#[test]
fn they_are_taken_where_pods_are_restricted() {
    let kubernetes = kubernetes();
    let namespace = "
apiVersion: v1
kind: Namespace
metadata: {name: fleet, labels: {pod-security.kubernetes.io/enforce: restricted, pod-security.kubernetes.io/warn: restricted}}
";
    kubernetes.apply(namespace, &[]).expect("it is taken");
    // The resource itself, as the API server stores it.
    kubernetes.apply(MUCH, &[]).expect("it is taken");
    let stored = kubernetes.kubectl(&["-n", "fleet", "get", "exl", "meters", "-o", "json"]);
    let resource: ExProtoListener = serde_json::from_str(&stored).expect("it can be read");
    let valid = validate(&resource, &References::default()).expect("it is valid");
    let settings = Settings {
        image: "exproto-gateway:1".to_owned(),
    };
    for object in all(&build(&valid, &settings)) {
        let said = kubernetes.apply(&object.to_string(), &["--dry-run=server"]);
        let said = said.unwrap_or_else(|said| panic!("{object}: {said}"));
        assert!(!said.contains("Warning"), "{said}");
    }
}
