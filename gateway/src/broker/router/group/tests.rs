use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use super::{Group, Member};
use crate::broker::{
    Filter, Message, Qos, Queue, Stats, Topic,
    queue::Limits,
    sessions::{Budget, Reserved},
};

const MANY: Limits = Limits {
    messages: usize::MAX,
    bytes: usize::MAX,
};

fn message(qos: u32) -> Arc<Message> {
    Arc::new(Message {
        node: "pod".into(),
        id: "1".into(),
        qos: Qos::try_from(qos).unwrap(),
        from: "device".into(),
        topic: Topic::parse("t", 8).unwrap(),
        payload: "x".into(),
        timestamp: 0,
    })
}

fn plain(messages: usize) -> Arc<Queue> {
    Queue::new(Limits { messages, ..MANY }, Arc::<Stats>::default())
}

fn of_session() -> Arc<Queue> {
    let queue = Queue::of_session(Arc::<Stats>::default());
    queue.attach(MANY);
    queue
}

fn park(queue: &Queue) {
    queue.detach(MANY, Reserved::nothing(&Budget::new(usize::MAX)));
}

fn join(group: &Group, queue: &Arc<Queue>) -> bool {
    group.insert(Member {
        queue: Arc::clone(queue),
        generation: 1,
        qos: Qos::AtLeastOnce,
    })
}

fn group(queues: &[&Arc<Queue>]) -> Group {
    let group = Group::new(Filter::parse("$share/g/t", 8).unwrap());
    for queue in queues {
        assert!(join(&group, queue));
    }
    group
}

#[test]
fn everybody_has_a_turn_also_where_some_are_away() {
    let (a, b, c, parked) = (plain(99), plain(99), plain(99), of_session());
    let group = group(&[&a, &parked, &b, &c]);
    park(&parked);
    for _ in 0..30 {
        assert!(group.push(&message(1)));
    }
    assert_eq!([&a, &b, &c].map(|queue| queue.len()), [10; 3]);
    assert!(parked.is_empty());
}

#[test]
fn those_who_are_away_are_asked_once_and_again_when_they_come_back() {
    let (here, parked) = (plain(99), of_session());
    let group = group(&[&here, &parked]);
    park(&parked);
    for _ in 0..4 {
        assert!(group.push(&message(1)));
    }
    assert_eq!((group.away(), group.len()), (1, 2));
    parked.attach(MANY);
    assert!(!join(&group, &parked), "it was a member all the time");
    assert_eq!((group.away(), group.len()), (0, 2));
    for _ in 0..4 {
        assert!(group.push(&message(1)));
    }
    assert_eq!((here.len(), parked.len()), (6, 2));
    let key = Arc::as_ptr(&parked).addr();
    park(&parked);
    assert!(group.push(&message(1)) && group.push(&message(1)));
    assert!(group.remove(key, 1) && !group.remove(key, 1));
    assert_eq!((group.away(), group.len()), (0, 1));
}

#[test]
fn a_connection_that_ends_gets_nothing_that_others_can_get() {
    let (ending, other) = (plain(99), plain(1));
    let group = group(&[&ending, &other]);
    ending.leave();
    assert!(group.push(&message(1)));
    // The other one is full, and it is the one to answer for that.
    assert!(!group.push(&message(1)));
    assert_eq!((ending.len(), other.len()), (0, 1));
    assert!(!other.is_open());
}

#[test]
fn where_nobody_is_there_a_message_waits_with_one_who_may_come_back() {
    let (ending, one, other) = (plain(99), of_session(), of_session());
    let group = group(&[&ending, &one, &other]);
    ending.leave();
    park(&one);
    park(&other);
    for _ in 0..4 {
        assert!(group.push(&message(1)));
    }
    assert_eq!([&ending, &one, &other].map(|queue| queue.len()), [0, 2, 2]);
    assert!(!group.push(&message(0)));
}

#[test]
fn many_publishers_at_once_miss_nobody_who_is_there() {
    const PUBLISHERS: usize = 8;
    const EACH: usize = 2_000;
    let here = plain(usize::MAX);
    let parked: Vec<_> = (0..20).map(|_| of_session()).collect();
    let group = group(&[&here]);
    for queue in &parked {
        join(&group, queue);
        park(queue);
    }
    let lost = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..PUBLISHERS {
            scope.spawn(|| {
                for _ in 0..EACH {
                    lost.fetch_add(usize::from(!group.push(&message(1))), Relaxed);
                }
            });
        }
    });
    assert_eq!(lost.load(Relaxed), 0);
    assert_eq!(here.len(), PUBLISHERS * EACH);
    assert!(parked.iter().all(|queue| queue.is_empty()));
}
