//! Messages of QoS 1 and 2 that are sent again, and those of QoS 0 that are not.

use std::time::Duration;

use exproto_tests::{Callback, Event, TestGateway, TestHandler, gateway::config, until};
use proto::exproto::ResultCode;
use tonic::Status;

use crate::calls::{Calls, client, ok, refused};

const LONG: Duration = Duration::from_secs(3600);

fn broken() -> Status {
    Status::internal("broken on purpose")
}

/// The payloads of `OnReceivedMessages`.
fn payloads(callback: &Callback) -> Vec<String> {
    let Event::Messages(messages) = &callback.event else {
        panic!("not OnReceivedMessages: {callback:?}");
    };
    let payloads = messages.iter().map(|message| &message.payload[..]);
    payloads
        .map(|payload| String::from_utf8_lossy(payload).into_owned())
        .collect()
}

fn raw(gateway: &TestGateway) -> Calls {
    Calls::new(gateway, "")
}

#[tokio::test]
async fn messages_are_sent_again_until_the_handler_takes_them_and_bytes_wait_for_that() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (mut device, mut calls) = client(&gateway, &handler, "a").await;
    ok(&calls.subscribe("t", 1).await);
    handler.hold(true);
    ok(&raw(&gateway).raw_publish("t", 1, "first").await);
    let mut held = handler.next().await;
    device.send("later").await;
    ok(&raw(&gateway).raw_publish("t", 2, "second").await);
    for attempt in 1..=5 {
        assert_eq!(payloads(&held), ["first"]);
        assert_eq!(held.header("exproto-attempt"), attempt.to_string());
        held.answer(Err(broken()));
        held = handler.next().await;
    }
    handler.hold(false);
    held.answer(Ok(()));
    // What waited has not changed its order.
    let (mut bytes, mut messages) = (Vec::new(), Vec::new());
    while bytes.is_empty() || messages.is_empty() {
        let callback = handler.next().await;
        assert_eq!(callback.header("exproto-attempt"), "1");
        match &callback.event {
            Event::Received(more) => bytes.extend_from_slice(more),
            _ => messages = payloads(&callback),
        }
    }
    assert_eq!(
        (&bytes[..], &messages[..]),
        (&b"later"[..], &["second".to_owned()][..])
    );
    let redelivered = "exproto_messages_total{event=\"redelivered\"}";
    assert_eq!(gateway.metric(redelivered).await, 5);
}

#[tokio::test]
async fn messages_of_qos_0_are_left_out_of_the_repetition() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (mut device, mut calls) = client(&gateway, &handler, "a").await;
    ok(&calls.subscribe("t", 1).await);
    handler.hold(true);
    device.send("busy").await;
    let mut busy = handler.next().await;
    for (qos, payload) in [(0, "a0"), (1, "b1"), (0, "c0"), (2, "d2")] {
        ok(&raw(&gateway).raw_publish("t", qos, payload).await);
    }
    busy.answer(Ok(()));
    let mut all = handler.next().await;
    assert_eq!(payloads(&all), ["a0", "b1", "c0", "d2"]);
    handler.hold(false);
    all.answer(Err(broken()));
    let again = handler.next().await;
    assert_eq!(payloads(&again), ["b1", "d2"]);
    assert_eq!(again.header("exproto-attempt"), "2");
    let unrepeated = "exproto_messages_total{event=\"unrepeated\"}";
    assert_eq!(gateway.metric(unrepeated).await, 2);
}

#[tokio::test]
async fn messages_that_nobody_answered_in_time_are_sent_again() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.handler.deadline = Duration::from_secs(1);
    let gateway = TestGateway::with(config).await;
    let (mut device, mut calls) = client(&gateway, &handler, "a").await;
    ok(&calls.subscribe("t", 1).await);
    handler.hold(true);
    ok(&raw(&gateway).raw_publish("t", 1, "x").await);
    let hanging = handler.next().await;
    handler.hold(false);
    let again = handler.next().await;
    assert_eq!(payloads(&again), ["x"]);
    assert_eq!(again.header("exproto-attempt"), "2");
    drop(hanging);
    device.send("alive").await;
    assert_eq!(handler.received(5).await, b"alive");
}

