use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use super::{Limits, Sessions};
use crate::broker::{Broker, Publication, Qos, RetainedLimits, Session, Settings, queue};

const SECOND: Duration = Duration::from_secs(1);

const MANY: queue::Limits = queue::Limits {
    messages: usize::MAX,
    bytes: usize::MAX,
};

const LIMITS: Limits = Limits {
    sessions: 100,
    bytes: usize::MAX,
    queue: MANY,
};

fn broker() -> Broker {
    Broker::memory(Settings {
        node: "pod-0".into(),
        max_payload: 1_000_000,
        max_levels: 8,
        retained: RetainedLimits {
            messages: 10,
            bytes: usize::MAX,
            age: None,
        },
    })
}

fn setting(limits: Limits) -> (Broker, Sessions) {
    let broker = broker();
    let sessions = Sessions::new(&broker, limits);
    (broker, sessions)
}

/// A session that has subscribed to the topic `t`.
fn session(broker: &Broker) -> Session {
    let mut session = Session::new(broker);
    session.queue.attach(MANY);
    let filter = broker.filter("t").unwrap();
    let queue = session.queue.clone();
    session
        .subscriptions
        .add(broker, &queue, filter, Qos::AtLeastOnce, 10)
        .unwrap();
    session
}

fn park(sessions: &Sessions, broker: &Broker, clientid: &str, expiry: Duration) {
    sessions.park(&clientid.into(), "", session(broker), expiry);
}

async fn publish(broker: &Broker, payload: usize) {
    let publication = Publication {
        topic: broker.topic("t").unwrap(),
        qos: Qos::AtLeastOnce,
        from: "me".into(),
        payload: vec![0; payload].into(),
        retain: false,
    };
    broker.publish(publication).await.unwrap();
}

/// The clients that have a session.
fn there(sessions: &Sessions) -> Vec<String> {
    let state = sessions.0.state.lock();
    let mut all: Vec<_> = state.by_client.keys().map(ToString::to_string).collect();
    all.sort();
    all
}

