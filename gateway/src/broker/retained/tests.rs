use std::{sync::Arc, time::Duration};

use proptest::prelude::*;

/// What pods have in common.
mod shared;

use super::{Full, Limits, Retained, Seek, Step};
use crate::broker::{Filter, Message, Qos, Queue, Stats, Topic, queue};

const MANY: Limits = Limits {
    messages: usize::MAX,
    bytes: usize::MAX,
    age: None,
};

fn retained(limits: Limits) -> Arc<Retained> {
    Retained::new(limits, Arc::<Stats>::default(), 0)
}

fn message(topic: &str, payload: usize) -> Arc<Message> {
    Arc::new(Message {
        node: "pod".into(),
        id: "1".into(),
        qos: Qos::AtMostOnce,
        from: "device".into(),
        topic: Topic::parse(topic, 100).unwrap(),
        payload: vec![0; payload].into(),
        timestamp: crate::clock::now(),
    })
}

fn queue() -> Arc<Queue> {
    let (messages, bytes) = (100, usize::MAX);
    Queue::new(queue::Limits { messages, bytes }, Arc::default())
}

fn keep(retained: &Retained, topic: &str) {
    retained.keep(&message(topic, 1), || ()).unwrap();
}

fn seek(retained: &Arc<Retained>, filter: &str) -> Option<Seek> {
    let filter = Filter::parse(filter, 100).unwrap();
    retained.seek(&filter, &queue(), || ()).1
}

/// What is found in the end, if each step looks at so many topics.
fn found(mut seek: Seek, looks: usize) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let give = |message: &Arc<Message>| {
            found.push(message.topic.to_string());
            true
        };
        if seek.step(&mut { looks }, give) == Step::Done {
            return found;
        }
    }
}

#[test]
fn levels_stand_in_order_whatever_is_in_their_names() {
    let retained = retained(MANY);
    let topics = [
        "a", "a/", "a/b", "a/b/c", "a/b!x", "a!", "/a", "//", "$x/b", "a/\u{1}",
    ];
    for topic in topics {
        keep(&retained, topic);
    }
    for (filter, mut wanted) in [
        ("a/+", vec!["a/", "a/b", "a/b!x", "a/\u{1}"]),
        ("a/#", vec!["a", "a/", "a/b", "a/b/c", "a/b!x", "a/\u{1}"]),
        ("+/b", vec!["a/b"]),
        ("+/+/+", vec!["//", "a/b/c"]),
        ("$x/+", vec!["$x/b"]),
        (
            "#",
            vec![
                "a", "a/", "a/b", "a/b/c", "a/b!x", "a!", "/a", "//", "a/\u{1}",
            ],
        ),
        ("a/b", vec!["a/b"]),
        ("a/c", vec![]),
    ] {
        wanted.sort_unstable();
        let mut all = found(seek(&retained, filter).unwrap(), 1);
        all.sort();
        assert_eq!(all, wanted, "{filter}");
    }
}

#[test]
fn topics_that_cannot_match_are_jumped_over() {
    let retained = retained(MANY);
    for device in 0..100 {
        for number in 0..100 {
            keep(&retained, &format!("fleet/{device}/log/{number}"));
        }
        keep(&retained, &format!("fleet/{device}/state"));
    }
    for (filter, matches, most) in [
        ("fleet/7/state", 1, 2),
        ("fleet/7/log/+", 100, 105),
        ("fleet/+/state", 100, 400),
        ("other/#", 0, 2),
    ] {
        let mut looks = most;
        let mut count = 0;
        let step = seek(&retained, filter).unwrap().step(&mut looks, |_| {
            count += 1;
            true
        });
        assert_eq!((step, count), (Step::Done, matches), "{filter}");
    }
}

#[test]
fn a_search_goes_on_where_nobody_took_the_next_message() {
    let retained = retained(MANY);
    for topic in ["t/1", "t/2", "t/3"] {
        keep(&retained, topic);
    }
    let mut seek = seek(&retained, "t/+").unwrap();
    let mut taken = Vec::new();
    let mut looks = 100;
    let step = seek.step(&mut looks, |message| {
        let room = taken.is_empty();
        if room {
            taken.push(message.topic.to_string());
        }
        room
    });
    assert_eq!(step, Step::NoRoom);
    taken.extend(found(seek, 100));
    assert_eq!(taken, ["t/1", "t/2", "t/3"]);
}

