//! Authenticate, takeover, expiry, mountpoints.

/// Many that want the same clientid.
mod takeovers;

use std::{fs, time::Duration};

use exproto_gateway::auth::hash::argon2id;
use exproto_tests::{
    Event, TestGateway, TestHandler,
    gateway::{authenticating, config},
};
use proto::exproto::{ClientInfo, ResultCode};

use crate::calls::{Calls, client, connect, ok, refused};

fn info(clientid: &str, username: &str) -> ClientInfo {
    ClientInfo {
        clientid: clientid.to_owned(),
        username: username.to_owned(),
        ..ClientInfo::default()
    }
}

#[tokio::test]
async fn a_refused_authenticate_leaves_the_connection_open_and_may_be_tried_again() {
    let handler = TestHandler::start();
    let users = tempfile::NamedTempFile::new().unwrap();
    fs::write(&users, format!("u:{}", argon2id(b"open sesame"))).unwrap();
    let chain = format!("{{file: {{path: {}}}}}", users.path().display());
    let config = authenticating(config(&[&handler]), &chain);
    let gateway = TestGateway::with(config).await;
    let (mut device, mut calls) = connect(&gateway, &handler).await;
    let denied = calls
        .authenticate_as(Some(info("a", "u")), "knock knock")
        .await;
    refused(
        &denied,
        ResultCode::PermissionDeny,
        "bad username or password",
    );
    ok(&calls.send("try again").await);
    device.read(9).await;
    ok(&calls
        .authenticate_as(Some(info("a", "u")), "open sesame")
        .await);
    ok(&calls.subscribe("t", 0).await);
}

#[tokio::test]
async fn the_older_connection_of_a_clientid_is_discarded() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (mut old_device, mut old) = client(&gateway, &handler, "truck").await;
    ok(&old.subscribe("t", 0).await);
    let (_new_device, mut new) = client(&gateway, &handler, "truck").await;
    // SUCCESS says that the older one takes no more calls.
    refused(
        &old.publish("t", 0, "ghost").await,
        ResultCode::ConnProcessNotAlive,
        "ended",
    );
    old_device.closed().await;
    let closed = handler.next().await;
    assert_eq!(closed.conn, old.conn);
    assert_eq!(closed.event, Event::Closed("discarded".to_owned()));
    ok(&new.subscribe("t", 0).await);
    ok(&new.publish("t", 0, "mine").await);
    assert_eq!(handler.messages(1).await[0].payload, "mine");
}

#[tokio::test]
async fn many_connections_that_want_one_clientid_leave_exactly_one() {
    const RIVALS: usize = 50;
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let mut devices = Vec::new();
    let mut rivals = Vec::new();
    for _ in 0..RIVALS {
        let (device, calls) = connect(&gateway, &handler).await;
        devices.push(device);
        rivals.push(calls);
    }
    let tasks: Vec<_> = rivals
        .into_iter()
        .map(|mut calls| {
            tokio::spawn(async move {
                calls.authenticate("the one").await;
                calls
            })
        })
        .collect();
    let mut rivals = Vec::new();
    for task in tasks {
        rivals.push(task.await.unwrap());
    }
    for _ in 1..RIVALS {
        assert_eq!(handler.closed().await, "discarded");
    }
    let mut alive = 0;
    for calls in &mut rivals {
        alive += usize::from(calls.send("x").await.code() == ResultCode::Success);
    }
    assert_eq!(alive, 1);
}

#[tokio::test]
async fn a_clientid_is_free_again_once_its_connection_has_ended() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (device, _) = client(&gateway, &handler, "truck").await;
    drop(device);
    assert_eq!(handler.closed().await, "tcp_closed");
    let (_device, mut calls) = client(&gateway, &handler, "truck").await;
    ok(&calls.send("x").await);
    assert!(handler.try_next().is_none(), "nobody was discarded");
}

#[tokio::test]
async fn the_mountpoint_keeps_clients_apart() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.mountpoint = "fleet/${clientid}/".parse().unwrap();
    let gateway = TestGateway::with(config).await;
    let (_device_a, mut a) = client(&gateway, &handler, "a").await;
    let (_device_b, mut b) = client(&gateway, &handler, "b").await;
    ok(&a.subscribe("#", 0).await);
    ok(&b.publish("t", 0, "not for a").await);
    ok(&a.publish("t", 0, "for a").await);
    ok(&Calls::new(&gateway, "")
        .raw_publish("fleet/a/raw", 0, "from outside")
        .await);
    let messages = handler.messages(2).await;
    let seen: Vec<_> = messages
        .iter()
        .map(|message| (message.topic.as_str(), &message.payload[..]))
        .collect();
    assert_eq!(seen, [("t", &b"for a"[..]), ("raw", &b"from outside"[..])]);
    ok(&a.unsubscribe("#").await);
}

#[tokio::test]
async fn a_clientid_cannot_reach_out_of_its_mountpoint() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.mountpoint = "fleet/${clientid}/".parse().unwrap();
    let gateway = TestGateway::with(config).await;
    let (_device, mut calls) = connect(&gateway, &handler).await;
    for clientid in ["+", "#", "a/b", "$x"] {
        refused(
            &calls.authenticate(clientid).await,
            ResultCode::PermissionDeny,
            "mountpoint",
        );
    }
    ok(&calls.authenticate("honest").await);
}

#[tokio::test]
async fn a_device_that_nobody_authenticates_in_time_is_closed() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.listeners[0].authentication_timeout = Some(Duration::from_secs(2));
    let gateway = TestGateway::with(config).await;
    let mut stranger = gateway.device().await;
    handler.created().await;
    stranger.read_to_end().await;
    assert_eq!(handler.closed().await, "authentication_timeout");
    let (mut known, mut calls) = client(&gateway, &handler, "a").await;
    let mut other = gateway.device().await;
    handler.created().await;
    other.read_to_end().await;
    handler.closed().await;
    ok(&calls.send("still here").await);
    known.read(10).await;
}
