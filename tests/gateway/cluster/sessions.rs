//! Clients that come back on another pod, and find there what they subscribed and what waits for them.

/// Pods and Redis that fail.
mod faults;

use std::time::Duration;

use exproto_tests::{Device, Event, until};
use tokio::time::sleep;

use super::{Pod, Pods};
use crate::calls::{Calls, connect, ok};

const AWAY: &str = "exproto_sessions";
const GAPS: &str = "exproto_shared_sessions_total{event=\"gaps\"}";

/// A client with a session, on some pod.
struct Roamer {
    device: Device,
    calls: Calls,
}

impl Pod {
    /// The client "truck", with a session of an hour. Whether that was there.
    async fn truck(&self) -> (Roamer, bool) {
        let (device, mut calls) = connect(&self.gateway, &self.handler).await;
        let (answer, present) = calls.begin_session("truck", "3600").await;
        ok(&answer);
        let present = present.expect("a session was asked for");
        (Roamer { device, calls }, present)
    }

    /// The client leaves; what it got until then.
    async fn left_by(&self, roamer: Roamer) -> Vec<String> {
        drop(roamer.device);
        self.got_until_closed("tcp_closed").await
    }

    async fn got_until_closed(&self, reason: &str) -> Vec<String> {
        let mut got = Vec::new();
        loop {
            match self.handler.next().await.event {
                Event::Messages(messages) => got.extend(messages.iter().map(payload)),
                Event::Closed(why) => {
                    assert_eq!(why, reason);
                    return got;
                }
                _ => {}
            }
        }
    }

    /// What has come already.
    fn got(&self) -> Vec<String> {
        self.more().iter().map(payload).collect()
    }

    /// So many messages at least.
    async fn some(&self, least: usize) -> Vec<String> {
        self.handler
            .messages(least)
            .await
            .iter()
            .map(payload)
            .collect()
    }

    /// Somebody publishes here, with `QoS` 1.
    async fn publish(&self, topic: &str, payload: impl ToString) {
        let mut calls = Calls::new(&self.gateway, "");
        ok(&calls.raw_publish(topic, 1, payload.to_string()).await);
    }
}

