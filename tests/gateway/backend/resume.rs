//! Subscriptions that go on where they were, at whichever pod.

use std::time::Duration;

use bytes::Bytes;
use config::RedisMode;
use exproto_tests::{Pod as Process, Proxy, RedisCluster, until};
use proto::gateway::SubscribeRequest;
use tonic::Code;

use super::{Backend, Subscriber, numbers, wanting};
use crate::{
    calls::ok,
    cluster::{FOREIGN, Pods},
};

const OVERFLOWS: &str = "exproto_backend_trouble_total{kind=\"overflow\"}";

/// Fast enough for tests.
fn soon(config: &mut config::Config) {
    config.backend.position_interval = Duration::from_millis(50);
    config.broker.shared.timeout = Duration::from_secs(2);
}

/// What comes, until all of so many numbers have.
async fn all_of(subscriber: &mut Subscriber, came: &mut Vec<usize>, count: usize) {
    let has_all = |came: &[usize]| {
        let mut sorted = came.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        sorted.len() >= count
    };
    while !has_all(came) {
        let next = subscriber.payloads(1).await;
        came.extend(next.iter().map(|text| text.parse::<usize>().unwrap()));
        came.extend(
            subscriber
                .waiting
                .drain(..)
                .map(|message| super::payload(&message).parse::<usize>().unwrap()),
        );
    }
}

#[tokio::test]
async fn what_was_published_meanwhile_comes_at_any_pod() {
    let pods = Pods::start().await;
    let (one, two) = (
        pods.pod_with("a", soon).await,
        pods.pod_with("b", soon).await,
    );
    let (mut here, mut there) = (Backend::of(&one.gateway), Backend::of(&two.gateway));
    let filters = ["exact", "wild/#"];
    let mut subscriber = there.subscribe(&filters).await;
    assert!(subscriber.resumable && !subscriber.position.is_empty());
    one.gateway.is(FOREIGN, 1).await;
    // Of its own pod and of the other one.
    let mut device = two.client("device").await;
    here.publish("exact", 1, "0").await.unwrap();
    here.publish("wild/1", 2, "1").await.unwrap();
    ok(&device.calls.publish("exact", 1, "2").await);
    there.publish("wild/2", 1, "3").await.unwrap();
    let mut came = subscriber.payloads(4).await;
    came.sort();
    assert_eq!(came, numbers(4));
    let position = subscriber.positioned().await;
    drop(subscriber);
    two.gateway.is("exproto_backend_subscriptions", 0).await;

    for (number, topic) in ["exact", "wild/1", "other"].iter().enumerate() {
        let number = number + 4;
        here.publish(topic, 1, number.to_string()).await.unwrap();
        there
            .publish(topic, 1, (number + 100).to_string())
            .await
            .unwrap();
    }
    for backend in [&mut here, &mut there] {
        let mut subscriber = backend.resume(&filters, position.clone()).await;
        let mut came = Vec::new();
        while ![4, 5, 104, 105].iter().all(|wanted| came.contains(wanted)) {
            let next = subscriber.payloads(1).await;
            came.push(next[0].parse::<usize>().unwrap());
        }
        let twice = came.clone();
        came.sort_unstable();
        came.dedup();
        assert_eq!(came.len(), twice.len(), "none comes twice: {twice:?}");
        assert!(
            came.iter().all(|number| number % 100 < 6),
            "unwanted: {came:?}"
        );
        assert_eq!(subscriber.gaps, 0);
        backend.publish("exact", 1, "1000").await.unwrap();
        assert_eq!(subscriber.payloads(1).await, ["1000"]);
    }
}

#[tokio::test]
async fn a_subscriber_of_a_pod_that_was_killed_goes_on_at_another() {
    const MESSAGES: usize = 600;
    let pods = Pods::start().await;
    let one = pods.pod_with("a", soon).await;
    let key = pods.key();
    let more = format!(
        "pod: {{name: killed}}\ncluster: {{key_file: \"{}\", peers: {{bind: \"127.0.0.1:0\"}}}}\n\
         broker: {{kind: redis}}\nredis: {{urls: [\"{}\"]}}\nbackend: {{position_interval: 50ms}}\n",
        key.display(),
        pods.redis.url(),
    );
    let killed = Process::with("first_byte_timeout: off", &more).await;
    until("the pod to subscribe for its back end", async || {
        let request = wanting(&["t/#"]);
        Backend::at(killed.adapter_channel())
            .try_subscribe(request)
            .await
            .is_ok()
    })
    .await;
    let mut subscriber = Backend::at(killed.adapter_channel())
        .subscribe(&["t/#"])
        .await;
    let mut here = Backend::of(&one.gateway);
    one.gateway.is(FOREIGN, 1).await;
    let mut came = Vec::new();
    for number in 0..MESSAGES {
        if number == MESSAGES / 2 {
            all_of(&mut subscriber, &mut came, number / 2).await;
            killed.process.signal("-KILL");
        }
        let topic = format!("t/{}", number % 5);
        here.publish(&topic, 1, number.to_string()).await.unwrap();
    }
    // What was on its way, and then the connection breaks.
    let (rest, _) = subscriber.rest().await;
    came.extend(rest.iter().map(|text| text.parse::<usize>().unwrap()));
    let mut again = here.resume(&["t/#"], subscriber.position).await;
    all_of(&mut again, &mut came, MESSAGES).await;
    assert_eq!(again.gaps, 0);
}

