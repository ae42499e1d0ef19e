//! Slots go to other nodes of a cluster.

use std::collections::BTreeSet;

use exproto_gateway::redis::{Cause, slot_of};
use exproto_tests::{RedisCluster, until};

use crate::pod::{Pod, channels};

/// Everything that is published now comes, once.
async fn all_of_it_comes(pod: &mut Pod, names: &[String], word: &str) {
    for name in names {
        pod.publish(name, &format!("{word} {name}")).await;
    }
    let mut come = BTreeSet::new();
    while come.len() < names.len() {
        let (channel, payload) = pod.message().await;
        if payload.starts_with(word.as_bytes()) {
            assert!(come.insert(channel.clone()), "{channel:?} came twice");
        }
    }
}

#[tokio::test]
async fn a_replica_that_takes_over_is_followed() {
    let cluster = RedisCluster::start().await;
    let mut pod = Pod::connected(&cluster.urls(), "mode: cluster").await;
    let names = channels(&pod.link, 256);
    pod.link.subscribe(&names).await.unwrap();
    all_of_it_comes(&mut pod, &names, "before").await;
    cluster.fail_over(3).await;
    let (slots, cause) = pod.gap().await;
    assert_eq!(cause, Cause::Lost);
    let mut held = names.iter().filter(|name| slots.hold(name.as_bytes()));
    assert!(
        held.clone().all(|name| slot_of(name.as_bytes()) < 5461),
        "{slots:?}"
    );
    let moved = held.next().expect("a channel of the node");
    pod.again(moved).await;
    all_of_it_comes(&mut pod, &names, "after").await;
    pod.works(moved).await;
}

#[tokio::test]
async fn a_node_that_is_killed_is_replaced_and_the_others_go_on() {
    let mut cluster = RedisCluster::start().await;
    let mut pod = Pod::connected(&cluster.urls(), "mode: cluster, timeout: 1s").await;
    let names = channels(&pod.link, 256);
    pod.link.subscribe(&names).await.unwrap();
    all_of_it_comes(&mut pod, &names, "before").await;
    cluster.node(1).kill();
    let (slots, cause) = pod.gap().await;
    assert_eq!(cause, Cause::Lost);
    let (gone, kept): (Vec<_>, Vec<_>) = names
        .iter()
        .cloned()
        .partition(|name| slots.hold(name.as_bytes()));
    // Until the cluster notices that a node is gone, the others serve their slots.
    pod.set(&kept[0]).await.unwrap();
    cluster.becomes_master(4).await;
    pod.again(&gone[0]).await;
    all_of_it_comes(&mut pod, &names, "after").await;
    pod.is_connected().await;
    cluster.node(1).restart().await;
    all_of_it_comes(&mut pod, &names, "with a replica").await;
}

#[tokio::test]
async fn a_node_that_is_frozen_is_left() {
    let mut cluster = RedisCluster::start().await;
    let more = "mode: cluster, timeout: 500ms, connect_timeout: 500ms";
    let mut pod = Pod::connected(&cluster.urls(), more).await;
    let names = channels(&pod.link, 256);
    pod.link.subscribe(&names).await.unwrap();
    all_of_it_comes(&mut pod, &names, "before").await;
    cluster.node(2).signal("-STOP");
    cluster.becomes_master(5).await;
    let moved = names.iter().find(|name| slot_of(name.as_bytes()) > 10_922);
    pod.again(moved.unwrap()).await;
    all_of_it_comes(&mut pod, &names, "after").await;
    cluster.node(2).signal("-CONT");
    pod.is_connected().await;
    all_of_it_comes(&mut pod, &names, "when it woke up").await;
}

#[tokio::test]
async fn a_slot_that_moves_is_followed() {
    let cluster = RedisCluster::start().await;
    let mut pod = Pod::connected(&cluster.urls(), "mode: cluster").await;
    let names = channels(&pod.link, 256);
    pod.link.subscribe(&names).await.unwrap();
    all_of_it_comes(&mut pod, &names, "before").await;
    let moved = &names[5];
    let slot = slot_of(moved.as_bytes());
    let from = cluster.owner(slot, 0).unwrap();
    let to = (from + 1) % 3;
    cluster.migrate(slot, from, to);
    let (slots, _) = pod.gap().await;
    assert!(slots.contains(slot) && slots.count() == 1, "{slots:?}");
    pod.again(moved).await;
    all_of_it_comes(&mut pod, &names, "after").await;
    pod.works(moved).await;
    until("all nodes to know", async || {
        (0..6).all(|index| cluster.owner(slot, index) == Some(to))
    })
    .await;
    // And back, with subscriptions made in between.
    let more = vec![format!("{moved}/more")];
    pod.link.subscribe(&more).await.unwrap();
    cluster.migrate(slot, to, from);
    pod.gap().await;
    pod.again(moved).await;
    all_of_it_comes(&mut pod, &[&names[..], &more].concat(), "at last").await;
}

#[tokio::test]
async fn a_cluster_that_lost_all_its_nodes_comes_back() {
    let mut cluster = RedisCluster::start().await;
    let mut pod = Pod::connected(&cluster.urls()[..2], "mode: cluster, timeout: 1s").await;
    let names = channels(&pod.link, 256);
    pod.link.subscribe(&names).await.unwrap();
    for index in 0..6 {
        cluster.node(index).kill();
    }
    pod.is_away(|_| true).await;
    for index in 0..6 {
        cluster.node(index).restart().await;
    }
    pod.is_connected().await;
    all_of_it_comes(&mut pod, &names, "after").await;
}
