use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;

/// Messages for whoever subscribes later.
mod retained;

use super::{
    Broker, Error, Publication, Qos, Queue, RetainedLimits, Session, Sessions, Settings,
    Subscription, queue::Limits, sessions,
};

fn broker() -> Broker {
    Broker::memory(Settings {
        node: "pod-0".into(),
        max_payload: 1_000,
        max_levels: 8,
        retained: RetainedLimits {
            messages: 3,
            bytes: usize::MAX,
            age: None,
        },
    })
}

fn queue(broker: &Broker, messages: usize) -> Arc<Queue> {
    broker.queue(Limits {
        messages,
        bytes: usize::MAX,
    })
}

fn subscribe(broker: &Broker, filter: &str, queue: &Arc<Queue>) -> Subscription {
    broker.subscribe(broker.filter(filter).unwrap(), Qos::AtLeastOnce, queue)
}

async fn publish(broker: &Broker, topic: &str, payload: impl Into<Bytes>) -> Result<(), Error> {
    let topic = broker.topic(topic).unwrap();
    let publication = Publication {
        topic,
        qos: Qos::AtLeastOnce,
        from: "me".into(),
        payload: payload.into(),
        retain: false,
    };
    broker.publish(publication).await
}

fn payloads(queue: &Arc<Queue>) -> Vec<Bytes> {
    let messages = queue.take(usize::MAX, usize::MAX).messages;
    messages
        .into_iter()
        .map(|message| message.payload.clone())
        .collect()
}

#[tokio::test]
async fn a_published_message_is_in_the_queue_when_publish_returns() {
    let broker = broker();
    let queue = queue(&broker, 10);
    let subscription = subscribe(&broker, "t/+", &queue);
    publish(&broker, "t/up", "hello").await.unwrap();

    let [message] = &queue.take(10, 1_000).messages[..] else {
        panic!("not one message")
    };
    assert_eq!(message.payload, "hello");
    assert_eq!(message.topic.as_str(), "t/up");
    assert_eq!(message.qos, Qos::AtLeastOnce);
    assert_eq!((&*message.from, &*message.node), ("me", "pod-0"));
    assert!(message.timestamp > 1_700_000_000_000);
    assert_eq!(subscription.filter().as_str(), "t/+");
    assert_eq!(subscription.qos(), Qos::AtLeastOnce);
}

#[tokio::test]
async fn every_message_has_an_id_of_its_own() {
    let (here, there) = (broker(), broker());
    let queue = queue(&here, 10);
    let _subscriptions = [
        subscribe(&here, "t", &queue),
        subscribe(&there, "t", &queue),
    ];
    for broker in [&here, &here, &there, &there] {
        publish(broker, "t", "").await.unwrap();
    }
    let mut ids: Vec<_> = queue
        .take(10, usize::MAX)
        .messages
        .iter()
        .map(|m| m.id.clone())
        .collect();
    assert!(
        ids.iter()
            .all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))
    );
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[tokio::test]
async fn dropping_the_guard_unsubscribes_but_a_replaced_guard_does_nothing() {
    let broker = broker();
    let queue = queue(&broker, 10);
    let first = subscribe(&broker, "t", &queue);
    let second = subscribe(&broker, "t", &queue);
    drop(first);
    publish(&broker, "t", "1").await.unwrap();
    drop(second);
    publish(&broker, "t", "2").await.unwrap();
    assert_eq!(payloads(&queue), ["1"]);
}

#[tokio::test]
async fn a_payload_over_the_limit_is_refused_and_reaches_nobody() {
    let broker = broker();
    let queue = queue(&broker, 10);
    let _subscription = subscribe(&broker, "#", &queue);
    publish(&broker, "t", vec![0; 1_000]).await.unwrap();
    let refused = publish(&broker, "t", vec![0; 1_001]).await;
    assert!(matches!(
        refused,
        Err(Error::PayloadTooLarge {
            size: 1_001,
            limit: 1_000
        })
    ));
    assert_eq!(queue.len(), 1);
}

#[tokio::test]
async fn a_group_serves_its_members_in_turn() {
    let broker = broker();
    let queues = [(); 3].map(|()| queue(&broker, 100));
    let _members = queues
        .each_ref()
        .map(|queue| subscribe(&broker, "$share/g/t/+", queue));
    for _ in 0..30 {
        publish(&broker, "t/x", "").await.unwrap();
    }
    assert_eq!(queues.map(|queue| queue.len()), [10, 10, 10]);
}

#[tokio::test]
async fn each_group_and_each_plain_subscriber_of_a_filter_gets_a_copy() {
    let broker = broker();
    let queues = [(); 3].map(|()| queue(&broker, 100));
    let filters = ["$share/g/t", "$share/h/t", "t"];
    let _subscriptions: Vec<_> = filters
        .iter()
        .zip(&queues)
        .map(|(filter, queue)| subscribe(&broker, filter, queue))
        .collect();
    for _ in 0..5 {
        publish(&broker, "t", "").await.unwrap();
    }
    assert_eq!(queues.map(|queue| queue.len()), [5, 5, 5]);
}

#[tokio::test]
async fn a_group_passes_over_members_that_are_closed_or_full() {
    let broker = broker();
    let [closed, small, open] = [100, 2, 100].map(|messages| queue(&broker, messages));
    let _members = [&closed, &small, &open].map(|queue| subscribe(&broker, "$share/g/t", queue));
    closed.close();
    for _ in 0..20 {
        publish(&broker, "t", "").await.unwrap();
    }
    assert_eq!([closed.len(), small.len(), open.len()], [0, 2, 18]);
    assert!(small.is_open());

    small.close();
    open.close();
    publish(&broker, "t", "").await.unwrap();
    assert_eq!(broker.stats().unrouted.load(Relaxed), 1);
}

