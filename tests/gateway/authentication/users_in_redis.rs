//! Users in a Redis server.

use exproto_gateway::auth::hash::argon2id;
use exproto_tests::{Pki, RedisServer, pki::Files, until};
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

/// The server in a chain, with more settings of its.
fn server(redis: &RedisServer, more: &str) -> String {
    format!("{{redis: {{server: {{url: \"{}\"{more}}}}}}}", redis.url())
}

#[tokio::test]
async fn redis_may_want_a_user_of_its_access_lists() {
    let redis = RedisServer::start().await;
    let hash = argon2id(b"hunter2");
    redis.cli(&["HSET", "exproto:user:u", "password_hash", &hash]);
    redis.cli(&["HSET", "secret:u", "password_hash", &hash]);
    // No more than it needs.
    let rights = [
        "on",
        ">sesame",
        "~exproto:user:*",
        "-@all",
        "+hlen",
        "+hgetall",
    ];
    redis.cli(&[&["ACL", "SETUSER", "exproto"], &rights[..]].concat());
    redis.cli(&["ACL", "SETUSER", "default", "off"]);
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, password: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, password).unwrap();
        path.display().to_string()
    };
    let (right, wrong) = (write("right", "sesame\n"), write("wrong", "sesam\n"));
    let login = format!(", username: exproto, password_file: {right}");
    let setting = Setting::new(&server(&redis, &login)).await;
    ok(&setting.ask("a", "u", "hunter2").await);
    refused(
        &setting.ask("a", "u", "hunter3").await,
        ResultCode::PermissionDeny,
        "bad username or password",
    );
    for login in [
        String::new(),
        format!(", password_file: {right}"),
        format!(", username: exproto, password_file: {wrong}"),
        format!(", username: other, password_file: {right}"),
    ] {
        let setting = Setting::new(&server(&redis, &login)).await;
        let answer = setting.ask("a", "u", "hunter2").await;
        refused(
            &answer,
            ResultCode::Unknown,
            "authentication is not available",
        );
        assert!(!answer.message.contains("sesam"), "{}", answer.message);
    }
    // What Redis does not let it read is not read.
    let elsewhere = server(&redis, &login).replace("}}}", "}, key: \"secret:${username}\"}}");
    let setting = Setting::new(&elsewhere).await;
    let answer = setting.ask("a", "u", "hunter2").await;
    refused(
        &answer,
        ResultCode::Unknown,
        "authentication is not available",
    );
}

#[tokio::test]
async fn redis_is_known_by_its_certificate() {
    let pki = Pki::new();
    let mut redis = RedisServer::over_tls(&pki, false).await;
    let hash = argon2id(b"hunter2");
    let add = |redis: &RedisServer| {
        redis.cli(&["HSET", "exproto:user:u", "password_hash", &hash]);
    };
    add(&redis);
    let trusting = |ca: &Pki| server(&redis, &format!(", ca_file: {}", ca.ca_file().display()));
    let good = trusting(&pki);
    let other = Pki::named("Another CA");
    let unknown = [trusting(&other), server(&redis, "")];
    let by_address = good.replace("localhost", "127.0.0.1");
    let in_the_open = server(&redis, "").replace("rediss://localhost", "redis://127.0.0.1");
    for chain in unknown.into_iter().chain([by_address, in_the_open]) {
        let setting = Setting::new(&chain).await;
        let answer = setting.ask("a", "u", "hunter2").await;
        refused(
            &answer,
            ResultCode::Unknown,
            "authentication is not available",
        );
    }
    let setting = Setting::new(&good).await;
    ok(&setting.ask("a", "u", "hunter2").await);
    // It is connected to again over TLS, too.
    redis.restart().await;
    add(&redis);
    until("Redis to be asked again", async || {
        setting.ask("a", "u", "hunter2").await.code() == ResultCode::Success
    })
    .await;
}

#[tokio::test]
async fn redis_may_want_a_certificate() {
    let pki = Pki::new();
    let redis = RedisServer::over_tls(&pki, true).await;
    let hash = argon2id(b"hunter2");
    redis.cli(&["HSET", "exproto:user:u", "password_hash", &hash]);
    let ca = pki.ca_file();
    let showing = |own: &Files| {
        let (chain, key) = (own.chain.display(), own.key.display());
        let certificate = format!("certificate: {{chain: {chain}, key: {key}}}");
        server(
            &redis,
            &format!(", ca_file: {}, {certificate}", ca.display()),
        )
    };
    let setting = Setting::new(&showing(&pki.client("gateway-1"))).await;
    ok(&setting.ask("a", "u", "hunter2").await);
    let foreign = Pki::named("Another CA");
    let foreign = showing(&foreign.client("gateway-1"));
    let none = server(&redis, &format!(", ca_file: {}", ca.display()));
    for chain in [foreign, none] {
        let setting = Setting::new(&chain).await;
        let answer = setting.ask("a", "u", "hunter2").await;
        refused(
            &answer,
            ResultCode::Unknown,
            "authentication is not available",
        );
    }
}
