//! Messages for back ends, in one pod that works alone.

use exproto_tests::{TestGateway, TestHandler, gateway::config};
use proto::gateway::{PublishRequest, SubscribeRequest};
use tonic::Code;

use super::{Backend, message, numbers, wanting};
use crate::calls::{client, ok};

#[tokio::test]
async fn a_back_end_gets_what_clients_publish() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let mut backend = Backend::of(&gateway);
    // A message that several filters match comes once.
    let mut subscriber = backend.subscribe(&["fleet/+/position", "fleet/#"]).await;
    assert!(!subscriber.resumable && subscriber.position.is_empty());
    let (_device, mut calls) = client(&gateway, &handler, "truck").await;
    for qos in 0..3 {
        let payload = qos.to_string();
        ok(&calls.publish("fleet/1/position", qos, payload).await);
    }
    ok(&calls.publish("other", 1, "unwanted").await);
    ok(&calls.publish("fleet/1", 1, "last").await);
    let messages = subscriber.messages(4).await;
    let first = &messages[1];
    assert_eq!(
        (first.qos, &*first.topic, &*first.from),
        (1, "fleet/1/position", "truck")
    );
    assert_eq!((first.id.len(), first.payload.as_ref()), (32, &b"1"[..]));
    assert_eq!(messages[3].payload.as_ref(), b"last");
    gateway.is("exproto_backend_subscriptions", 1).await;
    drop(subscriber);
    gateway.is("exproto_backend_subscriptions", 0).await;
    gateway.is("exproto_subscriptions", 0).await;
}

#[tokio::test]
async fn retained_messages_come_unless_they_are_not_wanted() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let mut backend = Backend::of(&gateway);
    let retained = PublishRequest {
        retain: true,
        ..message("state/a", 1, "kept")
    };
    backend.0.publish(retained).await.unwrap();
    let mut with = backend.subscribe(&["state/+"]).await;
    assert_eq!(with.payloads(1).await, ["kept"]);
    let without = SubscribeRequest {
        skip_retained: true,
        ..wanting(&["state/+"])
    };
    let mut without = backend.try_subscribe(without).await.unwrap();
    backend.publish("state/b", 1, "new").await.unwrap();
    assert_eq!(without.payloads(1).await, ["new"]);
}

#[tokio::test]
async fn what_is_wrong_with_a_subscription_is_said() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.backend.max_filters = 2;
    config.backend.max_subscriptions = 1;
    let gateway = TestGateway::with(config).await;
    let mut backend = Backend::of(&gateway);
    for (filters, word) in [
        (&[][..], "filters: "),
        (&["a", "b/#/c"], "filters[1]: "),
        (&["a", "b", "c"], "backend.max_filters"),
        (&["a", "$share/g/b"], "$share"),
    ] {
        let (code, text) = backend.refused(wanting(filters)).await;
        assert_eq!(code, Code::InvalidArgument, "{text}");
        assert!(text.contains(word), "{text}");
    }
    let resumed = |filter| SubscribeRequest {
        position: "somewhere".into(),
        ..wanting(&[filter])
    };
    let (code, text) = backend.refused(resumed("a")).await;
    assert_eq!(code, Code::FailedPrecondition, "{text}");
    let (code, text) = backend.refused(resumed("$share/g/a")).await;
    assert_eq!(code, Code::InvalidArgument, "{text}");

    let subscriber = backend.subscribe(&["a"]).await;
    let (code, text) = backend.refused(wanting(&["a"])).await;
    assert_eq!(code, Code::ResourceExhausted, "{text}");
    assert!(text.contains("backend.max_subscriptions"), "{text}");
    drop(subscriber);
    gateway.is("exproto_backend_subscriptions", 0).await;
    backend.subscribe(&["a"]).await;
}

/// Far more than the connection holds while nobody reads.
const MANY: usize = 4_000;

#[tokio::test]
async fn who_is_too_slow_is_told_so_and_gets_what_was_there() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let mut backend = Backend::of(&gateway);
    let few = SubscribeRequest {
        max_waiting: 10,
        ..wanting(&["t"])
    };
    let mut subscriber = backend.try_subscribe(few).await.unwrap();
    for number in numbers(MANY) {
        let payload = format!("{number:0>1000}");
        backend.publish("t", 1, payload).await.unwrap();
    }
    let (came, end) = subscriber.rest().await;
    assert_eq!(end.code(), Code::ResourceExhausted, "{end}");
    assert!(end.message().contains("backend.message_queue"), "{end}");
    let came = came.iter().map(|text| text.parse::<usize>().unwrap());
    let came: Vec<_> = came.collect();
    assert!((10..MANY).contains(&came.len()), "{}", came.len());
    assert_eq!(came, (0..came.len()).collect::<Vec<_>>(), "without a hole");
}

#[tokio::test]
async fn qos_0_is_dropped_where_the_subscriber_is_too_slow() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let mut backend = Backend::of(&gateway);
    let few = SubscribeRequest {
        max_waiting: 10,
        ..wanting(&["t"])
    };
    let mut subscriber = backend.try_subscribe(few).await.unwrap();
    for number in numbers(MANY) {
        let payload = format!("{number:0>1000}");
        backend.publish("t", 0, payload).await.unwrap();
    }
    backend.publish("t", 1, "last").await.unwrap();
    let dropped = gateway
        .metric("exproto_messages_total{event=\"dropped\"}")
        .await;
    let left = MANY - usize::try_from(dropped).unwrap();
    assert!(dropped > 0);
    let came = subscriber.payloads(left + 1).await;
    assert_eq!(came.last().unwrap(), "last");
}

#[tokio::test]
async fn a_pod_that_ends_says_so() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let mut subscriber = Backend::of(&gateway).subscribe(&["#"]).await;
    gateway.stop().await;
    let (_, end) = subscriber.rest().await;
    assert_eq!(end.code(), Code::Unavailable, "{end}");
    assert!(end.message().contains("call another one"), "{end}");
}
