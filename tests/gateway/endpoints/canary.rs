//! The canary: who goes there, and what becomes of it when its callbacks fail.

/// By what it is judged, service by service.
mod judged;

use std::{fs, net::Ipv4Addr, num::NonZeroU32, time::Duration};

use config::{Affinity, Canary, Config, OnHandlerLoss, Percent, Rollback};
use exproto_tests::{Callback, Device, Event, TestGateway, TestHandler, gateway::config, until};
use tonic::Status;

use super::{READY, TOTAL, from, homes, still_at};
use crate::calls::connect;

const ON: &str = "exproto_canary_on";
const CANARIES: &str = "exproto_canary_endpoints{state=\"ready\"}";
const PARKED: &str = "exproto_callbacks_parked";
const ROLLBACKS: &str = "exproto_canary_rollbacks_total";
const FAILED: &str = "exproto_canary_callbacks_total{outcome=\"failed\"}";
const OK: &str = "exproto_canary_callbacks_total{outcome=\"ok\"}";

fn percent(text: &str) -> Percent {
    text.parse().unwrap()
}

/// One that gets that share, and is given up after the second failure at the latest.
fn canary(handler: &TestHandler, share: &str) -> Canary {
    Canary {
        addresses: vec![handler.url().parse().unwrap()],
        percent: percent(share),
        rollback: Rollback {
            failures: percent("50"),
            min_callbacks: 2,
            ..Rollback::default()
        },
        ..Canary::default()
    }
}

fn with_canary(handler: &TestHandler, canary: Canary) -> Config {
    let mut config = config(&[handler]);
    config.handler.canary = canary;
    config.handler.removal_grace = Duration::ZERO;
    config
}

async fn started(config: Config) -> TestGateway {
    let gateway = TestGateway::with(config).await;
    gateway.is(READY, 1).await;
    gateway.is(CANARIES, 1).await;
    gateway
}

/// Devices from 40 addresses.
async fn devices(gateway: &TestGateway) -> Vec<Device> {
    let mut devices = Vec::new();
    for last in 1..=40 {
        devices.push(from(Ipv4Addr::new(127, 7, 0, last), gateway).await);
    }
    devices
}

#[tokio::test]
async fn its_share_goes_there_and_what_stands_stays() {
    let (main, new) = (TestHandler::start(), TestHandler::start());
    let mut config = with_canary(&main, canary(&new, "25"));
    config.handler.affinity = Affinity::ClientIp;
    let gateway = started(config).await;
    let handlers = [&main, &new];
    let mut first = devices(&gateway).await;
    let at_first = homes(&handlers, 40).await;
    let count = at_first.values().filter(|home| **home == 1).count();
    // 10 are meant; with these addresses it is always the same number.
    assert!((4..=16).contains(&count), "{count} of 40");

    gateway.reconfigure(|config| config.handler.canary.percent = percent("0"));
    let mut second = devices(&gateway).await;
    let at_second = homes(&handlers, 40).await;
    assert!(at_second.values().all(|home| *home == 0));

    gateway.reconfigure(|config| config.handler.canary.percent = percent("100"));
    let mut third = devices(&gateway).await;
    let at_third = homes(&handlers, 40).await;
    assert!(at_third.values().all(|home| *home == 1));

    for (devices, homes) in [
        (&mut first, &at_first),
        (&mut second, &at_second),
        (&mut third, &at_third),
    ] {
        still_at(devices, &handlers, homes).await;
    }
    assert!(gateway.metric(OK).await >= 40);
    assert_eq!(gateway.metric(FAILED).await, 0);
}

#[tokio::test]
async fn addresses_and_listeners_go_there_as_a_whole() {
    let (main, new) = (TestHandler::start(), TestHandler::start());
    let mut by_address = canary(&new, "0");
    by_address.client_ips = vec!["127.8.0.0/16".parse().unwrap()];
    let gateway = started(with_canary(&main, by_address)).await;
    let _inside = from(Ipv4Addr::new(127, 8, 1, 1), &gateway).await;
    new.created().await;
    let _outside = from(Ipv4Addr::new(127, 9, 1, 1), &gateway).await;
    main.created().await;
    gateway.reconfigure(|config| {
        let name = config.listeners[0].name.clone();
        config.handler.canary.listeners = vec![name];
    });
    let _outside = from(Ipv4Addr::new(127, 9, 1, 1), &gateway).await;
    new.created().await;
}

#[tokio::test]
async fn where_it_is_not_there_the_others_are() {
    let (main, mut new) = (TestHandler::start(), TestHandler::start());
    let gateway = started(with_canary(&main, canary(&new, "100"))).await;
    new.kill();
    gateway.is(CANARIES, 0).await;
    let _at_the_others = connect(&gateway, &main).await;
    new.restart().await;
    gateway.is(CANARIES, 1).await;
    let _there_again = connect(&gateway, &new).await;
}

/// Two devices whose bytes the canary answers with errors.
async fn fail_twice(gateway: &TestGateway, new: &TestHandler) {
    for _ in 0..2 {
        let (mut device, _) = connect(gateway, new).await;
        new.hold(true);
        device.send("x").await;
        let mut callback = new.next().await;
        callback.answer(Err(Status::internal("it is new")));
        new.hold(false);
        device.closed().await;
        assert_eq!(new.closed().await, "handler_error");
    }
}

