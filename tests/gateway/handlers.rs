//! Handlers that are slow, wrong, absent or lost.

use std::{collections::HashMap, time::Duration};

use config::{Config, OnHandlerLoss};
use exproto_tests::{Callback, Device, Event, TestGateway, TestHandler, gateway::config, until};
use proto::exproto::ResultCode;
use tonic::Status;

use crate::calls::{Calls, both_ready, client, connect, ok, refused};

/// Everything survives the handler: it moves, and what may be lost is sent again.
fn survivor(handlers: &[&TestHandler]) -> Config {
    let mut config = config(handlers);
    config.handler.on_handler_loss = OnHandlerLoss::Rebind;
    config.handler.retry_unacknowledged = true;
    config
}

#[tokio::test]
async fn while_no_handler_was_ever_there_a_device_is_parked() {
    let mut handler = TestHandler::absent();
    let gateway = TestGateway::start(&handler).await;
    let mut device = gateway.device().await;
    device.send("patience").await;
    until("the device to be parked", async || {
        gateway.metric("exproto_callbacks_parked").await == 1
    })
    .await;
    handler.restart().await;
    let created = handler.next().await;
    assert!(matches!(created.event, Event::Created(_)));
    assert_eq!(created.header("exproto-attempt"), "1");
    assert_eq!(handler.received(8).await, b"patience");
}

#[tokio::test]
async fn nobody_is_parked_for_ever() {
    let handler = TestHandler::absent();
    let mut config = config(&[&handler]);
    config.handler.park_timeout = Duration::from_millis(200);
    let gateway = TestGateway::with(config).await;
    let mut device = gateway.device().await;
    device.closed().await;
    until("the end to be counted", async || {
        gateway
            .metric("exproto_connections_closed_total{reason=\"handler_unavailable\"}")
            .await
            == 1
    })
    .await;
}

#[tokio::test]
async fn a_parked_device_that_leaves_was_never_there() {
    let mut handler = TestHandler::absent();
    let gateway = TestGateway::start(&handler).await;
    let device = gateway.device().await;
    until("the device to be parked", async || {
        gateway.metric("exproto_callbacks_parked").await == 1
    })
    .await;
    drop(device);
    until("the connection to end", async || {
        gateway
            .metric("exproto_connections{listener=\"tcp\"}")
            .await
            == 0
    })
    .await;
    handler.restart().await;
    let _other = gateway.device().await;
    let created = handler.next().await;
    assert!(matches!(created.event, Event::Created(_)));
    assert!(handler.try_next().is_none());
}

#[tokio::test]
async fn what_a_parked_device_said_before_it_left_arrives() {
    let mut handler = TestHandler::absent();
    let gateway = TestGateway::start(&handler).await;
    let mut device = gateway.device().await;
    device.send("fire and forget").await;
    drop(device);
    until("the bytes to be read", async || {
        gateway
            .metric("exproto_received_bytes_total{listener=\"tcp\"}")
            .await
            == 15
    })
    .await;
    handler.restart().await;
    handler.created().await;
    assert_eq!(handler.received(15).await, b"fire and forget");
    assert_eq!(handler.closed().await, "tcp_closed");
}

#[tokio::test]
async fn an_error_to_any_callback_closes_the_connection() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    for at in ["created", "bytes", "messages"] {
        let mut device = gateway.device().await;
        if at == "created" {
            handler.hold(true);
        }
        let mut callback = handler.next().await;
        if at != "created" {
            let mut calls = Calls::new(&gateway, &callback.conn);
            ok(&calls.authenticate("a").await);
            ok(&calls.subscribe("t", 0).await);
            handler.hold(true);
            match at {
                "bytes" => device.send("x").await,
                _ => ok(&calls.publish("t", 0, "x").await),
            }
            callback = handler.next().await;
        }
        handler.hold(false);
        callback.answer(Err(Status::internal("broken on purpose")));
        device.closed().await;
        assert_eq!(handler.closed().await, "handler_error", "{at}");
    }
}

#[tokio::test]
async fn a_handler_that_hangs_is_given_its_deadline() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.handler.deadline = Duration::from_secs(2);
    let gateway = TestGateway::with(config).await;
    let (mut device, _) = connect(&gateway, &handler).await;
    handler.hold(true);
    device.send("x").await;
    let hanging = handler.next().await;
    handler.hold(false);
    device.closed().await;
    assert_eq!(handler.closed().await, "handler_timeout");
    drop(hanging);
}

