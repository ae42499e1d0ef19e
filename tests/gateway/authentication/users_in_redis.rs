//! Users in a Redis server.

use exproto_gateway::auth::hash::argon2id;
use exproto_tests::{RedisServer, until};
use proto::exproto::ResultCode;

use super::{Setting, authenticate};
use crate::calls::{ok, refused};

fn chain(redis: &RedisServer, more: &str) -> String {
    let url = redis.url();
    format!("{{redis: {{server: {{url: \"{url}\", timeout: 500ms}}, {more}}}}}")
}

#[tokio::test]
async fn users_are_hashes_in_redis() {
    let redis = RedisServer::start().await;
    let hash = argon2id(b"hunter2");
    let key = "exproto:user:adam";
    redis.cli(&[
        "HSET",
        key,
        "password_hash",
        &hash,
        "attr.tenant",
        "acme",
        "note",
        "x",
    ]);
    redis.cli(&["HSET", "exproto:user:eve", "password_hash", "plain"]);
    let mut setting = Setting::with(&chain(&redis, ""), |config| {
        config.mountpoint = "${attr.tenant}/".parse().unwrap();
    })
    .await;
    ok(&authenticate(&mut setting.calls, "a", "adam", "hunter2").await);
    ok(&setting.calls.subscribe("x", 0).await);
    ok(&setting.calls.raw_publish("acme/x", 0, "1").await);
    assert_eq!(setting.handler.messages(1).await[0].topic, "x");
    for (name, password) in [
        ("adam", "hunter3"),
        ("seth", "hunter2"),
        ("", "hunter2"),
        ("*", ""),
    ] {
        let answer = setting.ask("b", name, password).await;
        refused(
            &answer,
            ResultCode::PermissionDeny,
            "bad username or password",
        );
    }
    let answer = setting.ask("b", "eve", "plain").await;
    refused(
        &answer,
        ResultCode::Unknown,
        "password_hash of a user in Redis",
    );
    assert!(!answer.message.contains("plain"), "{}", answer.message);
}

#[tokio::test]
async fn while_redis_is_away_nobody_is_let_in_and_then_they_are_again() {
    let mut redis = RedisServer::start().await;
    let hash = argon2id(b"hunter2");
    let add = |redis: &RedisServer| {
        redis.cli(&["HSET", "u:truck-17", "password_hash", &hash]);
    };
    add(&redis);
    let setting = Setting::new(&chain(&redis, "key: \"u:${clientid}\"")).await;
    ok(&setting.ask("truck-17", "", "hunter2").await);
    redis.signal("-STOP");
    let answer = setting.ask("truck-17", "", "hunter2").await;
    refused(
        &answer,
        ResultCode::Unknown,
        "authentication is not available",
    );
    redis.signal("-CONT");
    redis.kill();
    let answer = setting.ask("truck-17", "", "hunter2").await;
    refused(&answer, ResultCode::Unknown, "Redis at redis://127.0.0.1");
    redis.restart().await;
    add(&redis);
    until("Redis to be asked again", async || {
        setting.ask("truck-17", "", "hunter2").await.code() == ResultCode::Success
    })
    .await;
}

#[tokio::test]
async fn redis_may_want_a_password() {
    let redis = RedisServer::with(&["--requirepass", "sesame"]).await;
    let hash = argon2id(b"hunter2");
    redis.cli(&[
        "-a",
        "sesame",
        "HSET",
        "exproto:user:u",
        "password_hash",
        &hash,
    ]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, "sesame\n").unwrap();
    let url = redis.url();
    let with = |more: &str| format!("{{redis: {{server: {{url: \"{url}\"{more}}}}}}}");
    let setting = Setting::new(&with("")).await;
    let answer = setting.ask("a", "u", "hunter2").await;
    refused(&answer, ResultCode::Unknown, "not available");
    let setting = Setting::new(&with(&format!(", password_file: {}", path.display()))).await;
    ok(&setting.ask("a", "u", "hunter2").await);
}
