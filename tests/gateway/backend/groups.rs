//! `$share` groups: back ends and clients share the work.

use exproto_tests::{TestGateway, TestHandler, until};
use proto::gateway::SubscribeRequest;

use super::{Backend, numbers, wanting};
use crate::calls::{client, ok};

#[tokio::test]
async fn a_group_of_back_ends_and_clients_shares_its_messages() {
    const MESSAGES: usize = 90;
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let mut backend = Backend::of(&gateway);
    let mut one = backend.subscribe(&["$share/g/jobs/#"]).await;
    let mut two = backend.subscribe(&["$share/g/jobs/#"]).await;
    assert!(!one.resumable && one.position.is_empty());
    let (_device, mut calls) = client(&gateway, &handler, "worker").await;
    ok(&calls.subscribe("$share/g/jobs/#", 1).await);
    for number in numbers(MESSAGES) {
        backend.publish("jobs/1", 1, number).await.unwrap();
    }
    let share = MESSAGES / 3;
    let mut all = one.payloads(share).await;
    all.extend(two.payloads(share).await);
    let of_client = handler.messages(share).await;
    all.extend(of_client.iter().map(super::payload));
    all.sort_by_key(|text| text.parse::<usize>().unwrap());
    assert_eq!(all, numbers(MESSAGES));
}

#[tokio::test]
async fn what_waits_for_a_member_that_goes_is_for_the_others() {
    const MESSAGES: usize = 400;
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let mut backend = Backend::of(&gateway);
    let idle = backend.subscribe(&["$share/g/jobs"]).await;
    let mut busy = Backend::of(&gateway).subscribe(&["$share/g/jobs"]).await;
    // More than is on its way to it while it takes nothing.
    for number in numbers(MESSAGES) {
        backend
            .publish("jobs", 1, format!("{number:0>50000}"))
            .await
            .unwrap();
    }
    let own = busy.payloads(MESSAGES / 2).await;
    assert!(own.iter().all(|text| text.len() == 50_000));
    drop(idle);
    let handed = "exproto_backend_messages_total{event=\"handed_over\"}";
    gateway.is("exproto_backend_subscriptions", 1).await;
    until("messages to be handed over", async || {
        gateway.metric(handed).await > 0
    })
    .await;
    let count = usize::try_from(gateway.metric(handed).await).unwrap();
    let mut all = busy.payloads(count).await;
    all.extend(own);
    let before = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), before, "none comes twice");
}

#[tokio::test]
async fn a_member_without_room_is_passed_by() {
    const MESSAGES: usize = 3_000;
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let mut backend = Backend::of(&gateway);
    let few = SubscribeRequest {
        max_waiting: 5,
        ..wanting(&["$share/g/jobs"])
    };
    let mut idle = backend.try_subscribe(few).await.unwrap();
    let mut busy = Backend::of(&gateway).subscribe(&["$share/g/jobs"]).await;
    for number in numbers(MESSAGES) {
        backend
            .publish("jobs", 1, format!("{number:0>1000}"))
            .await
            .unwrap();
    }
    let mut all = Vec::new();
    while all.len() < MESSAGES {
        // What one has not got, the other has.
        let next = tokio::select! {
            next = busy.payloads(1) => next,
            next = idle.payloads(1) => next,
        };
        all.extend(next);
    }
    let mut came: Vec<usize> = all.iter().map(|text| text.parse().unwrap()).collect();
    came.sort_unstable();
    assert_eq!(came, (0..MESSAGES).collect::<Vec<_>>());
}
