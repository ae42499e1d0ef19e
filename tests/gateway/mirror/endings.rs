//! Connections that end hard, and callbacks that fail: a mirror that does the same is no different, and what cannot be
//! compared is not.

use config::OnHandlerLoss;
use exproto_tests::{Event, StreamHandler, TestGateway, TestHandler, stream::send};
use proto::{
    exproto::ResultCode,
    stream::{Ack, Close, HandlerBatch, command::Kind, event},
};
use tonic::Status;

use super::{Mirrored, calls, stream_and_calls};
use crate::calls::{Calls, ok, refused};

#[tokio::test]
async fn after_its_own_close_a_mirror_is_refused_as_the_handler_is() {
    let it = Mirrored::start().await;
    let mut pair = it.connect().await;
    for calls in [&mut pair.real, &mut pair.copy] {
        ok(&calls.close().await);
        for late in [calls.send("too late").await, calls.close().await] {
            refused(&late, ResultCode::ConnProcessNotAlive, "ended");
        }
    }
    pair.device.closed().await;
    it.mirror.closed().await;
    it.ended("same", 1).await;
}

#[tokio::test]
async fn the_other_way_round_as_well() {
    let it = Mirrored::start().await;
    let mut pair = it.connect().await;
    for calls in [&mut pair.copy, &mut pair.real] {
        ok(&calls.close().await);
        for late in [calls.close().await, calls.send("too late").await] {
            refused(&late, ResultCode::ConnProcessNotAlive, "ended");
        }
    }
    it.mirror.closed().await;
    it.ended("same", 1).await;
}

#[tokio::test]
async fn a_takeover_while_a_callback_is_in_flight_makes_no_difference() {
    let it = Mirrored::start().await;
    let mut old = it.connect().await;
    for calls in [&mut old.real, &mut old.copy] {
        ok(&calls.authenticate("truck").await);
    }
    // What was told before the end counts.
    ok(&old.copy.publish("t", 0, "of the mirror alone").await);
    it.handler.hold(true);
    old.device.send("x").await;
    let mut in_flight = it.handler.next().await;
    let mut other = it.gateway.device().await;
    let mut created = it.handler.next().await;
    created.answer(Ok(()));
    let mut new = Calls::new(&it.gateway, &created.conn);
    it.mirror.created().await;
    ok(&new.authenticate("truck").await);
    old.device.closed().await;
    let late = old.real.send("too late").await;
    refused(&late, ResultCode::ConnProcessNotAlive, "ended");
    it.handler.hold(false);
    it.mirror.hold(true);
    in_flight.answer(Ok(()));
    // The mirror knows nothing of that yet.
    let mut in_flight = it.mirror.next().await;
    assert_eq!(in_flight.event, Event::Received("x".into()));
    ok(&old.copy.send("too late").await);
    it.mirror.hold(false);
    in_flight.answer(Ok(()));
    assert_eq!(it.mirror.closed().await, "discarded");
    it.ended("different", 1).await;
    assert_eq!(it.calls("Send", "extra").await, 0);
    assert_eq!(it.calls("Publish", "extra").await, 1);
    other.send("y").await;
}

#[tokio::test]
async fn two_events_that_a_stream_was_shown_before_the_end_make_no_difference() {
    let (handler, mirror) = (StreamHandler::start(), StreamHandler::start());
    let mut config = handler.config();
    config.handler.connections_per_endpoint = 1;
    config.handler.mirror.addresses = vec![mirror.address().to_string().parse().unwrap()];
    let gateway = TestGateway::with(config).await;
    let mut run = handler.greeted("one").await;
    let mut copy = mirror.greeted("two").await;
    let mut device = gateway.device().await;
    let (conn, number) = (run.attach().await.conn, copy.attach().await.conn);
    device.send("a").await;
    run.bytes(1).await;
    device.send("b").await;
    run.bytes(1).await;
    let close = || Kind::Close(Close {});
    run.step(conn, &[(1, send("first")), (2, close())], 1).await;
    run.step(conn, &[(3, send("second"))], 2).await;
    device.closed().await;
    copy.bytes(1).await;
    copy.step(number, &[(1, send("first")), (2, close())], 1)
        .await;
    copy.bytes(1).await;
    copy.step(number, &[(3, send("second"))], 2).await;
    for (run, conn) in [(&mut run, conn), (&mut copy, number)] {
        let end = run.event().await;
        assert!(matches!(end.kind, Some(event::Kind::Closed(_))));
        run.ack(conn, 3).await;
    }
    gateway
        .is("exproto_mirror_connections_total{result=\"same\"}", 1)
        .await;
    assert_eq!(calls(&gateway, "Send", "same").await, 1);
    assert_eq!(calls(&gateway, "Close", "same").await, 1);
}

