//! Redis takes messages, and delivers none: all looks well, and nothing comes.

use config::Config;
use exproto_tests::{Proxy, until};

use super::{Pod, Pods};
use crate::calls::ok;

const LOST: &str = "exproto_probes_total{outcome=\"lost\"}";

/// Whether it is ready, and if not, whether it says why.
async fn is_ready(pod: &Pod) -> bool {
    let said = pod.gateway.http("/readyz").await;
    let is_ready = said.contains("200 OK");
    assert!(is_ready || said.contains("delivers none"), "{said}");
    is_ready
}

/// A pod behind a proxy of its own.
async fn behind(pods: &Pods, proxy: &Proxy, name: &str) -> Pod {
    let url = format!("redis://{}", proxy.address());
    pods.pod_with(name, |config: &mut Config| {
        config.redis.urls = vec![url.parse().unwrap()];
        config.cluster.deaf.lost_probes = 2;
    })
    .await
}

#[tokio::test]
async fn a_deaf_pod_is_not_ready_but_never_all_of_them() {
    let pods = Pods::start().await;
    let proxies = [
        Proxy::start(pods.redis.address()).await,
        Proxy::start(pods.redis.address()).await,
    ];
    let one = behind(&pods, &proxies[0], "a").await;
    let two = behind(&pods, &proxies[1], "b").await;
    let mut far = one.client("far").await;
    let mut near = two.client("near").await;
    ok(&far.calls.subscribe("t", 1).await);
    assert!(is_ready(&one).await && is_ready(&two).await);

    proxies[0].swallow_messages(true);
    until("it to be unready", async || !is_ready(&one).await).await;
    // The second one has nowhere to send its devices.
    proxies[1].swallow_messages(true);
    two.gateway.counts(LOST, 6).await;
    assert!(is_ready(&two).await);
    ok(&near.calls.publish("t", 1, "kept").await);
    // It is read in the log, as what does not come by itself may be there.
    assert_eq!(one.payloads(1).await, ["kept"]);

    proxies[0].swallow_messages(false);
    until("it to be ready again", async || is_ready(&one).await).await;
    until("the other one to be unready", async || {
        !is_ready(&two).await
    })
    .await;
    assert!(is_ready(&one).await);
}

#[tokio::test]
async fn a_pod_that_is_alone_and_one_without_redis_stay_ready() {
    let mut pods = Pods::start().await;
    let proxy = Proxy::start(pods.redis.address()).await;
    let alone = behind(&pods, &proxy, "a").await;
    proxy.swallow_messages(true);
    alone.gateway.counts(LOST, 6).await;
    assert!(is_ready(&alone).await);
    proxy.swallow_messages(false);
    let other = pods.pod("b").await;
    pods.redis.kill();
    other.gateway.is("exproto_redis_connected", 0).await;
    assert!(is_ready(&other).await && is_ready(&alone).await);
}
