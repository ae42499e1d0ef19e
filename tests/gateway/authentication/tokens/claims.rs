//! What tokens say of a client: rules, attributes.

use std::{fs, path::PathBuf};

use proto::exproto::ResultCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Issuer, Setting, authenticate, chain, hour};
use crate::calls::{ok, refused};

const SECRET: &str = "thirty-two bytes of no chance...";

fn secret_file() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    fs::write(&path, format!("{SECRET}\n")).unwrap();
    (folder, path)
}

/// Claims with rules for a tenant.
fn granting(sub: &str, tenant: &str) -> Value {
    let mut claims = hour(sub);
    claims["tenant_id"] = json!(tenant);
    claims["acl"] = json!([
        {"permission": "deny", "action": "subscribe", "topic": "own/${clientid}/secret/#"},
        {"permission": "allow", "action": "publish", "topic": "own/${clientid}/#"},
        {"permission": "allow", "action": "subscribe", "topics": ["own/${clientid}/#", "news/${attr.tenant}"]},
    ]);
    claims
}

/// What the rules of [`granting`] allow `truck-17` of `acme`, and what they do not.
async fn only_what_the_token_allows(setting: &mut Setting) {
    let calls = &mut setting.calls;
    let denied = |answer| refused(&answer, ResultCode::PermissionDeny, "not allowed to");
    for topic in ["own/truck-18/x", "news/acme", "other"] {
        denied(calls.publish(topic, 0, "x").await);
    }
    for filter in [
        "own/truck-17/#",
        "own/truck-17/secret/x",
        "own/+/x",
        "news/other",
        "news/+",
        "#",
    ] {
        denied(calls.subscribe(filter, 0).await);
    }
    ok(&calls.subscribe("news/acme", 0).await);
    ok(&calls.subscribe("own/truck-17/x", 0).await);
    ok(&calls.publish("own/truck-17/x", 0, "to myself").await);
    // What nobody may subscribe to may still be published.
    ok(&calls.publish("own/truck-17/secret/x", 0, "x").await);
    // The topic is where the attribute of the mountpoint says.
    ok(&calls.raw_publish("acme/news/acme", 0, "news").await);
    ok(&calls.raw_publish("other/news/acme", 0, "not yours").await);
    ok(&calls.raw_publish("acme/own/truck-17/x", 0, "last").await);
    let messages = setting.handler.messages(3).await;
    let messages: Vec<_> = messages
        .iter()
        .map(|message| (&*message.topic, &*message.payload))
        .collect();
    assert_eq!(
        messages,
        [
            ("own/truck-17/x", &b"to myself"[..]),
            ("news/acme", b"news"),
            ("own/truck-17/x", b"last"),
        ]
    );
}

fn mounted(config: &mut config::Config) {
    config.mountpoint = "${attr.tenant}/".parse().unwrap();
}

const ATTRIBUTES: &str = "attributes: {tenant: tenant_id}";

#[tokio::test]
async fn a_token_brings_rules_and_attributes() {
    let mut issuer = Issuer::start().await;
    let mut setting = Setting::with(&chain(&issuer, ATTRIBUTES), mounted).await;
    let token = issuer.token("ES256-1", &granting("truck-17", "acme")).await;
    ok(&authenticate(&mut setting.calls, "truck-17", "", &token).await);
    only_what_the_token_allows(&mut setting).await;
}

#[tokio::test]
async fn a_token_of_a_shared_secret_does_so_too() {
    let mut issuer = Issuer::start().await;
    let (_folder, path) = secret_file();
    let chain = format!(
        "{{jwt: {{secret_file: {}, claims: {{sub: \"${{clientid}}\"}}, {ATTRIBUTES}}}}}",
        path.display()
    );
    let mut setting = Setting::with(&chain, mounted).await;
    let mut question = json!({"claims": granting("truck-17", "acme"), "secret": SECRET});
    let token = issuer.told(&question, "token").await;
    ok(&authenticate(&mut setting.calls, "truck-17", "", &token).await);
    only_what_the_token_allows(&mut setting).await;
    // That of somebody who has another secret.
    question["secret"] = json!("thirty-two bytes of another kind");
    let forged = issuer.told(&question, "token").await;
    let answer = setting.ask("truck-17", "", &forged).await;
    refused(&answer, ResultCode::PermissionDeny, "signature");
}

#[tokio::test]
async fn claims_that_cannot_be_used_let_nobody_in() {
    let mut issuer = Issuer::start().await;
    let setting = Setting::with(&chain(&issuer, ATTRIBUTES), mounted).await;
    let with = |name: &str, value: Value| {
        let mut claims = granting("a", "acme");
        claims[name] = value;
        claims
    };
    let broken = json!([{"permission": "allow", "topic": "a/#/b"}]);
    for (claims, why) in [
        (with("acl", broken), "a/#/b"),
        (with("acl", json!("everything")), "rules"),
        (with("tenant_id", json!({"id": 1})), "tenant_id is no text"),
        (with("tenant_id", json!("acme/../other")), "attr.tenant"),
        (with("tenant_id", json!("+")), "attr.tenant"),
        (with("tenant_id", Value::Null), "attr.tenant"),
    ] {
        let token = issuer.token("ES256-1", &claims).await;
        let answer = setting.ask("a", "", &token).await;
        refused(&answer, ResultCode::PermissionDeny, why);
    }
}
