use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Poll,
};

use super::{MANY, drain, message, poll, push_all};
use crate::broker::{
    Filter, Keeper, Message, Qos, Queue, Stats,
    queue::{Batch, Limits, Numbers, Offered, Ready, Restored},
    sessions::{Budget, Reserved},
};

struct Setting {
    queue: Arc<Queue>,
    stats: Arc<Stats>,
    budget: Arc<Budget>,
}

/// A session's queue that has a connection.
fn setting() -> Setting {
    let stats = Arc::<Stats>::default();
    let queue = Queue::of_session(Arc::clone(&stats));
    queue.attach(MANY);
    Setting {
        queue,
        stats,
        budget: Budget::new(usize::MAX),
    }
}

impl Setting {
    fn detach(&self, messages: usize) {
        let limits = Limits { messages, ..MANY };
        self.queue.detach(limits, Reserved::nothing(&self.budget));
    }

    fn take(&self, count: usize) -> Batch {
        self.queue.take(count, usize::MAX)
    }

    /// Without a connection, the bytes that are reserved are those of the messages.
    fn has_its_bytes(&self, messages: &[&str]) {
        let sizes = messages.iter().map(|name| message(name, 1, 0).size());
        assert_eq!(self.budget.taken(), sizes.sum::<usize>());
    }
}

fn names(batch: &Batch) -> Vec<&str> {
    let topics = batch.messages.iter().map(|message| message.topic.as_str());
    topics.collect()
}

#[test]
fn nothing_more_is_taken_until_what_was_taken_is_confirmed() {
    let Setting { queue, .. } = setting();
    push_all(&queue, "a1 b0 c1 d1");
    let batch = queue.take(3, usize::MAX);
    assert_eq!(names(&batch), ["a1", "b0", "c1"]);
    assert_eq!(batch.earlier, 0);
    assert!(queue.take(3, usize::MAX).messages.is_empty());
    batch.confirm();
    assert_eq!(drain(&queue), "d1");
}

/// Whoever has several events under way looks again while a batch is out: it would look for ever.
#[test]
fn nothing_is_ready_while_a_batch_is_out() {
    let Setting { queue, .. } = setting();
    push_all(&queue, "a1 b1");
    let batch = queue.take(1, usize::MAX);
    assert_eq!(poll(&queue), Poll::Pending);
    push_all(&queue, "c1");
    assert_eq!(poll(&queue), Poll::Pending);
    batch.confirm();
    assert_eq!(poll(&queue), Poll::Ready(Ready::Messages));
    assert_eq!(drain(&queue), "b1 c1");
}

#[test]
fn messages_of_qos_0_need_no_confirmation() {
    let Setting { queue, .. } = setting();
    push_all(&queue, "a0 b0 c0");
    assert_eq!(queue.take(2, usize::MAX).messages.len(), 2);
    assert_eq!(drain(&queue), "c0");
}

#[test]
fn the_next_connection_first_gets_what_was_not_confirmed() {
    let it = setting();
    push_all(&it.queue, "a1 b0 c2 d1");
    let old = it.take(3);
    it.detach(100);
    push_all(&it.queue, "e1 f0 g1");
    it.queue.attach(MANY);
    assert!(poll(&it.queue).is_ready());
    let again = it.take(100);
    assert_eq!(names(&again), ["a1", "c2"]);
    assert_eq!(again.earlier, 1);
    // By itself, as it may have been seen before; and the old connection has no say any more.
    old.confirm();
    assert!(it.take(100).messages.is_empty());
    again.confirm();
    let rest = it.take(100);
    assert_eq!(names(&rest), ["d1", "e1", "g1"]);
    assert_eq!(rest.earlier, 0);
    assert_eq!(it.stats.offline_qos0.load(Relaxed), 1);
}

