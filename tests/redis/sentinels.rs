//! Another server becomes the master.

use exproto_gateway::redis::Cause;
use exproto_tests::{SentinelSet, until};

use crate::pod::{Pod, channels};

const MORE: &str = "mode: sentinel, sentinel: {master: main}, timeout: 1s";

#[tokio::test]
async fn a_fail_over_is_followed() {
    let mut set = SentinelSet::start().await;
    let mut pod = Pod::connected(&set.urls(), MORE).await;
    let names = channels(&pod.link, 100);
    pod.link.subscribe(&names).await.unwrap();
    pod.again(&names[0]).await;
    set.fail_over().await;
    assert_eq!(pod.gap().await.1, Cause::Lost);
    pod.again(&names[0]).await;
    let key = pod.link.key("k", "");
    pod.works(&key).await;
    let master = set.master();
    until("the key at the new master", async || {
        pod.works(&key).await;
        set.server(master).cli(&["ROLE"]).starts_with("master")
            && set.server(master).cli(&["GET", &key]).trim() == "value"
    })
    .await;
    pod.publish(&names[7], "here").await;
    assert_eq!(pod.message().await.1, "here");
}

#[tokio::test]
async fn a_master_that_is_killed_is_replaced() {
    let mut set = SentinelSet::start().await;
    // One of the sentinels is enough.
    let mut pod = Pod::connected(&set.urls()[1..2], MORE).await;
    let names = channels(&pod.link, 100);
    pod.link.subscribe(&names).await.unwrap();
    pod.again(&names[0]).await;
    let before = set.master();
    set.server(before).kill();
    assert_eq!(pod.gap().await.1, Cause::Lost);
    set.another_master(before).await;
    pod.again(&names[0]).await;
    pod.works("k").await;
    pod.publish(&names[7], "here").await;
    assert_eq!(pod.message().await.1, "here");
}

#[tokio::test]
async fn a_master_that_is_frozen_is_left() {
    let mut set = SentinelSet::start().await;
    let mut pod = Pod::connected(&set.urls(), MORE).await;
    let names = channels(&pod.link, 100);
    pod.link.subscribe(&names).await.unwrap();
    pod.again(&names[0]).await;
    let before = set.master();
    set.server(before).signal("-STOP");
    set.another_master(before).await;
    pod.gap().await;
    pod.again(&names[0]).await;
    set.server(before).signal("-CONT");
    pod.works("k").await;
    pod.publish(&names[7], "here").await;
    assert_eq!(pod.message().await.1, "here");
}
