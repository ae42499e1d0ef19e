use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use bytes::Bytes;

use super::{Limits, Queue, Ready};
use crate::broker::{Message, Qos, Stats, Topic};

/// Queues that outlive their connection.
mod sessions;

const MANY: Limits = Limits {
    messages: usize::MAX,
    bytes: usize::MAX,
};

fn message(name: &str, qos: u32, payload: usize) -> Arc<Message> {
    Arc::new(Message {
        node: "pod".into(),
        id: "1".into(),
        qos: Qos::try_from(qos).unwrap(),
        from: "device".into(),
        topic: Topic::parse(name, 8).unwrap(),
        payload: Bytes::from(vec![0; payload]),
        timestamp: 0,
    })
}

fn queue(limits: Limits) -> (Arc<Queue>, Arc<Stats>) {
    let stats = Arc::new(Stats::default());
    (Queue::new(limits, Arc::clone(&stats)), stats)
}

/// Pushes empty messages named by letter and then digit, the digit being the quality of service.
fn push_all(queue: &Queue, names: &str) {
    for name in names.split_whitespace() {
        queue.push(message(name, name[1..].parse().unwrap(), 0));
    }
}

fn drain(queue: &Arc<Queue>) -> String {
    let names = queue.take(usize::MAX, usize::MAX).messages;
    names
        .iter()
        .map(|message| message.topic.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

fn poll(queue: &Queue) -> Poll<Ready> {
    queue.poll_ready(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn messages_leave_in_the_order_they_came_whatever_their_qos() {
    let (queue, _) = queue(MANY);
    push_all(&queue, "a0 b1 c0 d2 e1 f0");
    assert_eq!(queue.len(), 6);
    assert_eq!(drain(&queue), "a0 b1 c0 d2 e1 f0");
    assert!(queue.is_empty());
}

#[test]
fn a_full_queue_drops_the_oldest_of_qos_0_first() {
    let (queue, stats) = queue(Limits {
        messages: 3,
        ..MANY
    });
    push_all(&queue, "a1 b0 c0 d1 e0");
    assert_eq!(drain(&queue), "a1 d1 e0");
    assert_eq!(stats.dropped_qos0.load(Relaxed), 2);
    assert!(queue.is_open());
}

#[test]
fn an_incoming_message_of_qos_0_is_dropped_when_it_is_the_only_one() {
    let (queue, stats) = queue(Limits {
        messages: 2,
        ..MANY
    });
    push_all(&queue, "a1 b2 c0 d0");
    assert_eq!(drain(&queue), "a1 b2");
    assert_eq!(stats.dropped_qos0.load(Relaxed), 2);
    assert_eq!(stats.overflowed.load(Relaxed), 0);
    assert!(queue.is_open());
}

#[test]
fn a_queue_full_of_qos_1_overflows_and_then_takes_nothing_more() {
    let (queue, stats) = queue(Limits {
        messages: 2,
        ..MANY
    });
    push_all(&queue, "a1 b1");
    assert_eq!(poll(&queue), Poll::Ready(Ready::Messages));
    push_all(&queue, "c1 d1 e0");
    assert_eq!(poll(&queue), Poll::Ready(Ready::Overflowed));
    assert!(!queue.is_open());
    assert_eq!(drain(&queue), "a1 b1");
    assert_eq!(poll(&queue), Poll::Ready(Ready::Overflowed));
    assert_eq!(stats.overflowed.load(Relaxed), 1);
}

#[test]
fn bytes_are_bounded_like_messages() {
    let one = message("a0", 0, 1_000).size();
    let (queue, stats) = queue(Limits {
        bytes: 3 * one,
        ..MANY
    });
    for name in ["a0", "b1", "c0"] {
        queue.push(message(name, name[1..].parse().unwrap(), 1_000));
    }
    queue.push(message("d1", 1, 1_500)); // Needs the room of both.
    assert_eq!(stats.dropped_qos0.load(Relaxed), 2);
    queue.push(message("e1", 1, 1_000));
    assert_eq!(poll(&queue), Poll::Ready(Ready::Overflowed));
    assert_eq!(drain(&queue), "b1 d1");
}

#[test]
fn nothing_is_dropped_in_vain() {
    let (queue, stats) = queue(Limits {
        bytes: 4 * message("a0", 0, 0).size(),
        ..MANY
    });
    push_all(&queue, "a0 b1");
    queue.push(message("c0", 0, 100_000));
    assert_eq!(stats.dropped_qos0.load(Relaxed), 1);
    assert_eq!(drain(&queue), "a0 b1");
}

#[test]
fn an_empty_queue_takes_any_one_message() {
    for (messages, bytes) in [(0, 9_000), (9, 0), (9, 10)] {
        let (queue, _) = queue(Limits { messages, bytes });
        assert!(queue.push(message("a1", 1, 100)));
        assert_eq!(drain(&queue), "a1");
        assert!(queue.push(message("b1", 1, 100)));
        assert!(!queue.push(message("c1", 1, 100)));
    }
}

#[test]
fn take_keeps_to_both_limits_but_takes_at_least_one() {
    let (queue, _) = queue(MANY);
    push_all(&queue, "a0 b1 c0 d1 e0");
    let size = message("a0", 0, 0).size();
    assert_eq!(queue.take(2, usize::MAX).messages.len(), 2);
    assert_eq!(queue.take(9, 2 * size).messages.len(), 2);
    assert_eq!(queue.take(0, 0).messages.len(), 1);
    assert_eq!(queue.take(9, 9 * size).messages.len(), 0);
}

#[test]
fn a_closed_queue_forgets_what_waits_and_ignores_what_comes() {
    let (queue, stats) = queue(MANY);
    push_all(&queue, "a0 b1");
    queue.close();
    assert!(!queue.push(message("c1", 1, 0)));
    assert!(queue.is_empty());
    assert!(!queue.is_open());
    assert_eq!(poll(&queue), Poll::Pending);
    assert_eq!(stats.discarded.load(Relaxed), 2);
}

#[test]
fn a_drained_burst_gives_its_memory_back() {
    let (queue, _) = queue(MANY);
    for _ in 0..10_000 {
        push_all(&queue, "a0 b1");
    }
    while !queue.take(100, usize::MAX).messages.is_empty() {}
    assert!(queue.state.lock().backlog.room() <= 16);
}

#[test]
fn an_idle_queue_is_small() {
    assert!(size_of::<Queue>() <= 192, "{}", size_of::<Queue>());
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn the_consumer_is_woken_once_per_burst_and_again_on_overflow() {
    let (queue, _) = queue(Limits {
        messages: 3,
        ..MANY
    });
    let count = Arc::<Wakes>::default();
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = Context::from_waker(&waker);
    assert_eq!(queue.poll_ready(&mut cx), Poll::Pending);
    push_all(&queue, "a1 b1 c1");
    assert_eq!(count.0.load(Relaxed), 1);
    assert_eq!(queue.poll_ready(&mut cx), Poll::Ready(Ready::Messages));
    push_all(&queue, "d1");
    assert_eq!(count.0.load(Relaxed), 2);
    assert_eq!(queue.poll_ready(&mut cx), Poll::Ready(Ready::Overflowed));
}

/// Consumes on a thread of its own until `count` messages were taken; they arrive at the returned end.
fn consume(queue: Arc<Queue>, count: usize) -> mpsc::Receiver<Vec<Arc<Message>>> {
    let (done, result) = mpsc::channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    thread::spawn(move || {
        let mut taken = Vec::new();
        while taken.len() < count {
            assert_eq!(
                runtime.block_on(poll_fn(|cx| queue.poll_ready(cx))),
                Ready::Messages
            );
            taken.extend(queue.take(7, usize::MAX).messages);
        }
        done.send(taken).unwrap();
    });
    result
}

#[test]
fn no_wake_up_is_lost_and_each_producer_keeps_its_order() {
    const EACH: usize = 5_000;
    let (queue, stats) = queue(MANY);
    let result = consume(Arc::clone(&queue), 4 * EACH);
    let producers = ["a", "b", "c", "d"].map(|name| {
        let queue = Arc::clone(&queue);
        thread::spawn(move || {
            for number in 0..EACH {
                queue.push(message(
                    &format!("{name}/{number}"),
                    u32::from(number % 3 == 0),
                    0,
                ));
                if number % 64 == 0 {
                    thread::yield_now(); // Lets the consumer run dry now and then.
                }
            }
        })
    });
    for producer in producers {
        producer.join().unwrap();
    }
    let taken = result
        .recv_timeout(Duration::from_secs(30))
        .expect("the consumer sleeps for ever");
    for name in ["a", "b", "c", "d"] {
        let ours = taken.iter().filter_map(|message| {
            message
                .topic
                .as_str()
                .strip_prefix(name)?
                .strip_prefix('/')?
                .parse::<usize>()
                .ok()
        });
        assert!(ours.eq(0..EACH), "{name} is out of order");
    }
    assert_eq!(stats.dropped_qos0.load(Relaxed), 0);
}