fn payload(message: &proto::exproto::Message) -> String {
    String::from_utf8_lossy(&message.payload).into_owned()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Whether Redis has a session of that client.
fn is_kept(pods: &Pods, clientid: &str) -> bool {
    let keys = pods.redis.cli(&["KEYS", &format!("*.client.{clientid}")]);
    let key = keys.trim();
    !key.is_empty() && pods.redis.cli(&["HEXISTS", key, "session"]).trim() == "1"
}

#[tokio::test]
async fn a_client_finds_its_session_on_another_pod() {
    let pods = Pods::start().await;
    let (one, two) = (pods.pod("a").await, pods.pod("b").await);
    let (mut roamer, present) = one.truck().await;
    assert!(!present);
    ok(&roamer.calls.subscribe("exact", 1).await);
    ok(&roamer.calls.subscribe("wild/#", 2).await);
    assert!(one.left_by(roamer).await.is_empty());
    for number in 0..100 {
        let topic = ["exact", "wild/1"][number % 2];
        [&one, &two][number / 2 % 2].publish(topic, number).await;
    }
    let (mut roamer, present) = two.truck().await;
    assert!(present);
    let came = two.payloads(100).await;
    let mut came: Vec<usize> = came.iter().map(|text| text.parse().unwrap()).collect();
    // Each pod's in order; of two pods nobody knows.
    for pod in [0, 1] {
        let its = came.iter().filter(|&number| number / 2 % 2 == pod);
        assert!(its.is_sorted(), "{came:?}");
    }
    came.sort_unstable();
    assert!(came.into_iter().eq(0..100));
    one.gateway.is(AWAY, 0).await;
    // Nothing of it is in the first one any more.
    one.publish("exact", "x").await;
    assert_eq!(two.payloads(1).await, ["x"]);
    two.publish("wild/2", "y").await;
    assert_eq!(two.payloads(1).await, ["y"]);
    ok(&roamer.calls.unsubscribe("wild/#").await);
    assert!(two.left_by(roamer).await.is_empty());
    for number in 0..10 {
        one.publish("wild/1", "nobody").await;
        one.publish("exact", number).await;
    }
    let (_roamer, present) = one.truck().await;
    assert!(present);
    assert_eq!(one.payloads(10).await, numbers(0..10));
    one.publish("exact", "end").await;
    assert_eq!(one.payloads(1).await, ["end"]);
    for pod in [&one, &two] {
        assert_eq!(pod.gateway.metric(GAPS).await, 0);
    }
}

#[tokio::test]
async fn who_is_connected_elsewhere_brings_along_what_is_not_confirmed() {
    let pods = Pods::start().await;
    let (one, two) = (pods.pod("a").await, pods.pod("b").await);
    let (mut roamer, _) = one.truck().await;
    ok(&roamer.calls.subscribe("t", 1).await);
    one.handler.hold(true);
    one.publish("t", 0).await;
    let mut first = one.handler.next().await;
    assert!(matches!(first.event, Event::Messages(_)));
    one.publish("t", 1).await;
    let (_newer, present) = two.truck().await;
    assert!(present);
    assert_eq!(two.payloads(2).await, ["0", "1"]);
    // Too late.
    first.answer(Ok(()));
    one.handler.hold(false);
    assert!(one.got_until_closed("discarded").await.is_empty());
    two.publish("t", 2).await;
    assert_eq!(two.payloads(1).await, ["2"]);
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_while_a_client_roams() {
    const HOPS: usize = 12;
    let pods = Pods::start().await;
    let [one, two, three] = [
        pods.pod("a").await,
        pods.pod("b").await,
        pods.pod("c").await,
    ];
    let (mut roamer, _) = one.truck().await;
    ok(&roamer.calls.subscribe("exact", 1).await);
    ok(&roamer.calls.subscribe("wild/#", 1).await);
    let publishers = [("a", &one), ("c", &three)].map(|(name, pod)| {
        let calls = Calls::new(&pod.gateway, "");
        tokio::spawn(publish(calls, name))
    });
    let mut got = Vec::new();
    for hop in 0..HOPS {
        let (here, there) = if hop % 2 == 0 {
            (&one, &two)
        } else {
            (&two, &one)
        };
        // Some of what comes it takes here.
        got.extend(here.some(40).await);
        got.extend(here.left_by(roamer).await);
        let (next, present) = there.truck().await;
        assert!(present);
        roamer = next;
    }
    let mut published = Vec::new();
    for publishing in publishers {
        publishing.abort();
    }
    for (name, pod) in [("a", &one), ("c", &three)] {
        pod.publish("exact", format!("{name} end")).await;
        published.push(format!("{name} end"));
    }
    let here = &one;
    while !published.iter().all(|last| got.contains(last)) {
        got.extend(here.some(1).await);
    }
    drop(roamer);
    for name in ["a", "c"] {
        let own = got.iter().filter_map(|text| text.strip_prefix(name));
        let own: Vec<_> = own.map(|text| text.trim().to_owned()).collect();
        let count = own.len() - 1;
        assert!(count >= HOPS * 10, "{count}");
        assert_eq!(own[..count], numbers(0..count), "of {name}");
    }
    for pod in [&one, &two] {
        assert_eq!(pod.gateway.metric(GAPS).await, 0);
    }
}

/// Publishes one after the other without end.
async fn publish(mut calls: Calls, name: &str) {
    for number in 0_usize.. {
        let topic = ["exact", "wild/1", "wild/2/3"][number % 3];
        ok(&calls
            .raw_publish(topic, 1, format!("{name} {number}"))
            .await);
    }
}

#[tokio::test]
async fn what_was_published_before_a_client_subscribed_does_not_come_elsewhere() {
    let pods = Pods::start().await;
    let (one, two) = (pods.pod("a").await, pods.pod("b").await);
    // A session, so that it is noted from where the logs are to be read.
    let (mut roamer, _) = one.truck().await;
    one.publish("t", "before").await;
    sleep(Duration::from_millis(1500)).await;
    ok(&roamer.calls.subscribe("t", 1).await);
    one.left_by(roamer).await;
    one.publish("t", "after").await;
    let (_roamer, present) = two.truck().await;
    assert!(present);
    assert_eq!(two.payloads(1).await, ["after"]);
}

#[tokio::test]
async fn a_session_that_has_ended_is_found_nowhere() {
    let pods = Pods::start().await;
    let (one, two) = (pods.pod("a").await, pods.pod("b").await);
    let (mut roamer, _) = one.truck().await;
    ok(&roamer.calls.subscribe("t", 1).await);
    assert!(is_kept(&pods, "truck"));
    one.left_by(roamer).await;
    // A client that wants none.
    let (device, mut calls) = connect(&two.gateway, &two.handler).await;
    ok(&calls.authenticate("truck").await);
    until("it to be over", async || !is_kept(&pods, "truck")).await;
    one.gateway.is(AWAY, 0).await;
    drop(device);
    two.got_until_closed("tcp_closed").await;
    let (mut roamer, present) = one.truck().await;
    assert!(!present);
    // Another user.
    ok(&roamer.calls.subscribe("t", 1).await);
    one.left_by(roamer).await;
    let (device, mut calls) = connect(&two.gateway, &two.handler).await;
    let (answer, present) = calls.begin_session_as("truck", "another", "3600").await;
    ok(&answer);
    assert_eq!(present, Some(false));
    one.publish("t", "not for that one").await;
    drop(device);
    assert!(two.got_until_closed("tcp_closed").await.is_empty());
}

#[tokio::test]
async fn when_its_time_is_over_redis_forgets_a_session() {
    let pods = Pods::start().await;
    let one = pods.pod("a").await;
    let (device, mut calls) = connect(&one.gateway, &one.handler).await;
    let (answer, _) = calls.begin_session("truck", "1").await;
    ok(&answer);
    ok(&calls.subscribe("t", 1).await);
    assert!(is_kept(&pods, "truck"));
    drop(device);
    let listed = || {
        let key = pods.redis.cli(&["KEYS", "*.sessions.*"]);
        pods.redis.cli(&["HKEYS", key.trim()])
    };
    assert!(listed().contains("truck"));
    until("Redis to forget it", async || {
        !is_kept(&pods, "truck") && !listed().contains("truck")
    })
    .await;
    // But who had it, so that nobody who had it before writes it again.
    let key = pods.redis.cli(&["KEYS", "*.client.truck"]);
    until("that alone to be left", async || {
        pods.redis.cli(&["HKEYS", key.trim()]).trim() == "session.claim"
    })
    .await;
    assert_ne!(pods.redis.cli(&["PTTL", key.trim()]).trim(), "-1");
}

#[tokio::test]
async fn retained_messages_and_a_full_queue_come_along() {
    let pods = Pods::start().await;
    let few = |config: &mut config::Config| {
        config.connection.message_queue = 10;
        config.sessions.message_queue = 1000;
    };
    let (one, two) = (pods.pod_with("a", few).await, pods.pod_with("b", few).await);
    let mut calls = Calls::new(&one.gateway, "");
    ok(&calls.raw_publish_retained("kept", 1, "r").await);
    let (mut roamer, _) = one.truck().await;
    one.handler.hold(true);
    ok(&roamer.calls.subscribe("kept", 1).await);
    let mut first = one.handler.next().await;
    ok(&roamer.calls.subscribe("t", 1).await);
    // One that is taken, as many as there is room for, and more: then the oldest that waits is dropped.
    for number in 0..13 {
        one.publish("t", number).await;
    }
    one.handler.hold(false);
    let mut closed = Vec::new();
    first.answer(Ok(()));
    until("the connection to be closed", async || {
        closed.extend(one.handler.try_next());
        closed
            .iter()
            .any(|callback| matches!(&callback.event, Event::Closed(why) if why == "slow_handler"))
    })
    .await;
    let mut got: Vec<_> = closed
        .iter()
        .filter_map(|callback| match &callback.event {
            Event::Messages(messages) => Some(messages.iter().map(payload)),
            _ => None,
        })
        .flatten()
        .collect();
    let (_newer, present) = two.truck().await;
    assert!(present);
    two.publish("t", "end").await;
    while got.last().is_none_or(|last| last != "end") {
        got.extend(two.some(1).await);
    }
    // What was taken comes again, and all but the oldest that waited.
    let dropped = 13 - (got.len() - 2);
    got.pop();
    assert!(dropped >= 1, "{got:?}");
    assert_eq!(got[0], "r");
    assert_eq!(got[1..], numbers(dropped..13));
    drop(roamer);
}
