//! Redis goes away, is cut off from a pod, or loses its data.

use std::time::Duration;

use config::Config;
use exproto_tests::{Proxy, TestGateway, TestHandler, until};
use proto::exproto::ResultCode;

use super::{BEHIND, PART, RETAINED, found, pod, quick, retain, retain_as, texts};
use crate::{
    calls::{Calls, client, ok, refused},
    cluster::{KNOWN, Pod, Pods},
};

/// A pod behind a proxy, which knows all.
async fn behind(pods: &Pods, proxy: &Proxy, name: &str) -> Pod {
    let pod = pods.pod_with(name, through(proxy)).await;
    pod.gateway.is(BEHIND, 0).await;
    pod
}

fn through(proxy: &Proxy) -> impl Fn(&mut Config) + use<> {
    let url = format!("redis://{}", proxy.address());
    move |config| {
        quick(config);
        config.redis.urls = vec![url.parse().unwrap()];
        config.redis.timeout = Duration::from_secs(1);
        config.broker.shared.timeout = Duration::from_secs(1);
    }
}

/// Waits until Redis has a message of the topic `a`, or has none.
async fn stored(pods: &Pods, is_there: bool) {
    let expected = u8::from(is_there).to_string();
    until("what Redis has of it", async || {
        pods.redis.cli(&["HEXISTS", PART, "a"]).trim() == expected
    })
    .await;
}

#[tokio::test]
async fn without_redis_nothing_is_retained_and_all_else_goes_on() {
    let mut pods = Pods::start().await;
    let short = |config: &mut Config| {
        quick(config);
        config.broker.shared.timeout = Duration::from_secs(1);
        config.redis.timeout = Duration::from_millis(200);
    };
    let one = pods.pod_with("a", short).await;
    one.gateway.is(BEHIND, 0).await;
    let mut publisher = one.client("publisher").await;
    ok(&publisher.calls.subscribe("a", 1).await);
    retain(&mut publisher, "a", "before").await;
    pods.redis.kill();
    let answer = publisher.calls.publish_retained("a", 0, "no", "true").await;
    refused(&answer, ResultCode::Unknown, "nobody got the message");
    let answer = publisher.calls.publish_retained("a", 1, "", "true").await;
    refused(&answer, ResultCode::Unknown, "nobody got the message");
    let refused = "exproto_shared_retained_total{event=\"not_written\"}";
    assert_eq!(one.gateway.metric(refused).await, 2);
    ok(&publisher.calls.publish("a", 0, "yes").await);
    assert_eq!(one.payloads(2).await, ["before", "yes"]);
    // What it has it serves; nobody knows whether that is all.
    let mut late = one.client("late").await;
    let answer = late.calls.subscribe("a", 1).await;
    assert!(answer.code() == ResultCode::Success || answer.code() == ResultCode::Unknown);
    assert_eq!(one.payloads(1).await, ["before"]);
    pods.redis.restart().await;
    one.gateway.is(BEHIND, 0).await;
    stored(&pods, true).await;
    retain(&mut publisher, "a", "after").await;
}

#[tokio::test]
async fn a_pod_that_was_cut_off_finds_the_newest_and_not_the_removed() {
    let pods = Pods::start().await;
    let proxy = Proxy::start(pods.redis.address()).await;
    let one = pod(&pods, "a").await;
    let two = behind(&pods, &proxy, "b").await;
    let mut publisher = one.client("publisher").await;
    // Of QoS 0, as no log tells of it.
    for topic in ["changed", "removed", "stays"] {
        retain_as(&mut publisher, topic, 0, "old").await;
    }
    two.gateway.is(RETAINED, 3).await;
    proxy.stall(true);
    until("it to be cut off", async || {
        two.gateway.metric("exproto_redis_connected").await == 0
    })
    .await;
    retain_as(&mut publisher, "changed", 0, "new").await;
    retain_as(&mut publisher, "removed", 0, "").await;
    retain_as(&mut publisher, "added", 0, "new").await;
    // It serves what it has meanwhile.
    let mut late = two.client("late").await;
    let answer = late.calls.subscribe("+", 1).await;
    assert_eq!(answer.code(), ResultCode::Unknown, "{answer:?}");
    assert_eq!(two.payloads(3).await, ["old", "old", "old"]);
    proxy.stall(false);
    two.gateway.is(BEHIND, 0).await;
    // Who subscribed meanwhile gets what has changed, and who comes now all of it.
    let mut came = two.payloads(2).await;
    came.sort();
    assert_eq!(came, ["new", "new"]);
    let expected = texts(&[("added", "new"), ("changed", "new"), ("stays", "old")]);
    ok(&late.calls.unsubscribe("+").await);
    two.gateway.is(KNOWN, 0).await;
    assert_eq!(found(&two, "#", 3).await, expected);
    let mut back = two.client("back").await;
    retain(&mut back, "stays", "newer").await;
    one.gateway.is(RETAINED, 3).await;
}

