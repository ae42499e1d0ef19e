//! Bounds of an endpoint: what is above them waits.

use std::time::Duration;

use exproto_tests::{Event, TestGateway, TestHandler, gateway::config};

use super::connections;
use crate::calls::connect;

#[tokio::test]
async fn when_all_endpoints_are_full_a_device_waits_for_a_place() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.handler.max_connections_per_endpoint = Some(2.try_into().unwrap());
    let gateway = TestGateway::with(config).await;
    let (first, _) = connect(&gateway, &handler).await;
    let (_second, _) = connect(&gateway, &handler).await;
    let mut third = gateway.device().await;
    gateway.is("exproto_callbacks_parked", 1).await;
    third.send("patience").await;
    assert_eq!(gateway.metric(&connections(&handler)).await, 2);
    drop(first);
    assert_eq!(handler.closed().await, "tcp_closed");
    handler.created().await;
    assert_eq!(handler.received(8).await, b"patience");
    gateway.is(&connections(&handler), 2).await;
}

#[tokio::test]
async fn a_full_endpoint_leaves_devices_to_the_others() {
    let (a, b) = (TestHandler::start(), TestHandler::start());
    let mut config = config(&[&a, &b]);
    config.handler.max_connections_per_endpoint = Some(5.try_into().unwrap());
    let gateway = TestGateway::with(config).await;
    crate::calls::both_ready(&gateway).await;
    let mut devices = Vec::new();
    for _ in 0..10 {
        devices.push(gateway.device().await);
    }
    let homes = super::homes(&[&a, &b], 10).await;
    assert_eq!(homes.values().filter(|place| **place == 0).count(), 5);
}

#[tokio::test]
async fn callbacks_above_max_streams_wait_and_are_made_later() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.handler.max_streams = 1;
    let gateway = TestGateway::with(config).await;
    let (mut first, _) = connect(&gateway, &handler).await;
    let (mut second, _) = connect(&gateway, &handler).await;
    handler.hold(true);
    first.send("1").await;
    let mut held = handler.next().await;
    second.send("2").await;
    gateway
        .counts("exproto_received_bytes_total{listener=\"tcp\"}", 2)
        .await;
    assert!(handler.try_next().is_none(), "it was not made to wait");
    held.answer(Ok(()));
    let mut next = handler.next().await;
    assert_eq!(next.event, Event::Received("2".into()));
    next.answer(Ok(()));
    handler.hold(false);
}

const LIMIT: &str = "exproto_handler_concurrency{state=\"limit\"}";

/// Calls a handler that answers nothing, so many times.
async fn call_in_vain(enabled: bool) -> (TestHandler, TestGateway) {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.handler.deadline = Duration::from_millis(50);
    config.handler.max_streams = 400;
    config.handler.concurrency.min = 3;
    config.handler.concurrency.enabled = enabled;
    // No question about its health gets in between.
    config.handler.health.enabled = false;
    let gateway = TestGateway::with(config).await;
    gateway.is(super::READY, 1).await;
    gateway.is(LIMIT, 400).await;
    handler.hold(true);
    let timed_out = "exproto_callbacks_total{method=\"OnSocketCreated\",outcome=\"timed_out\"}";
    // A few at a time, in more than one window.
    for _ in 0..10 {
        let before = gateway.metric(timed_out).await;
        let mut devices = Vec::new();
        for _ in 0..30 {
            devices.push(gateway.device().await);
        }
        exproto_tests::until("the time-outs", async || {
            gateway.metric(timed_out).await >= before + 30
        })
        .await;
    }
    (handler, gateway)
}

#[tokio::test]
async fn a_handler_that_does_not_keep_up_is_called_less() {
    let (_handler, gateway) = call_in_vain(true).await;
    let limit = gateway.metric(LIMIT).await;
    assert!((3..100).contains(&limit), "{limit}");
}

#[tokio::test]
async fn where_concurrency_does_not_adapt_the_bound_alone_holds() {
    let (_handler, gateway) = call_in_vain(false).await;
    assert_eq!(gateway.metric(LIMIT).await, 400);
}