#[test]
fn the_old_connection_may_confirm_until_there_is_a_new_one() {
    let it = setting();
    push_all(&it.queue, "a1 b1");
    let old = it.take(1);
    it.detach(100);
    it.has_its_bytes(&["a1", "b1"]);
    old.confirm();
    it.has_its_bytes(&["b1"]);
    it.queue.attach(MANY);
    it.has_its_bytes(&[]);
    push_all(&it.queue, "c1");
    assert_eq!(drain(&it.queue), "b1 c1");
}

#[test]
fn what_is_never_confirmed_is_counted_each_time() {
    let it = setting();
    push_all(&it.queue, "a1");
    for earlier in 0..5 {
        let batch = it.take(10);
        assert_eq!((names(&batch), batch.earlier), (vec!["a1"], earlier));
        it.detach(10);
        it.queue.attach(MANY);
    }
}

#[test]
fn without_a_connection_the_oldest_message_makes_room() {
    let it = setting();
    push_all(&it.queue, "a1 b0 c1");
    let _never_confirmed = it.take(1);
    it.detach(3);
    push_all(&it.queue, "d1 e2 f0 g1");
    assert_eq!(it.stats.session_full.load(Relaxed), 2);
    // The one that waited when the connection ended, and the one that came.
    assert_eq!(it.stats.offline_qos0.load(Relaxed), 2);
    it.queue.attach(MANY);
    assert_eq!(drain(&it.queue), "d1 e2 g1");
}

#[test]
fn what_does_not_fit_without_a_connection_is_dropped_when_it_ends() {
    let it = setting();
    push_all(&it.queue, "a1 b1 c1 d1 e1");
    let batch = it.take(2);
    it.detach(2);
    assert_eq!(it.stats.session_full.load(Relaxed), 3);
    it.has_its_bytes(&["d1", "e1"]);
    // Of what was dropped nothing is confirmed twice.
    batch.confirm();
    it.has_its_bytes(&["d1", "e1"]);
    it.queue.attach(MANY);
    assert_eq!(drain(&it.queue), "d1 e1");
}

#[test]
fn bytes_are_bounded_without_a_connection() {
    let it = setting();
    let size = message("a1", 1, 1_000).size();
    let limits = Limits {
        bytes: 3 * size,
        ..MANY
    };
    it.queue.detach(limits, Reserved::nothing(&it.budget));
    for name in ["a1", "b1", "c1", "d1"] {
        assert!(it.queue.push(message(name, 1, 1_000)));
    }
    assert_eq!(it.budget.taken(), 3 * size);
    // One that is too large for all of it has all of it.
    assert!(it.queue.push(message("e1", 1, 5_000)));
    assert_eq!(it.stats.session_full.load(Relaxed), 4);
    assert_eq!(it.budget.taken(), 3 * size);
}

#[test]
fn bytes_of_all_sessions_are_bounded_and_each_drops_its_own() {
    let size = message("a1", 1, 100).size();
    let budget = Budget::new(3 * size);
    let (one, other) = (setting(), setting());
    for it in [&one, &other] {
        it.queue.detach(MANY, Reserved::nothing(&budget));
    }
    for name in ["a1", "b1", "c1", "d1"] {
        assert!(one.queue.push(message(name, 1, 100)));
    }
    assert!(!other.queue.push(message("e1", 1, 100)));
    assert_eq!(one.stats.session_full.load(Relaxed), 1);
    assert_eq!(other.stats.session_full.load(Relaxed), 1);
    one.queue.attach(MANY);
    assert_eq!(budget.taken(), 0);
    assert!(other.queue.push(message("f1", 1, 100)));
    other.queue.close();
    assert_eq!(budget.taken(), 0);
}

#[test]
fn a_full_queue_of_a_session_ends_its_connection_and_loses_the_oldest_alone() {
    let it = setting();
    it.queue.attach(Limits {
        messages: 2,
        ..MANY
    });
    push_all(&it.queue, "a1 b1 c1 d1 e0");
    assert_eq!(poll(&it.queue), Poll::Ready(Ready::Overflowed));
    assert_eq!(it.stats.overflowed.load(Relaxed), 1);
    assert_eq!(it.stats.session_full.load(Relaxed), 2);
    it.detach(10);
    push_all(&it.queue, "f1");
    it.queue.attach(MANY);
    assert_eq!(drain(&it.queue), "c1 d1 f1");
}