#[tokio::test]
async fn who_fails_for_too_long_is_closed_for_the_last_failure() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.handler.redelivery_timeout = Duration::from_millis(300);
    let gateway = TestGateway::with(config).await;
    let (mut device, mut calls) = client(&gateway, &handler, "a").await;
    ok(&calls.subscribe("t", 1).await);
    handler.hold(true);
    ok(&raw(&gateway).raw_publish("t", 1, "x").await);
    let mut attempts = 0;
    let reason = loop {
        let mut callback = handler.next().await;
        if let Event::Closed(reason) = &callback.event {
            let reason = reason.clone();
            callback.answer(Ok(()));
            break reason;
        }
        attempts += 1;
        callback.answer(Err(broken()));
    };
    assert_eq!(reason, "handler_error");
    assert!(attempts >= 2, "{attempts}");
    device.closed().await;
    let discarded = "exproto_messages_total{event=\"discarded\"}";
    assert_eq!(gateway.metric(discarded).await, 1);
}

#[tokio::test]
async fn who_never_answers_is_closed_with_handler_timeout() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.handler.deadline = Duration::from_millis(500);
    config.handler.redelivery_timeout = Duration::from_millis(1);
    let gateway = TestGateway::with(config).await;
    let (_device, mut calls) = client(&gateway, &handler, "a").await;
    ok(&calls.subscribe("t", 1).await);
    handler.hold(true);
    ok(&raw(&gateway).raw_publish("t", 1, "x").await);
    let first = handler.next().await;
    let second = handler.next().await;
    assert_eq!(payloads(&second), ["x"]);
    handler.hold(false);
    let closed = handler.closed().await;
    assert_eq!(closed, "handler_timeout");
    drop((first, second));
}

#[tokio::test]
async fn a_device_that_leaves_is_not_held_up_by_messages_that_fail() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.handler.redelivery_timeout = LONG;
    config.handler.backoff_min = LONG;
    config.handler.backoff_max = LONG;
    let gateway = TestGateway::with(config).await;
    let (mut device, mut calls) = client(&gateway, &handler, "a").await;
    ok(&calls.subscribe("t", 1).await);
    handler.hold(true);
    ok(&raw(&gateway).raw_publish("t", 1, "x").await);
    let mut held = handler.next().await;
    device.send("last words").await;
    handler.hold(false);
    held.answer(Err(broken()));
    drop(device);
    // Not in an hour: now.
    assert_eq!(handler.received(10).await, b"last words");
    assert_eq!(handler.closed().await, "tcp_closed");
    let discarded = "exproto_messages_total{event=\"discarded\"}";
    assert_eq!(gateway.metric(discarded).await, 1);
}

#[tokio::test]
async fn a_handler_may_close_while_its_messages_fail() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.handler.redelivery_timeout = LONG;
    config.handler.backoff_min = LONG;
    config.handler.backoff_max = LONG;
    let gateway = TestGateway::with(config).await;
    let (mut device, mut calls) = client(&gateway, &handler, "a").await;
    ok(&calls.subscribe("t", 1).await);
    handler.hold(true);
    ok(&raw(&gateway).raw_publish("t", 1, "x").await);
    let mut held = handler.next().await;
    handler.hold(false);
    held.answer(Err(broken()));
    until("the failure to be counted", async || {
        let failed = "exproto_callbacks_total{method=\"OnReceivedMessages\",outcome=\"refused\"}";
        gateway.metric(failed).await == 1
    })
    .await;
    ok(&calls.close().await);
    device.closed().await;
    assert_eq!(handler.closed().await, "normal");
    refused(
        &calls.close().await,
        ResultCode::ConnProcessNotAlive,
        "ended",
    );
}

#[tokio::test]
async fn a_pod_that_ends_is_not_held_up_by_messages_that_fail() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.handler.redelivery_timeout = LONG;
    config.handler.backoff_min = LONG;
    config.handler.backoff_max = LONG;
    let gateway = TestGateway::with(config).await;
    let (_device, mut calls) = client(&gateway, &handler, "a").await;
    ok(&calls.subscribe("t", 1).await);
    handler.hold(true);
    ok(&raw(&gateway).raw_publish("t", 1, "x").await);
    let mut held = handler.next().await;
    handler.hold(false);
    held.answer(Err(broken()));
    gateway.stop().await;
    assert_eq!(handler.closed().await, "draining");
}
