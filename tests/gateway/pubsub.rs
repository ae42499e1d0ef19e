//! Topics, filters and messages.

use std::{collections::HashSet, time::SystemTime};

use exproto_tests::{Event, TestGateway, TestHandler, gateway::config};
use proto::exproto::ResultCode;

use crate::calls::{Calls, client, ok, refused};

#[tokio::test]
async fn a_client_receives_its_own_messages_with_all_their_fields() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.pod.name = Some("pod-7".parse().unwrap());
    let gateway = TestGateway::with(config).await;
    let (_device, mut calls) = client(&gateway, &handler, "truck-1").await;
    ok(&calls.subscribe("fleet/+/speed", 1).await);
    ok(&calls.publish("fleet/1/speed", 2, "88").await);
    let message = handler.messages(1).await.remove(0);
    assert_eq!(message.node, "pod-7");
    assert_eq!(message.qos, 2);
    assert_eq!(message.from, "truck-1");
    assert_eq!(message.topic, "fleet/1/speed");
    assert_eq!(message.payload, "88");
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    assert!(u128::from(message.timestamp) <= now && u128::from(message.timestamp) > now - 60_000);
}

#[tokio::test]
async fn messages_of_a_publisher_arrive_in_order_and_in_batches() {
    const MESSAGES: u32 = 950;
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (mut device, mut calls) = client(&gateway, &handler, "a").await;
    ok(&calls.subscribe("t", 1).await);
    handler.hold(true);
    device.send("busy").await;
    let mut busy = handler.next().await;
    for number in 0..MESSAGES {
        ok(&calls.publish("t", 1, number.to_be_bytes().to_vec()).await);
    }
    handler.hold(false);
    busy.answer(Ok(()));
    let mut numbers = Vec::new();
    let mut ids = HashSet::new();
    while numbers.len() < MESSAGES as usize {
        let Event::Messages(batch) = handler.next().await.event else {
            panic!("not OnReceivedMessages");
        };
        assert!((1..=100).contains(&batch.len()));
        for message in batch {
            numbers.push(u32::from_be_bytes(message.payload[..].try_into().unwrap()));
            assert!(ids.insert(message.id), "an id came twice");
        }
    }
    assert_eq!(numbers, (0..MESSAGES).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_batch_stays_below_one_mebibyte() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (mut device, mut calls) = client(&gateway, &handler, "a").await;
    ok(&calls.subscribe("t", 1).await);
    handler.hold(true);
    device.send("busy").await;
    let mut busy = handler.next().await;
    for _ in 0..6 {
        ok(&calls.publish("t", 1, vec![0; 400 * 1024]).await);
    }
    handler.hold(false);
    busy.answer(Ok(()));
    let mut count = 0;
    while count < 6 {
        let Event::Messages(batch) = handler.next().await.event else {
            panic!("not OnReceivedMessages");
        };
        assert!(
            batch
                .iter()
                .map(|message| message.payload.len())
                .sum::<usize>()
                <= 1024 * 1024
        );
        count += batch.len();
    }
}

#[tokio::test]
async fn each_matching_subscription_gets_one_copy() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (_device, mut calls) = client(&gateway, &handler, "a").await;
    ok(&calls.subscribe("a/b", 0).await);
    ok(&calls.subscribe("a/+", 0).await);
    // The same filter again replaces its options and adds nothing.
    ok(&calls.subscribe("a/+", 1).await);
    ok(&calls.publish("a/b", 0, "x").await);
    assert_eq!(handler.messages(2).await.len(), 2);
    ok(&calls.unsubscribe("a/+").await);
    ok(&calls.publish("a/b", 0, "y").await);
    ok(&calls.publish("a/b", 0, "z").await);
    let payloads: Vec<_> = handler
        .messages(2)
        .await
        .into_iter()
        .map(|message| message.payload)
        .collect();
    assert_eq!(payloads, ["y", "z"]);
}

#[tokio::test]
async fn a_shared_subscription_gives_each_message_to_one_member() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (_device_a, mut a) = client(&gateway, &handler, "a").await;
    let (_device_b, mut b) = client(&gateway, &handler, "b").await;
    for member in [&mut a, &mut b] {
        ok(&member.subscribe("$share/workers/jobs/#", 1).await);
    }
    for _ in 0..20 {
        ok(&a.publish("jobs/1", 1, "x").await);
    }
    let mut share = [0, 0];
    while share.iter().sum::<usize>() < 20 {
        let callback = handler.next().await;
        let Event::Messages(messages) = callback.event else {
            panic!("not OnReceivedMessages");
        };
        share[usize::from(callback.conn == b.conn)] += messages.len();
    }
    assert_eq!(share, [10, 10]);
    assert!(handler.try_next().is_none());
}

#[tokio::test]
async fn wildcards_do_not_see_system_topics() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (_device, mut calls) = client(&gateway, &handler, "a").await;
    ok(&calls.subscribe("#", 0).await);
    ok(&calls.subscribe("+/secret", 0).await);
    ok(&Calls::new(&gateway, "")
        .raw_publish("$SYS/secret", 0, "hidden")
        .await);
    ok(&calls.publish("plain", 0, "seen").await);
    let messages = handler.messages(1).await;
    assert_eq!(messages[0].payload, "seen");
}

#[tokio::test]
async fn a_connection_that_ends_takes_its_subscriptions_along() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (device, mut calls) = client(&gateway, &handler, "a").await;
    for number in 0..10 {
        ok(&calls.subscribe(&format!("t/{number}/+"), 0).await);
    }
    assert_eq!(gateway.metric("exproto_subscriptions").await, 10);
    drop(device);
    handler.closed().await;
    assert_eq!(gateway.metric("exproto_subscriptions").await, 0);
}

#[tokio::test]
async fn subscriptions_of_a_client_are_bounded() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.connection.max_subscriptions = 2;
    let gateway = TestGateway::with(config).await;
    let (_device, mut calls) = client(&gateway, &handler, "a").await;
    ok(&calls.subscribe("1", 0).await);
    ok(&calls.subscribe("2", 0).await);
    refused(
        &calls.subscribe("3", 0).await,
        ResultCode::Unknown,
        "max_subscriptions",
    );
    ok(&calls.subscribe("2", 1).await);
    ok(&calls.unsubscribe("1").await);
    ok(&calls.subscribe("3", 0).await);
}
