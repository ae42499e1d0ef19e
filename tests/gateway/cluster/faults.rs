//! Redis goes away, and comes back.

use std::time::Duration;

use exproto_tests::{Proxy, until};
use proto::exproto::ResultCode;

use super::{FOREIGN, Pods};
use crate::calls::ok;

const DROPPED: &str = "exproto_shared_messages_total{event=\"dropped\"}";
const NOT_KEPT: &str = "exproto_shared_messages_total{event=\"not_kept\"}";

#[tokio::test]
async fn without_redis_a_pod_goes_on_by_itself() {
    let mut pods = Pods::start().await;
    let short = |config: &mut config::Config| {
        config.broker.shared.timeout = Duration::from_millis(300);
        config.redis.timeout = Duration::from_millis(200);
    };
    let one = pods.pod_with("a", short).await;
    let two = pods.pod_with("b", short).await;
    let mut publisher = one.client("publisher").await;
    let mut far = two.client("far").await;
    ok(&publisher.calls.subscribe("t", 1).await);
    ok(&far.calls.subscribe("t", 1).await);
    ok(&far.calls.subscribe("w/+", 1).await);
    one.gateway.is(FOREIGN, 1).await;
    pods.redis.kill();

    ok(&publisher.calls.publish("t", 0, "here").await);
    one.gateway.counts(DROPPED, 1).await;
    // Who is here has it, and the publisher is told that others may not.
    let answer = publisher.calls.publish("t", 1, "unsure").await;
    assert_eq!(answer.code(), ResultCode::Unknown, "{answer:?}");
    assert!(answer.message.contains("other pods"), "{}", answer.message);
    assert_eq!(one.gateway.metric(NOT_KEPT).await, 1);
    let answer = publisher.calls.subscribe("new", 1).await;
    assert_eq!(answer.code(), ResultCode::Unknown, "{answer:?}");
    ok(&publisher.calls.publish("local", 0, "x").await);
    assert_eq!(one.payloads(2).await, ["here", "unsure"]);

    pods.redis.restart().await;
    // All stands again, without anybody's doing: also what was subscribed meanwhile.
    one.gateway.is(FOREIGN, 1).await;
    two.gateway
        .is("exproto_shared_filters{whose=\"untold\"}", 0)
        .await;
    one.gateway
        .is("exproto_shared_filters{whose=\"untold\"}", 0)
        .await;
    let mut back = two.client("back").await;
    until("messages to get through", async || {
        back.calls.publish("new", 1, "again").await.code() == ResultCode::Success
    })
    .await;
    assert_eq!(one.payloads(1).await, ["again"]);
    ok(&publisher.calls.publish("w/1", 1, "wild").await);
    assert_eq!(two.payloads(1).await, ["wild"]);
}

#[tokio::test]
async fn what_was_answered_arrives_once_and_in_order_whatever_is_cut() {
    const MESSAGES: usize = 1_500;
    const CUTS: usize = 25;
    let pods = Pods::start().await;
    let proxy = Proxy::start(pods.redis.address()).await;
    let one = pods.pod("a").await;
    let through = format!("redis://{}", proxy.address());
    let two = pods
        .pod_with("b", |config| {
            config.redis.urls = vec![through.parse().unwrap()];
        })
        .await;
    let mut far = two.client("far").await;
    ok(&far.calls.subscribe("exact", 1).await);
    ok(&far.calls.subscribe("wild/#", 1).await);
    one.gateway.is(FOREIGN, 1).await;
    let publish = async {
        let mut publisher = one.client("publisher").await;
        for number in 0..MESSAGES {
            let topic = if number % 2 == 0 { "exact" } else { "wild/1" };
            ok(&publisher.calls.publish(topic, 1, number.to_string()).await);
        }
    };
    let cut = async {
        for number in 0..CUTS {
            proxy.cut_after(fastrand::u64(..20_000));
            until("the cut", async || proxy.cuts() > number).await;
        }
    };
    tokio::join!(publish, cut);
    let mut came = two.payloads(MESSAGES).await;
    // Each topic by itself is in order.
    for (first, topic) in ["exact", "wild"].into_iter().enumerate() {
        let numbers: Vec<usize> = came.iter().map(|text| text.parse().unwrap()).collect();
        let of_topic = numbers.into_iter().filter(|number| number % 2 == first);
        let of_topic: Vec<_> = of_topic.collect();
        assert!(of_topic.is_sorted(), "{topic}: {of_topic:?}");
    }
    came.sort_by_key(|text| text.parse::<usize>().unwrap());
    let all: Vec<_> = (0..MESSAGES).map(|number| number.to_string()).collect();
    assert_eq!(came, all);
    // Once the pod has settled, nothing comes twice.
    ok(&far.calls.publish("exact", 1, "last").await);
    assert_eq!(two.payloads(1).await, ["last"]);
    let unrecovered = "exproto_shared_gaps_total{recovered=\"no\"}";
    assert_eq!(two.gateway.metric(unrecovered).await, 0);
    let recovered = "exproto_shared_messages_total{event=\"recovered\"}";
    assert!(
        two.gateway.metric(recovered).await > 0,
        "it was never cut off"
    );
}
