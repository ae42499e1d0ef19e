use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Waker},
};

use bytes::Bytes;

use super::{broker, payloads, queue, subscribe};
use crate::broker::{Broker, Error, Full, Publication, Qos, Queue};

async fn retain(broker: &Broker, topic: &str, payload: &'static str) -> Result<(), Error> {
    let publication = Publication {
        topic: broker.topic(topic).unwrap(),
        qos: Qos::AtMostOnce,
        from: "me".into(),
        payload: payload.into(),
        retain: true,
    };
    broker.publish(publication).await
}

/// What a queue gets as its consumer asks.
fn arrived(queue: &Arc<Queue>) -> Vec<Bytes> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut arrived = Vec::new();
    while queue.poll_ready(&mut cx).is_ready() {
        arrived.extend(payloads(queue));
    }
    arrived
}

#[tokio::test]
async fn whoever_subscribes_later_gets_the_last_retained_message() {
    let broker = broker();
    let queue = queue(&broker, 10);
    retain(&broker, "t/a", "old").await.unwrap();
    retain(&broker, "t/a", "new").await.unwrap();
    retain(&broker, "t/b", "b").await.unwrap();
    retain(&broker, "u", "elsewhere").await.unwrap();
    let filter = broker.filter("t/+").unwrap();
    let _first = broker.subscribe_anew(filter.clone(), Qos::AtMostOnce, &queue);
    assert_eq!(arrived(&queue), ["new", "b"]);
    let _again = broker.subscribe(filter, Qos::AtMostOnce, &queue);
    assert!(arrived(&queue).is_empty());
}

#[tokio::test]
async fn an_empty_payload_is_delivered_and_leaves_nothing() {
    let broker = broker();
    let (early, late) = (queue(&broker, 10), queue(&broker, 10));
    let filter = broker.filter("t").unwrap();
    let _early = broker.subscribe_anew(filter.clone(), Qos::AtMostOnce, &early);
    retain(&broker, "t", "x").await.unwrap();
    retain(&broker, "t", "").await.unwrap();
    let _late = broker.subscribe_anew(filter, Qos::AtMostOnce, &late);
    assert_eq!(arrived(&early), ["x", ""]);
    assert!(arrived(&late).is_empty());
    assert_eq!(broker.stats().retained.load(Relaxed), 0);
}

#[tokio::test]
async fn a_retained_message_too_many_is_refused_and_reaches_nobody() {
    let broker = broker();
    let queue = queue(&broker, 10);
    let _subscription = subscribe(&broker, "#", &queue);
    for topic in ["1", "2", "3"] {
        retain(&broker, topic, "x").await.unwrap();
    }
    let refused = retain(&broker, "4", "y").await;
    assert!(matches!(
        refused,
        Err(Error::NotRetained(Full::Messages(3)))
    ));
    retain(&broker, "4", "").await.unwrap();
    retain(&broker, "3", "z").await.unwrap();
    retain(&broker, "1", "").await.unwrap();
    retain(&broker, "4", "w").await.unwrap();
    assert_eq!(arrived(&queue), ["x", "x", "x", "", "z", "", "w"]);
    assert_eq!(broker.stats().retained.load(Relaxed), 3);
}

#[tokio::test]
async fn a_group_gets_nothing_that_is_retained() {
    let broker = broker();
    let queue = queue(&broker, 10);
    retain(&broker, "t", "x").await.unwrap();
    let shared = broker.filter("$share/g/t").unwrap();
    let _member = broker.subscribe_anew(shared, Qos::AtMostOnce, &queue);
    assert!(arrived(&queue).is_empty());
}

#[tokio::test]
async fn a_message_that_is_published_after_the_subscription_arrives_once() {
    let broker = broker();
    let queue = queue(&broker, 10);
    retain(&broker, "t/1", "1").await.unwrap();
    let filter = broker.filter("t/#").unwrap();
    let _subscription = broker.subscribe_anew(filter, Qos::AtMostOnce, &queue);
    // Before the queue has looked for what was there.
    retain(&broker, "t/1", "replaced").await.unwrap();
    retain(&broker, "t/2", "2").await.unwrap();
    let mut all = arrived(&queue);
    all.sort();
    assert_eq!(all, ["2", "replaced"]);
}
