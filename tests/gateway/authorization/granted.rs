//! Rules and attributes that come with a client's authentication.

use exproto_tests::gateway::authenticating;
use proto::exproto::ResultCode;

use super::{RulesFile, Setting, authenticate, denied, service::service};
use crate::calls::{connect, ok, refused};

async fn setting(url: &str, authorization: &str) -> Setting {
    let chain = format!("{{http: {{url: \"{url}/authenticate\"}}}}");
    Setting::with(authorization, |config| {
        *config = authenticating(config.clone(), &chain);
    })
    .await
}

#[tokio::test]
async fn granted_rules_go_before_the_sources() {
    let (_service, url) = service().await;
    let file = RulesFile::new(
        "- {permission: deny, topic: own/1}\n\
         - {permission: allow, topics: [own/secret/1, shared/#]}\n",
    );
    let setting = setting(&url, &file.sources()).await;
    let (_device, mut calls) = setting.client("c", "granted").await;
    ok(&calls.publish("own/1", 0, "x").await);
    ok(&calls.subscribe("own/1/#", 0).await);
    // `own/secret` is one of these.
    denied(&calls.subscribe("own/+", 0).await);
    denied(&calls.subscribe("own/secret/1", 0).await);
    denied(&calls.subscribe("own/#", 0).await);
    ok(&calls.publish("shared/1", 0, "x").await);
    denied(&calls.publish("other/1", 0, "x").await);
    let (_device, mut plain) = setting.client("d", "plain").await;
    denied(&plain.publish("own/1", 0, "x").await);
    ok(&plain.subscribe("own/secret/1", 0).await);
}

#[tokio::test]
async fn rules_alone_bring_the_default_for_their_client() {
    let (_service, url) = service().await;
    let setting = setting(&url, "").await;
    let (_device, mut granted) = setting.client("c", "granted").await;
    ok(&granted.publish("own/1", 0, "x").await);
    denied(&granted.publish("other", 0, "x").await);
    let (_device, mut plain) = setting.client("d", "plain").await;
    ok(&plain.publish("other", 0, "x").await);
}

#[tokio::test]
async fn a_superuser_may_do_anything() {
    let (_service, url) = service().await;
    let file = RulesFile::new("- {permission: deny, topics: ['#', $SYS/#]}\n");
    let setting = setting(&url, &file.sources()).await;
    let (_device, mut calls) = setting.client("c", "super").await;
    ok(&calls.publish("a", 0, "x").await);
    ok(&calls.subscribe("#", 0).await);
    ok(&calls.subscribe("$SYS/#", 0).await);
    let (_device, mut plain) = setting.client("d", "plain").await;
    denied(&plain.publish("a", 0, "x").await);
}

#[tokio::test]
async fn rules_know_attributes() {
    let (_service, url) = service().await;
    let file = RulesFile::new(
        "- {permission: allow, topic: 'team/${attr.team}/#'}\n\
         - {permission: allow, topic: red, attributes: {team: red}}\n",
    );
    let setting = setting(&url, &file.sources()).await;
    let (_device, mut red) = setting.client("c", "red").await;
    ok(&red.publish("team/red/1", 0, "x").await);
    ok(&red.publish("red", 0, "x").await);
    denied(&red.publish("team/blue/1", 0, "x").await);
    let (_device, mut plain) = setting.client("d", "plain").await;
    denied(&plain.publish("team/red/1", 0, "x").await);
    denied(&plain.publish("team//1", 0, "x").await);
    denied(&plain.publish("red", 0, "x").await);
}

#[tokio::test]
async fn rules_that_cannot_be_used_let_nobody_in() {
    let (_service, url) = service().await;
    let setting = setting(&url, "").await;
    let (_device, mut calls) = connect(&setting.gateway, &setting.handler).await;
    let answer = authenticate(&mut calls, "c", "broken").await;
    refused(&answer, ResultCode::PermissionDeny, "a/#/b");
}