#[test]
fn where_nothing_is_kept_nobody_searches() {
    let retained = retained(MANY);
    assert!(seek(&retained, "#").is_none());
    keep(&retained, "t");
    assert!(seek(&retained, "#").is_some());
    retained.keep(&message("t", 0), || ()).unwrap();
    assert!(seek(&retained, "#").is_none());
    assert_eq!(retained.store.lock().bytes, 0);
}

#[test]
fn bytes_are_bounded_and_a_smaller_message_makes_room() {
    let size = {
        let one = retained(MANY);
        one.keep(&message("1", 1_000), || ()).unwrap();
        one.store.lock().bytes
    };
    let retained = retained(Limits {
        bytes: 2 * size,
        ..MANY
    });
    for topic in ["1", "2", "1"] {
        retained.keep(&message(topic, 1_000), || ()).unwrap();
    }
    let mut asked = false;
    let refused = retained.keep(&message("3", 0x10), || asked = true);
    assert!(matches!(refused, Err(Full::Bytes { .. })), "{refused:?}");
    assert!(!asked);
    let refused = retained.keep(&message("1", 1_001), || ());
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("broker.retained.max_bytes")
    );
    retained.keep(&message("1", 1), || ()).unwrap();
    retained.keep(&message("3", 1), || ()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_is_not_found_and_makes_room() {
    let retained = retained(Limits {
        messages: 2,
        age: Some(Duration::from_secs(60)),
        ..MANY
    });
    keep(&retained, "t/1");
    tokio::time::advance(Duration::from_secs(40)).await;
    keep(&retained, "t/2");
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(found(seek(&retained, "#").unwrap(), 10), ["t/2"]);
    keep(&retained, "t/3");
    assert_eq!(found(seek(&retained, "#").unwrap(), 10), ["t/2", "t/3"]);
    // One that is replaced begins anew.
    keep(&retained, "t/2");
    tokio::time::advance(Duration::from_secs(50)).await;
    assert_eq!(found(seek(&retained, "#").unwrap(), 10), ["t/2", "t/3"]);
    tokio::time::advance(Duration::from_secs(20)).await;
    retained.forget_old();
    let store = retained.store.lock();
    assert_eq!(
        (store.by_topic.len(), store.by_age.len(), store.bytes),
        (0, 0, 0)
    );
}

fn level() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ab]",
        1 => Just(String::new()),
        1 => "[ab!$%\u{1}]{1,2}",
    ]
}

fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("no topic", |topic| Topic::parse(topic, 100).is_ok())
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![2 => level(), 1 => Just("+".to_owned())];
    let levels = prop::collection::vec(level, 0..5);
    (levels, any::<bool>())
        .prop_map(|(mut levels, rest)| {
            if rest {
                levels.push("#".to_owned());
            }
            levels.join("/")
        })
        .prop_filter("no filter", |filter| {
            Filter::parse(filter, 100).is_ok_and(|filter| filter.group().is_none())
        })
}

proptest! {
    #[test]
    fn the_search_finds_what_a_look_at_all_finds(
        kept in prop::collection::vec((topic(), 0..3_usize), 0..40),
        filter in filter(),
        looks in 1..5_usize,
    ) {
        let retained = retained(MANY);
        let mut model = std::collections::BTreeSet::new();
        for (topic, payload) in kept {
            retained.keep(&message(&topic, payload), || ()).unwrap();
            if payload == 0 {
                model.remove(&topic);
            } else {
                model.insert(topic);
            }
        }
        let parsed = Filter::parse(&filter, 100).unwrap();
        let matches = |topic: &String| parsed.matches(&Topic::parse(topic, 100).unwrap());
        let wanted: Vec<_> = model.into_iter().filter(matches).collect();
        let mut all = match seek(&retained, &filter) {
            Some(seek) => found(seek, looks),
            None => Vec::new(),
        };
        all.sort();
        prop_assert_eq!(all, wanted);
    }
}
