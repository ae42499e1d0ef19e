use std::{sync::Arc, sync::atomic::Ordering::Relaxed, time::Duration};

use super::{MANY, found, message, queue};
use crate::broker::{
    Filter, Message, Queue, Stats, Topic,
    retained::{Audience, Found, Known, Limits, Load, Retained, Seek, Step, Upto, Version},
};

/// The part of all topics here.
const PART: usize = 1;

fn retained(limits: Limits) -> Arc<Retained> {
    Retained::new(limits, Arc::<Stats>::default(), 2)
}

fn begin(retained: &Retained, part: usize) -> Load {
    retained.begin(part, &retained.standing(part))
}

/// One of which nothing is missing.
fn whole(limits: Limits) -> Arc<Retained> {
    let retained = retained(limits);
    for part in [0, PART] {
        retained.again(part);
        let load = begin(&retained, part);
        retained.end(&load, 0);
    }
    assert_eq!(retained.behind(), 0);
    retained
}

fn version(number: u64) -> Version {
    Version { part: PART, number }
}

/// A message that tells by its length which change it is; of 0 bytes, a removal.
fn hear(retained: &Retained, topic: &str, number: u64, payload: usize) {
    retained.hear(&message(topic, payload), version(number));
}

fn deliver(retained: &Retained, topic: &str, number: u64, payload: usize) {
    for audience in [Audience::Exact, Audience::Patterns] {
        let message = message(topic, payload);
        retained.deliver(&message, version(number), audience, || ());
    }
}

fn filter(text: &str) -> Filter {
    Filter::parse(text, 100).unwrap()
}

/// What whoever subscribes now gets.
fn kept(retained: &Arc<Retained>) -> Vec<(String, usize)> {
    let entries = retained.entries(PART, "", usize::MAX);
    let shown =
        |(message, _): &(Arc<Message>, u64)| (message.topic.to_string(), message.payload.len());
    entries.iter().map(shown).collect()
}

fn topics(seek: Option<Seek>) -> Vec<String> {
    seek.map_or_else(Vec::new, |seek| found(seek, 10))
}

/// A subscription that has looked at what is kept.
fn subscribed(retained: &Arc<Retained>, text: &str) -> (Filter, Arc<Queue>, Vec<String>) {
    let (filter, queue) = (filter(text), queue());
    let first = topics(retained.seek(&filter, &queue, || ()).1);
    (filter, queue, first)
}

fn known(retained: &Arc<Retained>, filter: &Filter) -> Vec<String> {
    let looks = retained.known(filter).into_iter();
    looks.flat_map(|(_, seek)| found(seek, 10)).collect()
}

/// All orders of the numbers below that.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(count - 1).into_iter();
    let longer = shorter.flat_map(|order| {
        (0..count).map(move |place| {
            let mut order = order.clone();
            order.insert(place, count - 1);
            order
        })
    });
    longer.collect()
}

#[test]
fn in_whichever_order_copies_come_the_last_change_stays() {
    // Payloads of the changes 1, 2, and so on.
    for (payloads, last) in [
        (vec![5, 6, 0, 7], vec![("t".to_owned(), 7)]),
        (vec![5, 6, 7, 0], vec![]),
        (vec![0, 5, 0, 6], vec![("t".to_owned(), 6)]),
    ] {
        for order in orders(payloads.len()) {
            for is_whole in [true, false] {
                let retained = if is_whole {
                    whole(MANY)
                } else {
                    retained(MANY)
                };
                let copy =
                    |index: usize| deliver(&retained, "t", index as u64 + 1, payloads[index]);
                order.iter().copied().for_each(copy);
                assert_eq!(kept(&retained), last, "{order:?}");
                // Changes by themselves come in order, whenever that is; and a log may be read again.
                for (number, payload) in (1..).zip(&payloads) {
                    hear(&retained, "t", number, *payload);
                }
                order.iter().copied().for_each(copy);
                assert_eq!(kept(&retained), last, "{order:?} and again");
            }
        }
    }
}

#[test]
fn what_was_removed_long_ago_does_not_come_back_from_a_log() {
    let retained = whole(MANY);
    hear(&retained, "t", 5, 1);
    hear(&retained, "t", 6, 0);
    hear(&retained, "u", 7, 1);
    assert_eq!(retained.store.lock().parts.standing(PART).floor, 7);
    deliver(&retained, "t", 5, 1);
    assert_eq!(kept(&retained), [("u".to_owned(), 1)]);
}

