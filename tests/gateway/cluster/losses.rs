//! Pods that die, freeze, or only seem to.

use std::{collections::BTreeSet, time::Duration};

use config::Config;
use exproto_tests::{
    Device, Event, Proxy, RedisCluster, RedisServer, SentinelSet, TestHandler, until,
};

use super::{Pod, Pods};
use crate::calls::{connect, ok};

const TOLD: &str = "exproto_pod_lost_connections_total{outcome=\"told\"}";
const INHERITED: &str = "exproto_pod_losses_total{event=\"inherited\"}";
const ANSWERED: &str = "exproto_pod_losses_total{event=\"answered\"}";
const FENCED: &str = "exproto_pod_losses_total{event=\"fenced\"}";

/// A pod that is a process of its own.
async fn process(pods: &Pods) -> exproto_tests::Pod {
    process_with(pods, &format!("urls: [\"{}\"]", pods.redis.url())).await
}

/// The same, with Redis as that says.
async fn process_with<R>(pods: &Pods<R>, redis: &str) -> exproto_tests::Pod {
    let key = pods.folder.path().join("key");
    let key = key.display();
    exproto_tests::Pod::with(
        "",
        &format!(
            "pod: {{name: victim}}\nbroker: {{kind: redis}}\nredis: {{{redis}}}\n\
             cluster: {{key_file: \"{key}\", lease: 1s, probe_interval: 200ms, peers: {{bind: \"127.0.0.1:0\", timeout: 1s}}}}"
        ),
    )
    .await
}

/// A pod that is there when another one dies, and calls the same handler.
async fn survivor<R>(pods: &Pods<R>, name: &str, handler: &TestHandler) -> Pod {
    let address = handler.url().parse().unwrap();
    pods.pod_with(name, |config: &mut Config| {
        config.cluster.lease = Duration::from_secs(1);
        config.cluster.peers.timeout = Duration::from_secs(1);
        config.handler.addresses = vec![address];
    })
    .await
}

/// How many connections of the pod other pods know.
pub(super) fn known(pods: &Pods) -> usize {
    known_to(&[&pods.redis])
}

/// The same where there are several servers.
fn known_to(servers: &[&RedisServer]) -> usize {
    let keys = servers
        .iter()
        .map(|server| server.cli(&["KEYS", "*.known.victim*"]));
    let keys = keys.collect::<String>();
    let keys: BTreeSet<_> = keys.split_whitespace().collect();
    // The field without a name is an heir's. In a cluster any server tells which one to ask.
    let known = keys.iter().map(|key| {
        let fields = servers[0].cli(&["-c", "HKEYS", key]);
        fields.split_whitespace().count()
    });
    known.sum()
}

async fn connected(pod: &exproto_tests::Pod) -> (Device, String) {
    let device = Device::connect(pod.address()).await;
    (device, pod.connected().await.conn)
}

/// The end of so many connections, as the handler is told of it.
async fn lost(handler: &TestHandler, count: usize) -> BTreeSet<String> {
    let mut lost = BTreeSet::new();
    for _ in 0..count {
        let callback = handler.next().await;
        assert!(
            matches!(&callback.event, Event::Closed(reason) if reason == "pod_lost"),
            "{callback:?}"
        );
        assert!(
            lost.insert(callback.conn.clone()),
            "told twice: {callback:?}"
        );
    }
    lost
}

/// What was left of the pod is seen to.
async fn buried(pods: &Pods) {
    until("the pod to be buried", async || {
        let lives = pods.redis.cli(&["KEYS", "*.lives"]);
        let lives = pods.redis.cli(&["ZRANGE", lives.trim(), "0", "-1"]);
        !lives.contains("victim")
    })
    .await;
    assert_eq!(known(pods), 0);
}

#[tokio::test]
async fn handlers_are_told_by_another_pod_of_what_died_with_one() {
    let pods = Pods::start().await;
    let victim = process(&pods).await;
    let survivors = [
        survivor(&pods, "b", &victim.handler).await,
        survivor(&pods, "c", &victim.handler).await,
    ];
    let (mut gone, _) = connected(&victim).await;
    let (_one, first) = connected(&victim).await;
    let (_two, second) = connected(&victim).await;
    until("all to be known", async || known(&pods) == 3).await;
    gone.finish().await;
    assert_eq!(victim.handler.closed().await, "tcp_closed");
    until("one to be gone", async || known(&pods) == 2).await;

    victim.process.signal("-KILL");
    let lost = lost(&victim.handler, 2).await;
    assert_eq!(lost, BTreeSet::from([first, second]));
    buried(&pods).await;
    // By one of them.
    let mut counts = [0, 0];
    for (pod, count) in survivors.iter().zip(&mut counts) {
        *count = pod.gateway.metric(TOLD).await;
    }
    counts.sort_unstable();
    assert_eq!(counts, [0, 2]);
    assert!(victim.handler.try_next().is_none());
}

