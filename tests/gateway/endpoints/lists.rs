//! Addresses in the configuration and in a file, which change while the gateway runs.

use std::{fs, time::Duration};

use config::{Config, OnHandlerLoss};
use exproto_tests::{TestGateway, TestHandler, gateway::config};

use super::{READY, TOTAL, homes, still_at};
use crate::calls::connect;

const REFUSED: &str = "exproto_reloads_total{outcome=\"refused\",what=\"handlers\"}";
const TAKEN: &str = "exproto_reloads_total{outcome=\"taken\",what=\"handlers\"}";

/// A gateway that finds its handlers in a file, and the file.
struct Listed {
    gateway: TestGateway,
    folder: tempfile::TempDir,
}

impl Listed {
    async fn start(content: &str, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("handlers");
        fs::write(&file, content).unwrap();
        let mut config = config(&[]);
        config.handler.file = Some(file);
        config.handler.removal_grace = Duration::ZERO;
        change(&mut config);
        let gateway = TestGateway::with(config).await;
        Self { gateway, folder }
    }

    fn write(&self, content: &str) {
        // As editors do: the file is replaced.
        let new = self.folder.path().join("new");
        fs::write(&new, content).unwrap();
        fs::rename(&new, self.folder.path().join("handlers")).unwrap();
    }
}

#[tokio::test]
async fn a_file_is_followed_and_a_bad_one_is_not() {
    let (a, b) = (TestHandler::start(), TestHandler::start());
    let listed = Listed::start(&format!("# ours\n{}\n", a.url()), |_| ()).await;
    let gateway = &listed.gateway;
    gateway.is(READY, 1).await;
    let (mut old, _) = connect(gateway, &a).await;

    listed.write(&format!("- {}\n- {}\n", a.url(), b.url()));
    gateway.is(READY, 2).await;
    assert_eq!(gateway.metric(TAKEN).await, 1);

    for (times, bad) in [(1, "127.0.0.1\n"), (2, ""), (3, "- {a: b}\n")] {
        listed.write(bad);
        gateway.counts(REFUSED, times).await;
        assert_eq!(gateway.metric(READY).await, 2, "{bad:?}");
    }
    old.send("still here").await;
    assert_eq!(a.received(10).await, b"still here");

    // Whoever is bound to an endpoint that is gone loses it.
    listed.write(&b.url());
    old.closed().await;
    assert_eq!(b.closed().await, "handler_lost");
    gateway.is(TOTAL, 1).await;
    let (_new, _) = connect(gateway, &b).await;
}

#[tokio::test]
async fn with_rebind_connections_move_from_an_endpoint_that_was_taken_out() {
    let (a, b) = (TestHandler::start(), TestHandler::start());
    let listed = Listed::start(&a.url(), |config| {
        config.handler.on_handler_loss = OnHandlerLoss::Rebind;
    })
    .await;
    let (mut device, calls) = connect(&listed.gateway, &a).await;
    listed.write(&b.url());
    let moved = b.next().await;
    assert_eq!(moved.conn, calls.conn);
    assert_eq!(moved.header("exproto-attempt"), "2");
    device.send("on we go").await;
    assert_eq!(b.received(8).await, b"on we go");
}

#[tokio::test]
async fn without_any_handler_devices_wait_for_one() {
    let a = TestHandler::start();
    let listed = Listed::start("[]", |_| ()).await;
    let gateway = &listed.gateway;
    let mut device = gateway.device().await;
    device.send("patience").await;
    gateway.is("exproto_callbacks_parked", 1).await;
    listed.write(&a.url());
    a.created().await;
    assert_eq!(a.received(8).await, b"patience");
    listed.write("[]");
    device.closed().await;
    gateway.is(TOTAL, 0).await;
}

#[tokio::test]
async fn an_endpoint_that_comes_back_in_time_was_never_gone() {
    let (a, b) = (TestHandler::start(), TestHandler::start());
    let listed = Listed::start(&a.url(), |config| {
        config.handler.removal_grace = Duration::from_secs(3600);
    })
    .await;
    let gateway = &listed.gateway;
    let (device, _) = connect(gateway, &a).await;
    listed.write(&b.url());
    gateway.counts(TAKEN, 1).await;
    gateway.is(READY, 1).await;
    assert_eq!(gateway.metric(TOTAL).await, 1);
    // It leaves: nothing new comes to it, and nothing is taken from it.
    let mut devices = vec![device];
    for _ in 0..10 {
        let (device, _) = connect(gateway, &b).await;
        devices.push(device);
    }
    devices[0].send("still here").await;
    assert_eq!(a.received(10).await, b"still here");
    listed.write(&a.url());
    gateway.counts(TAKEN, 2).await;
    let (_new, _) = connect(gateway, &a).await;
    devices[0].send("and still").await;
    assert_eq!(a.received(9).await, b"and still");
}

#[tokio::test]
async fn one_way_to_find_them_may_be_changed_for_another() {
    let (a, b) = (TestHandler::start(), TestHandler::start());
    let gateway = TestGateway::start(&a).await;
    let (mut device, _) = connect(&gateway, &a).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("handlers");
    fs::write(&file, format!("{}\n{}\n", a.url(), b.url())).unwrap();
    gateway.reconfigure(|config| {
        config.handler.addresses.clear();
        config.handler.file = Some(file.clone());
    });
    gateway.is(READY, 2).await;
    // The file is followed from now on, and who was there is not touched.
    let other = folder.path().join("other");
    fs::write(&other, a.url()).unwrap();
    fs::rename(&other, &file).unwrap();
    gateway.is(TOTAL, 1).await;
    device.send("x").await;
    assert_eq!(a.received(1).await, b"x");
}

#[tokio::test]
async fn addresses_of_the_configuration_are_reloaded_and_the_rest_is_not() {
    let (a, b) = (TestHandler::start(), TestHandler::start());
    let gateway = TestGateway::start(&a).await;
    let (device, _) = connect(&gateway, &a).await;
    let mut config = (*gateway.reloader().config()).clone();
    config.handler.addresses.push(b.url().parse().unwrap());
    let reloaded = gateway.reloader().reload(config.clone()).unwrap();
    assert_eq!(reloaded.needs_restart, [""; 0]);
    gateway.is(READY, 2).await;
    config.handler.max_streams = 7;
    let reloaded = gateway.reloader().reload(config).unwrap();
    assert_eq!(reloaded.needs_restart, ["handler"]);
    // Who was there is not touched.
    let mut devices = [device];
    devices[0].send("x").await;
    a.received(1).await;
    let more = gateway.device().await;
    let home = homes(&[&a, &b], 1).await;
    still_at(&mut [more], &[&a, &b], &home).await;
}
