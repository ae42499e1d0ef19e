//! Slots of a Redis Cluster move from one master to another while messages pass through them.

use super::{Pods, trial::trial};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_follow_the_slots_of_their_topics() {
    let mut pods = Pods::with_cluster().await;
    let (one, two) = (pods.pod("a").await, pods.pod("b").await);
    let mut far = two.client("far").await;
    let publisher = one.client("publisher").await;
    // There and back: the logs of the topics, and whatever else stands in their slots.
    let cluster = &mut pods.redis;
    let publisher = trial(publisher, &mut far, &two.handler, async {})
        .await
        .publisher;
    let mut slots = Vec::new();
    for from in 0..3 {
        let logs = cluster.node(from).cli(&["KEYS", "*.log"]);
        for log in logs.lines().filter(|log| !log.is_empty()) {
            let slot = cluster.node(from).cli(&["CLUSTER", "KEYSLOT", log]);
            slots.push((slot.trim().parse::<u16>().unwrap(), from));
        }
    }
    assert!(slots.len() >= 2, "{slots:?}");
    let reshard = async {
        for (slot, from) in &slots {
            let to = (from + 1) % 3;
            cluster.reshard(*slot, *from, to);
            cluster.reshard(*slot, to, *from);
        }
    };
    let outcome = trial(publisher, &mut far, &two.handler, reshard).await;
    assert_eq!(outcome.unsure, 0);
}
