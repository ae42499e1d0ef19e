//! Who gets what, over two or three pods.

use exproto_tests::until;

use super::{FOREIGN, KNOWN, Pods};
use crate::calls::ok;

#[tokio::test]
async fn a_message_goes_to_every_subscription_of_every_pod_once() {
    let pods = Pods::start().await;
    let (one, two, three) = (
        pods.pod("a").await,
        pods.pod("b").await,
        pods.pod("c").await,
    );
    let mut publisher = one.client("publisher").await;
    let mut exact = two.client("exact").await;
    let mut both = three.client("both").await;
    ok(&publisher.calls.subscribe("fleet/1", 1).await);
    ok(&exact.calls.subscribe("fleet/1", 1).await);
    ok(&both.calls.subscribe("fleet/1", 1).await);
    ok(&both.calls.subscribe("fleet/+", 1).await);
    one.gateway.is(FOREIGN, 1).await;
    for (qos, payload) in [(0, "zero"), (1, "one"), (2, "two")] {
        ok(&publisher.calls.publish("fleet/1", qos, payload).await);
    }
    assert_eq!(one.payloads(3).await, ["zero", "one", "two"]);
    assert_eq!(two.payloads(3).await, ["zero", "one", "two"]);
    // Two subscriptions, two copies, as in one pod; each in order.
    let mut twice = three.payloads(6).await;
    twice.sort();
    assert_eq!(twice, ["one", "one", "two", "two", "zero", "zero"]);
    let mut other = two.client("other").await;
    ok(&other.calls.publish("fleet/1", 1, "back").await);
    assert_eq!(one.payloads(1).await, ["back"]);
    assert_eq!(two.payloads(1).await, ["back"]);
    assert_eq!(three.payloads(2).await, ["back", "back"]);
    for pod in [&one, &two, &three] {
        assert_eq!(pod.more(), []);
    }
}

#[tokio::test]
async fn what_one_publishes_arrives_in_order() {
    const MESSAGES: usize = 500;
    let pods = Pods::start().await;
    let (one, two) = (pods.pod("a").await, pods.pod("b").await);
    let mut publisher = one.client("publisher").await;
    let mut exact = two.client("exact").await;
    ok(&exact.calls.subscribe("t", 1).await);
    for number in 0..MESSAGES {
        // Both kinds of messages keep their order, and among each other too.
        let qos = u32::from(number % 3 == 0);
        ok(&publisher.calls.publish("t", qos, number.to_string()).await);
    }
    let all: Vec<_> = (0..MESSAGES).map(|number| number.to_string()).collect();
    assert_eq!(two.payloads(MESSAGES).await, all);
}

#[tokio::test]
async fn a_group_gets_each_message_once_wherever_its_members_are() {
    const MESSAGES: usize = 200;
    let pods = Pods::start().await;
    let (one, two) = (pods.pod("a").await, pods.pod("b").await);
    let mut publisher = one.client("publisher").await;
    let mut here = one.client("here").await;
    let mut there = two.client("there").await;
    ok(&here.calls.subscribe("$share/g/jobs/+", 1).await);
    ok(&there.calls.subscribe("$share/g/jobs/+", 1).await);
    one.gateway.is(FOREIGN, 1).await;
    for number in 0..MESSAGES {
        let qos = u32::from(number % 2 == 0);
        let topic = format!("jobs/{}", number % 7);
        ok(&publisher
            .calls
            .publish(&topic, qos, number.to_string())
            .await);
    }
    let mut all = Vec::new();
    let mut counts = [0, 0];
    until("each job to be done", async || {
        for (pod, count) in [&one, &two].into_iter().zip(&mut counts) {
            let messages = pod.more();
            *count += messages.len();
            all.extend(messages.into_iter().map(|message| message.payload));
        }
        all.len() >= MESSAGES
    })
    .await;
    all.sort();
    all.dedup();
    assert_eq!((all.len(), counts[0] + counts[1]), (MESSAGES, MESSAGES));
    // By chance; 100 each, and the deviation is 7.
    assert!(counts.iter().all(|count| *count > 50), "{counts:?}");
}

#[tokio::test]
async fn who_wants_no_more_is_told_no_more() {
    let pods = Pods::start().await;
    let (one, two) = (pods.pod("a").await, pods.pod("b").await);
    let mut publisher = one.client("publisher").await;
    let mut client = two.client("client").await;
    for filter in ["exact", "wild/#"] {
        ok(&client.calls.subscribe(filter, 1).await);
    }
    one.gateway.is(FOREIGN, 1).await;
    two.gateway.is(KNOWN, 2).await;
    for filter in ["exact", "wild/#"] {
        ok(&client.calls.unsubscribe(filter).await);
    }
    two.gateway.is(KNOWN, 0).await;
    one.gateway.is(FOREIGN, 0).await;
    for topic in ["exact", "wild/1"] {
        ok(&publisher.calls.publish(topic, 1, "nobody").await);
    }
    // A pod that ends is forgotten at once.
    ok(&client.calls.subscribe("wild/#", 1).await);
    one.gateway.is(FOREIGN, 1).await;
    two.gateway.stop().await;
    one.gateway.is(FOREIGN, 0).await;
}
