//! When clients come and go, as messages.

use std::collections::{HashMap, VecDeque};

use exproto_tests::{
    Device, Event, TestGateway, TestHandler,
    gateway::{allowing_everything, config},
};
use proto::exproto::Message;
use serde_json::Value;

use crate::calls::{Calls, client, connect, ok};

/// A gateway that publishes events, and a client that hears of them.
struct Setting {
    handler: TestHandler,
    gateway: TestGateway,
    watcher: Calls,
    _device: Device,
    /// Events that came and were not looked at.
    waiting: VecDeque<(String, Value)>,
}

impl Setting {
    async fn new() -> Self {
        let handler = TestHandler::start();
        let mut config = allowing_everything(config(&[&handler]));
        config.broker.sys_events = true;
        config.pod.name = Some("pod-7".parse().unwrap());
        let gateway = TestGateway::with(config).await;
        let (device, mut calls) = client(&gateway, &handler, "watcher").await;
        ok(&calls.subscribe("$SYS/exproto/clients/#", 0).await);
        Self {
            handler,
            gateway,
            watcher: calls,
            _device: device,
            waiting: VecDeque::new(),
        }
    }

    /// The next event; other callbacks are passed over.
    async fn event(&mut self) -> (String, Value) {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return event;
            }
            let callback = self.handler.next().await;
            if let Event::Messages(messages) = callback.event {
                assert_eq!(callback.conn, self.watcher.conn);
                self.waiting.extend(messages.iter().map(parsed));
            }
        }
    }
}

/// What follows `$SYS/exproto/clients/` in the topic, and the payload.
fn parsed(message: &Message) -> (String, Value) {
    assert_eq!((message.qos, message.from.as_str()), (0, "exproto"));
    let topic = message.topic.strip_prefix("$SYS/exproto/clients/").unwrap();
    (
        topic.to_owned(),
        serde_json::from_slice(&message.payload).unwrap(),
    )
}

#[tokio::test]
async fn a_client_that_comes_and_goes_is_told_of() {
    let mut it = Setting::new().await;
    let device = it.gateway.device().await;
    let conn = it.handler.created().await;
    let mut calls = Calls::new(&it.gateway, &conn);
    let info = proto::exproto::ClientInfo {
        clientid: "truck".to_owned(),
        username: "driver \"7\"".to_owned(),
        ..Default::default()
    };
    ok(&calls.authenticate_as(Some(info), "secret").await);
    let address = device.address().to_string();
    drop(device);
    let events = [it.event().await, it.event().await];
    for ((topic, payload), word) in events.iter().zip(["connected", "disconnected"]) {
        assert_eq!(topic, &format!("truck/{word}"));
        assert_eq!(payload["clientid"], "truck");
        assert_eq!(payload["username"], "driver \"7\"");
        assert_eq!(payload["listener"], "tcp");
        assert_eq!(payload["device"], address.as_str());
        assert_eq!(payload["conn"], conn.as_str());
        assert_eq!(payload["pod"], "pod-7");
        assert!(payload["time"].as_u64().unwrap() > 1_700_000_000_000);
        assert!(!payload.to_string().contains("secret"));
    }
    assert_eq!(events[0].1.get("reason"), None);
    assert_eq!(events[1].1["reason"], "tcp_closed");
}

#[tokio::test]
async fn unless_they_are_switched_on_nothing_is_published() {
    let handler = TestHandler::start();
    let gateway = TestGateway::with(allowing_everything(config(&[&handler]))).await;
    let (_device, mut watcher) = client(&gateway, &handler, "watcher").await;
    ok(&watcher.subscribe("$SYS/#", 0).await);
    let (device, _) = client(&gateway, &handler, "truck").await;
    drop(device);
    handler.closed().await;
    ok(&Calls::new(&gateway, "")
        .raw_publish("$SYS/x", 0, "mine")
        .await);
    assert_eq!(handler.messages(1).await[0].payload, "mine");
}

#[tokio::test]
async fn a_connection_that_is_no_client_is_not_told_of() {
    let mut it = Setting::new().await;
    let (device, _) = connect(&it.gateway, &it.handler).await;
    drop(device);
    it.handler.closed().await;
    let (_device, _) = client(&it.gateway, &it.handler, "truck").await;
    assert_eq!(it.event().await.0, "truck/connected");
}

#[tokio::test]
async fn a_clientid_is_one_level_whatever_is_in_it() {
    let mut it = Setting::new().await;
    let mut devices = Vec::new();
    for (clientid, level) in [
        ("a/b", "a%2Fb"),
        ("+", "%2B"),
        ("#", "%23"),
        ("50%", "50%25"),
    ] {
        let (device, _) = client(&it.gateway, &it.handler, clientid).await;
        devices.push(device);
        let (topic, payload) = it.event().await;
        assert_eq!(topic, format!("{level}/connected"));
        assert_eq!(payload["clientid"], clientid);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_rival_for_a_clientid_is_told_of_once_and_in_order() {
    const RIVALS: usize = 30;
    let mut it = Setting::new().await;
    let mut devices = Vec::new();
    let mut connected = Vec::new();
    for _ in 0..RIVALS {
        let (device, calls) = connect(&it.gateway, &it.handler).await;
        devices.push(device);
        connected.push(calls);
    }
    let rivals = connected
        .into_iter()
        .map(|mut calls| tokio::spawn(async move { calls.authenticate("the one").await }));
    let rivals: Vec<_> = rivals.collect();
    for rival in rivals {
        rival.await.unwrap();
    }
    it.gateway
        .is("exproto_connections{listener=\"tcp\"}", 2)
        .await;
    drop(devices);
    it.gateway
        .is("exproto_connections{listener=\"tcp\"}", 1)
        .await;
    ok(&Calls::new(&it.gateway, "")
        .raw_publish("$SYS/exproto/clients/end", 0, "{}")
        .await);
    let mut there: Option<String> = None;
    let mut past: HashMap<String, u32> = HashMap::new();
    loop {
        let (topic, payload) = it.event().await;
        let conn = payload["conn"].as_str().unwrap_or_default().to_owned();
        match topic.as_str() {
            "the one/connected" => assert_eq!(there.replace(conn), None, "two at once"),
            "the one/disconnected" => {
                assert_eq!(there.take().as_ref(), Some(&conn));
                *past.entry(conn).or_default() += 1;
            }
            _ => break,
        }
    }
    assert_eq!(there, None);
    assert!(!past.is_empty() && past.values().all(|times| *times == 1));
}
