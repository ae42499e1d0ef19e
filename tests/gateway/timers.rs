//! Keepalive, idle and other timers.

use std::time::Duration;

use exproto_tests::{Event, TestGateway, TestHandler, gateway::config, until};

use crate::calls::{connect, ok};

#[tokio::test]
async fn a_device_that_says_nothing_is_closed() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.listeners[0].first_byte_timeout = Some(Duration::from_millis(200));
    let gateway = TestGateway::with(config).await;
    let (mut device, _) = connect(&gateway, &handler).await;
    device.read_to_end().await;
    assert_eq!(handler.closed().await, "idle_timeout");
}

#[tokio::test]
async fn after_its_first_byte_a_device_may_be_silent_by_default() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.listeners[0].first_byte_timeout = Some(Duration::from_secs(2));
    let gateway = TestGateway::with(config).await;
    let (mut talker, mut calls) = connect(&gateway, &handler).await;
    talker.send("x").await;
    handler.received(1).await;
    // Others that come after it and stay silent are its clock.
    for _ in 0..2 {
        let (mut silent, _) = connect(&gateway, &handler).await;
        silent.read_to_end().await;
        assert_eq!(handler.closed().await, "idle_timeout");
    }
    ok(&calls.send("still here").await);
    talker.read(10).await;
}

#[tokio::test]
async fn a_silent_device_is_closed_also_when_its_handler_came_late() {
    let mut handler = TestHandler::absent();
    let mut config = config(&[&handler]);
    config.listeners[0].first_byte_timeout = Some(Duration::from_millis(300));
    let gateway = TestGateway::with(config.clone()).await;
    let mut device = gateway.device().await;
    until("the device to be parked", async || {
        gateway.metric("exproto_callbacks_parked").await == 1
    })
    .await;
    // While it is parked its time-out runs out: twice it does for others, of a gateway with a handler.
    let clock = TestHandler::start();
    config.handler.addresses = vec![clock.address().to_string().parse().unwrap()];
    let clock_gateway = TestGateway::with(config).await;
    for _ in 0..2 {
        clock_gateway.device().await.read_to_end().await;
    }
    handler.restart().await;
    device.read_to_end().await;
}

#[tokio::test]
async fn with_an_idle_timeout_a_device_must_go_on_talking() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.listeners[0].idle_timeout = Some(config::IdleTimeout(Some(Duration::from_secs(1))));
    let gateway = TestGateway::with(config).await;
    let (mut device, _) = connect(&gateway, &handler).await;
    device.send("x").await;
    handler.received(1).await;
    device.read_to_end().await;
    assert_eq!(handler.closed().await, "idle_timeout");
}

#[tokio::test]
async fn the_keepalive_is_told_first_and_what_is_sent_then_arrives() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (mut device, mut calls) = connect(&gateway, &handler).await;
    ok(&calls.start_timer(0, 1).await);
    handler.hold(true);
    let mut timeout = handler.next().await;
    assert_eq!(timeout.event, Event::TimedOut);
    ok(&calls.send("goodbye").await);
    handler.hold(false);
    timeout.answer(Ok(()));
    assert_eq!(device.read_to_end().await, b"goodbye");
    assert_eq!(handler.closed().await, "keepalive_timeout");
}

#[tokio::test]
async fn start_timer_replaces_the_idle_timer() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.listeners[0].first_byte_timeout = Some(Duration::from_millis(1400));
    let gateway = TestGateway::with(config).await;
    let (mut device, mut calls) = connect(&gateway, &handler).await;
    ok(&calls.start_timer(0, 1).await);
    device.read_to_end().await;
    assert_eq!(handler.next().await.event, Event::TimedOut);
    assert_eq!(handler.closed().await, "keepalive_timeout");
}

#[tokio::test]
async fn a_device_is_not_silent_while_nobody_listens_to_it() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.listeners[0].idle_timeout = Some(config::IdleTimeout(Some(Duration::from_secs(1))));
    config.connection.inbound_limit = config::ByteSize::kib(4);
    let gateway = TestGateway::with(config).await;
    let (mut device, _) = connect(&gateway, &handler).await;
    handler.hold(true);
    device.send("first").await;
    let mut first = handler.next().await;
    handler.hold(false);
    // More than may wait: from here on the gateway does not read.
    device.send(vec![1; 100_000]).await;
    until("reading to be paused", async || {
        gateway
            .metric("exproto_received_bytes_total{listener=\"tcp\"}")
            .await
            == 5 + 4096
    })
    .await;
    // Others that come and stay silent are its clock.
    for _ in 0..3 {
        let (mut silent, _) = connect(&gateway, &handler).await;
        silent.read_to_end().await;
        assert_eq!(handler.closed().await, "idle_timeout");
    }
    first.answer(Ok(()));
    handler.received(100_000).await;
    assert_eq!(handler.closed().await, "idle_timeout");
}