#[test]
fn who_subscribed_before_others_knew_gets_what_was_not_routed_to_it() {
    let retained = whole(MANY);
    hear(&retained, "t/old", 1, 1);
    let (exact, _exact, _) = subscribed(&retained, "t/new");
    let (wild, _wild, first) = subscribed(&retained, "t/+");
    assert_eq!(first, ["t/old"]);
    hear(&retained, "t/new", 2, 1);
    hear(&retained, "t/both", 3, 1);
    deliver(&retained, "t/both", 3, 1);
    // One copy came for those with wildcards alone.
    let message = message("t/new", 1);
    retained.deliver(&message, version(2), Audience::Patterns, || ());
    assert_eq!(known(&retained, &exact), ["t/new"]);
    assert!(known(&retained, &wild).is_empty());
    // Once it has looked, only what came since.
    assert!(known(&retained, &exact).is_empty());
    hear(&retained, "t/new", 4, 2);
    assert_eq!(known(&retained, &exact), ["t/new"]);
    assert_eq!(known(&retained, &wild), ["t/new"]);
}

#[test]
fn who_subscribed_before_all_was_read_looks_until_it_is() {
    let retained = retained(MANY);
    let (filter, queue, first) = subscribed(&retained, "#");
    assert!(first.is_empty());
    let looked = |upto, are_known: bool| -> Vec<String> {
        let looks = retained.look_again(upto, |_| are_known).into_iter();
        looks.flat_map(|(_, seek)| found(seek, 10)).collect()
    };
    assert!(looked(Upto::LastLook, true).is_empty());
    for part in [0, PART] {
        retained.again(part);
        let load = begin(&retained, part);
        if part == PART {
            assert_eq!(retained.found(&load, &message("t", 1), 3), Found::New);
        }
        retained.end(&load, 3);
    }
    assert_eq!(looked(Upto::Now, true), ["t"]);
    // What has just come may come to it by itself; what has come by the next time has not.
    hear(&retained, "u", 4, 1);
    assert!(looked(Upto::LastLook, false).is_empty());
    assert_eq!(looked(Upto::LastLook, false), ["u"]);
    // Known for a while, and it is young no more.
    for is_young in [true, true, false] {
        assert!(looked(Upto::LastLook, true).is_empty());
        assert_eq!(!retained.store.lock().young.is_empty(), is_young);
    }
    // One that ends is forgotten at once.
    retained.seek(&filter, &queue, || ());
    retained.leave(&filter, &queue);
    assert!(retained.store.lock().young.is_empty());
}

