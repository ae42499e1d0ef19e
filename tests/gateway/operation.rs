//! Drain, health and metrics.

use std::time::Duration;

use exproto_gateway::shutdown::Drained;
use exproto_tests::{Event, TestGateway, TestHandler, gateway::config, until, within};
use tokio::net::TcpStream;

use crate::calls::{connect, ok};

#[tokio::test]
async fn a_drain_closes_every_connection_and_tells_every_handler() {
    const DEVICES: usize = 100;
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let mut devices = Vec::new();
    for _ in 0..DEVICES {
        devices.push(connect(&gateway, &handler).await.0);
    }
    let address = gateway.device_address();
    assert_eq!(gateway.stop().await, Drained::All);
    for device in &mut devices {
        device.read_to_end().await;
    }
    for _ in 0..DEVICES {
        assert_eq!(handler.closed().await, "draining");
    }
    assert!(
        TcpStream::connect(address).await.is_err(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn a_drain_delivers_what_was_read_and_serves_calls_until_then() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (mut device, mut calls) = connect(&gateway, &handler).await;
    handler.hold(true);
    device.send("one").await;
    let mut one = handler.next().await;
    device.send("two").await;
    until("both to be read", async || {
        gateway
            .metric("exproto_received_bytes_total{listener=\"tcp\"}")
            .await
            == 6
    })
    .await;
    // The first Send makes the channel, which must stand before the gateway stops accepting.
    ok(&calls.send("a").await);
    let stopped = gateway.begin_stop();
    one.answer(Ok(()));
    let mut two = handler.next().await;
    assert_eq!(two.event, Event::Received("two".into()));
    ok(&calls.send("b").await);
    handler.hold(false);
    two.answer(Ok(()));
    assert_eq!(device.read_to_end().await, b"ab");
    assert_eq!(handler.closed().await, "draining");
    assert_eq!(within("the end", stopped).await.unwrap(), Drained::All);
}

#[tokio::test]
async fn a_drain_is_as_fast_as_its_timeout_needs() {
    const DEVICES: usize = 50;
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    // Alone, this rate would take 50 seconds.
    config.drain.rate = 1;
    config.drain.timeout = Duration::from_secs(4);
    let gateway = TestGateway::with(config).await;
    let mut devices = Vec::new();
    for _ in 0..DEVICES {
        devices.push(connect(&gateway, &handler).await.0);
    }
    // None of the devices answers the end; nobody waits for them once the handler knows.
    assert_eq!(gateway.stop().await, Drained::All);
}

#[tokio::test]
async fn a_drain_does_not_wait_for_a_handler_that_is_gone() {
    let mut handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.drain.timeout = Duration::from_secs(4);
    let gateway = TestGateway::with(config).await;
    let (mut device, _) = connect(&gateway, &handler).await;
    handler.kill();
    device.closed().await;
    // Its end is owed to a handler, and there is none.
    assert_eq!(gateway.stop().await, Drained::All);
}

#[tokio::test]
async fn a_drain_does_not_wait_for_ever() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.drain.timeout = Duration::from_millis(300);
    let gateway = TestGateway::with(config).await;
    let (_device, _) = connect(&gateway, &handler).await;
    handler.hold(true);
    assert_eq!(gateway.stop().await, Drained::Left(1));
}

#[tokio::test]
async fn a_pod_is_ready_once_a_handler_was_and_stays_so_while_it_is_away() {
    let mut handler = TestHandler::absent();
    let gateway = TestGateway::start(&handler).await;
    let ready = gateway.http("/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    assert!(ready.contains("none of 1 handler endpoints"), "{ready}");
    assert!(gateway.http("/livez").await.starts_with("HTTP/1.1 200"));
    handler.restart().await;
    let is_ready = async || gateway.http("/readyz").await.starts_with("HTTP/1.1 200");
    until("the pod to be ready", is_ready).await;
    handler.kill();
    until("the loss to be said", async || {
        let ready = gateway.http("/readyz").await;
        ready.starts_with("HTTP/1.1 200") && ready.contains(&handler.address().to_string())
    })
    .await;
}

#[tokio::test]
async fn the_metrics_tell_what_happened() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (mut device, mut calls) = connect(&gateway, &handler).await;
    device.send("12345").await;
    handler.received(5).await;
    ok(&calls.send("123").await);
    device.read(3).await;
    for (series, value) in [
        ("exproto_connections{listener=\"tcp\"}", 1),
        ("exproto_connections_accepted_total{listener=\"tcp\"}", 1),
        ("exproto_received_bytes_total{listener=\"tcp\"}", 5),
        ("exproto_sent_bytes_total{listener=\"tcp\"}", 3),
        (
            "exproto_callbacks_total{method=\"OnReceivedBytes\",outcome=\"ok\"}",
            1,
        ),
        (
            "exproto_adapter_calls_total{code=\"SUCCESS\",method=\"Send\"}",
            1,
        ),
        (
            "exproto_callback_duration_seconds_count{method=\"OnSocketCreated\"}",
            1,
        ),
        ("exproto_handler_endpoints{state=\"total\"}", 1),
    ] {
        until(series, async || gateway.metric(series).await == value).await;
    }
}
