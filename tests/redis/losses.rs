//! What is lost lies in a gap that was told: who reads up what it missed after each `Again` misses nothing.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use exproto_gateway::redis::{Link, Push, Slots, State};
use exproto_tests::{RedisCluster, RedisServer, SentinelSet, until, within};
use tokio::task::JoinSet;

use crate::pod::{Pod, channels};

const CHANNELS: usize = 32;

/// Publishes numbers to all channels, each in its order, until it is dropped.
struct Publisher {
    _pod: Pod,
    _tasks: JoinSet<()>,
    rounds: Arc<AtomicU64>,
    stops: Arc<AtomicBool>,
}

impl Publisher {
    fn start(pod: Pod, names: &[String]) -> Self {
        let (rounds, stops) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let mut tasks = JoinSet::new();
        for name in names {
            let (link, name) = (pod.link.clone(), name.clone());
            tasks.spawn(publish(link, name, rounds.clone(), stops.clone()));
        }
        Self {
            _pod: pod,
            _tasks: tasks,
            rounds,
            stops,
        }
    }

    /// Waits until much more was published.
    async fn goes_on(&self) {
        let before = self.rounds.load(Ordering::Relaxed);
        until("more messages", async || {
            self.rounds.load(Ordering::Relaxed) > before + 20 * CHANNELS as u64
        })
        .await;
    }
}

async fn publish(link: Link, name: String, rounds: Arc<AtomicU64>, stops: Arc<AtomicBool>) {
    let mut number = 0_u64;
    loop {
        let ends = stops.load(Ordering::Relaxed);
        let payload = if ends {
            "end".to_owned()
        } else {
            number.to_string()
        };
        if link.publish(&name, payload.as_bytes()).await.is_err() {
            // The same again; as often as `until` asks.
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        }
        rounds.fetch_add(1, Ordering::Relaxed);
        number += 1;
        if ends {
            return;
        }
    }
}

/// Whether messages of a channel may be missing.
#[derive(Clone, Copy, Default, PartialEq)]
enum Gap {
    #[default]
    None,
    /// They may.
    Open,
    /// No more; but the next one comes after what was lost.
    Closed,
}

/// Reads until all channels have ended, and looks that nothing is missing but in a gap. Tells how many were.
async fn read(mut pod: Pod, names: Vec<String>) -> u64 {
    let mut next: HashMap<String, (u64, Gap)> = HashMap::new();
    let (mut ended, mut missing) = (0, 0);
    while ended < names.len() {
        let mark = |gap, slots: Slots, next: &mut HashMap<String, (u64, Gap)>| {
            for name in names.iter().filter(|name| slots.hold(name.as_bytes())) {
                next.entry(name.clone()).or_default().1 = gap;
            }
        };
        match within("a push", pod.pushes.next()).await {
            Push::Gap { slots, .. } => mark(Gap::Open, slots, &mut next),
            Push::Again { slots } => mark(Gap::Closed, slots, &mut next),
            Push::Message { payload, .. } if payload == "end" => ended += 1,
            Push::Message { channel, payload } => {
                let channel = String::from_utf8(channel.to_vec()).unwrap();
                let number: u64 = str::from_utf8(&payload).unwrap().parse().unwrap();
                let (expected, gap) = next.entry(channel.clone()).or_default();
                // What failed and was sent again may come twice.
                if number > *expected {
                    assert!(
                        *gap != Gap::None,
                        "{channel}: {number} came after {expected}"
                    );
                    missing += number - *expected;
                }
                *expected = (*expected).max(number + 1);
                if *gap == Gap::Closed {
                    *gap = Gap::None;
                }
            }
        }
    }
    missing
}

/// Publishes and reads while `faults` happen.
async fn with_faults(urls: &[String], more: &str, faults: impl AsyncFnOnce(&Publisher)) {
    let reader = Pod::connected(urls, more).await;
    let names = channels(&reader.link, CHANNELS);
    reader.link.subscribe(&names).await.unwrap();
    let publisher = Publisher::start(Pod::connected(urls, more).await, &names);
    let link = reader.link.clone();
    let reading = tokio::spawn(read(reader, names));
    publisher.goes_on().await;
    faults(&publisher).await;
    publisher.goes_on().await;
    let mut state = link.state();
    let connected = within("the link", state.wait_for(State::is_connected)).await;
    drop(connected.unwrap());
    publisher.goes_on().await;
    publisher.stops.store(true, Ordering::Relaxed);
    let missing = within("all that was published", reading).await.unwrap();
    println!("{missing} messages were lost, all of them in gaps");
}

#[tokio::test]
async fn what_a_cut_loses_lies_in_a_gap() {
    let redis = RedisServer::start().await;
    with_faults(&[redis.url()], "", async |publisher| {
        for kind in ["pubsub", "normal", "pubsub", "pubsub"] {
            redis.cut_clients(kind);
            publisher.goes_on().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_fail_over_by_sentinels_loses_lies_in_a_gap() {
    let mut set = SentinelSet::start().await;
    let (urls, more) = (
        set.urls(),
        "mode: sentinel, sentinel: {master: main}, timeout: 1s",
    );
    with_faults(&urls, more, async |publisher| {
        set.fail_over().await;
        publisher.goes_on().await;
        let before = set.master();
        set.server(before).kill();
        set.another_master(before).await;
    })
    .await;
}

#[tokio::test]
async fn what_a_cluster_loses_lies_in_a_gap() {
    let mut cluster = RedisCluster::start().await;
    let urls = cluster.urls();
    with_faults(&urls, "mode: cluster, timeout: 1s", async |publisher| {
        cluster.fail_over(3).await;
        publisher.goes_on().await;
        for slot in 5461..5800 {
            cluster.migrate(slot, 1, 2);
        }
        publisher.goes_on().await;
        cluster.node(1).kill();
        cluster.becomes_master(4).await;
        publisher.goes_on().await;
    })
    .await;
}
