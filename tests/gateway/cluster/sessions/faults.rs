//! Sessions of pods that die, leave or freeze, and a Redis that fails.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use config::Config;
use exproto_tests::{Device, Pod as Program, RedisCluster, SentinelSet, TestHandler, until};
use proto::exproto::ResultCode;
use tokio::{task::JoinHandle, time::sleep};

use super::{AWAY, GAPS, is_kept, numbers, payload};
use crate::{
    calls::{Calls, connect, ok},
    cluster::{Pod, Pods, losses::known},
};

const INHERITED: &str = "exproto_shared_sessions_total{event=\"inherited\"}";
const PUBLISHED: &str = "exproto_messages_total{event=\"published\"}";
const LOST: &str = "exproto_clientids_total{event=\"lost\"}";

fn short(config: &mut Config) {
    config.cluster.lease = Duration::from_secs(1);
    config.cluster.peers.timeout = Duration::from_secs(1);
    config.sessions.message_queue = 100_000;
}

/// Nobody takes it for dead itself, however little it gets to run.
fn steady(config: &mut Config) {
    short(config);
    config.cluster.lease = Duration::from_secs(3);
}

/// A pod that dies later: a process of its own.
async fn victim(pods: &Pods) -> Program {
    let (key, url) = (pods.key(), pods.redis.url());
    Program::with(
        "session_expiry: 1h",
        &format!(
            "pod: {{name: victim}}\nbroker: {{kind: redis}}\nredis: {{urls: [\"{url}\"]}}\nsessions: {{save_interval: \
             200ms, message_queue: 100000}}\ncluster: {{key_file: \"{}\", lease: 1s, probe_interval: 200ms, peers: {{bind: \"127.0.0.1:0\", \
             timeout: 1s}}}}",
            key.display()
        ),
    )
    .await
}

/// A client with a session, of the victim.
async fn client_of(victim: &Program, clientid: &str) -> (Device, Calls) {
    let device = Device::connect(victim.address()).await;
    let told = victim.connected().await;
    let mut calls = Calls::by(victim.adapter(), &told.conn);
    ok(&calls.authenticate(clientid).await);
    ok(&calls.subscribe("exact", 1).await);
    ok(&calls.subscribe("wild/#", 1).await);
    (device, calls)
}

