//! What is retained at one pod is there for whoever subscribes at any.

/// Redis that goes away, is cut off, or loses its data.
mod faults;

use std::time::Duration;

use exproto_gateway::seal::Kind;
use exproto_tests::until;
use proto::cluster::Envelope;
use proto::exproto::ResultCode;

use super::{Client, FOREIGN, Pod, Pods};
use crate::calls::{ok, refused};

pub(super) const RETAINED: &str = "exproto_retained";
/// Parts of which a pod may not know all.
pub(super) const BEHIND: &str = "exproto_retained_behind";
/// The part of the topic `a`.
pub(super) const PART: &str = "exproto:default:{p32}.retained";

/// Pods that soon find what nobody has told.
pub(super) fn quick(config: &mut config::Config) {
    config.cluster.lease = Duration::from_millis(1_500);
}

/// Another pod, which knows all.
pub(super) async fn pod<R>(pods: &Pods<R>, name: &str) -> Pod {
    let pod = pods.pod_with(name, quick).await;
    pod.gateway.is(BEHIND, 0).await;
    pod
}

pub(super) async fn retain(client: &mut Client, topic: &str, payload: &str) {
    retain_as(client, topic, 1, payload).await;
}

pub(super) async fn retain_as(client: &mut Client, topic: &str, qos: u32, payload: &str) {
    let payload = payload.to_owned();
    let answer = client.calls.publish_retained(topic, qos, payload, "true");
    ok(&answer.await);
}

/// What a client gets that subscribes with this filter now, by topic; so many at least.
pub(super) async fn found(pod: &Pod, filter: &str, count: usize) -> Vec<(String, String)> {
    let mut client = pod.client("finder").await;
    // A pod that has just come back may need more time than it has for an answer.
    until("the subscription to be confirmed", async || {
        client.calls.subscribe(filter, 1).await.code() == ResultCode::Success
    })
    .await;
    let messages = pod.handler.messages(count).await;
    // A topic that no wildcard at the first level stands for.
    ok(&client.calls.subscribe("$marker", 0).await);
    ok(&client.calls.publish("$marker", 0, "x").await);
    let mut all = messages;
    while all.last().is_none_or(|last| last.topic != "$marker") {
        all.extend(pod.handler.messages(1).await);
    }
    all.pop();
    let all = all.into_iter();
    let mut found: Vec<_> = all
        .map(|message| {
            let payload = String::from_utf8(message.payload.to_vec()).unwrap();
            (message.topic, payload)
        })
        .collect();
    found.sort();
    ok(&client.calls.close().await);
    pod.handler.closed().await;
    found
}

pub(super) fn texts(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(topic, payload): &(&str, &str)| ((*topic).to_owned(), (*payload).to_owned());
    pairs.iter().map(owned).collect()
}

#[tokio::test]
async fn what_is_retained_at_one_pod_is_found_at_all_until_it_is_removed() {
    let pods = Pods::start().await;
    let (one, two) = (pod(&pods, "a").await, pod(&pods, "b").await);
    let mut publisher = one.client("publisher").await;
    for (topic, payload) in [("fleet/1", "old"), ("fleet/1", "new"), ("fleet/2", "x")] {
        retain(&mut publisher, topic, payload).await;
    }
    two.gateway.is(RETAINED, 2).await;
    assert_eq!(
        found(&two, "fleet/1", 1).await,
        texts(&[("fleet/1", "new")])
    );
    let both = texts(&[("fleet/1", "new"), ("fleet/2", "x")]);
    assert_eq!(found(&two, "fleet/+", 2).await, both);
    let mut other = two.client("other").await;
    retain(&mut other, "fleet/1", "").await;
    one.gateway.is(RETAINED, 1).await;
    assert_eq!(found(&one, "#", 1).await, texts(&[("fleet/2", "x")]));
    let dropped = "exproto_retained_dropped_total";
    assert_eq!(two.gateway.metric(dropped).await, 0);
}

#[tokio::test]
async fn who_subscribes_at_once_at_another_pod_gets_it_too() {
    const TOPICS: usize = 40;
    let pods = Pods::start().await;
    let (one, two) = (pod(&pods, "a").await, pod(&pods, "b").await);
    let mut publisher = one.client("publisher").await;
    let mut far = two.client("far").await;
    for number in 0..TOPICS {
        let topic = format!("t/{number}");
        retain(&mut publisher, &topic, &topic).await;
        ok(&far.calls.subscribe(&topic, 1).await);
        assert_eq!(two.payloads(1).await, [topic]);
    }
}