#[tokio::test]
async fn a_slow_subscriber_loses_nothing() {
    const MESSAGES: usize = 3_000;
    let pods = Pods::start().await;
    let (one, two) = (
        pods.pod_with("a", soon).await,
        pods.pod_with("b", soon).await,
    );
    let (mut here, mut there) = (Backend::of(&one.gateway), Backend::of(&two.gateway));
    let few = SubscribeRequest {
        max_waiting: 10,
        ..wanting(&["t/#"])
    };
    let mut subscriber = there.try_subscribe(few).await.unwrap();
    one.gateway.is(FOREIGN, 1).await;
    for number in 0..MESSAGES {
        let backend = if number % 2 == 0 {
            &mut here
        } else {
            &mut there
        };
        let (topic, payload) = (format!("t/{}", number % 4), format!("{number:0>1000}"));
        backend.publish(&topic, 1, payload).await.unwrap();
    }
    two.gateway.counts(OVERFLOWS, 1).await;
    let came = subscriber.payloads(MESSAGES).await;
    let came: Vec<usize> = came.iter().map(|text| text.parse().unwrap()).collect();
    for topic in 0..4 {
        let of_topic = came.iter().filter(|number| *number % 4 == topic);
        assert!(of_topic.is_sorted(), "of one topic they come in order");
    }
    let mut sorted = came.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..MESSAGES).collect::<Vec<_>>(), "each comes once");
    assert_eq!(subscriber.gaps, 0);
}

#[tokio::test]
async fn nothing_answered_is_lost_whatever_is_cut() {
    const MESSAGES: usize = 600;
    let pods = Pods::start().await;
    let proxy = Proxy::start(pods.redis.address()).await;
    let through = format!("redis://{}", proxy.address());
    let cut_off = |config: &mut config::Config| {
        soon(config);
        config.redis.urls = vec![through.parse().unwrap()];
    };
    let one = pods.pod_with("a", soon).await;
    let two = pods.pod_with("b", cut_off).await;
    let pods = [&one, &two];
    let first = Backend::of(&one.gateway)
        .subscribe(&["exact", "wild/#"])
        .await;
    let publish = async {
        let mut backends = pods.map(|pod| Backend::of(&pod.gateway));
        for number in 0..MESSAGES {
            let topic = if number % 3 == 0 {
                "exact".to_owned()
            } else {
                format!("wild/{}", number % 7)
            };
            until("a message to be taken", async || {
                let published = backends[number % 2].publish(&topic, 1, number.to_string());
                published.await.is_ok()
            })
            .await;
            if number % 40 == 0 {
                proxy.cut_after(fastrand::u64(..20_000));
            }
        }
    };
    let subscribe = async {
        let (mut position, mut came) = (first.position, Vec::new());
        let mut turns = 0;
        // Each time at another pod, and for another while.
        while came.len() < MESSAGES {
            turns += 1;
            let request = SubscribeRequest {
                position: position.clone(),
                ..wanting(&["exact", "wild/#"])
            };
            let backend = Backend::of(&pods[turns % 2].gateway)
                .try_subscribe(request)
                .await;
            let Ok(mut subscriber) = backend else {
                continue;
            };
            let answers = fastrand::usize(1..40);
            for _ in 0..answers {
                if subscriber.step().await.is_err() || came.len() == MESSAGES {
                    break;
                }
                let numbers = subscriber.waiting.drain(..);
                came.extend(
                    numbers.map(|message| super::payload(&message).parse::<usize>().unwrap()),
                );
                came.sort_unstable();
                came.dedup();
            }
            position = subscriber.position;
            assert_eq!(subscriber.gaps, 0);
        }
        turns
    };
    let both = Box::pin(async { tokio::join!(publish, subscribe) });
    let ((), turns) = exproto_tests::within("all messages", both).await;
    assert!(turns > 2, "it was never resumed");
}

#[tokio::test]
async fn over_a_redis_cluster_it_goes_on_as_well() {
    const MESSAGES: usize = 100;
    let cluster = RedisCluster::start().await;
    let urls = cluster.urls();
    let pods = Pods::over(cluster, move |config| {
        config.redis.urls = urls.iter().map(|url| url.parse().unwrap()).collect();
        config.redis.mode = RedisMode::Cluster;
    });
    let (one, two) = (
        pods.pod_with("a", soon).await,
        pods.pod_with("b", soon).await,
    );
    let (mut here, mut there) = (Backend::of(&one.gateway), Backend::of(&two.gateway));
    let mut subscriber = there.subscribe(&["t/#"]).await;
    one.gateway.is(FOREIGN, 1).await;
    let mut came = Vec::new();
    for number in 0..MESSAGES {
        if number == MESSAGES / 2 {
            all_of(&mut subscriber, &mut came, number).await;
            // Its position is of the beginning, or later.
            subscriber = here.resume(&["t/#"], subscriber.position).await;
        }
        let backend = if number % 2 == 0 {
            &mut here
        } else {
            &mut there
        };
        let (topic, payload) = (format!("t/{number}"), number.to_string());
        backend.publish(&topic, 1, payload).await.unwrap();
    }
    all_of(&mut subscriber, &mut came, MESSAGES).await;
    assert_eq!(subscriber.gaps, 0);
}

#[tokio::test]
async fn a_position_of_nobody_is_refused() {
    let pods = Pods::start().await;
    let one = pods.pod_with("a", soon).await;
    let mut backend = Backend::of(&one.gateway);
    let subscriber = backend.subscribe(&["t"]).await;
    let mut changed = subscriber.position.to_vec();
    *changed.last_mut().unwrap() ^= 1;
    for position in [&b"x"[..], &changed] {
        let request = SubscribeRequest {
            position: Bytes::copy_from_slice(position),
            ..wanting(&["t"])
        };
        let (code, text) = backend.refused(request).await;
        assert_eq!(code, Code::InvalidArgument, "{text}");
        assert!(text.starts_with("position: "), "{text}");
    }
}