#[tokio::test(start_paused = true)]
async fn a_session_is_found_again_with_what_came_meanwhile() {
    let (broker, sessions) = setting(LIMITS);
    park(&sessions, &broker, "a", SECOND);
    publish(&broker, 1).await;
    let session = sessions.take("a", "").expect("it is there");
    assert_eq!(session.queue.len(), 1);
    publish(&broker, 1).await;
    assert_eq!(session.queue.len(), 2);
    assert!(sessions.take("a", "").is_none());
    assert_eq!(broker.stats().sessions.load(Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn each_session_ends_when_its_time_is_over() {
    let (broker, sessions) = setting(LIMITS);
    let expiring = tokio::spawn(sessions.clone().expire());
    park(&sessions, &broker, "later", 10 * SECOND);
    tokio::time::sleep(SECOND).await;
    // It ends before the one that is waited for.
    park(&sessions, &broker, "sooner", SECOND);
    publish(&broker, 1).await;
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(there(&sessions), ["later"]);
    assert_eq!(broker.stats().discarded.load(Relaxed), 1);
    tokio::time::sleep(10 * SECOND).await;
    assert!(there(&sessions).is_empty());
    assert_eq!(broker.stats().sessions.load(Relaxed), 0);
    assert_eq!(broker.stats().sessions_expired.load(Relaxed), 2);
    assert_eq!(broker.stats().subscriptions.load(Relaxed), 0);
    expiring.abort();
}

#[tokio::test(start_paused = true)]
async fn many_that_end_at_once_all_end() {
    let (broker, sessions) = setting(LIMITS);
    let expiring = tokio::spawn(sessions.clone().expire());
    for number in 0..100 {
        park(&sessions, &broker, &number.to_string(), SECOND);
    }
    tokio::time::sleep(2 * SECOND).await;
    assert!(there(&sessions).is_empty());
    expiring.abort();
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_time_is_over_is_not_found_although_nobody_has_ended_it() {
    let (broker, sessions) = setting(LIMITS);
    park(&sessions, &broker, "a", SECOND);
    tokio::time::advance(SECOND).await;
    assert!(sessions.take("a", "").is_none());
    assert_eq!(broker.stats().sessions_expired.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn with_another_mountpoint_the_session_is_discarded() {
    let (broker, sessions) = setting(LIMITS);
    sessions.park(&"a".into(), "fleet/", session(&broker), SECOND);
    assert!(sessions.take("a", "other/").is_none());
    assert!(sessions.take("a", "fleet/").is_none());
    assert_eq!(broker.stats().sessions_discarded.load(Relaxed), 1);
    assert_eq!(broker.stats().subscriptions.load(Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn at_the_limit_the_one_that_ends_first_gives_way() {
    let (broker, sessions) = setting(Limits {
        sessions: 2,
        ..LIMITS
    });
    park(&sessions, &broker, "long", 30 * SECOND);
    park(&sessions, &broker, "short", 10 * SECOND);
    park(&sessions, &broker, "middle", 20 * SECOND);
    assert_eq!(there(&sessions), ["long", "middle"]);
    // Also the one that comes.
    park(&sessions, &broker, "shortest", SECOND);
    assert_eq!(there(&sessions), ["long", "middle"]);
    // Its own older one is no other one.
    park(&sessions, &broker, "middle", 20 * SECOND);
    assert_eq!(there(&sessions), ["long", "middle"]);
    assert_eq!(broker.stats().sessions_evicted.load(Relaxed), 2);
    sessions.configure(Limits {
        sessions: 1,
        ..LIMITS
    });
    assert_eq!(there(&sessions), ["long"]);
}

#[tokio::test(start_paused = true)]
async fn bytes_of_names_and_filters_count_too() {
    let (broker, sessions) = setting(Limits {
        bytes: 20_000,
        ..LIMITS
    });
    for number in 0..1_000 {
        park(&sessions, &broker, &number.to_string(), SECOND);
    }
    let left = there(&sessions);
    assert!((5..20).contains(&left.len()), "{}", left.len());
    assert!(left.contains(&"999".to_owned()));
    assert!(sessions.0.budget.taken() <= 20_000);
    for clientid in left {
        sessions.discard(&clientid);
    }
    assert_eq!(sessions.0.budget.taken(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_larger_than_all_bytes_is_not_kept() {
    let (broker, sessions) = setting(Limits {
        bytes: 100,
        ..LIMITS
    });
    park(&sessions, &broker, "a", SECOND);
    assert!(there(&sessions).is_empty());
    assert_eq!(broker.stats().sessions_evicted.load(Relaxed), 1);
    assert_eq!(broker.stats().subscriptions.load(Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_too_large_ends_no_other_one() {
    let (broker, sessions) = setting(Limits {
        bytes: 10_000,
        ..LIMITS
    });
    park(&sessions, &broker, "a", SECOND);
    let large = "x".repeat(10_000);
    park(&sessions, &broker, &large, 10 * SECOND);
    assert_eq!(there(&sessions), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn those_that_end_sooner_give_way_to_messages_and_others_do_not() {
    let (broker, sessions) = setting(Limits {
        bytes: 20_000,
        ..LIMITS
    });
    let (own, other) = (session(&broker), session(&broker));
    for _ in 0..10 {
        publish(&broker, 1_000).await;
    }
    for number in 0..10 {
        park(&sessions, &broker, &format!("sooner {number}"), SECOND);
    }
    sessions.park(&"own".into(), "", own, 10 * SECOND);
    assert_eq!(broker.stats().session_full.load(Relaxed), 0);
    let evicted = broker.stats().sessions_evicted.load(Relaxed);
    assert!((1..10).contains(&evicted), "{evicted}");
    // Now all that are there end later, or hold next to nothing.
    sessions.park(&"other".into(), "", other, 5 * SECOND);
    assert_eq!(there(&sessions), ["other", "own"]);
    assert!(broker.stats().session_full.load(Relaxed) > 0);
    assert!(sessions.0.budget.taken() <= 20_000);
    assert_eq!(sessions.take("own", "").unwrap().queue.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn sessions_of_whom_something_holds_are_discarded_and_no_others() {
    let (broker, sessions) = setting(Limits {
        sessions: 1_000,
        ..LIMITS
    });
    for number in 0..1_000 {
        park(&sessions, &broker, &number.to_string(), SECOND);
    }
    sessions.discard_those(|clientid| clientid != "777");
    assert_eq!(there(&sessions), ["777"]);
    assert_eq!(broker.stats().sessions_discarded.load(Relaxed), 999);
}

#[tokio::test(start_paused = true)]
async fn messages_of_all_sessions_stay_below_the_bytes_there_are() {
    let (broker, sessions) = setting(Limits {
        bytes: 100_000,
        ..LIMITS
    });
    for clientid in ["a", "b", "c"] {
        park(&sessions, &broker, clientid, SECOND);
    }
    for _ in 0..50 {
        publish(&broker, 10_000).await;
        assert!(sessions.0.budget.taken() <= 100_000);
    }
    assert_eq!(there(&sessions).len(), 3);
    assert!(broker.stats().session_full.load(Relaxed) > 100);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_just_as_its_session_ends_finds_all_or_nothing() {
    let (broker, sessions) = setting(LIMITS);
    let expiring = tokio::spawn(sessions.clone().expire());
    for _ in 0..100 {
        park(&sessions, &broker, "a", SECOND);
        publish(&broker, 1).await;
        let (one, other) = (sessions.clone(), sessions.clone());
        let rivals = [one, other].map(|sessions| {
            tokio::spawn(async move {
                tokio::time::sleep(SECOND).await;
                sessions.take("a", "")
            })
        });
        let mut found = 0;
        for rival in rivals {
            if let Some(session) = rival.await.unwrap() {
                found += 1;
                assert_eq!(session.queue.len(), 1);
                session.discard();
            }
        }
        assert!(found <= 1);
        assert_eq!(broker.stats().subscriptions.load(Relaxed), 0);
    }
    expiring.abort();
}

#[test]
fn sessions_hold_nobody_alive() {
    let broker = broker();
    let alive = Arc::downgrade(&broker.0);
    let sessions = Sessions::new(&broker, LIMITS);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(async {
        park(&sessions, &broker, "a", SECOND);
    });
    drop(broker);
    assert!(alive.upgrade().is_some());
    drop(sessions);
    assert!(alive.upgrade().is_none());
}