#[tokio::test]
async fn who_is_there_gets_each_once_and_who_subscribes_meanwhile_gets_it_at_all() {
    const MESSAGES: usize = 60;
    let pods = Pods::start().await;
    let (one, two) = (pod(&pods, "a").await, pod(&pods, "b").await);
    let mut publisher = one.client("publisher").await;
    let mut far = two.client("far").await;
    ok(&far.calls.subscribe("there/+", 1).await);
    one.gateway.is(FOREIGN, 1).await;
    for number in 0..MESSAGES {
        let topic = format!("there/{}", number % 3);
        retain(&mut publisher, &topic, &number.to_string()).await;
    }
    let all: Vec<_> = (0..MESSAGES).map(|number| number.to_string()).collect();
    assert_eq!(two.payloads(MESSAGES).await, all);
    let publish = async {
        for number in 0..MESSAGES {
            retain(&mut publisher, &format!("new/{number}"), "x").await;
        }
    };
    let subscribe = async {
        for number in 0..MESSAGES {
            ok(&far.calls.subscribe(&format!("new/{number}"), 1).await);
        }
    };
    tokio::join!(publish, subscribe);
    let mut topics = std::collections::BTreeSet::new();
    until("each topic's message", async || {
        topics.extend(two.more().into_iter().map(|message| message.topic));
        topics.len() == MESSAGES
    })
    .await;
}

#[tokio::test]
async fn a_pod_that_starts_later_finds_it_and_so_do_all_that_start_anew() {
    const TOPICS: usize = 400;
    let pods = Pods::start().await;
    let one = pod(&pods, "a").await;
    let mut publisher = one.client("publisher").await;
    for number in 0..TOPICS {
        retain(&mut publisher, &format!("t/{number}"), "x").await;
    }
    for number in (0..TOPICS).step_by(2) {
        retain(&mut publisher, &format!("t/{number}"), "").await;
    }
    let left = TOPICS / 2;
    let two = pod(&pods, "b").await;
    assert_eq!(two.gateway.metric(RETAINED).await, left as u64);
    assert_eq!(found(&two, "t/+", left).await.len(), left);
    one.gateway.stop().await;
    two.gateway.stop().await;
    let three = pod(&pods, "c").await;
    let all = found(&three, "#", left).await;
    assert_eq!(all.len(), left);
    assert!(all.contains(&("t/1".to_owned(), "x".to_owned())));
}

#[tokio::test]
async fn what_two_pods_retain_at_the_same_time_ends_the_same_everywhere() {
    const MESSAGES: usize = 300;
    let pods = Pods::start().await;
    let three = [
        pod(&pods, "a").await,
        pod(&pods, "b").await,
        pod(&pods, "c").await,
    ];
    let (mut left, mut right) = (three[0].client("l").await, three[1].client("r").await);
    let publish = async |client: &mut Client, name: &str| {
        for number in 0..MESSAGES {
            // Now and then it is removed.
            let payload = format!("{name}{number}");
            let payload = if number % 7 == 3 { "" } else { &payload };
            retain(client, "t", payload).await;
        }
    };
    tokio::join!(publish(&mut left, "l"), publish(&mut right, "r"));
    let (key, mut redis) = (
        super::versions::sealer(&pods),
        super::versions::connect(&pods).await,
    );
    let mut get = redis::cmd("HGET");
    let entry = get.arg("exproto:default:{p47}.retained").arg("t");
    let entry: Vec<u8> = entry.query_async(&mut redis).await.unwrap();
    let blank = entry.iter().position(|byte| *byte == b' ').unwrap();
    let sealed = entry[blank + 1..].to_vec().into();
    let last: Envelope = key.open(Kind::Retained, &sealed).unwrap();
    let last = String::from_utf8(last.payload.to_vec()).unwrap();
    for pod in &three {
        until("the last one", async || {
            found(pod, "t", 1).await == texts(&[("t", &last)])
        })
        .await;
    }
}

#[tokio::test]
async fn what_is_too_old_goes_everywhere() {
    let pods = Pods::start().await;
    let aging = |config: &mut config::Config| {
        quick(config);
        config.broker.retained.max_age = Some(Duration::from_secs(2));
    };
    let one = pods.pod_with("a", aging).await;
    let two = pods.pod_with("b", aging).await;
    let mut publisher = one.client("publisher").await;
    retain(&mut publisher, "a", "x").await;
    two.gateway.is(RETAINED, 1).await;
    for pod in [&one, &two] {
        pod.gateway.is(RETAINED, 0).await;
    }
    until("Redis to forget it", async || {
        pods.redis.cli(&["HLEN", PART]).trim() == "0"
    })
    .await;
    // Also where it is found later: a pod by whose settings nothing is too old leaves it there.
    one.gateway.stop().await;
    two.gateway.stop().await;
    let keeper = pod(&pods, "keeper").await;
    let mut publisher = keeper.client("publisher").await;
    retain(&mut publisher, "a", "y").await;
    keeper.gateway.stop().await;
    assert_eq!(pods.redis.cli(&["HLEN", PART]).trim(), "1");
    until("it to be too old for a pod that starts", async || {
        let three = pods.pod_with("c", aging).await;
        three.gateway.is(BEHIND, 0).await;
        three.gateway.stop().await;
        pods.redis.cli(&["HLEN", PART]).trim() == "0"
    })
    .await;
}

