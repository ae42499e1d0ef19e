//! The same through Sentinel and through Redis Cluster, while they fail over.

use exproto_tests::until;
use proto::exproto::ResultCode;

use super::{Client, FOREIGN, Pod, Pods};
use crate::calls::ok;

/// Two pods, of which the second has a client that wants `exact` and `wild/#`.
async fn two<R>(pods: &Pods<R>) -> (Pod, Pod, Client) {
    let (one, two) = (pods.pod("a").await, pods.pod("b").await);
    let mut far = two.client("far").await;
    ok(&far.calls.subscribe("exact", 1).await);
    ok(&far.calls.subscribe("wild/#", 1).await);
    one.gateway.is(FOREIGN, 1).await;
    (one, two, far)
}

/// Publishes so many with `QoS` 1, each until it is answered with SUCCESS.
async fn publish(publisher: &mut Client, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let topic = if number % 2 == 0 { "exact" } else { "wild/1" };
        until("the message to be taken", async || {
            let answer = publisher.calls.publish(topic, 1, number.to_string()).await;
            answer.code() == ResultCode::Success
        })
        .await;
    }
}

/// All of these have come; those whose Publish was repeated may have come more often.
fn all_came(came: &[String], count: usize) {
    let mut numbers: Vec<usize> = came.iter().map(|text| text.parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers, (0..count).collect::<Vec<_>>());
}

/// What has come, once the last number of both topics has.
async fn until_last(pod: &Pod, count: usize) -> Vec<String> {
    let mut came = Vec::new();
    let lasts = [count - 2, count - 1].map(|number| number.to_string());
    until("the last messages", async || {
        let more = pod.more().into_iter();
        came.extend(more.map(|message| String::from_utf8(message.payload.to_vec()).unwrap()));
        lasts.iter().all(|last| came.contains(last))
    })
    .await;
    came
}

#[tokio::test]
async fn in_a_cluster_nothing_answered_is_lost_while_nodes_change_places() {
    const MESSAGES: usize = 600;
    let pods = Pods::with_cluster().await;
    let (one, two, _far) = two(&pods).await;
    let change = async {
        for replica in 3..6 {
            // It waits until it has all that the master has.
            pods.redis.fail_over(replica).await;
        }
    };
    let mut publisher = one.client("publisher").await;
    tokio::join!(publish(&mut publisher, 0..MESSAGES), change);
    all_came(&until_last(&two, MESSAGES).await, MESSAGES);
}

#[tokio::test]
async fn through_sentinels_messages_go_on_after_a_fail_over() {
    let mut pods = Pods::with_sentinels().await;
    let (one, two, _far) = two(&pods).await;
    let mut publisher = one.client("publisher").await;
    publish(&mut publisher, 0..100).await;
    all_came(&until_last(&two, 100).await, 100);
    let old = pods.redis.master();
    pods.redis.fail_over().await;
    // Until it is told, it takes messages that nobody will ever have.
    until("the old master to be a replica", async || {
        let told = pods.redis.server(old).replication();
        told.contains("role:slave")
    })
    .await;
    publish(&mut publisher, 100..200).await;
    let came = until_last(&two, 200).await;
    let new: Vec<usize> = came.iter().map(|text| text.parse().unwrap()).collect();
    assert!((100..200).all(|number| new.contains(&number)), "{new:?}");
}
