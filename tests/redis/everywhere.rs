//! What works with one server, with sentinels and in a cluster alike.

use std::collections::HashMap;

use exproto_gateway::redis::{Failure, Script};
use exproto_tests::{RedisCluster, RedisServer, SentinelSet, within};

use crate::pod::{Pod, channels};

#[tokio::test]
async fn one_server_serves() {
    let redis = RedisServer::start().await;
    serves(&[redis.url()], "").await;
}

#[tokio::test]
async fn a_master_with_sentinels_serves() {
    let set = SentinelSet::start().await;
    serves(&set.urls(), "mode: sentinel, sentinel: {master: main}").await;
}

#[tokio::test]
async fn a_cluster_serves() {
    let cluster = RedisCluster::start().await;
    serves(&cluster.urls()[..1], "mode: cluster").await;
}

#[tokio::test]
async fn a_database_other_than_the_first_serves() {
    let redis = RedisServer::start().await;
    serves(&[redis.url()], "database: 3").await;
    assert_ne!(redis.cli(&["-n", "3", "DBSIZE"]).trim(), "0");
    assert_eq!(redis.cli(&["-n", "0", "DBSIZE"]).trim(), "0");
}

async fn serves(urls: &[String], more: &str) {
    let mut here = Pod::connected(urls, more).await;
    let there = Pod::connected(urls, more).await;
    messages_come_in_order(&mut here, &there).await;
    subscriptions_end(&mut here, &there).await;
    commands_are_carried_out(&here).await;
    scripts_run(&here).await;
    assert_eq!(here.counted("exproto_redis_connected"), 1);
    assert_eq!(here.counted("exproto_redis_subscriptions"), 299);
    assert!(here.counted("exproto_redis_commands_total{outcome=\"ok\"}") > 0);
}

async fn messages_come_in_order(here: &mut Pod, there: &Pod) {
    let names = channels(&here.link, 300);
    here.link.subscribe(&names).await.unwrap();
    // Confirmed already.
    here.link.subscribe(&names).await.unwrap();
    for round in 0..5 {
        for name in &names {
            let payload = format!("{round}\r\n\0");
            there.link.publish(name, payload.as_bytes()).await.unwrap();
        }
    }
    let mut rounds: HashMap<_, usize> = HashMap::new();
    for _ in 0..5 * names.len() {
        let (channel, payload) = here.message().await;
        let round = rounds.entry(channel).or_default();
        assert_eq!(payload, format!("{round}\r\n\0"));
        *round += 1;
    }
    assert_eq!(rounds.len(), names.len());
}

async fn subscriptions_end(here: &mut Pod, there: &Pod) {
    let names = channels(&here.link, 129);
    // In the same slot: what is said of one is said before what is said of the other.
    let (left, kept) = (&names[0], &names[128]);
    here.link.unsubscribe(std::slice::from_ref(left));
    here.link
        .subscribe(&[format!("{kept}/more")])
        .await
        .unwrap();
    here.link.unsubscribe(&[format!("{kept}/more")]);
    there.link.publish(left, b"too late").await.unwrap();
    there.link.publish(kept, b"here").await.unwrap();
    assert_eq!(here.message().await.1, "here");
}

async fn commands_are_carried_out(pod: &Pod) {
    let key = pod.link.key("p1", "number");
    let ask = |verb: &str| {
        let mut command = redis::cmd(verb);
        command.arg(&key);
        command
    };
    let many =
        (0..1000).map(|_| async { pod.link.command::<i64>(&key, &ask("INCR")).await.unwrap() });
    let mut numbers = futures_util::future::join_all(many).await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=1000).collect::<Vec<i64>>());
    let refused = pod
        .link
        .command::<i64>(&key, &ask("HGETALL"))
        .await
        .unwrap_err();
    assert!(!refused.may_be_done());
    assert!(
        refused
            .to_string()
            .starts_with("Redis refused: WRONGTYPE Oper"),
        "{refused}"
    );
    let unexpected = pod.link.command::<Vec<i64>>(&key, &ask("TYPE")).await;
    assert!(
        matches!(unexpected, Err(Failure::Unexpected(_))),
        "{unexpected:?}"
    );
}

async fn scripts_run(pod: &Pod) {
    let script = Script::new("redis.call('SET', KEYS[1], ARGV[1]) return {KEYS[1], ARGV[1]}");
    let key = pod.link.key("p2", "scripted");
    for value in [&b"a"[..], b"\0\r\n"] {
        let (keys, arguments) = ([&*key], [value]);
        let ran = pod
            .link
            .script::<(String, Vec<u8>)>(&script, &keys, &arguments);
        let ran = within("a script", ran).await.unwrap();
        assert_eq!(ran, (key.clone(), value.to_vec()));
    }
    let bad = Script::new("return redis.call('NOSUCH')");
    let refused = pod.link.script::<()>(&bad, &[&key], &[]).await;
    assert!(
        matches!(refused, Err(Failure::Refused { .. })),
        "{refused:?}"
    );
}
