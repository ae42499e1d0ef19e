//! The last message of a topic, for whoever subscribes later.

use std::time::Duration;

use config::Config;
use exproto_tests::{
    Event, TestGateway, TestHandler,
    gateway::{allowing_everything, config},
};
use proto::exproto::{Message, ResultCode};

use crate::calls::{Calls, client, connect, ok, refused};

async fn setting(adapt: impl FnOnce(&mut Config)) -> (TestHandler, TestGateway) {
    let handler = TestHandler::start();
    let mut config = allowing_everything(config(&[&handler]));
    adapt(&mut config);
    let gateway = TestGateway::with(config).await;
    (handler, gateway)
}

fn seen(messages: &[Message]) -> Vec<(&str, &str)> {
    let text = |message: &Message| std::str::from_utf8(&message.payload).unwrap().to_owned();
    let each = messages.iter();
    each.map(|message| {
        let payload: &'static str = text(message).leak();
        (message.topic.as_str(), payload)
    })
    .collect()
}

/// What arrives until a message that is published now to that topic.
async fn until_marker(handler: &TestHandler, calls: &mut Calls, topic: &str) -> Vec<Message> {
    ok(&calls.publish(topic, 0, "marker").await);
    let mut all = Vec::new();
    while all
        .last()
        .is_none_or(|last: &Message| last.payload != "marker")
    {
        all.extend(handler.messages(1).await);
    }
    all.pop();
    all
}

#[tokio::test]
async fn whoever_subscribes_later_gets_the_last_message_of_each_topic() {
    let (handler, gateway) = setting(|_| ()).await;
    let (_device, mut a) = client(&gateway, &handler, "a").await;
    ok(&a.publish_retained("fleet/1/state", 1, "old", "true").await);
    ok(&a
        .publish_retained("fleet/1/state", 1, "parked", "true")
        .await);
    let mut nobody = Calls::new(&gateway, "");
    ok(&nobody
        .raw_publish_retained("fleet/2/state", 0, "moving")
        .await);
    ok(&a
        .publish_retained("fleet/3/state", 1, "not kept", "false")
        .await);
    ok(&a.publish_retained("fleet/1/log", 1, "other", "true").await);
    assert_eq!(gateway.metric("exproto_retained").await, 3);
    ok(&a.subscribe("fleet/+/state", 1).await);
    let messages = handler.messages(2).await;
    assert_eq!(
        seen(&messages),
        [("fleet/1/state", "parked"), ("fleet/2/state", "moving")]
    );
    assert_eq!((messages[0].qos, messages[0].from.as_str()), (1, "a"));
    assert_eq!((messages[1].qos, messages[1].from.as_str()), (0, "exproto"));
    // The same filter again brings nothing, and neither does a group.
    ok(&a.subscribe("fleet/+/state", 0).await);
    ok(&a.subscribe("$share/g/fleet/1/+", 0).await);
    let rest = until_marker(&handler, &mut a, "fleet/4/state").await;
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test]
async fn after_unsubscribe_the_filter_is_new_again() {
    let (handler, gateway) = setting(|_| ()).await;
    let (_device, mut a) = client(&gateway, &handler, "a").await;
    ok(&a.publish_retained("t", 0, "x", "true").await);
    for _ in 0..2 {
        ok(&a.subscribe("t", 0).await);
        assert_eq!(seen(&handler.messages(1).await), [("t", "x")]);
        ok(&a.unsubscribe("t").await);
    }
}

#[tokio::test]
async fn an_empty_payload_is_delivered_and_removes() {
    let (handler, gateway) = setting(|_| ()).await;
    let (_device_a, mut a) = client(&gateway, &handler, "a").await;
    let (_device_b, mut b) = client(&gateway, &handler, "b").await;
    ok(&a.subscribe("t", 0).await);
    ok(&a.publish_retained("t", 0, "x", "true").await);
    ok(&a.publish_retained("t", 0, "", "true").await);
    assert_eq!(seen(&handler.messages(2).await), [("t", "x"), ("t", "")]);
    assert_eq!(gateway.metric("exproto_retained").await, 0);
    ok(&b.subscribe("t", 0).await);
    ok(&a.unsubscribe("t").await);
    let rest = until_marker(&handler, &mut b, "t").await;
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test]
async fn mountpoints_keep_retained_messages_apart() {
    let (handler, gateway) =
        setting(|config| config.mountpoint = "fleet/${clientid}/".parse().unwrap()).await;
    let (_device_a, mut a) = client(&gateway, &handler, "a").await;
    let (_device_b, mut b) = client(&gateway, &handler, "b").await;
    ok(&a.publish_retained("state", 0, "of a", "true").await);
    ok(&b.publish_retained("state", 0, "of b", "true").await);
    let mut nobody = Calls::new(&gateway, "");
    ok(&nobody
        .raw_publish_retained("fleet/b/more", 0, "for b")
        .await);
    ok(&b.subscribe("#", 0).await);
    let mut messages = handler.messages(2).await;
    messages.sort_by(|one, other| one.topic.cmp(&other.topic));
    assert_eq!(seen(&messages), [("more", "for b"), ("state", "of b")]);
}

