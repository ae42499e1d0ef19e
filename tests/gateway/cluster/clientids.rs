//! A clientid is one connection's, over all pods.

use std::time::Duration;

use exproto_tests::{Device, until, within};
use futures_util::future::join;
use proto::exproto::ResultCode;

use super::{Pod, Pods};
use crate::calls::{Calls, connect, ok};

const LOST: &str = "exproto_clientids_total{event=\"lost\"}";
const ALONE: &str = "exproto_clientids_total{event=\"alone\"}";
const HELD: &str = "exproto_clientids_held";

/// Who has the clientid "truck", as Redis has it.
fn owner(pods: &Pods) -> String {
    let keys = pods.redis.cli(&["KEYS", "*.client.truck"]);
    let key = keys.trim();
    if key.is_empty() {
        return String::new();
    }
    pods.redis.cli(&["HGET", key, "pod"]).trim().to_owned()
}

/// Another device of that pod, which is no client yet.
async fn device(pod: &Pod) -> (Device, Calls) {
    connect(&pod.gateway, &pod.handler).await
}

/// As which the device authenticates.
async fn becomes_truck(calls: &mut Calls) {
    ok(&calls.authenticate("truck").await);
}

#[tokio::test]
async fn who_comes_to_another_pod_is_closed_in_the_first() {
    let pods = Pods::start().await;
    let (one, two) = (pods.pod("a").await, pods.pod("b").await);
    let (mut older, mut calls) = device(&one).await;
    becomes_truck(&mut calls).await;
    assert!(owner(&pods).starts_with("a."));
    let (mut newer, mut calls) = device(&two).await;
    becomes_truck(&mut calls).await;
    // By the time of the answer, and not later.
    assert_eq!(one.handler.closed().await, "discarded");
    older.closed().await;
    assert!(owner(&pods).starts_with("b."));
    assert_eq!(one.gateway.metric(LOST).await, 1);

    ok(&calls.send("x").await);
    assert_eq!(newer.read(1).await, b"x");
    newer.finish().await;
    until("the clientid to be free", async || owner(&pods).is_empty()).await;
    two.gateway.is(HELD, 0).await;
}

#[tokio::test]
async fn of_two_that_come_at_once_one_stays() {
    let pods = Pods::start().await;
    let (one, two) = (pods.pod("a").await, pods.pod("b").await);
    for _ in 0..20 {
        let (first, mut of_first) = device(&one).await;
        let (second, mut of_second) = device(&two).await;
        join(
            of_first.authenticate("truck"),
            of_second.authenticate("truck"),
        )
        .await;
        let mut alive = 0;
        until("one to be left", async || {
            let answers = join(of_first.send("x"), of_second.send("x")).await;
            let answers = [answers.0.code(), answers.1.code()];
            alive = answers
                .iter()
                .filter(|code| **code == ResultCode::Success)
                .count();
            alive == 1
        })
        .await;
        let owner = owner(&pods);
        let stays = if of_first.send("x").await.code() == ResultCode::Success {
            "a."
        } else {
            "b."
        };
        assert!(
            owner.starts_with(stays),
            "{owner} has it, {stays} is connected"
        );
        drop((first, second));
        let (first, second) = join(one.handler.closed(), two.handler.closed()).await;
        let discarded = [first, second]
            .iter()
            .filter(|reason| *reason == "discarded")
            .count();
        assert_eq!(discarded, 1);
        until("the clientid to be free", async || {
            self::owner(&pods).is_empty()
        })
        .await;
    }
}

#[tokio::test]
async fn without_redis_there_may_be_two_and_with_it_again_there_is_one() {
    let mut pods = Pods::start().await;
    let quick = |config: &mut config::Config| config.redis.timeout = Duration::from_millis(200);
    let (one, two) = (
        pods.pod_with("a", quick).await,
        pods.pod_with("b", quick).await,
    );
    pods.redis.kill();
    let (_older, mut of_older) = device(&one).await;
    becomes_truck(&mut of_older).await;
    let (mut newer, mut of_newer) = device(&two).await;
    becomes_truck(&mut of_newer).await;
    for pod in [&one, &two] {
        assert_eq!(pod.gateway.metric(ALONE).await, 1);
    }
    ok(&of_older.send("x").await);
    ok(&of_newer.send("x").await);
    pods.redis.restart().await;
    // The later claim is the higher one.
    assert_eq!(
        within("the older to end", one.handler.closed()).await,
        "discarded"
    );
    ok(&of_newer.send("y").await);
    assert_eq!(newer.read(2).await, b"xy");
    assert!(owner(&pods).starts_with("b."));
}

#[tokio::test]
async fn what_redis_has_forgotten_it_is_told_again() {
    let mut pods = Pods::start().await;
    let (one, two) = (pods.pod("a").await, pods.pod("b").await);
    let (_device, mut calls) = device(&one).await;
    becomes_truck(&mut calls).await;
    pods.redis.kill();
    pods.redis.restart().await;
    until("Redis to know again", async || {
        owner(&pods).starts_with("a.")
    })
    .await;
    let (_newer, mut calls) = device(&two).await;
    becomes_truck(&mut calls).await;
    assert_eq!(one.handler.closed().await, "discarded");
}

#[tokio::test]
async fn in_one_pod_redis_is_not_asked_again() {
    let pods = Pods::start().await;
    let one = pods.pod("a").await;
    let (mut older, mut calls) = device(&one).await;
    becomes_truck(&mut calls).await;
    let key = pods.redis.cli(&["KEYS", "*.client.truck"]);
    let claim = || pods.redis.cli(&["HGET", key.trim(), "claim"]);
    let before = claim();
    let (_newer, mut calls) = device(&one).await;
    becomes_truck(&mut calls).await;
    older.closed().await;
    ok(&calls.send("x").await);
    assert_eq!(one.gateway.metric(HELD).await, 1);
    assert_eq!(claim(), before);
}

#[tokio::test]
async fn a_redis_that_refuses_is_told_once_it_takes_it() {
    let pods = Pods::start().await;
    let (one, two) = (pods.pod("a").await, pods.pod("b").await);
    // It stays connected, and takes no writes.
    let takes_writes = |replicas: &str| {
        let set = pods
            .redis
            .cli(&["CONFIG", "SET", "min-replicas-to-write", replicas]);
        assert_eq!(set.trim(), "OK");
    };
    takes_writes("1");
    let (_older, mut calls) = device(&one).await;
    becomes_truck(&mut calls).await;
    let (_newer, mut of_newer) = device(&two).await;
    becomes_truck(&mut of_newer).await;
    for pod in [&one, &two] {
        assert_eq!(pod.gateway.metric(ALONE).await, 1);
        assert_eq!(pod.gateway.metric("exproto_redis_connected").await, 1);
    }
    takes_writes("0");
    assert_eq!(one.handler.closed().await, "discarded");
    assert!(owner(&pods).starts_with("b."));
    ok(&of_newer.send("x").await);
}
