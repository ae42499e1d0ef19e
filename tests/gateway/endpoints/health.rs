//! Endpoints that tell how they are (`grpc.health.v1`).

use std::time::Duration;

use exproto_tests::{Manner, TestGateway, TestHandler, gateway::config, until};

use super::READY;
use crate::calls::connect;

fn telling() -> TestHandler {
    let manner = Manner {
        has_health: true,
        ..Manner::default()
    };
    TestHandler::start_as(([127, 0, 0, 1], 0).into(), manner)
}

async fn gateway(handlers: &[&TestHandler]) -> TestGateway {
    let mut config = config(handlers);
    config.handler.health.interval = Duration::from_millis(20);
    TestGateway::with(config).await
}

#[tokio::test]
async fn who_wants_no_connections_gets_none_and_keeps_what_it_has() {
    let (a, b) = (telling(), TestHandler::start());
    let gateway = gateway(&[&a, &b]).await;
    gateway.is(READY, 2).await;
    let mut at_a = None;
    until("a connection to the one that tells", async || {
        let device = gateway.device().await;
        let homes = super::homes(&[&a, &b], 1).await;
        if homes.values().any(|place| *place == 0) {
            at_a = Some(device);
        } else {
            drop(device);
            b.closed().await;
        }
        at_a.is_some()
    })
    .await;
    let mut device = at_a.unwrap();
    a.set_serving(false).await;
    gateway.is(READY, 1).await;
    let ready = gateway.http("/readyz").await;
    let expected = format!("{}: it says NOT_SERVING", a.url());
    assert!(ready.contains(&expected), "{ready}");
    let mut others = Vec::new();
    for _ in 0..10 {
        others.push(connect(&gateway, &b).await);
    }
    device.send("still here").await;
    assert_eq!(a.received(10).await, b"still here");
    a.set_serving(true).await;
    gateway.is(READY, 2).await;
}

#[tokio::test]
async fn while_all_say_no_devices_wait() {
    let a = telling();
    a.set_serving(false).await;
    let gateway = gateway(&[&a]).await;
    let mut device = gateway.device().await;
    device.send("patience").await;
    gateway.is("exproto_callbacks_parked", 1).await;
    assert_eq!(gateway.metric(READY).await, 0);
    a.set_serving(true).await;
    a.created().await;
    assert_eq!(a.received(8).await, b"patience");
}

#[tokio::test]
async fn a_service_that_it_does_not_know_is_said() {
    let a = telling();
    let mut config = config(&[&a]);
    config.handler.health.service = "mine".to_owned();
    let gateway = TestGateway::with(config).await;
    until("the reason to be said", async || {
        let ready = gateway.http("/readyz").await;
        ready.contains("it knows no service \"mine\" (handler.health.service)")
    })
    .await;
}
