//! One server that is killed, frozen, cut off, or cuts us off.

use std::time::Instant;

use exproto_gateway::redis::{Cause, Failure, Problem, Push, Slots};
use exproto_tests::{Proxy, RedisServer, until};

use crate::pod::{Pod, channels};

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back_is_subscribed_to_again() {
    let mut redis = RedisServer::start().await;
    let mut pod = Pod::connected(&[redis.url()], "").await;
    let names = channels(&pod.link, 1000);
    pod.link.subscribe(&names).await.unwrap();
    assert_eq!(
        pod.push().await,
        Push::Again {
            slots: Slots::all()
        }
    );
    redis.kill();
    pod.is_away(|_| true).await;
    let lost = (Slots::all(), Cause::Lost);
    assert_eq!(pod.gap().await, lost);
    pod.is_away(|why| matches!(why, Problem::Unreachable { .. }))
        .await;
    // Nothing waits for a server that is not there.
    let set = pod.set("k").await.unwrap_err();
    assert!(
        matches!(set, Failure::Away(_)) && !set.may_be_done(),
        "{set}"
    );
    let more = vec![pod.link.key("p5", "while it was away")];
    let subscribed = pod.link.subscribe(&more).await;
    assert!(
        matches!(subscribed, Err(Failure::Away(_))),
        "{subscribed:?}"
    );
    pod.link.unsubscribe(&names[..1]);
    redis.restart().await;
    pod.again(&names[0]).await;
    pod.is_connected().await;
    for name in [&names[0], &names[1], &names[999], &more[0]] {
        pod.publish(name, name).await;
    }
    for name in [&names[1], &names[999], &more[0]] {
        assert_eq!(pod.message().await.1, name);
    }
}

#[tokio::test]
async fn fifty_thousand_channels_are_subscribed_to_again() {
    let mut redis = RedisServer::start().await;
    let mut pod = Pod::connected(&[redis.url()], "timeout: 20s").await;
    let names = channels(&pod.link, 50_000);
    let begun = Instant::now();
    pod.link.subscribe(&names).await.unwrap();
    println!("50,000 channels subscribed to in {:?}", begun.elapsed());
    redis.restart().await;
    let begun = Instant::now();
    pod.gap().await;
    pod.again(&names[0]).await;
    println!(
        "50,000 channels subscribed to again in {:?}",
        begun.elapsed()
    );
    pod.publish(&names[49_999], "here").await;
    assert_eq!(pod.message().await.1, "here");
    let count = redis.cli(&["PUBSUB", "CHANNELS"]).lines().count();
    assert_eq!(count, 50_000);
}

#[tokio::test]
async fn a_subscriber_that_is_cut_off_takes_no_command_along() {
    let redis = RedisServer::start().await;
    let mut pod = Pod::connected(&[redis.url()], "").await;
    let names = channels(&pod.link, 10);
    pod.link.subscribe(&names).await.unwrap();
    pod.again(&names[0]).await;
    let (cut, key) = (async { redis.cut_clients("pubsub") }, pod.link.key("k", ""));
    let commands = async {
        for _ in 0..2000 {
            pod.set(&key).await.unwrap();
        }
    };
    tokio::join!(commands, cut);
    assert_eq!(pod.gap().await.1, Cause::Lost);
    pod.again(&names[0]).await;
    pod.publish(&names[0], "here").await;
    assert_eq!(pod.message().await.1, "here");
    assert_eq!(
        pod.counted("exproto_redis_connections_made_total{connection=\"commands\"}"),
        1
    );
    assert_eq!(
        pod.counted("exproto_redis_connections_made_total{connection=\"subscriptions\"}"),
        2
    );
}

#[tokio::test]
async fn commands_that_are_cut_off_take_no_subscription_along() {
    let redis = RedisServer::start().await;
    let mut pod = Pod::connected(&[redis.url()], "").await;
    let names = channels(&pod.link, 10);
    pod.link.subscribe(&names).await.unwrap();
    pod.again(&names[0]).await;
    redis.cut_clients("normal");
    redis.cli(&["PUBLISH", &names[0], "here"]);
    assert_eq!(pod.message().await.1, "here");
    pod.works("k").await;
    assert_eq!(
        pod.counted("exproto_redis_connections_made_total{connection=\"subscriptions\"}"),
        1
    );
}

#[tokio::test]
async fn commands_to_a_server_that_pauses_time_out_and_then_go_on() {
    let redis = RedisServer::start().await;
    let pod = Pod::connected(&[redis.url()], "timeout: 200ms").await;
    redis.cli(&["CLIENT", "PAUSE", "1500", "ALL"]);
    let failure = pod.set("k").await.unwrap_err();
    assert!(
        matches!(failure, Failure::TimedOut { sent: true, .. }),
        "{failure}"
    );
    assert!(failure.may_be_done());
    pod.works("k").await;
}

#[tokio::test]
async fn commands_to_a_server_that_sleeps_time_out_and_then_go_on() {
    let redis = RedisServer::start().await;
    let mut pod = Pod::connected(&[redis.url()], "timeout: 200ms").await;
    let names = channels(&pod.link, 100);
    pod.link.subscribe(&names).await.unwrap();
    let mut sleeping = redis.sleeps("1.5");
    until("a command to time out", async || {
        matches!(pod.set("k").await, Err(Failure::TimedOut { .. }))
    })
    .await;
    sleeping.ended().await;
    pod.works("k").await;
    pod.is_connected().await;
    pod.publish(&names[0], "here").await;
    assert_eq!(pod.message().await.1, "here");
}

#[tokio::test]
async fn a_link_that_leads_nowhere_any_more_is_noticed() {
    let redis = RedisServer::start().await;
    let proxy = Proxy::start(redis.address()).await;
    let url = format!("redis://{}", proxy.address());
    let mut pod = Pod::connected(&[url], "timeout: 500ms, connect_timeout: 500ms").await;
    let names = channels(&pod.link, 100);
    pod.link.subscribe(&names).await.unwrap();
    pod.again(&names[0]).await;
    proxy.stall(true);
    // Nobody asks anything of it.
    pod.is_away(|_| true).await;
    assert_eq!(pod.gap().await, (Slots::all(), Cause::Lost));
    proxy.stall(false);
    pod.again(&names[0]).await;
    pod.is_connected().await;
    pod.publish(&names[0], "here").await;
    assert_eq!(pod.message().await.1, "here");
}

#[tokio::test]
async fn a_link_is_made_anew_by_order() {
    let redis = RedisServer::start().await;
    let mut pod = Pod::connected(&[redis.url()], "").await;
    let names = channels(&pod.link, 100);
    pod.link.subscribe(&names).await.unwrap();
    pod.again(&names[0]).await;
    pod.link.reconnect();
    assert_eq!(pod.gap().await.1, Cause::Lost);
    pod.again(&names[0]).await;
    pod.works("k").await;
}
