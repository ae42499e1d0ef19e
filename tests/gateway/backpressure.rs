//! Queues that are full: what waits is bounded, and who is too slow is told or closed.

use std::time::Duration;

use config::ByteSize;
use exproto_tests::{Event, TestGateway, TestHandler, gateway::config, until, within};
use proto::exproto::ResultCode;

use crate::calls::{Calls, both_ready, client, connect, ok, refused};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn a_slow_handler_stops_the_device_and_not_the_memory() {
    let handler = TestHandler::start();
    let config = config(&[&handler]);
    let limit = config.connection.inbound_limit.bytes() as u64;
    let gateway = TestGateway::with(config).await;
    let (mut device, _) = connect(&gateway, &handler).await;
    handler.hold(true);
    device.send("first").await;
    let mut first = handler.next().await;
    // As much as goes into the buffers of the kernels, and no more however long one tries.
    let mut sent = 0;
    let read = || gateway.metric("exproto_received_bytes_total{listener=\"tcp\"}");
    until("the device to be stopped", async || {
        let more = device.send_what_fits(256 * MIB);
        sent += more;
        more == 0 && read().await >= limit
    })
    .await;
    assert!(sent < 64 * MIB, "{sent} bytes were taken");
    assert_eq!(read().await, limit + 5);
    handler.hold(false);
    first.answer(Ok(()));
    let rest = handler.received(sent).await;
    assert!(rest.len() == sent && rest.iter().all(|byte| *byte == 7));
}

#[tokio::test]
async fn a_device_that_reads_nothing_is_closed_as_slow_consumer() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.connection.send_timeout = Duration::from_millis(500);
    let gateway = TestGateway::with(config).await;
    let (mut device, mut calls) = connect(&gateway, &handler).await;
    let answer = within("Send to be refused", async {
        loop {
            let answer = calls.send(vec![0; MIB]).await;
            if answer.code() != ResultCode::Success {
                break answer;
            }
        }
    })
    .await;
    // Whichever of the two limits is noticed first: the call's, or the socket's.
    assert!(
        matches!(
            answer.code(),
            ResultCode::Unknown | ResultCode::ConnProcessNotAlive
        ),
        "{answer:?}"
    );
    assert_eq!(handler.closed().await, "slow_consumer");
    device.closed().await;
}

#[tokio::test]
async fn a_device_that_reads_again_in_time_misses_nothing() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (mut device, mut calls) = connect(&gateway, &handler).await;
    let sender = tokio::spawn(async move {
        for part in 0..32_u8 {
            ok(&calls.send(vec![part; MIB]).await);
        }
    });
    // The kernel's buffers and the outbox hold less than that, so the sender waits by now, or soon will.
    until("the socket to be full", async || {
        gateway
            .metric("exproto_sent_bytes_total{listener=\"tcp\"}")
            .await
            > 0
    })
    .await;
    for part in 0..32_u8 {
        let bytes = device.read(MIB).await;
        assert!(bytes.iter().all(|byte| *byte == part));
    }
    within("the sender", sender).await.unwrap();
}

#[tokio::test]
async fn calls_that_wait_are_bounded() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.connection.max_waiting_calls = 3;
    config.connection.outbox_limit = ByteSize::kib(64);
    let gateway = TestGateway::with(config).await;
    let (_device, calls) = connect(&gateway, &handler).await;
    let mut tasks = tokio::task::JoinSet::new();
    let busy = within("a call to be refused", async {
        loop {
            let mut calls = Calls::new(&gateway, &calls.conn);
            tasks.spawn(async move { calls.send(vec![0; MIB]).await });
            if let Some(answer) = tasks.try_join_next() {
                let answer = answer.unwrap();
                if answer.code() != ResultCode::Success {
                    break answer;
                }
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    refused(&busy, ResultCode::Unknown, "wait on this connection");
}

#[tokio::test]
async fn one_device_too_many_is_turned_away() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.listeners[0].limits.max_connections = 2.try_into().unwrap();
    let gateway = TestGateway::with(config).await;
    let (first, _) = connect(&gateway, &handler).await;
    let (_second, _) = connect(&gateway, &handler).await;
    let mut third = gateway.device().await;
    third.closed().await;
    assert_eq!(
        gateway
            .metric(
                "exproto_connections_refused_total{listener=\"tcp\",reason=\"max_connections\"}"
            )
            .await,
        1
    );
    drop(first);
    handler.closed().await;
    until("a place to be free", async || {
        gateway
            .metric("exproto_connections{listener=\"tcp\"}")
            .await
            == 1
    })
    .await;
    connect(&gateway, &handler).await;
}

#[tokio::test]
async fn a_full_queue_drops_its_oldest_messages_of_qos_0() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.connection.message_queue = 10;
    let gateway = TestGateway::with(config).await;
    let (mut device, mut calls) = client(&gateway, &handler, "a").await;
    ok(&calls.subscribe("t", 0).await);
    handler.hold(true);
    device.send("busy").await;
    let mut busy = handler.next().await;
    for number in 0..50_u8 {
        ok(&calls.publish("t", 0, vec![number]).await);
    }
    handler.hold(false);
    busy.answer(Ok(()));
    let messages = handler.messages(10).await;
    let numbers: Vec<_> = messages.iter().map(|message| message.payload[0]).collect();
    assert_eq!(numbers, (40..50).collect::<Vec<_>>());
    assert_eq!(
        gateway
            .metric("exproto_messages_total{event=\"dropped\"}")
            .await,
        40
    );
}

#[tokio::test]
async fn a_queue_full_of_what_must_not_be_dropped_closes_the_connection() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.connection.message_queue = 10;
    let gateway = TestGateway::with(config).await;
    let (_publisher_device, mut publisher) = client(&gateway, &handler, "publisher").await;
    let (mut device, mut calls) = client(&gateway, &handler, "subscriber").await;
    ok(&calls.subscribe("t", 1).await);
    handler.hold(true);
    device.send("busy").await;
    let mut busy = handler.next().await;
    for _ in 0..11 {
        ok(&publisher.publish("t", 1, "x").await);
    }
    device.closed().await;
    handler.hold(false);
    busy.answer(Ok(()));
    let closed = handler.next().await;
    assert_eq!(closed.conn, calls.conn);
    assert_eq!(closed.event, Event::Closed("slow_handler".to_owned()));
}

#[tokio::test]
async fn one_slow_subscriber_delays_nobody() {
    let (slow, quick) = (TestHandler::start(), TestHandler::start());
    let gateway = TestGateway::with(config(&[&slow, &quick])).await;
    both_ready(&gateway).await;
    slow.hold(true);
    let mut devices = Vec::new();
    let mut subscribed = 0;
    // Until both handlers have one; the slow one never answers.
    let mut held = Vec::new();
    while subscribed == 0 || held.is_empty() {
        devices.push(gateway.device().await);
        let created = tokio::select! {
            created = slow.next() => {
                held.push(created);
                continue;
            }
            created = quick.next() => created,
        };
        let mut calls = Calls::new(&gateway, &created.conn);
        ok(&calls.authenticate(&format!("quick-{subscribed}")).await);
        ok(&calls.subscribe("t", 1).await);
        subscribed += 1;
    }
    let mut calls = Calls::new(&gateway, &held[0].conn);
    ok(&calls.authenticate("slow").await);
    ok(&calls.subscribe("t", 1).await);
    for _ in 0..20 {
        ok(&calls.publish("t", 1, "x").await);
    }
    assert_eq!(quick.messages(20 * subscribed).await.len(), 20 * subscribed);
}
