//! By what a canary is judged, service by service.

use std::time::Duration;

use config::{Canary, HandlerService, OnHandlerLoss, Rollback};
use exproto_tests::{
    Answering, Event, Manner, StreamHandler, TestGateway, TestHandler, stream::stream_config,
};

use super::{CANARIES, FAILED, OK, ROLLBACKS, canary, percent, started, with_canary};
use crate::calls::connect;

#[tokio::test]
async fn one_that_speaks_the_stream_is_judged_by_its_acknowledgements() {
    let (main, new) = (StreamHandler::start(), StreamHandler::start());
    let mut config = stream_config(&[main.address()]);
    config.handler.removal_grace = Duration::ZERO;
    config.handler.canary = Canary {
        addresses: vec![format!("http://{}", new.address()).parse().unwrap()],
        percent: percent("100"),
        rollback: Rollback {
            failures: percent("40"),
            min_callbacks: 3,
            ..Rollback::default()
        },
        ..Canary::default()
    };
    let gateway = TestGateway::with(config).await;
    let mut at_main = main.greeted("main").await;
    let mut at_new = new.greeted("new").await;
    gateway.is(CANARIES, 1).await;
    let mut stays_open = gateway.device().await;
    let conn = at_new.attach().await.conn;
    stays_open.send("well").await;
    at_new.bytes(4).await;
    at_new.ack(conn, 1).await;
    gateway.is(OK, 1).await;
    stays_open.send("kept").await;
    at_new.bytes(4).await;
    let mut devices = Vec::new();
    for _ in 0..2 {
        let mut device = gateway.device().await;
        let conn = at_new.attach().await.conn;
        // The future is not acknowledged.
        at_new.ack(conn, 99).await;
        device.closed().await;
        devices.push(device);
    }
    gateway.is(ROLLBACKS, 1).await;
    // One for each connection, however often it is looked at.
    assert_eq!(gateway.metric(FAILED).await, 2);
    assert_eq!(gateway.metric(OK).await, 1);
    // What the new one did not acknowledge is told to the other, among it the ends of those that failed.
    let moved = loop {
        let attach = at_main.attach().await;
        if attach.conn == conn {
            break attach;
        }
    };
    assert_eq!(moved.acknowledged, 1);
    let kept = loop {
        let event = at_main.event().await;
        if event.conn == conn {
            break event;
        }
    };
    assert_eq!((kept.seq, kept.resent), (2, true));
    assert_eq!(gateway.metric(FAILED).await, 2, "it has left");
}

/// A gateway whose canary speaks the stream and is given up by nobody.
async fn streams(main: &StreamHandler, new: &StreamHandler) -> TestGateway {
    let mut config = stream_config(&[main.address()]);
    config.handler.connections_per_endpoint = 1;
    config.handler.deadline = Duration::from_millis(300);
    config.handler.canary = Canary {
        addresses: vec![format!("http://{}", new.address()).parse().unwrap()],
        percent: percent("100"),
        rollback: Rollback {
            enabled: false,
            ..Rollback::default()
        },
        ..Canary::default()
    };
    TestGateway::with(config).await
}

#[tokio::test]
async fn by_the_stream_a_connection_fails_once_and_its_end_counts() {
    let (main, new) = (StreamHandler::start(), StreamHandler::start());
    let gateway = streams(&main, &new).await;
    let mut at_new = new.greeted("new").await;
    gateway.is(CANARIES, 1).await;
    // A fault, after which its end is acknowledged.
    let mut device = gateway.device().await;
    let conn = at_new.attach().await.conn;
    at_new.ack(conn, 99).await;
    device.closed().await;
    at_new.event().await;
    at_new.ack(conn, 1).await;
    gateway
        .is(
            "exproto_connections_closed_total{reason=\"handler_error\"}",
            1,
        )
        .await;
    assert_eq!(gateway.metric(FAILED).await, 1);
    assert_eq!(gateway.metric(OK).await, 0);
    // An end that is never acknowledged.
    let device = gateway.device().await;
    at_new.attach().await;
    drop(device);
    at_new.event().await;
    gateway
        .is("exproto_closes_untold_total{reason=\"handler_timeout\"}", 1)
        .await;
    assert_eq!(gateway.metric(FAILED).await, 2);
}

#[tokio::test]
async fn one_that_goes_fails_those_that_it_owes_and_no_others() {
    let (main, mut new) = (TestHandler::start(), TestHandler::start());
    let mut canary = canary(&new, "100");
    canary.rollback.enabled = false;
    let mut config = with_canary(&main, canary);
    config.handler.on_handler_loss = OnHandlerLoss::Rebind;
    let gateway = started(config).await;
    let (_idle, _) = connect(&gateway, &new).await;
    let (mut busy, _) = connect(&gateway, &new).await;
    new.hold(true);
    busy.send("x").await;
    let _unanswered = new.next().await;
    new.kill();
    busy.closed().await;
    // The idle one has moved, and the end of the other one is told.
    let told = [main.next().await.event, main.next().await.event];
    assert!(told.iter().any(|event| matches!(event, Event::Created(_))));
    gateway.is(CANARIES, 0).await;
    assert_eq!(gateway.metric(FAILED).await, 1);
    assert_eq!(gateway.metric(OK).await, 2);
}

#[tokio::test]
async fn by_client_streams_the_idle_ones_do_not_fail() {
    let manner = Manner {
        client_streams: Some(Answering::AtTheEnd),
        ..Manner::default()
    };
    let start = || TestHandler::start_as(([127, 0, 0, 1], 0).into(), manner.clone());
    let (main, mut new) = (start(), start());
    let mut canary = canary(&new, "100");
    canary.rollback.enabled = false;
    let mut config = with_canary(&main, canary);
    config.handler.service = HandlerService::ConnectionHandler;
    let gateway = started(config).await;
    let (mut device, _) = connect(&gateway, &new).await;
    let (mut other, _) = connect(&gateway, &new).await;
    for device in [&mut device, &mut other] {
        device.send("x").await;
        new.received(1).await;
    }
    new.kill();
    device.closed().await;
    other.closed().await;
    assert_eq!(gateway.metric(FAILED).await, 0);
}