/// Somebody who publishes in a pod until told to stop, and leaves others their turn.
struct Publishing {
    is_over: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Publishing {
    fn start(pod: &Pod) -> Self {
        let mut calls = Calls::new(&pod.gateway, "");
        let is_over = Arc::new(AtomicBool::new(false));
        let told = is_over.clone();
        let task = tokio::spawn(async move {
            let mut number = 0_usize;
            while !told.load(Relaxed) {
                let topic = ["exact", "wild/1"][number % 2];
                ok(&calls.raw_publish(topic, 1, number.to_string()).await);
                number += 1;
                sleep(Duration::from_millis(1)).await;
            }
        });
        Self { is_over, task }
    }

    /// All that it has published is answered.
    async fn end(self) {
        self.is_over.store(true, Relaxed);
        self.task.await.unwrap();
    }
}

/// What was taken by the handler of the victim, as numbers.
fn taken(handler: &TestHandler) -> Vec<usize> {
    let mut taken = Vec::new();
    while let Some(callback) = handler.try_next() {
        if let exproto_tests::Event::Messages(messages) = callback.event {
            taken.extend(
                messages
                    .iter()
                    .map(|message| payload(message).parse::<usize>().unwrap()),
            );
        }
    }
    taken
}

/// All that was published has come: to the victim first, the rest here, in order and no more than once here. What had come
/// to the victim may come again before that.
async fn all_come(pod: &Pod, publishing: Publishing, before: &[usize]) {
    let mut here = pod.some(50).await;
    publishing.end().await;
    pod.publish("exact", "end").await;
    while !is_all(&here, before) {
        here.extend(pod.some(1).await);
    }
    let here = in_time(&here);
    let is_new = |number: &&usize| !before.contains(number);
    let new: Vec<_> = here.iter().filter(is_new).collect();
    assert!(new.is_sorted_by(|one, other| one < other), "{new:?}");
}

/// Whether nothing is missing up to the end. What was on its way when the session was brought here, and passed it by, is
/// read in the logs some seconds later, and comes after the end.
fn is_all(came: &[String], before: &[usize]) -> bool {
    let is_over = came.iter().any(|text| text == "end");
    let numbers = came.iter().filter_map(|text| text.parse().ok());
    let numbers: BTreeSet<usize> = numbers.chain(before.iter().copied()).collect();
    is_over && numbers.last().is_none_or(|last| numbers.len() == last + 1)
}

/// What came before the end.
fn in_time(came: &[String]) -> Vec<usize> {
    let numbers = came.iter().take_while(|text| *text != "end");
    numbers.map(|text| text.parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_a_pod_that_is_killed_misses_nothing() {
    let pods = Pods::start().await;
    let victim = victim(&pods).await;
    let survivor = pods.pod_with("b", short).await;
    let (_device, _calls) = client_of(&victim, "truck").await;
    let publishing = Publishing::start(&survivor);
    let mut before = Vec::new();
    until("it to have got some", async || {
        before.extend(taken(&victim.handler));
        before.len() > 100
    })
    .await;
    victim.process.signal("-KILL");
    // At once, long before anybody knows that the pod is dead.
    let (_roamer, present) = survivor.truck().await;
    assert!(present);
    before.extend(taken(&victim.handler));
    all_come(&survivor, publishing, &before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_of_a_dead_pod_go_on_in_another_one() {
    const CLIENTS: usize = 20;
    let pods = Pods::start().await;
    let victim = victim(&pods).await;
    let survivor = pods.pod_with("b", short).await;
    for number in 0..CLIENTS {
        let name = if number == 0 {
            "truck".to_owned()
        } else {
            format!("truck-{number}")
        };
        let (device, _) = client_of(&victim, &name).await;
        drop(device);
        victim.handler.closed().await;
    }
    let publishing = Publishing::start(&survivor);
    survivor.gateway.counts(PUBLISHED, 50).await;
    until("the ends to be known", async || known(&pods) == 0).await;
    victim.process.signal("-KILL");
    survivor.gateway.counts(INHERITED, CLIENTS as u64).await;
    survivor.gateway.is(AWAY, CLIENTS as u64).await;
    let (_roamer, present) = survivor.truck().await;
    assert!(present);
    all_come(&survivor, publishing, &[]).await;
    assert_eq!(survivor.gateway.metric(GAPS).await, 0);
    // Nothing is left of the dead pod.
    until("it to be buried", async || {
        let key = pods.redis.cli(&["KEYS", "*.sessions.victim*"]);
        // How far it had heard is told for a while.
        key.trim().is_empty() || pods.redis.cli(&["HLEN", key.trim()]).trim() == "1"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_heir_takes_no_session_from_a_client_that_has_come_back() {
    const CLIENTS: usize = 10;
    let pods = Pods::start().await;
    let victim = victim(&pods).await;
    // Redis is told rarely, so the records are the dead pod's for a while.
    let rarely = |config: &mut Config| {
        short(config);
        config.sessions.save_interval = Duration::from_secs(60);
    };
    let survivors = [
        pods.pod_with("b", rarely).await,
        pods.pod_with("c", rarely).await,
    ];
    for number in 0..CLIENTS {
        let (device, _) = client_of(&victim, &format!("truck-{number}")).await;
        drop(device);
        victim.handler.closed().await;
    }
    let slowly = |config: &mut Config| config.cluster.lease = Duration::from_secs(60);
    let _owner = pods.pod_with("d", slowly).await;
    let (device, _) = client_of(&victim, "boat").await;
    drop(device);
    victim.handler.closed().await;
    until("the ends to be known", async || known(&pods) == 0).await;
    victim.process.signal("-KILL");
    // One is claimed by a pod that lives, and has not come to it yet. It is the heir of nobody for a long time.
    let mut owner = None;
    until("the pod to be known", async || {
        let addresses = pods.redis.cli(&["KEYS", "*.addresses"]);
        let owners = pods.redis.cli(&["HKEYS", addresses.trim()]);
        let mut owners = owners.split_whitespace();
        owner = owners.find(|pod| pod.starts_with("d.")).map(str::to_owned);
        owner.is_some()
    })
    .await;
    let owner = owner.expect("it is known");
    let key = pods.redis.cli(&["KEYS", "*.client.boat"]);
    pods.redis.cli(&["HSET", key.trim(), "pod", &owner]);
    pods.redis.cli(&["HINCRBY", key.trim(), "claim", "1"]);
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let here = &survivors[number % 2];
        let (device, mut calls) = connect(&here.gateway, &here.handler).await;
        let (answer, present) = calls
            .begin_session(&format!("truck-{number}"), "3600")
            .await;
        ok(&answer);
        assert_eq!(present, Some(true));
        clients.push((device, calls));
    }
    until("it to be buried", async || {
        let lives = pods.redis.cli(&["KEYS", "*.lives"]);
        let lives = pods.redis.cli(&["ZRANGE", lives.trim(), "0", "-1"]);
        !lives.contains("victim")
    })
    .await;
    let owner = pods.redis.cli(&["HGET", key.trim(), "pod"]);
    assert!(owner.starts_with("d."), "{owner} has taken it");
    for survivor in &survivors {
        assert_eq!(survivor.gateway.metric(AWAY).await, 0);
        survivor.publish("exact", "x").await;
    }
    for survivor in &survivors {
        let got = survivor.some(CLIENTS).await;
        assert_eq!(got.len(), CLIENTS, "{got:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_pod_has_no_room_for_another_one_takes_over() {
    const CLIENTS: usize = 10;
    let pods = Pods::start().await;
    let victim = victim(&pods).await;
    let small = |config: &mut Config| {
        short(config);
        config.sessions.max_sessions = 3;
    };
    let one = pods.pod_with("b", small).await;
    for number in 0..CLIENTS {
        let (device, _) = client_of(&victim, &format!("truck-{number}")).await;
        drop(device);
        victim.handler.closed().await;
    }
    until("the ends to be known", async || known(&pods) == 0).await;
    victim.process.signal("-KILL");
    one.gateway
        .counts("exproto_pod_losses_total{event=\"inherited\"}", 1)
        .await;
    let two = pods.pod_with("c", short).await;
    two.gateway.counts(INHERITED, CLIENTS as u64).await;
    assert_eq!(one.gateway.metric(AWAY).await, 0);
    assert_eq!(two.gateway.metric(AWAY).await, CLIENTS as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_was_frozen_has_no_sessions_any_more() {
    let pods = Pods::start().await;
    let victim = victim(&pods).await;
    let survivor = pods.pod_with("b", steady).await;
    let (device, _) = client_of(&victim, "truck").await;
    drop(device);
    victim.handler.closed().await;
    until("the end to be known", async || known(&pods) == 0).await;
    let publishing = Publishing::start(&survivor);
    victim.process.signal("-STOP");
    survivor.gateway.counts(INHERITED, 1).await;
    victim.process.signal("-CONT");
    victim.counts(AWAY, 0).await;
    // More than a connection has room for.
    survivor.gateway.counts(PUBLISHED, 1_500).await;
    let (_roamer, present) = survivor.truck().await;
    assert!(present);
    all_come(&survivor, publishing, &[]).await;
    assert!(is_kept(&pods, "truck"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_wakes_up_while_others_take_its_sessions_loses_none() {
    const CLIENTS: usize = 20;
    let pods = Pods::start().await;
    let victim = victim(&pods).await;
    let survivor = pods.pod_with("b", steady).await;
    let mut roamers = Vec::new();
    for number in 0..CLIENTS {
        let (device, _) = client_of(&victim, &format!("truck-{number}")).await;
        drop(device);
        victim.handler.closed().await;
        roamers.push(connect(&survivor.gateway, &survivor.handler).await);
    }
    until("the ends to be known", async || known(&pods) == 0).await;
    let publishing = Publishing::start(&survivor);
    survivor.gateway.counts(PUBLISHED, 50).await;
    victim.process.signal("-STOP");
    until("it to be taken for dead", async || {
        !pods.redis.cli(&["KEYS", "*.fence.*"]).trim().is_empty()
    })
    .await;
    victim.process.signal("-CONT");
    // Some come before the heir sees to their sessions, some after it.
    for (number, (_, calls)) in roamers.iter_mut().enumerate() {
        until("the client to be let in", async || {
            let clientid = format!("truck-{number}");
            let (answer, present) = calls.begin_session(&clientid, "3600").await;
            assert!(present.is_none_or(|present| present), "of {clientid}");
            // It may be asked to try again while its session is on its way.
            answer.code() == ResultCode::Success
        })
        .await;
    }
    publishing.end().await;
    survivor.publish("exact", "end").await;
    let mut came = BTreeMap::<String, Vec<String>>::new();
    while came.values().filter(|came| is_all(came, &[])).count() < CLIENTS {
        let callback = survivor.handler.next().await;
        if let exproto_tests::Event::Messages(messages) = callback.event {
            let came = came.entry(callback.conn).or_default();
            came.extend(messages.iter().map(payload));
        }
    }
    for came in came.values() {
        let once: BTreeSet<_> = came.iter().collect();
        assert_eq!(once.len(), came.len(), "{came:?}");
        assert!(in_time(came).is_sorted(), "{came:?}");
    }
    assert_eq!(survivor.gateway.metric(GAPS).await, 0);
}

#[tokio::test]
async fn what_a_pod_has_when_it_leaves_others_take_over() {
    let pods = Pods::start().await;
    let (one, two) = (
        pods.pod_with("a", short).await,
        pods.pod_with("b", short).await,
    );
    let (mut roamer, _) = one.truck().await;
    ok(&roamer.calls.subscribe("t", 1).await);
    one.handler.hold(true);
    for number in 0..10 {
        two.publish("t", number).await;
    }
    let mut first = one.handler.next().await;
    let stopping = one.gateway.begin_stop();
    // The handler cannot reach the device any more.
    first.answer(Err(tonic::Status::not_found("no such device")));
    one.handler.hold(false);
    stopping.await.unwrap();
    for number in 10..20 {
        two.publish("t", number).await;
    }
    two.gateway.counts(INHERITED, 1).await;
    let (_roamer, present) = two.truck().await;
    assert!(present);
    assert_eq!(two.payloads(20).await, numbers(0..20));
    assert_eq!(two.gateway.metric(GAPS).await, 0);
    drop(roamer.device);
}

#[tokio::test]
async fn a_session_outlives_the_only_pod() {
    let pods = Pods::start().await;
    let one = pods.pod_with("a", short).await;
    let (mut roamer, _) = one.truck().await;
    ok(&roamer.calls.subscribe("t", 1).await);
    one.left_by(roamer).await;
    for number in 0..10 {
        one.publish("t", number).await;
    }
    one.gateway.stop().await;
    let two = pods.pod_with("a", short).await;
    for number in 10..20 {
        two.publish("t", number).await;
    }
    let (_roamer, present) = two.truck().await;
    assert!(present);
    assert_eq!(two.payloads(20).await, numbers(0..20));
    assert_eq!(two.gateway.metric(GAPS).await, 0);
}

#[tokio::test]
async fn what_redis_has_lost_of_sessions_it_gets_again() {
    let mut pods = Pods::start().await;
    let (one, two) = (pods.pod("a").await, pods.pod("b").await);
    let (mut roamer, _) = one.truck().await;
    ok(&roamer.calls.subscribe("t", 1).await);
    one.left_by(roamer).await;
    one.publish("t", 0).await;
    pods.redis.kill();
    pods.redis.restart().await;
    until("Redis to have it again", async || is_kept(&pods, "truck")).await;
    let (_roamer, present) = two.truck().await;
    assert!(present);
    assert_eq!(two.payloads(1).await, ["0"]);
}

#[tokio::test]
async fn what_no_pod_has_written_is_no_session() {
    let pods = Pods::start().await;
    let (one, two) = (pods.pod("a").await, pods.pod("b").await);
    let (mut roamer, _) = one.truck().await;
    ok(&roamer.calls.subscribe("t", 1).await);
    one.left_by(roamer).await;
    one.gateway.stop().await;
    let key = pods.redis.cli(&["KEYS", "*.client.truck"]);
    pods.redis.cli(&["HSET", key.trim(), "session", "forged"]);
    let (_roamer, present) = two.truck().await;
    assert!(!present);
    // That of another client.
    let (device, mut calls) = connect(&two.gateway, &two.handler).await;
    ok(&calls.begin_session("boat", "3600").await.0);
    ok(&calls.subscribe("secret", 1).await);
    drop(device);
    two.got_until_closed("tcp_closed").await;
    let boat = pods.redis.cli(&["KEYS", "*.client.boat"]);
    let copy = "local s = redis.call('HGET', KEYS[1], 'session') redis.call('HSET', KEYS[2], 'session', s) return 1";
    let other = boat.trim().replace("boat", "ship");
    pods.redis.cli(&["EVAL", copy, "2", boat.trim(), &other]);
    let (_device, mut calls) = connect(&two.gateway, &two.handler).await;
    let (answer, present) = calls.begin_session("ship", "3600").await;
    ok(&answer);
    assert_eq!(present, Some(false));
}

/// A client with a session roams between pods and finds all of it, before and after `fail_over`.
async fn roams_through<R>(pods: &mut Pods<R>, fail_over: impl AsyncFnOnce(&mut R)) {
    let (one, two) = (
        pods.pod_with("a", short).await,
        pods.pod_with("b", short).await,
    );
    let (mut roamer, _) = one.truck().await;
    ok(&roamer.calls.subscribe("exact", 1).await);
    ok(&roamer.calls.subscribe("wild/#", 1).await);
    one.left_by(roamer).await;
    let publish = async |numbers: std::ops::Range<usize>| {
        for number in numbers {
            let mut calls = Calls::new(&two.gateway, "");
            let topic = ["exact", "wild/1"][number % 2];
            until("it to be taken", async || {
                let answer = calls.raw_publish(topic, 1, number.to_string()).await;
                answer.code() == ResultCode::Success
            })
            .await;
        }
    };
    publish(0..20).await;
    let (roamer, present) = two.truck().await;
    assert!(present);
    assert_eq!(two.payloads(20).await, numbers(0..20));
    fail_over(&mut pods.redis).await;
    publish(20..40).await;
    // By its clientid it is thrown out there, and finds its session here.
    let (_newer, present) = one.truck().await;
    assert!(present);
    two.gateway.counts(LOST, 1).await;
    publish(40..60).await;
    // What another pod did not know to be wanted here is read in the logs somewhat later.
    let mut came = BTreeSet::new();
    until("all to have come", async || {
        let (here, there) = (one.got(), two.got());
        came.extend(here.into_iter().chain(there));
        numbers(20..60).iter().all(|number| came.contains(number))
    })
    .await;
    drop(roamer.device);
    // A pod that dies after that is buried, and what it had goes on.
    one.gateway.stop().await;
    two.gateway.counts(INHERITED, 1).await;
}

#[tokio::test]
async fn a_client_finds_its_session_after_a_fail_over_by_sentinels() {
    let mut pods = Pods::with_sentinels().await;
    roams_through(&mut pods, async |redis: &mut SentinelSet| {
        let old = redis.master();
        redis.fail_over().await;
        until("the old master to be a replica", async || {
            redis.server(old).replication().contains("role:slave")
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_client_finds_its_session_after_all_nodes_of_a_cluster_changed_places() {
    let mut pods = Pods::with_cluster().await;
    roams_through(&mut pods, async |redis: &mut RedisCluster| {
        for replica in 3..6 {
            redis.fail_over(replica).await;
        }
    })
    .await;
}
