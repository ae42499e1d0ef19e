use proto::stream::{Close, Publish, Subscribe};

use super::*;
use crate::conn_id::ConnIds;

/// A comparison of Sends by bytes, or call by call.
fn comparison(by_bytes: bool) -> (Comparison, Arc<Counts>) {
    let counts = Arc::<Counts>::default();
    let (conn, _) = ConnIds::new("pod", None).unwrap().mint();
    let manner = Manner {
        by_bytes,
        raw: false,
        limit: 64 * 1024,
    };
    (Comparison::new(conn, manner, counts.clone()), counts)
}

fn send(bytes: &'static str) -> Kind {
    Kind::Send(bytes.into())
}

fn subscribe(topic: &str) -> Kind {
    let topic = topic.to_owned();
    Kind::Subscribe(Subscribe { topic, qos: 1 })
}

fn publish(payload: &'static str) -> Kind {
    Kind::Publish(Publish {
        topic: "t".to_owned(),
        payload: payload.into(),
        ..Publish::default()
    })
}

fn real(comparison: &Comparison, command: &Kind) -> Option<Ticket> {
    comparison.real(comparison.looks_at(command)?)
}

fn mirror(comparison: &Comparison, command: &Kind) -> Option<Known> {
    comparison.mirror(comparison.looks_at(command)?)
}

/// How many of that method came to each verdict, in their order.
fn verdicts(counts: &Counts, method: &str) -> [u64; 4] {
    let method = AdapterMethod::named(method).unwrap();
    Verdict::ALL.map(|verdict| counts.calls(method, verdict))
}

fn fates(counts: &Counts) -> [u64; 4] {
    Fate::ALL.map(|fate| counts.connections(fate))
}

#[test]
fn bytes_of_a_stream_may_be_cut_anywhere() {
    let (comparison, counts) = comparison(true);
    real(&comparison, &send("hello"));
    real(&comparison, &send(""));
    real(&comparison, &send(", world"));
    for part in ["h", "ello, wo", "rld", "!"] {
        mirror(&comparison, &send(part));
    }
    assert_eq!(verdicts(&counts, "Send"), [3, 0, 0, 0]);
    assert!(!comparison.mirror_is_behind());
    // Now the mirror is ahead.
    real(&comparison, &send("!?"));
    mirror(&comparison, &send("?"));
    assert_eq!(verdicts(&counts, "Send"), [5, 0, 0, 0]);
    comparison.end(true);
    assert_eq!(fates(&counts), [1, 0, 0, 0]);
}

#[test]
fn messages_are_compared_call_by_call() {
    let (comparison, counts) = comparison(false);
    real(&comparison, &send("ab"));
    mirror(&comparison, &send("a"));
    mirror(&comparison, &send("b"));
    assert_eq!(verdicts(&counts, "Send"), [0, 1, 0, 0]);
    comparison.end(true);
    assert_eq!(fates(&counts), [0, 1, 0, 0]);
}

#[test]
fn behind_the_first_difference_a_method_is_not_compared() {
    let (comparison, counts) = comparison(true);
    real(&comparison, &send("abc"));
    mirror(&comparison, &send("abd"));
    assert!(!comparison.compares_sends());
    real(&comparison, &send("x"));
    mirror(&comparison, &send("y"));
    // Others are.
    real(&comparison, &publish("1"));
    mirror(&comparison, &publish("1"));
    comparison.end(true);
    assert_eq!(verdicts(&counts, "Send"), [0, 1, 0, 0]);
    assert_eq!(verdicts(&counts, "Publish"), [1, 0, 0, 0]);
    assert_eq!(fates(&counts), [0, 1, 0, 0]);
}

#[test]
fn what_only_one_did_is_known_at_the_end() {
    let (comparison, counts) = comparison(true);
    real(&comparison, &publish("1"));
    real(&comparison, &publish("2"));
    real(&comparison, &publish("3"));
    assert!(comparison.mirror_is_behind());
    mirror(&comparison, &publish("1"));
    mirror(&comparison, &Kind::Close(Close {}));
    assert!(comparison.mirror_is_behind());
    assert_eq!(verdicts(&counts, "Publish"), [1, 0, 0, 0]);
    comparison.end(true);
    comparison.end(true);
    assert_eq!(verdicts(&counts, "Publish"), [1, 0, 2, 0]);
    assert_eq!(verdicts(&counts, "Close"), [0, 0, 0, 1]);
    assert_eq!(fates(&counts), [0, 1, 0, 0]);
    // What comes later is of no interest.
    mirror(&comparison, &publish("2"));
    assert_eq!(verdicts(&counts, "Publish"), [1, 0, 2, 0]);
}

