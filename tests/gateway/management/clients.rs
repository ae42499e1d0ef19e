//! Clients and connections: lists, what is shown of one, and kicks.

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, SystemTime},
};

use exproto_tests::{
    Device, TestGateway, TestHandler,
    gateway::{authenticating, config},
};
use jsonwebtoken::{EncodingKey, Header, encode};
use proto::exproto::{ClientInfo, ResultCode};
use serde_json::{Value, json};

use super::{Managed, TOKEN, ask};
use crate::calls::{client, connect, ok, refused};

#[tokio::test]
async fn a_client_is_shown_with_all_that_is_known_of_it() {
    let managed = Managed::with(|config| {
        config.mountpoint = "m/${clientid}/".parse().unwrap();
    })
    .await;
    let (device, mut calls) = connect(&managed.gateway, &managed.handler).await;
    let info = ClientInfo {
        proto_name: "lines".to_owned(),
        proto_ver: "2".to_owned(),
        clientid: "a b".to_owned(),
        username: "ann".to_owned(),
        ..ClientInfo::default()
    };
    ok(&calls.authenticate_as(Some(info), "hunter2").await);
    ok(&calls.subscribe("t/+", 1).await);
    ok(&calls.subscribe("s", 0).await);
    managed.handler.hold(true);
    ok(&calls.publish("t/1", 1, "in flight").await);
    // The handler has it, so the others wait behind it.
    let mut in_flight = managed.handler.next().await;
    for payload in ["waiting", "too"] {
        ok(&calls.publish("t/1", 1, payload).await);
    }
    let shown = managed.get("/api/v1/clients/a%20b").await;
    for (field, value) in [
        ("conn", json!(calls.conn)),
        ("clientid", json!("a b")),
        ("username", json!("ann")),
        ("listener", json!("tcp")),
        ("transport", json!("tcp")),
        ("device", json!(device.address().to_string())),
        ("local", json!(managed.gateway.device_address().to_string())),
        ("mountpoint", json!("m/a b/")),
        ("proto_name", json!("lines")),
        ("proto_ver", json!("2")),
        ("expires_at", Value::Null),
        ("all_subscriptions", json!(2)),
        (
            "subscriptions",
            json!([{"filter": "m/a b/s", "qos": 0}, {"filter": "m/a b/t/+", "qos": 1}]),
        ),
    ] {
        assert_eq!(shown[field], value, "{field}");
    }
    for field in ["connected_at", "authenticated_at"] {
        let at: config::Until = shown[field].as_str().unwrap().parse().unwrap();
        assert!(at.0 <= SystemTime::now());
        assert!(at.0.elapsed().unwrap() < Duration::from_secs(120));
    }
    assert_eq!(shown["messages_waiting"], 2);
    assert!(shown["message_bytes_waiting"].as_u64().unwrap() >= 10);
    assert!(!shown.to_string().contains("hunter2"));
    let list = managed.all("clients", "").await;
    assert_eq!(list.len(), 1);
    assert_eq!(list[0]["conn"], shown["conn"]);
    managed.handler.hold(false);
    in_flight.answer(Ok(()));
}

#[tokio::test]
async fn a_client_that_expires_is_shown_with_its_end() {
    let handler = TestHandler::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, TOKEN).unwrap();
    let mut config = config(&[&handler]);
    config.management.token_file = Some(file);
    let secret = b"a secret of thirty-two bytes, at least";
    let secret_file = folder.path().join("secret");
    fs::write(&secret_file, secret).unwrap();
    let chain = format!("{{jwt: {{secret_file: {}}}}}", secret_file.display());
    let gateway = TestGateway::with(authenticating(config, &chain)).await;
    let year = SystemTime::now() + Duration::from_secs(365 * 24 * 3600);
    let exp = year
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let key = EncodingKey::from_secret(secret);
    let token = encode(&Header::default(), &json!({"exp": exp}), &key).unwrap();
    let (_device, mut calls) = connect(&gateway, &handler).await;
    let info = ClientInfo {
        clientid: "a".to_owned(),
        ..ClientInfo::default()
    };
    ok(&calls.authenticate_as(Some(info), &token).await);
    let address = gateway.management_address().unwrap();
    let (_, shown) = ask(address, "GET", "/api/v1/clients/a", Some(TOKEN), "").await;
    let end: config::Until = shown["expires_at"].as_str().unwrap().parse().unwrap();
    assert!(end.0 > SystemTime::now() + Duration::from_secs(364 * 24 * 3600));
}