#[tokio::test]
async fn calls_of_a_callback_that_fails_are_not_missing() {
    let it = Mirrored::start().await;
    let mut pair = it.connect().await;
    it.handler.hold(true);
    pair.device.send("x").await;
    let mut received = it.handler.next().await;
    ok(&pair.real.send("oh").await);
    it.handler.hold(false);
    received.answer(Err(Status::internal("a bug")));
    pair.device.closed().await;
    assert_eq!(it.handler.closed().await, "handler_error");
    assert_eq!(it.mirror.closed().await, "handler_error");
    it.ended("abandoned", 1).await;
    assert_eq!(it.calls("Send", "missing").await, 0);
}

#[tokio::test]
async fn nor_are_those_of_a_stream() {
    let (handler, mirror, gateway) = stream_and_calls().await;
    let mut run = handler.greeted("one").await;
    let mut device = gateway.device().await;
    let conn = run.attach().await.conn;
    mirror.created().await;
    device.send("x").await;
    run.bytes(1).await;
    run.step(conn, &[(1, send("oh"))], 0).await;
    device.read(2).await;
    let failed = Ack {
        conn,
        seq: 1,
        error: "a bug".to_owned(),
    };
    let batch = HandlerBatch {
        acks: vec![failed],
        ..HandlerBatch::default()
    };
    run.batch(batch).await;
    device.closed().await;
    run.event().await;
    run.ack(conn, 2).await;
    assert_eq!(mirror.closed().await, "handler_error");
    gateway
        .is("exproto_mirror_connections_total{result=\"abandoned\"}", 1)
        .await;
    assert_eq!(calls(&gateway, "Send", "missing").await, 0);
}

#[tokio::test]
async fn what_is_told_twice_is_not_compared() {
    let mut it = Mirrored::with(TestHandler::start(), |config| {
        config.handler.on_handler_loss = OnHandlerLoss::Rebind;
        config.handler.retry_unacknowledged = true;
    })
    .await;
    let mut pair = it.connect().await;
    it.handler.hold(true);
    pair.device.send("x").await;
    let _lost = it.handler.next().await;
    ok(&pair.real.send("once").await);
    it.handler.hold(false);
    it.handler.restart().await;
    it.handler.created().await;
    it.handler.received(1).await;
    ok(&pair.real.send("once").await);
    it.mirror.received(1).await;
    ok(&pair.copy.send("once").await);
    pair.device.read(8).await;
    drop(pair.device);
    it.mirror.closed().await;
    it.ended("abandoned", 1).await;
}

#[tokio::test]
async fn messages_that_are_forgotten_are_not_copied() {
    let mut it = Mirrored::with(TestHandler::start(), |config| {
        config.handler.on_handler_loss = OnHandlerLoss::Rebind;
    })
    .await;
    let mut pair = it.connect().await;
    for calls in [&mut pair.real, &mut pair.copy] {
        ok(&calls.authenticate("a").await);
        ok(&calls.subscribe("t", 0).await);
    }
    it.handler.hold(true);
    for calls in [&mut pair.real, &mut pair.copy] {
        ok(&calls.publish("t", 0, "lost").await);
    }
    let lost = it.handler.next().await;
    assert!(matches!(lost.event, Event::Messages(_)));
    it.handler.hold(false);
    it.handler.restart().await;
    it.handler.created().await;
    pair.device.send("x").await;
    it.handler.received(1).await;
    // Nothing of the message.
    assert_eq!(it.mirror.received(1).await, b"x");
    drop(pair.device);
    it.mirror.closed().await;
    it.ended("abandoned", 1).await;
}

#[tokio::test]
async fn a_pod_that_ends_does_not_wait_for_calls_that_are_missing() {
    let Mirrored {
        handler,
        mirror,
        gateway,
    } = Mirrored::start().await;
    let mut device = gateway.device().await;
    let mut real = Calls::new(&gateway, &handler.created().await);
    mirror.created().await;
    ok(&real.send("x").await);
    device.read(1).await;
    gateway.stop().await;
    assert_eq!(mirror.closed().await, "draining");
}
