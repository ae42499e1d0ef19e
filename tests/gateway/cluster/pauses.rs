//! Redis takes its time: it is told to pause, sleeps, or stands still.

use std::time::Duration;

use config::Config;
use exproto_tests::until;

use super::{Pods, trial::trial};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_wait_while_redis_pauses() {
    let pods = Pods::start().await;
    let (one, two) = (pods.pod("a").await, pods.pod("b").await);
    let mut far = two.client("far").await;
    let pause = async {
        for kind in ["WRITE", "ALL"] {
            pods.redis.cli(&["CLIENT", "PAUSE", "300", kind]);
            // It is answered when the pause is over.
            pods.redis.cli(&["SET", "key", "value"]);
        }
        pods.redis.sleeps("0.3").ended().await;
    };
    let publisher = one.client("publisher").await;
    let outcome = trial(publisher, &mut far, &two.handler, pause).await;
    assert_eq!((outcome.unsure, outcome.loose_lost), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_stands_still_is_left_and_found_again() {
    let pods = Pods::start().await;
    let short = |config: &mut Config| config.redis.timeout = Duration::from_millis(200);
    let (one, two) = (
        pods.pod_with("a", short).await,
        pods.pod_with("b", short).await,
    );
    let mut far = two.client("far").await;
    let stand_still = async {
        for _ in 0..2 {
            pods.redis.signal("-STOP");
            for pod in [&one, &two] {
                pod.gateway.is("exproto_redis_connected", 0).await;
            }
            pods.redis.signal("-CONT");
            until("both pods to be back", async || {
                one.gateway.metric("exproto_redis_connected").await == 1
                    && two.gateway.metric("exproto_redis_connected").await == 1
            })
            .await;
        }
    };
    let publisher = one.client("publisher").await;
    trial(publisher, &mut far, &two.handler, stand_still).await;
}