#[tokio::test]
async fn a_lost_handler_closes_its_connections_by_default() {
    let mut handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (mut device, _) = connect(&gateway, &handler).await;
    handler.restart().await;
    device.closed().await;
    assert_eq!(handler.closed().await, "handler_lost");
    // New devices are served as if nothing had been.
    let (mut device, mut calls) = connect(&gateway, &handler).await;
    ok(&calls.send("hi").await);
    device.read(2).await;
}

#[tokio::test]
async fn a_handler_lost_in_the_middle_of_a_callback_leaves_nobody_hanging() {
    let mut handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (mut device, _) = connect(&gateway, &handler).await;
    handler.hold(true);
    device.send("x").await;
    let _held = handler.next().await;
    handler.hold(false);
    handler.restart().await;
    device.closed().await;
    assert_eq!(handler.closed().await, "handler_lost");
}

#[tokio::test]
async fn with_rebind_an_idle_connection_survives_its_handler() {
    let mut handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.handler.on_handler_loss = OnHandlerLoss::Rebind;
    let gateway = TestGateway::with(config).await;
    let (mut device, mut calls) = client(&gateway, &handler, "truck").await;
    handler.restart().await;
    let again = handler.next().await;
    assert!(matches!(again.event, Event::Created(_)));
    assert_eq!(
        (again.conn.as_str(), again.header("exproto-attempt")),
        (calls.conn.as_str(), "2")
    );
    // The new handler introduces the client that the connection already is, and no other.
    ok(&calls.authenticate("truck").await);
    refused(
        &calls.authenticate("somebody else").await,
        ResultCode::PermissionDeny,
        "already",
    );
    device.send("on we go").await;
    assert_eq!(handler.received(8).await, b"on we go");
    drop(device);
    assert_eq!(handler.closed().await, "tcp_closed");
}

#[tokio::test]
async fn with_rebind_alone_bytes_that_may_have_been_seen_are_not_sent_twice() {
    let mut handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.handler.on_handler_loss = OnHandlerLoss::Rebind;
    let gateway = TestGateway::with(config).await;
    let (mut device, _) = connect(&gateway, &handler).await;
    handler.hold(true);
    device.send("x").await;
    let _held = handler.next().await;
    handler.hold(false);
    handler.restart().await;
    device.closed().await;
    assert_eq!(handler.closed().await, "handler_lost");
}

#[tokio::test]
async fn with_retry_no_byte_is_lost_over_many_restarts() {
    const RESTARTS: u32 = 5;
    let mut handler = TestHandler::start();
    let gateway = TestGateway::with(survivor(&[&handler])).await;
    let (device, _) = connect(&gateway, &handler).await;
    let sent: Vec<u8> = (0..60_000_u32).flat_map(u32::to_be_bytes).collect();
    let sender = tokio::spawn(send_slowly(device, sent.clone()));
    let mut received = vec![];
    let mut restarts = 0;
    while received.len() < sent.len() {
        let callback = handler.next().await;
        take(&callback, &mut received);
        // In the midst of it, whatever the gateway is doing.
        if restarts < RESTARTS && received.len() > sent.len() * (restarts as usize + 1) / 8 {
            restarts += 1;
            handler.restart().await;
        }
    }
    assert!(received == sent);
    assert_eq!(restarts, RESTARTS);
    let device = sender.await.unwrap();
    drop(device);
    until("OnSocketClosed", async || {
        matches!(handler.next().await.event, Event::Closed(reason) if reason == "tcp_closed")
    })
    .await;
}

async fn send_slowly(mut device: Device, bytes: Vec<u8>) -> Device {
    for chunk in bytes.chunks(500) {
        device.send(chunk).await;
        tokio::task::yield_now().await;
    }
    device
}

/// What a careful handler does: the offset tells what it has already.
fn take(callback: &Callback, received: &mut Vec<u8>) {
    if let Event::Received(bytes) = &callback.event {
        let offset: usize = callback.header("exproto-offset").parse().unwrap();
        assert!(
            offset <= received.len(),
            "{} bytes are missing",
            offset - received.len()
        );
        let known = received.len() - offset;
        if known > 0 {
            assert_ne!(
                callback.header("exproto-attempt"),
                "1",
                "a repetition that is not marked"
            );
        }
        received.extend_from_slice(bytes.get(known..).unwrap_or_default());
    }
}

