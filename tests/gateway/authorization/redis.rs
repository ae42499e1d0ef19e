//! Rules in a Redis server.

use exproto_tests::RedisServer;
use proto::exproto::ResultCode;

use super::{Setting, denied};
use crate::calls::{ok, refused};

fn sources(redis: &RedisServer, more: &str) -> String {
    let url = redis.url();
    format!(
        "sources: [{{redis: {{server: {{url: \"{url}\", timeout: 500ms}}{more}}}}}], cache: {{ttl: off}}"
    )
}

#[tokio::test]
async fn rules_of_a_user_are_a_hash_in_redis() {
    let redis = RedisServer::start().await;
    redis.cli(&[
        "HSET",
        "exproto:acl:adam",
        "up/${clientid}/#",
        "publish",
        "down/#",
        "subscribe",
        "both/+",
        "all",
        "down/secret/#",
        r#"{"permission": "deny"}"#,
    ]);
    let setting = Setting::new(&sources(&redis, "")).await;
    let (_device, mut calls) = setting.client("truck", "adam").await;
    ok(&calls.publish("up/truck/1", 0, "x").await);
    denied(&calls.publish("up/car/1", 0, "x").await);
    denied(&calls.subscribe("up/truck/1", 0).await);
    ok(&calls.subscribe("down/public/+", 0).await);
    denied(&calls.subscribe("down/#", 0).await);
    denied(&calls.publish("down/public/1", 0, "x").await);
    ok(&calls.publish("both/1", 0, "x").await);
    ok(&calls.subscribe("both/+", 0).await);
    let (_device, mut eve) = setting.client("eve", "eve").await;
    denied(&eve.publish("both/1", 0, "x").await);
    assert_eq!(setting.decided("default", "deny").await, 4);
    // What Redis says counts at once.
    redis.cli(&["HSET", "exproto:acl:eve", "both/+", "publish"]);
    ok(&eve.publish("both/1", 0, "x").await);
}

#[tokio::test]
async fn names_are_taken_as_they_are() {
    let redis = RedisServer::start().await;
    redis.cli(&["HSET", "acl:*", "a", "all"]);
    redis.cli(&["HSET", "acl:x:y", "b", "all"]);
    redis.cli(&["HSET", "exproto:acl:", "#", "all"]);
    let setting = Setting::new(&sources(&redis, ", key: \"acl:${clientid}\"")).await;
    let (_device, mut star) = setting.client("*", "").await;
    ok(&star.publish("a", 0, "x").await);
    denied(&star.publish("b", 0, "x").await);
    let (_device, mut other) = setting.client("x:y", "").await;
    ok(&other.publish("b", 0, "x").await);
    denied(&other.publish("a", 0, "x").await);
    // Whoever has no username has no rules by username.
    let setting = Setting::new(&sources(&redis, "")).await;
    let (_device, mut nameless) = setting.client("c", "").await;
    denied(&nameless.publish("a", 0, "x").await);
}

#[tokio::test]
async fn what_cannot_be_had_or_understood_denies() {
    let mut redis = RedisServer::start().await;
    redis.cli(&["HSET", "exproto:acl:good", "a", "all"]);
    redis.cli(&["HSET", "exproto:acl:bad", "a", "all", "b", "alow"]);
    redis.cli(&["SET", "exproto:acl:text", "all"]);
    let setting = Setting::new(&format!("{}, default: allow", sources(&redis, ""))).await;
    let unavailable = |answer| {
        refused(
            &answer,
            ResultCode::Unknown,
            "authorization is not available",
        );
    };
    let (_device, mut bad) = setting.client("bad", "bad").await;
    unavailable(bad.publish("a", 0, "x").await);
    let (_device, mut text) = setting.client("text", "text").await;
    unavailable(text.publish("a", 0, "x").await);
    let (_device, mut calls) = setting.client("c", "good").await;
    ok(&calls.publish("a", 0, "x").await);
    redis.signal("-STOP");
    unavailable(calls.publish("a", 0, "x").await);
    redis.signal("-CONT");
    redis.kill();
    unavailable(calls.publish("a", 0, "x").await);
    redis.restart().await;
    redis.cli(&["HSET", "exproto:acl:good", "#", r#"{"permission": "deny"}"#]);
    exproto_tests::until("Redis to be asked again", async || {
        calls.publish("a", 0, "x").await.code() == ResultCode::PermissionDeny
    })
    .await;
}
