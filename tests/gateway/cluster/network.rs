//! A slow network between pods and Redis, which cuts all that passes into pieces.

use std::time::Duration;

use config::Config;
use exproto_tests::{Proxy, until};

use super::{Pods, trial::trial};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_in_pieces_and_late_comes_whole() {
    const CUTS: usize = 4;
    let pods = Pods::start().await;
    let proxy = Proxy::start(pods.redis.address()).await;
    let through = format!("redis://{}", proxy.address());
    let behind = |config: &mut Config| config.redis.urls = vec![through.parse().unwrap()];
    let (one, two) = (
        pods.pod_with("a", behind).await,
        pods.pod_with("b", behind).await,
    );
    let mut far = two.client("far").await;
    let received = "exproto_shared_messages_total{event=\"received\"}";
    let crumble = async {
        proxy.crumble(Duration::from_millis(1));
        two.gateway.counts(received, 100).await;
        for cut in 0..CUTS {
            proxy.cut_after(fastrand::u64(..5_000));
            until("the cut", async || proxy.cuts() > cut).await;
        }
        proxy.crumble(Duration::ZERO);
    };
    let publisher = one.client("publisher").await;
    trial(publisher, &mut far, &two.handler, crumble).await;
}