#[test]
fn order_between_methods_means_nothing() {
    let (comparison, counts) = comparison(true);
    for command in [send("a"), publish("1"), subscribe("t"), send("b")] {
        real(&comparison, &command);
    }
    for command in [subscribe("t"), send("ab"), publish("1")] {
        mirror(&comparison, &command);
    }
    comparison.end(true);
    assert_eq!(fates(&counts), [1, 0, 0, 0]);
}

#[test]
fn the_mirror_is_answered_what_the_handler_was() {
    let (comparison, _) = comparison(true);
    let first = real(&comparison, &publish("1")).unwrap();
    let second = real(&comparison, &publish("2")).unwrap();
    let denied = CallError::Denied("no".to_owned());
    comparison.answered(first, Err(denied.clone()));
    assert_eq!(mirror(&comparison, &publish("1")), Some(Err(denied)));
    // Nobody knows yet, and later nobody asks.
    assert_eq!(mirror(&comparison, &publish("2")), None);
    comparison.answered(second, Ok(None));
    assert_eq!(mirror(&comparison, &publish("3")), None);
    assert_eq!(real(&comparison, &publish("3")), None);
}

#[test]
fn what_cannot_be_told_apart_is_not_compared() {
    let (comparison, counts) = comparison(true);
    let raw = Kind::RawPublish(Publish::default());
    mirror(&comparison, &raw);
    comparison.end(true);
    assert_eq!(verdicts(&counts, "RawPublish"), [0; 4]);
    assert_eq!(fates(&counts), [1, 0, 0, 0]);
}

#[test]
fn whoever_is_too_far_ahead_ends_it() {
    let (comparison, counts) = comparison(true);
    let large = Kind::Send(vec![0; 100_000].into());
    real(&comparison, &large);
    assert!(!comparison.is_full(), "one call of any size may wait");
    real(&comparison, &publish("1"));
    assert!(comparison.is_full());
    comparison.end(false);
    assert_eq!(fates(&counts), [0, 0, 1, 0]);
    assert_eq!(verdicts(&counts, "Publish"), [0; 4]);
}

#[test]
fn many_small_calls_are_too_many_as_well() {
    let (comparison, _) = comparison(true);
    let mut calls = 0;
    while !comparison.is_full() {
        mirror(&comparison, &publish("1"));
        calls += 1;
    }
    assert!((100..1000).contains(&calls), "{calls}");
}

#[test]
fn what_is_done_again_for_another_handler_is_not_compared() {
    let (comparison, counts) = comparison(true);
    real(&comparison, &subscribe("t"));
    comparison.introduced_again();
    mirror(&comparison, &subscribe("t"));
    mirror(&comparison, &subscribe("t"));
    real(&comparison, &send("a"));
    mirror(&comparison, &send("a"));
    comparison.end(true);
    assert_eq!(verdicts(&counts, "Send"), [1, 0, 0, 0]);
    assert_eq!(verdicts(&counts, "Subscribe"), [0; 4]);
    assert_eq!(fates(&counts), [1, 0, 0, 0]);
}

#[test]
fn an_abandoned_comparison_that_differed_is_different() {
    let (comparison, counts) = comparison(true);
    real(&comparison, &send("a"));
    mirror(&comparison, &send("b"));
    comparison.end(false);
    assert_eq!(fates(&counts), [0, 1, 0, 0]);
}

#[test]
fn what_the_mirror_calls_behind_the_end_is_no_difference() {
    let (comparison, counts) = comparison(true);
    real(&comparison, &send("a"));
    mirror(&comparison, &send("a"));
    mirror(&comparison, &subscribe("t"));
    comparison.settle();
    // The first time counts.
    mirror(&comparison, &send("too late"));
    comparison.settle();
    mirror(&comparison, &subscribe("u"));
    comparison.end(true);
    assert_eq!(verdicts(&counts, "Send"), [1, 0, 0, 0]);
    assert_eq!(verdicts(&counts, "Subscribe"), [0, 0, 0, 1]);
}

#[test]
fn what_was_called_when_the_connection_was_gone_is_not_missing() {
    let (comparison, counts) = comparison(true);
    let ticket = real(&comparison, &publish("too late")).unwrap();
    comparison.answered(ticket, Err(CallError::Gone));
    assert!(!comparison.mirror_is_behind());
    comparison.end(true);
    assert_eq!(verdicts(&counts, "Publish"), [0; 4]);
    assert_eq!(fates(&counts), [1, 0, 0, 0]);
}

#[test]
fn one_that_was_given_up_has_one_fate() {
    let (comparison, counts) = comparison(true);
    real(&comparison, &send("a"));
    comparison.give_up("a callback failed");
    comparison.give_up("again");
    mirror(&comparison, &send("b"));
    comparison.end(true);
    assert_eq!(verdicts(&counts, "Send"), [0; 4]);
    assert_eq!(fates(&counts), [0, 0, 1, 0]);
}