#[tokio::test]
async fn a_wildcard_does_not_find_what_is_retained_for_the_system() {
    let (handler, gateway) = setting(|_| ()).await;
    let (_device, mut a) = client(&gateway, &handler, "a").await;
    let mut nobody = Calls::new(&gateway, "");
    ok(&nobody
        .raw_publish_retained("$SYS/secret", 0, "hidden")
        .await);
    ok(&nobody.raw_publish_retained("plain/secret", 0, "seen").await);
    ok(&a.subscribe("#", 0).await);
    ok(&a.subscribe("+/secret", 0).await);
    assert_eq!(handler.messages(2).await.len(), 2);
    ok(&a.subscribe("$SYS/#", 0).await);
    assert_eq!(
        seen(&handler.messages(1).await),
        [("$SYS/secret", "hidden")]
    );
}

#[tokio::test]
async fn one_topic_too_many_is_refused_before_anybody_gets_its_message() {
    let (handler, gateway) = setting(|config| config.broker.retained.max_messages = 2).await;
    let (_device, mut a) = client(&gateway, &handler, "a").await;
    ok(&a.subscribe("#", 0).await);
    ok(&a.publish_retained("1", 0, "x", "true").await);
    ok(&a.publish_retained("2", 0, "x", "true").await);
    for _ in 0..2 {
        let answer = a.publish_retained("3", 0, "too many", "true").await;
        refused(&answer, ResultCode::Unknown, "broker.retained.max_messages");
    }
    let mut nobody = Calls::new(&gateway, "");
    let answer = nobody.raw_publish_retained("4", 0, "too many").await;
    refused(&answer, ResultCode::Unknown, "broker.retained.max_messages");
    ok(&a.publish_retained("2", 0, "y", "true").await);
    let messages = handler.messages(3).await;
    assert_eq!(seen(&messages), [("1", "x"), ("2", "x"), ("2", "y")]);
}

#[tokio::test]
async fn what_is_neither_true_nor_false_is_refused_by_name() {
    let (handler, gateway) = setting(|_| ()).await;
    let (_device, mut a) = client(&gateway, &handler, "a").await;
    for retain in ["", "1", "yes", "True"] {
        let answer = a.publish_retained("t", 0, "x", retain).await;
        refused(&answer, ResultCode::ParamsTypeError, "exproto-retain");
    }
    assert_eq!(gateway.metric("exproto_retained").await, 0);
}

#[tokio::test]
async fn more_than_a_queue_holds_arrives_as_the_handler_takes_it() {
    const TOPICS: usize = 500;
    let (handler, gateway) = setting(|config| config.connection.message_queue = 7).await;
    let (_device, mut a) = client(&gateway, &handler, "a").await;
    for number in 0..TOPICS {
        ok(&a
            .publish_retained(&format!("t/{number:03}"), 1, "x", "true")
            .await);
    }
    ok(&a.subscribe("t/#", 1).await);
    let messages = handler.messages(TOPICS).await;
    let topics: Vec<_> = messages.into_iter().map(|message| message.topic).collect();
    let wanted: Vec<_> = (0..TOPICS).map(|number| format!("t/{number:03}")).collect();
    assert_eq!(topics, wanted);
    assert_eq!(
        gateway
            .metric("exproto_messages_total{event=\"dropped\"}")
            .await,
        0
    );
    assert!(a.try_send("alive").await);
}

#[tokio::test]
async fn what_is_too_old_is_forgotten() {
    let (handler, gateway) = setting(|config| {
        config.broker.retained.max_age = Some(Duration::from_millis(100));
    })
    .await;
    let (_device, mut a) = client(&gateway, &handler, "a").await;
    ok(&a.publish_retained("t", 0, "x", "true").await);
    gateway.is("exproto_retained", 0).await;
    ok(&a.subscribe("t", 0).await);
    let rest = until_marker(&handler, &mut a, "t").await;
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test]
async fn a_session_that_is_resumed_does_not_get_them_again() {
    let (handler, gateway) = setting(|_| ()).await;
    let mut nobody = Calls::new(&gateway, "");
    ok(&nobody.raw_publish_retained("t", 1, "kept").await);
    let (device, mut a) = connect(&gateway, &handler).await;
    ok(&a.begin_session("a", "60").await.0);
    ok(&a.subscribe("t", 1).await);
    assert_eq!(seen(&handler.messages(1).await), [("t", "kept")]);
    drop(device);
    handler.closed().await;
    ok(&nobody.raw_publish_retained("t", 1, "meanwhile").await);
    let (_device, mut a) = connect(&gateway, &handler).await;
    ok(&a.begin_session("a", "60").await.0);
    let next = handler.next().await;
    let Event::Messages(messages) = next.event else {
        panic!("not OnReceivedMessages");
    };
    // What was published while it was away, as any other message, and nothing that was kept.
    assert_eq!(seen(&messages), [("t", "meanwhile")]);
    let rest = until_marker(&handler, &mut a, "t").await;
    assert!(rest.is_empty(), "{rest:?}");
}