#[tokio::test]
async fn a_pod_with_less_room_drops_what_does_not_fit_and_says_so() {
    let pods = Pods::start().await;
    let one = pod(&pods, "a").await;
    let two = pods
        .pod_with("b", |config| config.broker.retained.max_messages = 2)
        .await;
    two.gateway.is(BEHIND, 0).await;
    let mut publisher = one.client("publisher").await;
    for topic in ["1", "2", "3"] {
        retain(&mut publisher, topic, "x").await;
    }
    // Each time that it comes.
    let dropped = "exproto_retained_dropped_total";
    two.gateway.counts(dropped, 1).await;
    assert_eq!(two.gateway.metric(RETAINED).await, 2);
    assert_eq!(one.gateway.metric(RETAINED).await, 3);
    let mut other = two.client("other").await;
    let answer = other.calls.publish_retained("3", 0, "y", "true").await;
    refused(&answer, ResultCode::Unknown, "broker.retained.max_messages");
    // One that is removed makes room.
    retain(&mut other, "1", "").await;
    retain(&mut other, "3", "y").await;
    assert_eq!(found(&one, "#", 2).await, texts(&[("2", "x"), ("3", "y")]));
}

#[tokio::test]
async fn what_no_pod_has_written_is_passed_over_and_counted() {
    let pods = Pods::start().await;
    let one = pod(&pods, "a").await;
    let mut publisher = one.client("publisher").await;
    retain(&mut publisher, "a", "true").await;
    let key = super::versions::sealer(&pods);
    let envelope = Envelope {
        topic: "a".to_owned(),
        payload: "moved".into(),
        ..Envelope::default()
    };
    let sealed = key.seal(Kind::Retained, &envelope);
    let as_message = key.seal(Kind::Message, &envelope);
    let mut redis = super::versions::connect(&pods).await;
    let entry = |sealed: &[u8]| [b"9999999999999999 ", sealed].concat();
    // Under another topic, in another part, as something else, and nonsense.
    for (part, topic, entry) in [
        (PART, "another", entry(&sealed)),
        ("exproto:default:{p01}.retained", "a", entry(&sealed)),
        (PART, "b", entry(&as_message)),
        (PART, "c", b"nonsense".to_vec()),
    ] {
        let mut set = redis::cmd("HSET");
        set.arg(part).arg(topic).arg(entry);
        set.exec_async(&mut redis).await.unwrap();
    }
    let forged = "exproto_shared_messages_total{event=\"forged\"}";
    let two = pod(&pods, "b").await;
    assert_eq!(two.gateway.metric(forged).await, 4);
    assert_eq!(found(&two, "#", 1).await, texts(&[("a", "true")]));
    // And over the channel.
    let before = one.gateway.metric(forged).await;
    let mut publish = redis::cmd("PUBLISH");
    publish
        .arg(format!("{PART}.changed"))
        .arg(entry(&as_message));
    publish.exec_async(&mut redis).await.unwrap();
    one.gateway.counts(forged, before + 1).await;
    assert_eq!(found(&one, "#", 1).await, texts(&[("a", "true")]));
}

#[tokio::test]
async fn it_is_so_in_a_redis_cluster_while_nodes_change_places() {
    const TOPICS: usize = 200;
    let pods = Pods::with_cluster().await;
    let (one, two) = (pod(&pods, "a").await, pod(&pods, "b").await);
    let mut publisher = one.client("publisher").await;
    let publish = async {
        for number in 0..TOPICS {
            let topic = format!("t/{number}");
            until("the message to be taken", async || {
                let payload = topic.clone();
                let answer = publisher.calls.publish_retained(&topic, 1, payload, "true");
                answer.await.code() == ResultCode::Success
            })
            .await;
        }
    };
    let change = async {
        for replica in 3..6 {
            pods.redis.fail_over(replica).await;
        }
    };
    tokio::join!(publish, change);
    two.gateway.is(RETAINED, TOPICS as u64).await;
    let three = pod(&pods, "c").await;
    for pod in [&one, &two, &three] {
        let found = found(pod, "t/#", TOPICS).await;
        assert_eq!(found.len(), TOPICS);
        assert!(found.iter().all(|(topic, payload)| topic == payload));
    }
}