#[test]
fn a_connection_that_is_leaving_gets_only_what_nobody_else_can_get() {
    let it = setting();
    it.queue.leave();
    assert_eq!(it.queue.offer(message("a1", 1, 0)), Offered::Away);
    assert!(it.queue.push(message("b1", 1, 0)));
    it.detach(10);
    assert_eq!(it.queue.offer(message("c1", 1, 0)), Offered::Away);
    it.queue.attach(MANY);
    assert_eq!(it.queue.offer(message("d1", 1, 0)), Offered::Taken);
    assert_eq!(drain(&it.queue), "b1 d1");
}

#[test]
fn what_waited_for_a_connection_takes_no_room_of_what_comes_then() {
    let it = setting();
    it.detach(100);
    push_all(&it.queue, "a1 b1 c1 d1 e1");
    let limits = Limits {
        messages: 3,
        bytes: 3 * message("a1", 1, 0).size(),
    };
    it.queue.attach(limits);
    push_all(&it.queue, "f1 g1 h1");
    assert_eq!(poll(&it.queue), Poll::Ready(Ready::Messages));
    // As they are taken, so is the room that they had.
    let batch = it.take(4);
    assert_eq!(names(&batch), ["a1", "b1", "c1", "d1"]);
    batch.confirm();
    assert_eq!(it.queue.offer(message("i1", 1, 0)), Offered::NoRoom);
    it.take(1).confirm();
    assert_eq!(it.queue.offer(message("i1", 1, 0)), Offered::NoRoom);
    it.take(1).confirm();
    assert_eq!(it.queue.offer(message("i1", 1, 0)), Offered::Taken);
    assert_eq!(it.queue.offer(message("j1", 1, 0)), Offered::NoRoom);
    assert_eq!(it.stats.session_full.load(Relaxed), 0);
    push_all(&it.queue, "j1");
    assert_eq!(poll(&it.queue), Poll::Ready(Ready::Overflowed));
}

#[test]
fn a_session_that_ends_counts_what_it_had() {
    let it = setting();
    push_all(&it.queue, "a1 b1 c1");
    let batch = it.take(1);
    it.detach(10);
    it.queue.close();
    assert_eq!(it.stats.discarded.load(Relaxed), 3);
    assert_eq!(it.budget.taken(), 0);
    batch.confirm();
    assert!(!it.queue.push(message("d1", 1, 0)));
}

/// A session without a connection that is kept elsewhere too.
fn kept(messages: usize) -> Setting {
    let it = setting();
    it.detach(messages);
    it.queue.keep(Arc::new(Nobody));
    it
}

struct Nobody;

impl Keeper for Nobody {
    fn subscribed(&self, _: &Filter, _: Qos) {}

    fn unsubscribed(&self, _: &Filter) {}

    fn ended(&self) {}
}

/// A message of `QoS` 1 with that id, whose first half names the pod.
fn numbered(pod: u64, number: u64) -> Arc<Message> {
    let mut message = Message::clone(&message(&format!("{pod}.{number}"), 1, 0));
    message.id = format!("{pod:016x}{number:016x}").into();
    Arc::new(message)
}

fn all_names(queue: &Arc<Queue>) -> String {
    queue.attach(MANY);
    names(&queue.take(usize::MAX, usize::MAX)).join(" ")
}