#[tokio::test]
async fn who_subscribes_before_all_is_known_gets_it_once_it_is() {
    let pods = Pods::start().await;
    let one = pod(&pods, "a").await;
    let mut publisher = one.client("publisher").await;
    for topic in ["a", "b", "c/d"] {
        retain(&mut publisher, topic, topic).await;
    }
    let proxy = Proxy::start(pods.redis.address()).await;
    proxy.stall(true);
    let handler = TestHandler::start();
    let mut config = pods.alone(&handler, through(&proxy));
    config.pod.name = Some("b".parse().unwrap());
    let gateway = TestGateway::with(config).await;
    let (_device, mut early): (_, Calls) = client(&gateway, &handler, "early").await;
    let answer = early.subscribe("#", 1).await;
    assert_eq!(answer.code(), ResultCode::Unknown, "{answer:?}");
    assert!(gateway.metric(BEHIND).await > 0);
    proxy.stall(false);
    let messages = handler.messages(3).await;
    let mut topics: Vec<_> = messages.into_iter().map(|each| each.topic).collect();
    topics.sort();
    assert_eq!(topics, ["a", "b", "c/d"]);
    gateway.is(BEHIND, 0).await;
}

#[tokio::test]
async fn a_redis_that_begins_anew_gets_back_what_it_had() {
    let mut pods = Pods::start().await;
    let (one, two) = (pod(&pods, "a").await, pod(&pods, "b").await);
    let mut publisher = one.client("publisher").await;
    for number in 0..40 {
        retain(&mut publisher, &format!("t/{number}"), "x").await;
    }
    retain(&mut publisher, "a", "x").await;
    retain(&mut publisher, "gone", "x").await;
    retain(&mut publisher, "gone", "").await;
    two.gateway.is(RETAINED, 41).await;
    pods.redis.restart().await;
    stored(&pods, true).await;
    for pod in [&one, &two] {
        pod.gateway.is(BEHIND, 0).await;
        pod.gateway.is(RETAINED, 41).await;
    }
    retain(&mut publisher, "a", "new").await;
    let three = pod(&pods, "c").await;
    let all = found(&three, "#", 41).await;
    assert_eq!(all.len(), 41);
    assert!(all.contains(&("a".to_owned(), "new".to_owned())));
    // The same where nobody was cut off.
    pods.redis.cli(&["FLUSHALL"]);
    stored(&pods, true).await;
    until("all of it to be there", async || {
        let four = pod(&pods, "d").await;
        let count = four.gateway.metric(RETAINED).await;
        four.gateway.stop().await;
        count == 41
    })
    .await;
}

#[tokio::test]
async fn what_was_removed_after_redis_began_anew_does_not_come_back() {
    let mut pods = Pods::start().await;
    let proxy = Proxy::start(pods.redis.address()).await;
    let one = pod(&pods, "a").await;
    let two = behind(&pods, &proxy, "b").await;
    let mut publisher = one.client("publisher").await;
    retain(&mut publisher, "a", "x").await;
    retain(&mut publisher, "stays", "x").await;
    two.gateway.is(RETAINED, 2).await;
    proxy.stall(true);
    until("it to be cut off", async || {
        two.gateway.metric("exproto_redis_connected").await == 0
    })
    .await;
    pods.redis.restart().await;
    stored(&pods, true).await;
    until("it to be removed", async || {
        let answer = publisher.calls.publish_retained("a", 0, "", "true").await;
        answer.code() == ResultCode::Success
    })
    .await;
    proxy.stall(false);
    two.gateway.is(BEHIND, 0).await;
    two.gateway.is(RETAINED, 1).await;
    stored(&pods, false).await;
    assert_eq!(found(&two, "#", 1).await, texts(&[("stays", "x")]));
    assert_eq!(found(&one, "#", 1).await, texts(&[("stays", "x")]));
}

#[tokio::test]
async fn what_is_read_again_in_a_log_does_not_replace_what_came_later() {
    let pods = Pods::start().await;
    let proxy = Proxy::start(pods.redis.address()).await;
    let one = pod(&pods, "a").await;
    let two = behind(&pods, &proxy, "b").await;
    let mut publisher = one.client("publisher").await;
    let mut far = two.client("far").await;
    ok(&far.calls.subscribe("+", 1).await);
    one.gateway.is(crate::cluster::FOREIGN, 1).await;
    for round in 0..5 {
        for (topic, payload) in [("a", "old"), ("a", "new"), ("gone", "x"), ("gone", "")] {
            if fastrand::bool() {
                pods.redis.cut_clients("pubsub");
            }
            retain(&mut publisher, topic, payload).await;
        }
        let mut came = two.payloads(4).await;
        came.sort();
        assert_eq!(came, ["", "new", "old", "x"], "{round}");
        for pod in [&one, &two] {
            pod.gateway.is(BEHIND, 0).await;
            pod.gateway.is(RETAINED, 1).await;
        }
    }
    ok(&far.calls.unsubscribe("+").await);
    assert_eq!(found(&two, "#", 1).await, texts(&[("a", "new")]));
    assert_eq!(two.more(), []);
}
