//! Pods, as processes, that stand still for longer than their lease, or are killed.

use std::time::Duration;

use config::Config;
use exproto_tests::{Event, until};

use super::{FOREIGN, Pods, client_of, trial::trial};
use crate::calls::{client, ok};

fn short(config: &mut Config) {
    config.cluster.lease = Duration::from_millis(900);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_was_taken_for_gone_and_wakes_up_misses_nothing() {
    let pods = Pods::start().await;
    let one = pods.pod_with("a", short).await;
    let two = pods.program("b", &pods.redis.url()).await;
    let mut far = client_of(&two, "far").await;
    let mut publisher = one.client("publisher").await;
    let freeze = async {
        two.process.signal("-STOP");
        one.gateway.is(FOREIGN, 0).await;
        for number in 0..20 {
            // Nobody who is known wants them.
            let text = format!("more-{number}");
            ok(&publisher.calls.publish("wild/more", 1, text).await);
        }
        // It is still being asked whether it lives, and so keeps its connections.
        two.process.signal("-CONT");
        one.gateway.is(FOREIGN, 1).await;
    };
    let other = one.client("other").await;
    trial(other, &mut far, &two.handler, freeze).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_pod_had_answered_when_it_was_killed_arrives() {
    const MESSAGES: usize = 200;
    let pods = Pods::start().await;
    let one = pods.program("a", &pods.redis.url()).await;
    // Both have the same handler, which the other pod tells of what died with this one.
    let handler = &one.handler;
    let same = |config: &mut Config| {
        short(config);
        config.handler.addresses = vec![handler.url().parse().unwrap()];
    };
    let two = pods.pod_with("b", same).await;
    let (_device, mut far) = client(&two.gateway, handler, "far").await;
    ok(&far.subscribe("exact", 1).await);
    let mut publisher = client_of(&one, "publisher").await;
    for number in 0..MESSAGES {
        let text = number.to_string();
        ok(&publisher.calls.publish("exact", 1, text).await);
    }
    one.process.signal("-KILL");
    let mut came = Vec::new();
    until("all messages, and the end of the publisher", async || {
        let mut has_ended = false;
        while let Some(callback) = handler.try_next() {
            match callback.event {
                Event::Messages(messages) => came.extend(messages),
                Event::Closed(reason) => has_ended = reason == "pod_lost",
                other => panic!("neither: {other:?}"),
            }
        }
        has_ended
    })
    .await;
    let came = came.iter().map(|message| &message.payload[..]);
    assert!(came.eq((0..MESSAGES).map(|number| number.to_string().into_bytes())));
}