#[test]
fn what_was_elsewhere_comes_first_and_once_and_each_pod_in_order() {
    let Setting { queue, .. } = kept(100);
    // What has come here already.
    for number in [14, 16] {
        queue.push(numbered(1, number));
    }
    queue.restore(Restored {
        waiting: vec![numbered(1, 10), numbered(2, 5), numbered(1, 12)],
        unconfirmed: 1,
        taken: 3,
        recent: vec![(1 << 64) | 9],
        between: [9, 11, 12, 14, 15].map(|number| numbered(1, number)).into(),
    });
    // What comes late, and what does not come again.
    for number in [9, 11, 16, 17] {
        queue.push(numbered(1, number));
    }
    queue.attach(MANY);
    let batch = queue.take(usize::MAX, usize::MAX);
    assert_eq!(
        (names(&batch).join(" ").as_str(), batch.earlier),
        ("1.10", 3)
    );
    batch.confirm();
    let batch = queue.take(usize::MAX, usize::MAX);
    assert_eq!(names(&batch).join(" "), "2.5 1.11 1.12 1.14 1.15 1.16 1.17");
}

#[test]
fn of_what_was_elsewhere_the_oldest_is_dropped_where_there_is_no_room() {
    let it = kept(3);
    it.queue.push(numbered(1, 9));
    it.queue.restore(Restored {
        waiting: [1, 2, 3].map(|number| numbered(1, number)).into(),
        unconfirmed: 2,
        taken: 1,
        ..Restored::default()
    });
    assert_eq!(it.stats.session_full.load(Relaxed), 1);
    assert_eq!(it.queue.backup(None).unwrap().unconfirmed, 1);
    assert_eq!(all_names(&it.queue), "1.2");
}

#[test]
fn a_backup_tells_what_is_new() {
    let Setting { queue, .. } = kept(100);
    let backup = |since: Option<(u32, u32)>| {
        let since = since.map(|(first, next)| Numbers { first, next });
        let backup = queue.backup(since).unwrap();
        let messages = backup.messages.iter();
        let messages = messages.map(|message| message.topic.as_str());
        let Numbers { first, next } = backup.numbers;
        assert_eq!(queue.numbers(), Some(backup.numbers));
        (first, next, messages.collect::<Vec<_>>().join(" "))
    };
    let push = |number| assert!(queue.push(numbered(1, number)));
    push_all(&queue, "a0");
    push(1);
    push(2);
    assert_eq!(backup(None), (0, 2, "1.1 1.2".to_owned()));
    push(3);
    assert_eq!(backup(Some((0, 2))), (0, 3, "1.3".to_owned()));
    queue.attach(MANY);
    let batch = queue.take(2, usize::MAX);
    assert_eq!(backup(Some((0, 3))), (0, 3, String::new()));
    batch.confirm();
    assert_eq!(backup(Some((0, 3))), (2, 3, String::new()));
    assert_eq!(backup(None), (2, 3, "1.3".to_owned()));
    queue.take(2, usize::MAX).confirm();
    push(4);
    assert_eq!(backup(Some((2, 3))), (3, 4, "1.4".to_owned()));
    assert_eq!(backup(Some((0, 1))), (3, 4, "1.4".to_owned()));
    queue.close();
    assert!(queue.backup(None).is_none());
}

#[test]
fn what_is_dropped_behind_what_was_taken_cannot_be_told_by_numbers() {
    let Setting { queue, .. } = kept(100);
    queue.attach(Limits {
        messages: 2,
        ..MANY
    });
    for number in [1, 2] {
        queue.push(numbered(1, number));
    }
    let _batch = queue.take(1, usize::MAX);
    queue.push(numbered(1, 3));
    assert!(queue.numbers().is_some());
    queue.push(numbered(1, 4));
    assert!(queue.numbers().is_none(), "1 3 4 is left of 1 2 3");
    let backup = queue.backup(None).unwrap();
    assert_eq!((backup.numbers.count(), backup.messages.len()), (3, 3));
    assert_eq!(queue.numbers(), Some(backup.numbers));
}

#[test]
fn of_a_message_that_two_filters_want_both_copies_come() {
    let Setting { queue, .. } = kept(100);
    queue.attach(MANY);
    for _ in 0..2 {
        queue.push(numbered(1, 1));
    }
    assert_eq!(all_names(&queue), "1.1 1.1");
}