#[tokio::test]
async fn with_rebind_messages_of_qos_1_are_sent_again_and_those_of_qos_0_are_not() {
    let mut handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.handler.on_handler_loss = OnHandlerLoss::Rebind;
    let gateway = TestGateway::with(config).await;
    let (_device, mut calls) = client(&gateway, &handler, "a").await;
    ok(&calls.subscribe("t", 1).await);
    handler.hold(true);
    // The first is in flight alone; the other two wait and go together.
    ok(&calls.publish("t", 0, "first").await);
    let mut first = handler.next().await;
    ok(&calls.publish("t", 0, "at most once").await);
    ok(&calls.publish("t", 1, "at least once").await);
    first.answer(Ok(()));
    let both = handler.next().await;
    assert!(matches!(&both.event, Event::Messages(messages) if messages.len() == 2));
    handler.hold(false);
    handler.restart().await;
    handler.created().await;
    let again = handler.next().await;
    assert_eq!(again.header("exproto-attempt"), "2");
    let Event::Messages(messages) = again.event else {
        panic!("not OnReceivedMessages");
    };
    let payloads: Vec<_> = messages
        .iter()
        .map(|message| &message.payload[..])
        .collect();
    assert_eq!(payloads, [b"at least once"]);
}

#[tokio::test]
async fn with_rebind_a_lost_message_of_qos_0_closes_nobody() {
    let mut handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.handler.on_handler_loss = OnHandlerLoss::Rebind;
    let gateway = TestGateway::with(config).await;
    let (mut device, mut calls) = client(&gateway, &handler, "a").await;
    ok(&calls.subscribe("t", 1).await);
    handler.hold(true);
    ok(&calls.publish("t", 0, "at most once").await);
    let _held = handler.next().await;
    handler.hold(false);
    handler.restart().await;
    handler.created().await;
    device.send("alive").await;
    assert_eq!(handler.received(5).await, b"alive");
}

#[tokio::test]
async fn connections_stay_with_their_handler_and_move_only_when_it_is_lost() {
    const DEVICES: usize = 40;
    let (mut a, b) = (TestHandler::start(), TestHandler::start());
    let gateway = TestGateway::with(survivor(&[&a, &b])).await;
    both_ready(&gateway).await;
    let mut devices = Vec::new();
    for _ in 0..DEVICES {
        devices.push(gateway.device().await);
    }
    let mut home = HashMap::new();
    until("all to be created", async || {
        for (name, handler) in [("a", &a), ("b", &b)] {
            while let Some(callback) = handler.try_next() {
                home.insert(callback.conn, name);
            }
        }
        home.len() == DEVICES
    })
    .await;
    let at_a = home.values().filter(|name| **name == "a").count();
    assert!((5..=35).contains(&at_a), "{at_a} of {DEVICES} at a");
    for device in &mut devices {
        device.send("x").await;
    }
    let mut heard = 0;
    until("all to be heard", async || {
        for (name, handler) in [("a", &a), ("b", &b)] {
            while let Some(callback) = handler.try_next() {
                assert_eq!(home[&callback.conn], name);
                heard += 1;
            }
        }
        heard == DEVICES
    })
    .await;
    a.kill();
    for _ in 0..at_a {
        let moved = b.next().await;
        assert!(matches!(moved.event, Event::Created(_)));
        assert_eq!(
            (home[&moved.conn], moved.header("exproto-attempt")),
            ("a", "2")
        );
    }
    assert!(b.try_next().is_none(), "nobody else moved");
}

#[tokio::test]
async fn a_server_without_the_service_is_an_error_of_the_handler() {
    let handler = TestHandler::start();
    let other = TestGateway::start(&handler).await;
    // An adapter is a gRPC server, but no handler: the mistake of mixing up the ports.
    let mut config = config(&[&handler]);
    config.handler.addresses = vec![other.adapter_address().to_string().parse().unwrap()];
    let gateway = TestGateway::with(config).await;
    let mut device = gateway.device().await;
    device.closed().await;
    until("the end to be counted", async || {
        gateway
            .metric("exproto_connections_closed_total{reason=\"handler_error\"}")
            .await
            == 1
    })
    .await;
}

#[tokio::test]
async fn an_address_where_nobody_speaks_http2_is_never_ready_and_says_so() {
    let handler = TestHandler::start();
    let other = TestGateway::start(&handler).await;
    // The device port: the other mistake of mixing up the ports. It answers nothing.
    let mut config = config(&[&handler]);
    config.handler.addresses = vec![other.device_address().to_string().parse().unwrap()];
    config.handler.connect_timeout = Duration::from_millis(200);
    let gateway = TestGateway::with(config).await;
    until("the reason to be said", async || {
        let ready = gateway.http("/readyz").await;
        assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
        ready.contains("no HTTP/2 connection within")
    })
    .await;
}
