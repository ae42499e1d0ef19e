//! What an API server makes of the definition.

use serde_json::{Value, json};

use super::kubernetes;

/// As little as can be said, and something else at a place.
fn resource(path: &str, value: Value) -> String {
    let mut resource = json!({
        "apiVersion": "exproto.dev/v1alpha1",
        "kind": "ExProtoListener",
        "metadata": { "name": "trackers", "namespace": "default" },
        "spec": {
            "ports": [{ "name": "tcp", "transport": "TCP", "port": 7993 }],
            "handler": { "addresses": ["http://10.0.0.1:9001"] },
            "adapter": { "auth": "None" },
        },
    });
    if let Some((parent, field)) = path.rsplit_once('/') {
        let parent = resource["spec"].pointer_mut(parent).expect("a place");
        parent[field] = value;
    }
    resource.to_string()
}

/// What stands there, and what is said of it.
fn wrong() -> Vec<(&'static str, Value, &'static str)> {
    let port = |port: Value| json!([{ "name": "tcp", "transport": "TCP", "port": 7993 }, port]);
    vec![
        ("/replicas", json!(2), "replicas above 1 need redis"),
        (
            "/autoscaling",
            json!({ "minReplicas": 3, "maxReplicas": 2 }),
            "autoscaling.minReplicas is more than",
        ),
        (
            "/ports",
            port(json!({ "name": "ws", "transport": "WS", "port": 7993 })),
            "have the same number",
        ),
        (
            "/ports",
            port(json!({ "name": "tls", "transport": "TLS", "port": 1 })),
            "need tls.secretName, or psk",
        ),
        ("/handler", json!({}), "write exactly one of"),
        (
            "/adapter",
            json!({ "auth": "Token" }),
            "need adapter.callers",
        ),
        (
            "/redis",
            json!({ "urls": ["redis://a:1"], "caSecretName": "a" }),
            "needs urls with rediss://",
        ),
        (
            "/files",
            json!([{ "name": "a" }]),
            "one of secretName and configMapName",
        ),
    ]
}

#[test]
fn resources_are_held_to_it() {
    let kubernetes = kubernetes();
    for (path, value, told) in wrong() {
        let resource = resource(path, value);
        let said = kubernetes.apply(&resource, &[]).expect_err(told);
        assert!(said.contains(told), "{said}");
        // Without an API server the same is said.
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), &resource).expect("it takes it");
        let said = exproto_operator::check::check(file.path()).expect_err(told);
        assert!(said.to_string().contains(told), "{said}");
    }
    let unknown = resource("/ports/0/idleTimout", json!("5m"));
    let said = kubernetes
        .apply(&unknown, &[])
        .expect_err("nobody knows it");
    assert!(said.contains("idleTimout"), "{said}");
    let twice = json!([
        { "name": "tcp", "transport": "TCP", "port": 7993 },
        { "name": "tcp", "transport": "TCP", "port": 7994 },
    ]);
    let said = kubernetes.apply(&resource("/ports", twice), &[]);
    assert!(said.is_err(), "{said:?}");
}

#[test]
fn what_is_left_out_is_filled_in_and_what_is_there_can_be_scaled() {
    let kubernetes = kubernetes();
    let redis = resource("/redis", json!({ "urls": ["redis://redis:6379"] }));
    kubernetes.apply(&redis, &[]).expect("it is taken");
    let of = |path: &str| {
        let path = format!("jsonpath={{{path}}}");
        kubernetes.kubectl(&["get", "exl", "trackers", "-o", &path])
    };
    assert_eq!(of(".spec.replicas"), "1");
    assert_eq!(of(".spec.adapter.port"), "9100");
    // Defaults of the gateway are not stored: a newer one may have better ones.
    assert_eq!(of(".spec.ports[0].limits"), "");
    kubernetes.kubectl(&["scale", "exl", "trackers", "--replicas=3"]);
    assert_eq!(of(".spec.replicas"), "3");
    let table = kubernetes.kubectl(&["get", "exl"]);
    for column in ["READY", "REASON", "PORTS", "HANDLERS", "CONNECTIONS", "AGE"] {
        assert!(table.contains(column), "{table}");
    }
    let told = kubernetes.kubectl(&["explain", "exl.spec.ports.limits.maxConnections"]);
    assert!(told.contains("How many connections may be open"), "{told}");
}
