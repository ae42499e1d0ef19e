use serde_json::{Value, json};

use super::*;

/// As little as can be said.
fn least() -> Value {
    json!({
        "apiVersion": "exproto.dev/v1alpha1",
        "kind": "ExProtoListener",
        "metadata": { "name": "trackers", "namespace": "fleet" },
        "spec": {
            "ports": [{ "name": "tcp", "transport": "TCP", "port": 7993 }],
            "handler": { "addresses": ["http://10.0.0.1:9001"] },
            "adapter": { "auth": "None" },
        },
    })
}

fn checked(resource: Value) -> Result<Validated, Vec<Problem>> {
    let resource = serde_json::from_value(resource).expect("it is one");
    validate(&resource, &References::default())
}

/// Says something else at a place, such as `/ports/0/port`; where there is nothing yet, it is put there.
fn with(path: &str, value: Value) -> Value {
    let mut resource = least();
    set(&mut resource["spec"], path, value);
    resource
}

fn set(spec: &mut Value, path: &str, value: Value) {
    let (parent, field) = path.rsplit_once('/').expect("a path");
    let parent = spec.pointer_mut(parent).expect("it is there");
    match parent {
        Value::Array(items) => items.push(value),
        fields => fields[field] = value,
    }
}

#[track_caller]
fn refused(resource: Value, field: &str, text: &str) {
    let problems = checked(resource).expect_err(text);
    let is_it = |problem: &Problem| problem.field == field && problem.text.contains(text);
    assert!(problems.iter().any(is_it), "{problems:?}");
}

#[test]
fn little_has_to_be_said() {
    let valid = checked(least()).unwrap();
    assert_eq!(valid.config.listeners.len(), 1);
    assert_eq!(valid.config.adapter.bind.0.port(), 9100);
}

fn other_port(fields: Value) -> Value {
    let mut port = json!({ "name": "other", "transport": "TLS", "port": 1234 });
    let Value::Object(fields) = fields else {
        panic!("a port has fields");
    };
    port.as_object_mut().expect("a port").extend(fields);
    with("/ports/1", port)
}

#[test]
fn every_rule_of_ports_says_what_to_do() {
    let secret = json!({ "secretName": "s" });
    let place = "spec.ports[1]";
    let same = json!({ "transport": "WS", "port": 7993 });
    refused(other_port(same), "spec", "the same number");
    refused(other_port(json!({})), place, "need tls.secretName, or psk");
    let plain = json!({ "transport": "WSS" });
    refused(other_port(plain), place, "WSS needs tls.secretName");
    let plain = json!({ "transport": "TCP", "tls": secret });
    refused(other_port(plain), place, "tls is for transport");
    let plain = json!({ "transport": "UDP", "psk": secret });
    refused(other_port(plain), place, "psk is for transport");
    let both = json!({ "tls": secret, "psk": secret });
    refused(other_port(both), place, "not both");
}

#[test]
fn one_number_may_be_of_tcp_and_of_udp() {
    checked(other_port(json!({ "transport": "UDP", "port": 7993 }))).unwrap();
}

#[test]
fn every_rule_of_handlers_and_callers_says_what_to_do() {
    let two = json!({ "addresses": ["http://10.0.0.1:1"], "serviceRef": { "name": "a" } });
    refused(with("/handler", two), "spec.handler", "exactly one of");
    refused(
        with("/handler", json!({})),
        "spec.handler",
        "exactly one of",
    );
    let place = "spec.adapter";
    let adapter = |auth: &str| {
        let callers = json!([{ "name": "a", "certificate": "a" }]);
        with("/adapter", json!({ "auth": auth, "callers": callers }))
    };
    refused(adapter("None"), place, "need auth Token or MTLS");
    refused(adapter("Token"), place, "needs tokenSecret");
    refused(adapter("MTLS"), place, "needs adapter.tls");
    let nobody = json!({ "auth": "Token" });
    refused(with("/adapter", nobody), place, "need adapter.callers");
    let by_token = json!({
        "auth": "MTLS",
        "callers": [{ "name": "a", "tokenSecret": { "name": "a", "key": "b" } }],
        "tls": { "secretName": "a", "clientCaSecretName": "b" },
    });
    refused(with("/adapter", by_token), place, "needs certificate");
}

#[test]
fn every_other_rule_says_what_to_do() {
    refused(
        with("/replicas", json!(2)),
        "spec",
        "replicas above 1 need redis",
    );
    let scaling = json!({ "minReplicas": 1, "maxReplicas": 2 });
    refused(
        with("/autoscaling", scaling),
        "spec",
        "autoscaling needs redis",
    );
    let scaling = json!({ "minReplicas": 3, "maxReplicas": 2 });
    refused(
        with("/autoscaling", scaling),
        "spec.autoscaling",
        "is more than",
    );
    for field in ["caSecretName", "clientSecretName"] {
        let plain = json!({ "urls": ["redis://a:1"], field: "a" });
        let told = format!("{field} needs urls with rediss://");
        refused(with("/redis", plain), "spec.redis", &told);
    }
    let files = json!([{ "name": "a" }]);
    refused(
        with("/files", files),
        "spec.files[0]",
        "one of secretName and configMapName",
    );
}

#[test]
fn what_the_gateway_does_not_take_is_told_with_the_names_of_the_resource() {
    let resource = with("/ports/0/limits", json!({ "maxConnections": 0 }));
    refused(resource, "spec.ports[0].limits.maxConnections", "0");
    refused(
        with("/limits", json!({ "access": ["x"] })),
        "spec.limits.access[0]",
        "allow",
    );
    let both =
        json!({ "backoffMin": "10s", "backoffMax": "1s", "addresses": ["http://10.0.0.1:1"] });
    refused(
        with("/handler", both),
        "spec.handler.backoffMax",
        "backoffMin",
    );
    refused(
        with("/adapter/port", json!(7993)),
        "spec.adapter.port",
        "ports[0]",
    );
}

#[test]
fn who_need_not_prove_who_they_are_must_be_known() {
    let named = json!({ "addresses": ["http://handler.example.net:1"] });
    refused(
        with("/handler", named),
        "spec.handler.addresses[0]",
        "write IP addresses",
    );
}
