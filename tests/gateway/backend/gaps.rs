//! What is lost is said to be, and Redis that is away.

use std::time::Duration;

use proto::gateway::SubscribeRequest;
use tonic::Code;

use super::{Backend, wanting};
use crate::cluster::Pods;

fn small(config: &mut config::Config) {
    config.backend.position_interval = Duration::from_millis(50);
    config.broker.shared.log_messages = 100;
    config.broker.shared.timeout = Duration::from_millis(500);
    config.redis.timeout = Duration::from_millis(300);
}

#[tokio::test]
async fn who_was_away_for_too_long_is_told_of_a_gap() {
    const MESSAGES: usize = 2_000;
    let pods = Pods::start().await;
    let one = pods.pod_with("a", small).await;
    let mut backend = Backend::of(&one.gateway);
    let subscriber = backend.subscribe(&["t", "other/#"]).await;
    let position = subscriber.position.clone();
    drop(subscriber);
    for number in 0..MESSAGES {
        backend.publish("t", 1, number.to_string()).await.unwrap();
    }
    let mut subscriber = backend.resume(&["t", "other/#"], position.clone()).await;
    let first = subscriber.payloads(1).await;
    assert_eq!(subscriber.gaps, 1, "before the first message");
    let first: usize = first[0].parse().unwrap();
    assert!(first > 0 && first <= MESSAGES - 100, "{first}");
    let rest = subscriber.payloads(MESSAGES - 1 - first).await;
    let rest: Vec<usize> = rest.iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(rest, (first + 1..MESSAGES).collect::<Vec<_>>());
    assert_eq!(subscriber.gaps, 1);
    let gaps = "exproto_backend_trouble_total{kind=\"gap\"}";
    one.gateway.is(gaps, 1).await;
    // Nothing is missing from where it is now.
    let position = subscriber.positioned().await;
    let mut again = backend.resume(&["t", "other/#"], position).await;
    again.positioned().await;
    assert_eq!(again.gaps, 0);
}

#[tokio::test]
async fn a_redis_that_has_lost_its_data_is_a_gap() {
    let mut pods = Pods::start().await;
    let one = pods.pod_with("a", small).await;
    let mut backend = Backend::of(&one.gateway);
    let mut subscriber = backend.subscribe(&["t"]).await;
    backend.publish("t", 1, "before").await.unwrap();
    assert_eq!(subscriber.payloads(1).await, ["before"]);
    let position = subscriber.positioned().await;
    pods.redis.restart().await;
    // Who is there is told, and so is who comes back.
    exproto_tests::within("a gap", async {
        while subscriber.gaps == 0 {
            subscriber.step().await.unwrap();
        }
    })
    .await;
    backend.publish("t", 1, "after").await.unwrap();
    assert_eq!(subscriber.payloads(1).await, ["after"]);
    let mut again = backend.resume(&["t"], position).await;
    let came = again.payloads(1).await;
    assert_eq!((again.gaps, &*came[0]), (1, "after"));
}

#[tokio::test]
async fn without_redis_nobody_subscribes_and_who_has_goes_on() {
    let mut pods = Pods::start().await;
    let one = pods.pod_with("a", small).await;
    let mut backend = Backend::of(&one.gateway);
    let mut subscriber = backend.subscribe(&["t"]).await;
    pods.redis.kill();
    backend.publish("t", 0, "zero").await.unwrap();
    let status = backend.publish("t", 1, "unsure").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().contains("other pods"), "{status}");
    assert_eq!(subscriber.payloads(2).await, ["zero", "unsure"]);
    let (code, text) = backend.refused(wanting(&["t"])).await;
    assert_eq!(code, Code::Unavailable, "{text}");
    // Nor is anything read that was missed.
    let request = SubscribeRequest {
        position: subscriber.position,
        ..wanting(&["t"])
    };
    let end = match backend.try_subscribe(request).await {
        Ok(mut again) => again.rest().await.1,
        Err(status) => status,
    };
    assert_eq!(end.code(), Code::Unavailable, "{end}");
    assert!(end.message().contains("the last position"), "{end}");
}