#[test]
fn a_part_that_is_read_is_as_it_stands_there() {
    let retained = whole(MANY);
    for (number, topic) in (1..).zip(["kept", "lost", "moved"]) {
        hear(&retained, topic, number, 1);
    }
    retained.gap(PART);
    assert_eq!(retained.behind(), 1);
    retained.again(PART);
    let load = begin(&retained, PART);
    assert_eq!(retained.found(&load, &message("kept", 1), 1), Found::Known);
    // While it is read, one comes and one goes.
    hear(&retained, "later", 8, 1);
    hear(&retained, "new", 9, 0);
    assert_eq!(retained.found(&load, &message("new", 1), 7), Found::Late);
    let missing = retained.missing(&load, 7, ("", 10));
    let (missing, more_after) = missing;
    let names: Vec<_> = missing.iter().map(|(topic, _)| topic.as_str()).collect();
    assert_eq!((names, more_after), (vec!["lost", "moved"], None));
    let (missing, more_after) = retained.missing(&load, 7, ("", 3));
    assert_eq!(missing.len(), 1, "of the first three topics");
    assert_eq!(more_after.unwrap().as_str(), "lost");
    assert_eq!(retained.missing(&load, 7, ("lost", 10)).0.len(), 1);
    let lost = |name: &str, number| {
        retained.lost(&load, &Topic::parse(name, 10).unwrap(), number);
    };
    lost("lost", 2);
    // It has changed since.
    lost("moved", 2);
    assert!(
        !retained.end(&load, 7),
        "something is kept that was not found"
    );
    assert_eq!(retained.behind(), 1);
    lost("moved", 3);
    assert!(retained.end(&load, 7));
    assert_eq!(retained.behind(), 0);
    let names: Vec<_> = kept(&retained)
        .into_iter()
        .map(|(topic, _)| topic)
        .collect();
    assert_eq!(names, ["kept", "later"]);
    assert_eq!(retained.standing(PART).floor, 9);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_gap_is_whole_no_more() {
    let retained = whole(MANY);
    let load = begin(&retained, PART);
    retained.gap(PART);
    retained.again(PART);
    retained.end(&load, 7);
    assert_eq!(retained.standing(PART).known, Known::Nothing);
    let load = begin(&retained, PART);
    retained.end(&load, 7);
    assert_eq!(retained.standing(PART).known, Known::All);
    // A part that was read well before needs to be read again only if something has changed.
    for (settled, known) in [(false, Known::Nothing), (true, Known::Some)] {
        if settled {
            let load = begin(&retained, PART);
            retained.end(&load, 7);
            tokio::time::advance(Duration::from_secs(100)).await;
        }
        retained.gap(PART);
        retained.again(PART);
        assert_eq!(retained.standing(PART).known, known);
    }
    let standing = retained.standing(PART);
    retained.unchanged(PART, &standing);
    assert_eq!(retained.behind(), 0);
    retained.gap(PART);
    retained.unchanged(PART, &standing);
    assert_eq!(retained.behind(), 1, "it stood so before the gap");
}

#[test]
fn what_has_no_room_here_is_dropped_and_counted() {
    let stats = Arc::<Stats>::default();
    let limits = Limits {
        messages: 2,
        ..MANY
    };
    let retained = Retained::new(limits, stats.clone(), 2);
    for (number, topic) in (1..).zip(["a", "b", "c", "d"]) {
        hear(&retained, topic, number, 1);
    }
    hear(&retained, "a", 5, 3);
    assert_eq!(kept(&retained), [("a".to_owned(), 3), ("b".to_owned(), 1)]);
    assert_eq!(stats.retained_dropped.load(Relaxed), 2);
    assert!(retained.standing(PART).is_partial);
    let refused = retained.check(&message("c", 1)).unwrap_err();
    assert!(refused.to_string().contains("broker.retained.max_messages"));
    retained.check(&message("a", 1)).unwrap();
    retained.check(&message("c", 0)).unwrap();
}

#[test]
fn one_too_large_leaves_nothing_older_behind() {
    let retained = retained(Limits {
        bytes: 2_000,
        ..MANY
    });
    hear(&retained, "a", 1, 1);
    hear(&retained, "a", 2, 3_000);
    assert!(kept(&retained).is_empty());
    deliver(&retained, "a", 1, 1);
    assert!(kept(&retained).is_empty(), "it was replaced");
}

#[test]
fn removals_are_remembered_up_to_a_bound() {
    let retained = whole(Limits {
        messages: 10,
        ..MANY
    });
    for number in 1..=100 {
        deliver(&retained, &format!("t/{number}"), number, 0);
    }
    let removals = retained.store.lock().parts.removals();
    assert_eq!(removals, 10);
    assert_eq!(retained.standing(PART).known, Known::Nothing);
    let load = begin(&retained, PART);
    retained.end(&load, 100);
    assert_eq!(retained.behind(), 0);
    assert_eq!(retained.store.lock().parts.removals(), 0);
}

#[test]
fn what_is_too_old_is_noted_by_its_change() {
    let retained = whole(Limits {
        age: Some(Duration::from_secs(60)),
        ..MANY
    });
    let aged = |topic: &str, seconds: u64| {
        let mut message = Message::clone(&message(topic, 1));
        message.timestamp -= seconds * 1_000;
        Arc::new(message)
    };
    // The one that came later is older.
    retained.hear(&aged("young", 10), version(1));
    retained.hear(&aged("old", 50), version(2));
    retained.hear(&aged("too/old", 70), version(3));
    assert_eq!(kept(&retained).len(), 2);
    let dues = retained.store.lock();
    let first = dues.by_age.values().next().unwrap().to_string();
    drop(dues);
    assert_eq!(first, "old");
    let expired = retained.take_expired();
    let shown: Vec<_> = expired
        .iter()
        .map(|(topic, version)| (topic.as_str(), version.number))
        .collect();
    assert_eq!(shown, [("too/old", 3)]);
    assert!(retained.take_expired().is_empty());
}

#[test]
fn a_search_that_stopped_finds_the_rest_of_what_was_not_routed() {
    let retained = whole(MANY);
    let (filter, _queue, _) = subscribed(&retained, "t/+");
    for (number, topic) in (1..).zip(["t/1", "t/2", "t/3"]) {
        hear(&retained, topic, number, 1);
    }
    let mut looks = retained.known(&filter);
    let (_, mut seek) = looks.pop().unwrap();
    let step = seek.step(&mut 10, |message| message.topic.as_str() == "t/1");
    assert_eq!(step, Step::NoRoom);
    assert_eq!(found(seek, 10), ["t/2", "t/3"]);
}
