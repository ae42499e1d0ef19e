//! More than there is room for: in the pod, and in Redis.

use exproto_gateway::redis::{Cause, Push};
use exproto_tests::{Proxy, RedisServer, until};

use crate::pod::{Pod, channels};

#[tokio::test]
async fn a_full_queue_drops_and_says_so_and_holds_up_no_command() {
    let redis = RedisServer::start().await;
    let mut pod = Pod::connected(&[redis.url()], "push_queue: 16").await;
    let names = channels(&pod.link, 2);
    pod.link.subscribe(&names).await.unwrap();
    pod.again(&names[0]).await;
    for number in 0..100 {
        pod.publish(&names[0], &number.to_string()).await;
    }
    until("messages to be dropped", async || {
        pod.counted("exproto_redis_pushes_dropped_total") == 84
    })
    .await;
    pod.set("k").await.unwrap();
    for number in 0..16 {
        assert_eq!(pod.message().await.1, number.to_string());
    }
    let Push::Gap { slots, cause } = pod.push().await else {
        panic!("no gap");
    };
    assert_eq!((slots.count(), cause), (1, Cause::Full));
    assert!(slots.hold(names[0].as_bytes()));
    assert_eq!(pod.push().await, Push::Again { slots });
    pod.publish(&names[0], "more").await;
    assert_eq!(pod.message().await.1, "more");
}

#[tokio::test]
async fn a_subscriber_that_redis_cuts_off_for_its_backlog_comes_back() {
    let limit = ["--client-output-buffer-limit", "pubsub 256kb 256kb 1"];
    let redis = RedisServer::with(&limit).await;
    let proxy = Proxy::start(redis.address()).await;
    let url = format!("redis://{}", proxy.address());
    let mut slow = Pod::connected(&[url], "timeout: 20s").await;
    let other = Pod::connected(&[redis.url()], "").await;
    let names = channels(&slow.link, 10);
    slow.link.subscribe(&names).await.unwrap();
    slow.again(&names[0]).await;
    proxy.stall(true);
    let payload = "x".repeat(1 << 20);
    until("Redis to cut it off", async || {
        other.publish(&names[0], &payload).await;
        !redis.cli(&["PUBSUB", "CHANNELS"]).contains(&names[0])
    })
    .await;
    proxy.stall(false);
    assert_eq!(slow.gap().await.1, Cause::Lost);
    slow.again(&names[0]).await;
    other.publish(&names[0], "here").await;
    assert_eq!(slow.message().await.1, "here");
    assert_eq!(
        slow.counted("exproto_redis_connections_made_total{connection=\"commands\"}"),
        1
    );
}
