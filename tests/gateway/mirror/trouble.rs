//! Mirrors that are slow, wrong, dead or gone, and more connections than may be mirrored: devices notice nothing.

use std::time::Duration;

use config::{ByteSize, Config, Percent};
use exproto_tests::{Event, TestHandler};
use tonic::Status;

use super::Mirrored;
use crate::calls::{Calls, ok};

/// The device is served as if there were no mirror.
async fn is_served(it: &Mirrored, device: &mut exproto_tests::Device, calls: &mut Calls) {
    device.send("ping").await;
    assert_eq!(it.handler.received(4).await, b"ping");
    ok(&calls.send("pong").await);
    assert_eq!(device.read(4).await, b"pong");
}

#[tokio::test]
async fn a_mirror_that_hangs_is_left_behind() {
    let small = |config: &mut Config| config.handler.mirror.buffer = ByteSize::kib(4);
    let it = Mirrored::with(TestHandler::start(), small).await;
    it.mirror.hold(true);
    let mut device = it.gateway.device().await;
    let mut calls = Calls::new(&it.gateway, &it.handler.created().await);
    let mut created = it.mirror.next().await;
    for _ in 0..8 {
        device.send([0; 1024]).await;
        it.handler.received(1024).await;
    }
    it.ended("abandoned", 1).await;
    is_served(&it, &mut device, &mut calls).await;
    it.mirror.hold(false);
    created.answer(Ok(()));
    assert_eq!(it.mirror.closed().await, "slow_handler");
    it.gateway.is("exproto_mirror_shadows", 0).await;
    is_served(&it, &mut device, &mut calls).await;
}

#[tokio::test]
async fn calls_that_the_mirror_does_not_come_to_are_bounded() {
    let small = |config: &mut Config| config.handler.mirror.buffer = ByteSize::kib(4);
    let it = Mirrored::with(TestHandler::start(), small).await;
    let mut pair = it.connect().await;
    for _ in 0..8 {
        ok(&pair.real.send(vec![0; 1024]).await);
    }
    it.ended("abandoned", 1).await;
    assert_eq!(it.mirror.closed().await, "slow_handler");
    pair.device.read(8 * 1024).await;
    is_served(&it, &mut pair.device, &mut pair.real).await;
}

#[tokio::test]
async fn a_mirror_that_is_not_there_is_not_missed() {
    let hasty = |config: &mut Config| config.handler.park_timeout = Duration::from_millis(100);
    let it = Mirrored::with(TestHandler::absent(), hasty).await;
    let mut device = it.gateway.device().await;
    let mut calls = Calls::new(&it.gateway, &it.handler.created().await);
    is_served(&it, &mut device, &mut calls).await;
    it.ended("abandoned", 1).await;
    is_served(&it, &mut device, &mut calls).await;
}

#[tokio::test]
async fn a_mirror_that_answers_errors_is_told_no_more() {
    let it = Mirrored::start().await;
    let mut pair = it.connect().await;
    it.mirror.hold(true);
    is_served(&it, &mut pair.device, &mut pair.real).await;
    let mut received = it.mirror.next().await;
    assert!(matches!(received.event, Event::Received(_)));
    it.mirror.hold(false);
    received.answer(Err(Status::internal("a bug")));
    assert_eq!(it.mirror.closed().await, "handler_error");
    it.ended("abandoned", 1).await;
    is_served(&it, &mut pair.device, &mut pair.real).await;
}

#[tokio::test]
async fn a_mirror_that_starts_again_goes_on() {
    let mut it = Mirrored::start().await;
    let mut pair = it.connect().await;
    ok(&pair.real.authenticate("a").await);
    ok(&pair.copy.authenticate("a").await);
    it.mirror.restart().await;
    pair.device.send("hello").await;
    it.handler.received(5).await;
    let created = it.mirror.next().await;
    assert!(matches!(created.event, Event::Created(_)), "{created:?}");
    assert_eq!(created.header("exproto-attempt"), "2");
    assert_eq!(created.conn, pair.copy.conn);
    // It does again what it has forgotten.
    ok(&pair.copy.authenticate("a").await);
    assert_eq!(it.mirror.received(5).await, b"hello");
    ok(&pair.real.send("x").await);
    ok(&pair.copy.send("x").await);
    pair.device.read(1).await;
    drop(pair.device);
    assert_eq!(it.mirror.closed().await, "tcp_closed");
    it.ended("same", 1).await;
    assert_eq!(it.calls("Send", "same").await, 1);
}

#[tokio::test]
async fn no_more_connections_are_mirrored_than_may_be() {
    let one = |config: &mut Config| config.handler.mirror.max_connections = 1;
    let it = Mirrored::with(TestHandler::start(), one).await;
    let first = it.connect().await;
    let mut device = it.gateway.device().await;
    let mut calls = Calls::new(&it.gateway, &it.handler.created().await);
    it.ended("skipped", 1).await;
    is_served(&it, &mut device, &mut calls).await;
    assert!(it.mirror.try_next().is_none());
    drop(first);
    it.mirror.closed().await;
    it.gateway.is("exproto_mirror_shadows", 0).await;
    it.handler.closed().await;
    it.connect().await;
}

#[tokio::test]
async fn how_much_is_mirrored_can_be_changed() {
    let none = |config: &mut Config| config.handler.mirror.percent = Percent::whole(0);
    let it = Mirrored::with(TestHandler::start(), none).await;
    let _unseen = it.gateway.device().await;
    it.handler.created().await;
    it.gateway
        .reconfigure(|config| config.handler.mirror.percent = Percent::whole(100));
    let pair = it.connect().await;
    assert_eq!(it.gateway.metric("exproto_mirror_shadows").await, 1);
    // The rest takes a restart, and the log says so.
    let reloader = it.gateway.reloader();
    let mut config = (*reloader.config()).clone();
    config.handler.mirror.max_connections = 1;
    let outcome = reloader.reload(config).unwrap();
    assert_eq!(outcome.needs_restart, ["handler"]);
    drop(pair);
}

#[tokio::test]
async fn a_mirror_that_is_removed_is_told_of_nobody_and_may_then_be_the_handler() {
    let it = Mirrored::start().await;
    let pair = it.connect().await;
    let reloader = it.gateway.reloader();
    let mut removed = (*reloader.config()).clone();
    let mirrors = std::mem::take(&mut removed.handler.mirror).addresses;
    // Not yet: it is told of a connection still, and its calls are not carried out.
    let mut promoted = removed.clone();
    promoted.handler.addresses.clone_from(&mirrors);
    let refused = reloader.reload(promoted.clone()).unwrap_err();
    assert!(refused.to_string().contains("percent: 0"), "{refused}");
    let outcome = reloader.reload(removed).unwrap();
    assert_eq!(outcome.needs_restart, ["handler"]);
    let _unseen = it.gateway.device().await;
    it.handler.created().await;
    assert_eq!(it.gateway.metric("exproto_mirror_shadows").await, 1);
    drop(pair);
    it.mirror.closed().await;
    it.gateway.is("exproto_mirror_shadows", 0).await;
    reloader.reload(promoted).unwrap();
    it.gateway
        .is("exproto_handler_endpoints{state=\"ready\"}", 1)
        .await;
    let _served = it.gateway.device().await;
    it.mirror.created().await;
}
