//! Whoever asks one pod asks all of them.

use std::{fs, time::Duration};

use config::{BrokerKind, Config};
use exproto_tests::{Device, RedisServer, until};
use proto::exproto::ResultCode;
use serde_json::Value;
use tempfile::TempDir;

use super::Managed;
use crate::calls::{Calls, client, connect, ok, refused};

/// Two pods that share a Redis.
struct Pair {
    one: Managed,
    two: Managed,
    redis: RedisServer,
    folder: TempDir,
}

impl Pair {
    async fn start() -> Self {
        let redis = RedisServer::start().await;
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("key"), [7; 32]).unwrap();
        let pair = Self {
            one: pod(&redis, &folder, "a").await,
            two: pod(&redis, &folder, "b").await,
            redis,
            folder,
        };
        pair.know_each_other().await;
        pair
    }

    async fn know_each_other(&self) {
        for (pod, other) in [(&self.one, &self.two), (&self.two, &self.one)] {
            let client = client_of(other, "known").await;
            until("the pods to know each other", async || {
                pod.ask("GET", "/api/v1/clients/known", "").await.0 == 200
            })
            .await;
            drop(client);
            other.handler.closed().await;
        }
    }
}

async fn pod(redis: &RedisServer, folder: &TempDir, name: &str) -> Managed {
    let (key, url) = (folder.path().join("key"), redis.url());
    Managed::with(|config: &mut Config| {
        config.pod.name = Some(name.parse().unwrap());
        config.cluster.key_file = Some(key);
        config.cluster.lease = Duration::from_secs(1);
        config.cluster.peers.bind = "127.0.0.1:0".parse().unwrap();
        config.cluster.peers.timeout = Duration::from_secs(1);
        config.broker.kind = BrokerKind::Redis;
        config.redis.urls = vec![url.parse().unwrap()];
    })
    .await
}

async fn client_of(pod: &Managed, clientid: &str) -> (Device, Calls) {
    client(&pod.gateway, &pod.handler, clientid).await
}

fn clientids(list: &[Value]) -> Vec<&str> {
    let ids = list.iter().map(|entry| entry["clientid"].as_str().unwrap());
    ids.collect()
}

#[tokio::test]
async fn lists_are_of_all_pods_page_by_page() {
    let pair = Pair::start().await;
    let mut clients = Vec::new();
    for number in 0..5 {
        clients.push(client_of(&pair.one, &format!("a-{number}")).await);
        clients.push(client_of(&pair.two, &format!("b-{number}")).await);
    }
    clients.push(client_of(&pair.two, "other").await);
    let expected = [
        "a-0", "a-1", "a-2", "a-3", "a-4", "b-0", "b-1", "b-2", "b-3", "b-4", "other",
    ];
    for pod in [&pair.one, &pair.two] {
        // Once each knows the other.
        until("all clients", async || {
            pod.all("clients", "limit=100").await.len() == 11
        })
        .await;
        for limit in [1, 3, 5, 11] {
            let all = pod.all("clients", &format!("limit={limit}")).await;
            assert_eq!(clientids(&all), expected, "{limit}");
            assert!(all[0]["pod"].as_str().unwrap().starts_with("a."));
        }
        let some = pod.all("clients", "clientid_prefix=b-&limit=2").await;
        assert_eq!(clientids(&some), expected[5..10]);
        let connections = pod.all("connections", "authenticated=true&limit=4").await;
        assert_eq!(clientids(&connections), expected);
        let (status, code, _) = pod.wrong("GET", "/api/v1/clients?after=7", "").await;
        assert_eq!((status, &*code), (400, "bad_request"));
    }
}