#[tokio::test]
async fn one_that_fails_is_given_up_and_its_connections_move() {
    let (main, new) = (TestHandler::start(), TestHandler::start());
    let mut config = with_canary(&main, canary(&new, "100"));
    // Of each device two callbacks are well, and one is not.
    config.handler.canary.rollback.failures = percent("30");
    config.handler.canary.rollback.min_callbacks = 5;
    config.handler.on_handler_loss = OnHandlerLoss::Rebind;
    let gateway = started(config).await;
    let (mut stays_open, calls) = connect(&gateway, &new).await;
    assert_eq!(gateway.metric(ON).await, 1);
    fail_twice(&gateway, &new).await;
    gateway.is(ROLLBACKS, 1).await;
    gateway.is(ON, 0).await;
    assert_eq!(gateway.metric(FAILED).await, 2);
    // It is told that it moved, and goes on.
    assert_eq!(main.created().await, calls.conn);
    stays_open.send("on").await;
    assert_eq!(main.received(2).await, b"on");
    let _elsewhere = connect(&gateway, &main).await;

    // Whatever is changed, it is tried again.
    gateway.reconfigure(|config| config.handler.canary.percent = percent("99.99"));
    gateway.is(ON, 1).await;
    gateway.is(CANARIES, 1).await;
    let _tried_again = connect(&gateway, &new).await;
}

#[tokio::test]
async fn with_close_its_connections_end_and_without_rollback_it_stays() {
    let (main, new) = (TestHandler::start(), TestHandler::start());
    let mut config = with_canary(&main, canary(&new, "100"));
    config.handler.canary.rollback.enabled = false;
    let gateway = started(config).await;
    fail_twice(&gateway, &new).await;
    gateway.is(FAILED, 2).await;
    assert_eq!(gateway.metric(ON).await, 1);

    gateway.reconfigure(|config| {
        config.handler.canary.rollback = Rollback {
            failures: percent("0"),
            min_callbacks: 1,
            ..Rollback::default()
        };
    });
    let (mut device, _) = connect(&gateway, &new).await;
    let (mut fails, _) = connect(&gateway, &new).await;
    new.hold(true);
    fails.send("x").await;
    let mut callback = new.next().await;
    callback.answer(Err(Status::internal("it is new")));
    new.hold(false);
    gateway.is(ROLLBACKS, 1).await;
    device.closed().await;
    fails.closed().await;
    let lost = async || match main.try_next().map(|callback: Callback| callback.event) {
        Some(Event::Closed(reason)) => reason == "handler_lost",
        _ => false,
    };
    until("the loss to be told", lost).await;
}

#[tokio::test]
async fn it_is_found_in_a_file_and_goes_with_its_settings() {
    let (main, new) = (TestHandler::start(), TestHandler::start());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("canary");
    fs::write(&file, "[]").unwrap();
    let in_file = Canary {
        addresses: Vec::new(),
        file: Some(file.clone()),
        ..canary(&new, "100")
    };
    let gateway = TestGateway::with(with_canary(&main, in_file)).await;
    gateway.is(READY, 1).await;
    let _nobody_there = connect(&gateway, &main).await;
    let taken = "exproto_reloads_total{outcome=\"taken\",what=\"canary\"}";
    let other = folder.path().join("other");
    fs::write(&other, new.url()).unwrap();
    fs::rename(&other, &file).unwrap();
    gateway.is(CANARIES, 1).await;
    assert_eq!(gateway.metric(taken).await, 1);
    let (mut there, _) = connect(&gateway, &new).await;

    // A bad one changes nothing, and the error names the setting.
    let mut bad = (*gateway.reloader().config()).clone();
    bad.handler.canary.file = Some(folder.path().join("absent"));
    let refused = gateway.reloader().reload(bad).unwrap_err();
    assert_eq!(refused.to_string(), "handler.canary.file");
    there.send("x").await;
    assert_eq!(new.received(1).await, b"x");

    gateway.reconfigure(|config| config.handler.canary = Canary::default());
    there.closed().await;
    assert_eq!(gateway.metric(ON).await, 0);
    assert_eq!(gateway.metric(TOTAL).await, 1);
}

#[tokio::test]
async fn whoever_waits_goes_to_a_canary_that_gets_more() {
    let (main, new) = (TestHandler::absent(), TestHandler::start());
    let config = with_canary(&main, canary(&new, "0"));
    let gateway = TestGateway::with(config).await;
    gateway.is(CANARIES, 1).await;
    assert_eq!(gateway.metric(ON).await, 0, "nobody goes there");
    let _waits = gateway.device().await;
    gateway.is(PARKED, 1).await;
    gateway.reconfigure(|config| config.handler.canary.percent = percent("100"));
    new.created().await;
    assert_eq!(gateway.metric(ON).await, 1);
}

#[tokio::test]
async fn a_free_place_goes_to_one_who_may_take_it() {
    let (main, new) = (TestHandler::start(), TestHandler::start());
    let mut by_address = canary(&new, "0");
    by_address.client_ips = vec!["127.8.0.0/16".parse().unwrap()];
    let mut config = with_canary(&main, by_address);
    config.handler.max_connections_per_endpoint = NonZeroU32::new(1);
    let gateway = started(config).await;
    let inside = Ipv4Addr::new(127, 8, 1, 1);
    let outside = Ipv4Addr::new(127, 9, 1, 1);
    let leaves = from(inside, &gateway).await;
    new.created().await;
    let _stays = from(outside, &gateway).await;
    main.created().await;
    let _waits_longer = from(outside, &gateway).await;
    gateway.is(PARKED, 1).await;
    let _waits = from(inside, &gateway).await;
    gateway.is(PARKED, 2).await;
    drop(leaves);
    new.closed().await;
    new.created().await;
    gateway.is(PARKED, 1).await;
}