#[tokio::test]
async fn each_message_that_finds_a_whole_group_full_overflows_one_open_member() {
    let broker = broker();
    let queues: Vec<_> = (0..8).map(|_| queue(&broker, 2)).collect();
    let _members: Vec<_> = queues
        .iter()
        .map(|queue| subscribe(&broker, "$share/g/t", queue))
        .collect();
    queues.iter().step_by(2).for_each(|queue| queue.close());
    for _ in 0..8 {
        publish(&broker, "t", "").await.unwrap();
    }
    for overflowed in 0..=4 {
        assert_eq!(broker.stats().overflowed.load(Relaxed), overflowed);
        publish(&broker, "t", "").await.unwrap();
    }
    assert_eq!(broker.stats().overflowed.load(Relaxed), 4);
}

#[tokio::test]
async fn a_message_that_a_full_group_drops_is_counted_once() {
    let broker = broker();
    let queues = [(); 3].map(|()| queue(&broker, 1));
    let _members = queues
        .each_ref()
        .map(|queue| subscribe(&broker, "$share/g/t", queue));
    for qos in [1, 1, 1, 0] {
        let topic = broker.topic("t").unwrap();
        let qos = Qos::try_from(qos).unwrap();
        let publication = Publication {
            topic,
            qos,
            from: "me".into(),
            payload: Bytes::new(),
            retain: false,
        };
        broker.publish(publication).await.unwrap();
    }
    assert_eq!(broker.stats().dropped_qos0.load(Relaxed), 1);
    assert!(queues.iter().all(|queue| queue.is_open()));
}

#[tokio::test]
async fn what_one_publisher_sends_arrives_in_its_order() {
    let broker = broker();
    let queue = queue(&broker, 1_000);
    let _subscriptions = ["t/1", "t/+", "$share/g/#"].map(|f| subscribe(&broker, f, &queue));
    for number in 0..200 {
        publish(&broker, "t/1", number.to_string()).await.unwrap();
    }
    let wanted = (0..200).flat_map(|number| [(); 3].map(|()| number.to_string()));
    assert!(payloads(&queue).into_iter().eq(wanted));
}

#[tokio::test]
async fn a_wide_fan_out_reaches_all_and_lets_other_tasks_run() {
    let broker = broker();
    let queues: Vec<_> = (0..5_000).map(|_| queue(&broker, 10)).collect();
    let _subscriptions: Vec<_> = queues
        .iter()
        .map(|queue| subscribe(&broker, "t", queue))
        .collect();
    let last = Arc::clone(&queues[0]);
    let other = tokio::spawn(async move { last.is_open() });
    publish(&broker, "t", "").await.unwrap();
    assert!(other.is_finished());
    assert!(queues.iter().all(|queue| queue.len() == 1));
    assert_eq!(broker.stats().delivered.load(Relaxed), 5_000);
}

#[tokio::test]
async fn the_counts_tell_what_happened() {
    let broker = broker();
    let stats = broker.stats();
    let queues = [(); 2].map(|()| queue(&broker, 10));
    let subscriptions: Vec<_> = [
        ("a", 0),
        ("a", 1),
        ("b/+", 0),
        ("b/+", 0),
        ("$share/g/a", 0),
    ]
    .map(|(filter, index)| subscribe(&broker, filter, &queues[index]))
    .into();
    assert_eq!(stats.subscriptions.load(Relaxed), 4);
    assert_eq!(stats.filters.load(Relaxed), 2);
    publish(&broker, "a", "").await.unwrap();
    publish(&broker, "c", "").await.unwrap();
    let counted =
        [&stats.published, &stats.delivered, &stats.unrouted].map(|count| count.load(Relaxed));
    assert_eq!(counted, [2, 3, 1]);
    drop(subscriptions);
    assert_eq!(stats.subscriptions.load(Relaxed), 0);
    assert_eq!(stats.filters.load(Relaxed), 0);
}

#[tokio::test]
async fn a_member_without_a_connection_gets_messages_only_while_nobody_else_is_there() {
    let broker = broker();
    let sessions = Sessions::new(
        &broker,
        sessions::Limits {
            sessions: 10,
            bytes: usize::MAX,
            queue: Limits {
                messages: 10,
                bytes: usize::MAX,
            },
        },
    );
    let away = Session::new(&broker);
    let there = queue(&broker, 100);
    let away_queue = away.queue.clone();
    let _away = subscribe(&broker, "$share/g/t", &away_queue);
    let there_member = subscribe(&broker, "$share/g/t", &there);
    sessions.park(&"away".into(), "", away, Duration::from_secs(60));
    for _ in 0..5 {
        publish(&broker, "t", "x").await.unwrap();
    }
    assert_eq!((there.len(), away_queue.len()), (5, 0));
    drop(there_member);
    for _ in 0..5 {
        publish(&broker, "t", "x").await.unwrap();
    }
    assert_eq!((there.len(), away_queue.len()), (5, 5));
}

#[tokio::test]
async fn a_small_payload_does_not_hold_the_buffer_it_came_in() {
    let broker = broker();
    let queue = queue(&broker, 1);
    let _held = subscribe(&broker, "t", &queue);
    let buffer = Bytes::from(vec![7; 8192]);
    publish(&broker, "t", buffer.slice(10..20)).await.unwrap();
    assert_eq!(queue.len(), 1);
    assert!(buffer.is_unique());
    assert_eq!(payloads(&queue), [[7; 10][..].to_owned()]);
}
