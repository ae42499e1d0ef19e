//! A service of the user's own: Python's HTTP server.

use std::{path::Path, process::Command};

use exproto_tests::{Pki, Process};
use proto::exproto::ResultCode;
use serde_json::Value;

use super::{RulesFile, Setting, denied, read};
use crate::calls::{ok, refused};

/// The services of authentication and authorization, and where they are.
pub(super) async fn service() -> (Process, String) {
    with(&[]).await
}

async fn with(arguments: &[&Path]) -> (Process, String) {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/gateway/authorization/service.py"
    );
    let mut command = Command::new("python3");
    let mut service = Process::start(command.arg(script).args(arguments), "python3");
    let line = service.output.line("serving ").await;
    (service, line.trim_start_matches("serving ").to_owned())
}

fn source(url: &str) -> String {
    format!("{{http: {{url: \"{url}/acl\", client: {{timeout: 1s}}}}}}")
}

fn sources(url: &str) -> String {
    format!("sources: [{}]", source(url))
}

async fn question(service: &mut Process) -> Value {
    let line = service.output.line("asked ").await;
    serde_json::from_str(line.trim_start_matches("asked ")).unwrap()
}

#[tokio::test]
async fn the_service_decides_and_is_told_what_there_is() {
    let (mut service, url) = service().await;
    let setting = Setting::new(&sources(&url)).await;
    let (_device, mut calls) = setting.client("truck", "u").await;
    ok(&calls.publish("allow/1", 1, "x").await);
    let asked = question(&mut service).await;
    for (key, value) in [
        ("clientid", "truck"),
        ("username", "u"),
        ("peerhost", "127.0.0.1"),
        ("listener", "tcp"),
        ("action", "publish"),
        ("topic", "allow/1"),
    ] {
        assert_eq!(asked[key], value, "{asked}");
    }
    assert_eq!(asked["qos"], 1);
    assert!(asked["client_attrs"].is_object(), "{asked}");
    ok(&calls.subscribe("$share/g/204/#", 0).await);
    let asked = question(&mut service).await;
    assert_eq!(asked["action"], "subscribe");
    assert_eq!(asked["topic"], "204/#");
    for topic in ["deny/1", "ignore/1"] {
        denied(&calls.publish(topic, 0, "x").await);
    }
    assert_eq!(setting.decided("http", "allow").await, 2);
    assert_eq!(setting.decided("http", "deny").await, 1);
    assert_eq!(setting.decided("default", "deny").await, 1);
}

#[tokio::test]
async fn a_service_that_fails_denies_and_is_asked_again() {
    let (mut service, url) = service().await;
    let file = RulesFile::new("- {permission: allow, topic: '#'}\n");
    let sources = format!("sources: [{}, {}]", source(&url), file.source());
    let setting = Setting::new(&format!("{sources}, default: allow")).await;
    let (_device, mut calls) = setting.client("c", "").await;
    let mut failures = 0;
    for topic in ["500", "404", "rubbish", "much", "hang"] {
        for _ in 0..2 {
            let answer = calls.publish(topic, 0, "x").await;
            refused(
                &answer,
                ResultCode::Unknown,
                "authorization is not available",
            );
            assert_eq!(question(&mut service).await["topic"], topic);
            failures += 1;
        }
    }
    assert_eq!(setting.decided("http", "unavailable").await, failures);
    // It is the source after it that decides where it says that it does not.
    ok(&calls.publish("ignore", 0, "x").await);
    drop(service);
    let answer = calls.publish("allow", 0, "x").await;
    refused(
        &answer,
        ResultCode::Unknown,
        "authorization is not available",
    );
}

#[tokio::test]
async fn an_answer_is_remembered_until_something_changes() {
    let (mut service, url) = service().await;
    let setting = Setting::new(&sources(&url)).await;
    let (_device, mut calls) = setting.client("c", "").await;
    for _ in 0..3 {
        ok(&calls.publish("allow/1", 0, "x").await);
        denied(&calls.publish("deny/1", 0, "x").await);
    }
    assert_eq!(setting.decided("cache", "allow").await, 2);
    assert_eq!(setting.decided("cache", "deny").await, 2);
    assert_eq!(question(&mut service).await["topic"], "allow/1");
    assert_eq!(question(&mut service).await["topic"], "deny/1");
    // Of another QoS, and of another client, nothing is known.
    ok(&calls.publish("allow/1", 1, "x").await);
    assert_eq!(question(&mut service).await["qos"], 1);
    let (_device, mut other) = setting.client("d", "").await;
    ok(&other.publish("allow/1", 0, "x").await);
    assert_eq!(question(&mut service).await["clientid"], "d");
    let changed = read(&format!("{}, cache: {{ttl: 30s}}", sources(&url)));
    setting
        .gateway
        .reconfigure(|config| config.authorization = changed);
    ok(&calls.publish("allow/1", 0, "x").await);
    assert_eq!(question(&mut service).await["clientid"], "c");
    assert_eq!(setting.decided("cache", "allow").await, 2);
}

#[tokio::test]
async fn nothing_is_remembered_where_the_cache_is_off() {
    let (mut service, url) = service().await;
    let setting = Setting::new(&format!("{}, cache: {{ttl: off}}", sources(&url))).await;
    let (_device, mut calls) = setting.client("c", "").await;
    for _ in 0..2 {
        ok(&calls.publish("allow/1", 0, "x").await);
        assert_eq!(question(&mut service).await["topic"], "allow/1");
    }
}

#[tokio::test]
async fn the_service_is_known_by_its_certificate() {
    let pki = Pki::new();
    let files = pki.server("localhost");
    let (mut service, url) = with(&[&files.chain, &files.key]).await;
    assert!(url.starts_with("https://"), "{url}");
    let trusting = |ca: &Pki| {
        let client = format!("client: {{ca_file: {}}}", ca.ca_file().display());
        format!("sources: [{{http: {{url: \"{url}/acl\", {client}}}}}]")
    };
    let setting = Setting::new(&trusting(&pki)).await;
    let (_device, mut calls) = setting.client("c", "").await;
    ok(&calls.publish("allow/1", 0, "x").await);
    denied(&calls.publish("deny/1", 0, "x").await);
    for topic in ["allow/1", "deny/1"] {
        assert_eq!(question(&mut service).await["topic"], topic);
    }
    // Whoever only says to be the service is asked nothing.
    let other = Pki::named("Another CA");
    for sources in [trusting(&other), sources(&url)] {
        let authorization = read(&format!("{sources}, default: allow"));
        setting
            .gateway
            .reconfigure(|config| config.authorization = authorization);
        let answer = calls.publish("allow/2", 0, "x").await;
        refused(
            &answer,
            ResultCode::Unknown,
            "authorization is not available",
        );
    }
    let authorization = read(&trusting(&pki));
    setting
        .gateway
        .reconfigure(|config| config.authorization = authorization);
    ok(&calls.publish("allow/3", 0, "x").await);
    assert_eq!(question(&mut service).await["topic"], "allow/3");
}