#[tokio::test]
async fn a_pod_that_was_frozen_closes_what_others_were_told_is_closed() {
    let pods = Pods::start().await;
    let victim = process(&pods).await;
    let survivor = survivor(&pods, "b", &victim.handler).await;
    let (mut device, conn) = connected(&victim).await;
    until("it to be known", async || known(&pods) == 1).await;
    victim.process.signal("-STOP");
    assert_eq!(lost(&victim.handler, 1).await, BTreeSet::from([conn]));
    buried(&pods).await;
    victim.process.signal("-CONT");
    device.closed().await;
    victim.counts(FENCED, 1).await;
    assert_eq!(survivor.gateway.metric(INHERITED).await, 1);
    // It goes on with others, and its handler is not told of the old one again.
    let (mut device, _) = connected(&victim).await;
    until("it to be known", async || known(&pods) == 1).await;
    device.finish().await;
    assert_eq!(victim.handler.closed().await, "tcp_closed");
    until("it to be gone", async || known(&pods) == 0).await;
    // And dies like any other.
    let (_device, conn) = connected(&victim).await;
    until("it to be known", async || known(&pods) == 1).await;
    victim.process.signal("-KILL");
    assert_eq!(lost(&victim.handler, 1).await, BTreeSet::from([conn]));
    buried(&pods).await;
}

#[tokio::test]
async fn a_pod_that_is_cut_off_from_redis_and_answers_is_not_taken_for_dead() {
    let pods = Pods::start().await;
    let proxy = Proxy::start(pods.redis.address()).await;
    let url = format!("redis://{}", proxy.address());
    let short = |config: &mut Config| config.cluster.lease = Duration::from_secs(1);
    let cut_off = pods
        .pod_with("victim", |config| {
            short(config);
            config.redis.timeout = Duration::from_millis(200);
            config.redis.urls = vec![url.parse().unwrap()];
        })
        .await;
    let survivor = survivor(&pods, "b", &cut_off.handler).await;
    let (_device, mut calls) = connect(&cut_off.gateway, &cut_off.handler).await;
    until("it to be known", async || known(&pods) == 1).await;
    proxy.stall(true);
    proxy.cut_after(0);
    survivor.gateway.counts(ANSWERED, 2).await;
    proxy.stall(false);
    let heard = || {
        let lives = pods.redis.cli(&["KEYS", "*.lives"]);
        let lives = pods
            .redis
            .cli(&["ZRANGE", lives.trim(), "0", "-1", "WITHSCORES"]);
        let mut lives = lives.split_whitespace();
        lives.find(|life| life.starts_with("victim"));
        lives.next().unwrap().parse::<u64>().unwrap()
    };
    let before = heard();
    until("it to be heard again", async || heard() > before).await;
    ok(&calls.send("y").await);
    assert_eq!(survivor.gateway.metric(INHERITED).await, 0);
    assert_eq!(cut_off.gateway.metric(FENCED).await, 0);
    assert!(cut_off.handler.try_next().is_none());
}

/// A pod that dies after Redis has failed over; it had one connection before that, and another one after.
async fn are_told_through<R>(
    pods: &mut Pods<R>,
    redis: &str,
    fail_over: impl AsyncFnOnce(&mut R),
    known: impl Fn(&mut R) -> usize,
) {
    let victim = process_with(pods, redis).await;
    let survivor = survivor(pods, "b", &victim.handler).await;
    let (_first, first) = connected(&victim).await;
    until("it to be known", async || known(&mut pods.redis) == 1).await;
    fail_over(&mut pods.redis).await;
    let (_second, second) = connected(&victim).await;
    until("both to be known", async || known(&mut pods.redis) == 2).await;
    victim.process.signal("-KILL");
    let lost = lost(&victim.handler, 2).await;
    assert_eq!(lost, BTreeSet::from([first, second]));
    survivor.gateway.is(TOLD, 2).await;
}

#[tokio::test]
async fn handlers_are_told_after_sentinels_failed_over() {
    let mut pods = Pods::with_sentinels().await;
    let urls = pods.redis.urls();
    let written = format!("urls: {urls:?}, mode: sentinel, sentinel: {{master: main}}");
    let known = |redis: &mut SentinelSet| {
        let master = redis.master();
        known_to(&[redis.server(master)])
    };
    are_told_through(&mut pods, &written, SentinelSet::fail_over, known).await;
}

#[tokio::test]
async fn handlers_are_told_after_all_nodes_of_a_cluster_changed_places() {
    let mut pods = Pods::with_cluster().await;
    let written = format!("urls: {:?}, mode: cluster", pods.redis.urls());
    let change = async |redis: &mut RedisCluster| {
        for replica in 3..6 {
            redis.fail_over(replica).await;
        }
    };
    let known = |redis: &mut RedisCluster| known_to(&redis.nodes());
    are_told_through(&mut pods, &written, change, known).await;
}