#[tokio::test]
async fn a_client_is_found_and_kicked_wherever_it_is() {
    let pair = Pair::start().await;
    let (mut device, calls) = client_of(&pair.two, "truck").await;
    let path = "/api/v1/clients/truck";
    until("it to be found", async || {
        pair.one.ask("GET", path, "").await.0 == 200
    })
    .await;
    let shown = pair.one.get(path).await;
    assert_eq!(shown["conn"], calls.conn.as_str());
    assert_eq!(shown["all_subscriptions"], 0);
    let (status, kicked) = pair.one.ask("DELETE", path, "").await;
    assert_eq!(
        (status, &kicked["kicked"]["clientid"]),
        (200, &"truck".into())
    );
    device.closed().await;
    assert_eq!(pair.two.handler.closed().await, "kicked");
    let (status, code, message) = pair.one.wrong("DELETE", path, "").await;
    assert_eq!((status, &*code), (404, "not_found"), "{message}");

    let (mut device, calls) = connect(&pair.two.gateway, &pair.two.handler).await;
    let path = format!("/api/v1/connections/{}", calls.conn);
    assert_eq!(pair.one.get(&path).await["conn"], calls.conn.as_str());
    let (status, _) = pair.one.ask("DELETE", &path, "").await;
    assert_eq!(status, 200);
    device.closed().await;
    let (status, ..) = pair.one.wrong("GET", &path, "").await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_pod_that_cannot_be_asked_is_named() {
    let pair = Pair::start().await;
    let silent = Managed::with(|config: &mut Config| {
        config.pod.name = Some("silent".parse().unwrap());
        config.cluster.key_file = Some(pair.folder.path().join("key"));
        config.cluster.peers.bind = "127.0.0.1:0".parse().unwrap();
        config.cluster.peers.advertised_address = Some("127.0.0.1:1".parse().unwrap());
        config.broker.kind = BrokerKind::Redis;
        config.redis.urls = vec![pair.redis.url().parse().unwrap()];
    })
    .await;
    let _client = client_of(&silent, "hidden").await;
    let _other = client_of(&pair.two, "truck").await;
    until("it to be missed", async || {
        let list = pair.one.get("/api/v1/clients").await;
        let missing = list["missing"].as_array().unwrap().clone();
        missing.iter().any(|missing| {
            missing["pod"].as_str().unwrap().starts_with("silent.")
                && missing["why"].as_str().unwrap().contains("127.0.0.1:1")
        })
    })
    .await;
    let list = pair.one.get("/api/v1/clients").await;
    assert_eq!(clientids(list["clients"].as_array().unwrap()), ["truck"]);
    // What is found needs nobody else; what is not may be there.
    pair.one.get("/api/v1/clients/truck").await;
    let (status, code, message) = pair.one.wrong("GET", "/api/v1/clients/hidden", "").await;
    assert_eq!((status, &*code), (503, "unavailable"));
    assert!(message.starts_with("pod silent."), "{message}");
}

const TRUCK: &str = r#"{"who": "clientid:truck", "duration": "1h", "reason": "stolen"}"#;

/// The bans that a pod knows.
async fn banned(pod: &Managed) -> Vec<String> {
    let bans = pod.all("bans", "limit=100").await;
    let who = bans
        .iter()
        .map(|ban| ban["who"].as_str().unwrap().to_owned());
    who.collect()
}

#[tokio::test]
async fn a_ban_holds_in_all_pods_also_in_those_that_come_later() {
    let pair = Pair::start().await;
    let (mut device, _) = client_of(&pair.two, "truck").await;
    until("the pods to know each other", async || {
        pair.one.ask("GET", "/api/v1/clients/truck", "").await.0 == 200
    })
    .await;
    let (status, ban) = pair.one.ask("POST", "/api/v1/bans", TRUCK).await;
    assert_eq!(
        (status, &ban["missing"]),
        (201, &Value::Array(Vec::new())),
        "{ban}"
    );
    assert!(ban.get("not_kept").is_none(), "{ban}");
    // By the time of the answer.
    assert_eq!(banned(&pair.two).await, ["clientid:truck"]);
    device.closed().await;
    assert_eq!(pair.two.handler.closed().await, "banned");
    let (_device, mut calls) = connect(&pair.two.gateway, &pair.two.handler).await;
    refused(
        &calls.authenticate("truck").await,
        ResultCode::PermissionDeny,
        "stolen",
    );

    let later = pod(&pair.redis, &pair.folder, "c").await;
    until("it to know", async || {
        banned(&later).await == ["clientid:truck"]
    })
    .await;
    let (status, _) = later.ask("DELETE", "/api/v1/bans/clientid:truck", "").await;
    assert_eq!(status, 200);
    for pod in [&pair.one, &pair.two, &later] {
        until("it to be lifted", async || banned(pod).await.is_empty()).await;
    }
    ok(&calls.authenticate("truck").await);
    let (status, code, _) = later
        .wrong("DELETE", "/api/v1/bans/clientid:truck", "")
        .await;
    assert_eq!((status, &*code), (404, "not_found"));
    // What stands there and was not written by a pod is passed over.
    let hash = pair.redis.cli(&["KEYS", "*.bans.version"]);
    let hash = hash.trim().strip_suffix(".version").unwrap();
    pair.redis.cli(&["HSET", hash, "10.0.0.0/8", "forged"]);
    let (status, _) = pair.one.ask("POST", "/api/v1/bans", TRUCK).await;
    assert_eq!(status, 201);
    until("another to have looked", async || {
        banned(&later).await == ["clientid:truck"]
    })
    .await;
}

#[tokio::test]
async fn without_redis_a_ban_holds_where_it_was_told_and_that_is_said() {
    let mut pair = Pair::start().await;
    let _client = client_of(&pair.two, "bus").await;
    until("the pods to know each other", async || {
        pair.one.ask("GET", "/api/v1/clients/bus", "").await.0 == 200
    })
    .await;
    pair.redis.kill();
    let (status, ban) = pair.one.ask("POST", "/api/v1/bans", TRUCK).await;
    assert_eq!(status, 201);
    assert!(
        ban["not_kept"].as_str().unwrap().contains("come later"),
        "{ban}"
    );
    assert_eq!(banned(&pair.one).await, ["clientid:truck"]);
    assert_eq!(banned(&pair.two).await, ["clientid:truck"]);
}

#[tokio::test]
async fn a_redis_that_has_lost_the_bans_gets_them_back() {
    let mut pair = Pair::start().await;
    let (status, _) = pair.one.ask("POST", "/api/v1/bans", TRUCK).await;
    assert_eq!(status, 201);
    pair.redis.kill();
    pair.redis.restart().await;
    until("Redis to have them", async || {
        let hash = pair.redis.cli(&["KEYS", "*.bans"]);
        let bans = pair.redis.cli(&["HKEYS", hash.trim()]);
        bans.contains("clientid:truck")
    })
    .await;
    let later = pod(&pair.redis, &pair.folder, "c").await;
    until("it to know", async || {
        banned(&later).await == ["clientid:truck"]
    })
    .await;
    for pod in [&pair.one, &pair.two] {
        assert_eq!(banned(pod).await, ["clientid:truck"]);
    }
}
