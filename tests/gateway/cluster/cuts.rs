//! Redis cuts connections: because it is told to, or because a subscriber is too slow for it.

use exproto_tests::until;

use super::{
    Pod, Pods,
    trial::{trial, trial_with},
};

const CONNECTIONS: &str = "exproto_redis_connections_made_total{connection=\"subscriptions\"}";

/// What is counted where messages of `QoS` 0 may be lost.
async fn counted(one: &Pod, two: &Pod) -> u64 {
    let dropped = "exproto_shared_messages_total{event=\"dropped\"}";
    let held_up = "exproto_shared_messages_total{event=\"held_up\"}";
    one.gateway.metric(dropped).await
        + two.gateway.metric(held_up).await
        + two.gateway.metric(CONNECTIONS).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_kind_of_connections_is_cut() {
    let pods = Pods::start().await;
    let (one, two) = (pods.pod("a").await, pods.pod("b").await);
    let mut far = two.client("far").await;
    let before = counted(&one, &two).await;
    let cut = async {
        for kind in ["normal", "pubsub", "pubsub", "normal", "pubsub"] {
            let before = pods.redis.cli(&["INFO", "stats"]);
            let before = connections(&before);
            pods.redis.cut_clients(kind);
            // redis-cli itself is two, and each pod has one of each kind.
            until("both pods to be back", async || {
                connections(&pods.redis.cli(&["INFO", "stats"])) >= before + 4
                    && one.gateway.metric("exproto_redis_connected").await == 1
                    && two.gateway.metric("exproto_redis_connected").await == 1
            })
            .await;
        }
    };
    let publisher = one.client("publisher").await;
    let outcome = trial(publisher, &mut far, &two.handler, cut).await;
    assert_eq!(outcome.unsure, 0, "it was never away for long");
    let is_counted = counted(&one, &two).await > before;
    let lost = outcome.loose_lost;
    assert!(is_counted || lost == 0, "{lost} are lost");
}

/// How many Redis has taken so far.
fn connections(stats: &str) -> u64 {
    let line = stats
        .lines()
        .find_map(|line| line.strip_prefix("total_connections_received:"));
    line.unwrap().trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_whom_redis_takes_for_too_slow_reads_up_what_it_missed() {
    let pods = Pods::start().await;
    let (one, two) = (pods.pod("a").await, pods.pod("b").await);
    let mut far = two.client("far").await;
    // Each message of 64 KiB is too much for it.
    let limit = [
        "CONFIG",
        "SET",
        "client-output-buffer-limit",
        "pubsub 32kb 0 0",
    ];
    pods.redis.cli(&limit);
    let before = two.gateway.metric(CONNECTIONS).await;
    let payload = |number: usize| {
        let more = if number.is_multiple_of(40) {
            64 << 10
        } else {
            0
        };
        format!("{number} {}", ".".repeat(more))
    };
    let cut = until("the subscriber to be cut, again and again", async || {
        two.gateway.metric(CONNECTIONS).await >= before + 3
    });
    let publisher = one.client("publisher").await;
    trial_with(publisher, &mut far, &two.handler, payload, cut).await;
    let unrecovered = "exproto_shared_gaps_total{recovered=\"no\"}";
    assert_eq!(two.gateway.metric(unrecovered).await, 0);
}
