//! Messages of back ends: one by one, and many on a stream.

use exproto_tests::{TestGateway, TestHandler, gateway::config, within};
use futures_util::StreamExt as _;
use proto::gateway::{PublishProgress, PublishRequest};
use tonic::{Code, Status};

use super::{Backend, message, numbers, payload};
use crate::calls::{client, ok};

#[tokio::test]
async fn a_back_end_publishes_to_clients() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (_device, mut calls) = client(&gateway, &handler, "one").await;
    ok(&calls.subscribe("commands/+", 1).await);
    let mut backend = Backend::of(&gateway);
    for qos in 0..3 {
        backend
            .publish("commands/one", qos, qos.to_string())
            .await
            .unwrap();
    }
    let messages = handler.messages(3).await;
    for (qos, message) in (0..).zip(&messages) {
        assert_eq!((message.qos, payload(message)), (qos, qos.to_string()));
        assert_eq!(
            (&*message.topic, &*message.from),
            ("commands/one", "exproto")
        );
    }
    // Kept for whoever comes later.
    let retained = PublishRequest {
        retain: true,
        ..message("state/one", 1, "on")
    };
    backend.0.publish(retained).await.unwrap();
    ok(&calls.subscribe("state/#", 1).await);
    assert_eq!(payload(&handler.messages(1).await[0]), "on");
    gateway
        .is("exproto_backend_published_total{outcome=\"published\"}", 4)
        .await;
}

#[tokio::test]
async fn what_is_wrong_with_a_message_is_said() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.broker.max_payload = config::ByteSize::kib(1);
    config.broker.retained.max_messages = 1;
    let gateway = TestGateway::with(config).await;
    let mut backend = Backend::of(&gateway);
    for (message, word) in [
        (message("", 0, ""), "topic: "),
        (message("a/+", 0, ""), "topic: "),
        (message("$share/g/a", 0, ""), "topic: "),
        (message("a", 3, ""), "qos: "),
        (message("a", 0, vec![0; 2000]), "2000 bytes"),
    ] {
        let status = backend.0.publish(message).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains(word), "{status}");
    }
    let retained = |topic: &str| PublishRequest {
        retain: true,
        ..message(topic, 1, "x")
    };
    backend.0.publish(retained("a")).await.unwrap();
    let status = backend.0.publish(retained("b")).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    gateway
        .is("exproto_backend_published_total{outcome=\"refused\"}", 6)
        .await;
}

/// Publishes all of them on one stream: the answers, and how it ended.
async fn stream(
    backend: &mut Backend,
    messages: Vec<PublishRequest>,
) -> (Vec<u64>, Result<(), Status>) {
    let answers = backend.0.publish_stream(tokio_stream::iter(messages)).await;
    let mut answers = answers.unwrap().into_inner();
    let mut published = Vec::new();
    within("the end of the stream", async {
        loop {
            match answers.next().await {
                Some(Ok(PublishProgress { published: count })) => published.push(count),
                Some(Err(status)) => return (published, Err(status)),
                None => return (published, Ok(())),
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_stream_is_published_in_order_and_counted() {
    const MESSAGES: usize = 5_000;
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.backend.max_in_flight = 10;
    let gateway = TestGateway::with(config).await;
    let mut backend = Backend::of(&gateway);
    let mut subscriber = backend.subscribe(&["t/#"]).await;
    let messages = numbers(MESSAGES).into_iter().enumerate();
    let messages = messages.map(|(number, text)| {
        let topic = format!("t/{}", number % 3);
        message(&topic, u32::from(number % 2 == 0), text)
    });
    let published = stream(&mut backend, messages.collect()).await;
    assert_eq!(published.0.last(), Some(&(MESSAGES as u64)));
    assert!(published.0.is_sorted(), "{:?}", published.0);
    published.1.unwrap();
    let came = subscriber.payloads(MESSAGES).await;
    for topic in 0..3 {
        let of_topic = |texts: &[String]| {
            let numbers = texts.iter().map(|text| text.parse::<usize>().unwrap());
            numbers
                .filter(|number| number % 3 == topic)
                .collect::<Vec<_>>()
        };
        assert_eq!(of_topic(&came), of_topic(&numbers(MESSAGES)));
    }
}

#[tokio::test]
async fn a_stream_ends_with_the_first_message_that_fails() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.backend.max_publish_streams = 1;
    let gateway = TestGateway::with(config).await;
    let mut backend = Backend::of(&gateway);
    let mut subscriber = backend.subscribe(&["#"]).await;
    let messages = vec![
        message("a", 1, "first"),
        message("b", 1, "second"),
        message("c/#", 1, "bad"),
        message("d", 1, "after"),
    ];
    let (published, end) = stream(&mut backend, messages).await;
    let status = end.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert!(
        status
            .message()
            .starts_with("message 3 of the stream: topic: "),
        "{status}"
    );
    assert_eq!(published.last(), Some(&2));
    assert_eq!(subscriber.payloads(2).await, ["first", "second"]);

    // One that goes on takes the only place.
    let (more, requests) = tokio::sync::mpsc::channel(1);
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let mut answers = backend
        .0
        .publish_stream(requests)
        .await
        .unwrap()
        .into_inner();
    more.send(message("a", 1, "third")).await.unwrap();
    let answer = within("an answer", answers.message()).await.unwrap();
    assert_eq!(answer, Some(PublishProgress { published: 1 }));
    let refused = backend.0.publish_stream(tokio_stream::empty()).await;
    let status = refused.err().unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    drop(more);
    assert_eq!(within("the end", answers.message()).await.unwrap(), None);
    assert_eq!(subscriber.payloads(1).await, ["third"]);
}