#[tokio::test]
async fn lists_are_filtered() {
    let managed = Managed::start().await;
    let (gateway, handler) = (&managed.gateway, &managed.handler);
    let mut devices = Vec::new();
    for (clientid, username) in [("dev-1", "ann"), ("dev-2", "bob"), ("x", "ann")] {
        let (device, mut calls) = connect(gateway, handler).await;
        let info = ClientInfo {
            proto_name: "test".to_owned(),
            proto_ver: "1".to_owned(),
            clientid: clientid.to_owned(),
            username: username.to_owned(),
            ..ClientInfo::default()
        };
        ok(&calls.authenticate_as(Some(info), "").await);
        devices.push(device);
    }
    let (_stranger, stranger) = connect(gateway, handler).await;
    for (query, expected) in [
        ("", vec!["dev-1", "dev-2", "x"]),
        ("clientid_prefix=dev-", vec!["dev-1", "dev-2"]),
        ("username=ann", vec!["dev-1", "x"]),
        ("username=ann&clientid_prefix=d", vec!["dev-1"]),
        (
            "network=127.0.0.0/8&listener=tcp",
            vec!["dev-1", "dev-2", "x"],
        ),
        ("network=10.0.0.0/8", vec![]),
        ("listener=other", vec![]),
    ] {
        let found = managed.all("clients", query).await;
        let found: Vec<_> = found
            .iter()
            .map(|client| client["clientid"].as_str().unwrap())
            .collect();
        assert_eq!(found, expected, "{query}");
    }
    for (query, expected) in [
        ("", 4),
        ("authenticated=true", 3),
        ("authenticated=false", 1),
        ("network=127.0.0.1", 4),
        ("listener=other", 0),
    ] {
        assert_eq!(
            managed.all("connections", query).await.len(),
            expected,
            "{query}"
        );
    }
    let open = managed.all("connections", "authenticated=false").await;
    assert_eq!(open[0]["conn"], stranger.conn);
    assert_eq!(open[0]["clientid"], Value::Null);
    let one = managed
        .get(&format!("/api/v1/connections/{}", stranger.conn))
        .await;
    assert_eq!(one["conn"], stranger.conn);
    assert_eq!(one["certificate"], Value::Null);
}

#[tokio::test]
async fn pages_show_each_connection_once() {
    const DEVICES: usize = 2500;
    let managed = Managed::start().await;
    let address = managed.gateway.device_address();
    let mut devices = Vec::new();
    for _ in 0..DEVICES {
        devices.push(Device::connect(address).await);
    }
    let open = "exproto_connections{listener=\"tcp\"}";
    managed.gateway.is(open, DEVICES as u64).await;
    let mut seen = BTreeSet::new();
    let mut after = String::new();
    let mut pages = 0;
    loop {
        let page = managed
            .get(&format!("/api/v1/connections?limit=300{after}"))
            .await;
        for connection in page["connections"].as_array().unwrap() {
            let conn = connection["conn"].as_str().unwrap().to_owned();
            assert!(seen.insert(conn), "twice: {connection}");
        }
        pages += 1;
        // What comes and goes meanwhile moves nothing.
        devices.push(Device::connect(address).await);
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert!(pages >= 9, "{pages}");
    assert!(
        (DEVICES..=DEVICES + pages).contains(&seen.len()),
        "{}",
        seen.len()
    );
}

#[tokio::test]
async fn a_kicked_client_is_closed_and_may_come_back() {
    let managed = Managed::start().await;
    let (gateway, handler) = (&managed.gateway, &managed.handler);
    let (mut device, mut calls) = client(gateway, handler, "a/b").await;
    let (status, answer) = managed.ask("DELETE", "/api/v1/clients/a%2Fb", "").await;
    assert_eq!(status, 200);
    assert_eq!(
        answer,
        json!({"kicked": {"clientid": "a/b", "conn": calls.conn}})
    );
    assert_eq!(handler.closed().await, "kicked");
    device.read_to_end().await;
    refused(
        &calls.send("x").await,
        ResultCode::ConnProcessNotAlive,
        "ended",
    );
    let again = managed.wrong("DELETE", "/api/v1/clients/a%2Fb", "").await;
    assert_eq!(again.0, 404);
    let (_device, _) = client(gateway, handler, "a/b").await;
    managed.get("/api/v1/clients/a%2Fb").await;
}

#[tokio::test]
async fn a_connection_is_closed_before_anybody_authenticated_it() {
    let managed = Managed::start().await;
    let (mut device, calls) = connect(&managed.gateway, &managed.handler).await;
    let path = format!("/api/v1/connections/{}", calls.conn);
    let (status, answer) = managed.ask("DELETE", &path, "").await;
    assert_eq!((status, &answer["kicked"]["clientid"]), (200, &Value::Null));
    assert_eq!(managed.handler.closed().await, "kicked");
    device.read_to_end().await;
    assert_eq!(managed.wrong("GET", &path, "").await.0, 404);
}
