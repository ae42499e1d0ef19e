//! Many that want the same session: it goes from one to the next, and nothing is lost on its way.

use exproto_tests::{Callback, Event};
use proto::exproto::ResultCode;

use super::{AWAY, SUBSCRIPTIONS, Setting, payloads};
use crate::calls::{Calls, connect, ok};

#[tokio::test]
async fn a_takeover_hands_the_session_over_with_what_is_on_its_way() {
    let it = Setting::new(|_| ()).await;
    let (mut old_device, mut old, _) = it.client("a").await;
    ok(&old.subscribe("t", 1).await);
    it.handler.hold(true);
    it.publish(1, "first").await;
    let mut held = it.handler.next().await;
    it.handler.hold(false);
    it.publish(2, "second").await;
    it.publish(0, "at most once").await;
    let (_device, new, present) = it.client("a").await;
    assert!(present);
    old_device.closed().await;
    let again = it.handler.next().await;
    assert_eq!(
        (&again.conn, payloads(&again)),
        (&new.conn, vec!["first".to_owned()])
    );
    assert_eq!(again.header("exproto-attempt"), "2");
    let rest = it.handler.next().await;
    assert_eq!(
        (&rest.conn, payloads(&rest)),
        (&new.conn, vec!["second".to_owned()])
    );
    // The old connection is only done now, and what it says of the message counts no more.
    held.answer(Ok(()));
    let closed = it.handler.next().await;
    assert_eq!(
        (&closed.conn, &closed.event),
        (&old.conn, &Event::Closed("discarded".to_owned()))
    );
    assert_eq!(it.arrives().await, "");
    assert_eq!(it.metric(SUBSCRIPTIONS).await, 1);
}

/// What arrives, apart from repetitions, and how many connections ended for others.
#[derive(Default)]
struct Seen {
    payloads: Vec<String>,
    discarded: usize,
}

impl Seen {
    fn note(&mut self, callback: &Callback) {
        match &callback.event {
            Event::Messages(_) => {
                for payload in payloads(callback) {
                    if !self.payloads.contains(&payload) {
                        self.payloads.push(payload);
                    }
                }
            }
            Event::Closed(reason) => {
                assert_eq!(reason, "discarded");
                self.discarded += 1;
            }
            other => panic!("{other:?}"),
        }
    }

    fn has(&self, payload: &str, discarded: usize) -> bool {
        self.payloads.last().is_some_and(|last| last == payload) && self.discarded == discarded
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_takeovers_of_one_clientid_leave_one_connection_and_lose_nothing() {
    const TAKEOVERS: usize = 1_000;
    let it = Setting::new(|_| ()).await;
    let (mut device, mut calls, _) = it.client("the one").await;
    ok(&calls.subscribe("t", 1).await);
    let mut seen = Seen::default();
    for number in 0..TAKEOVERS {
        it.publish(1, &number.to_string()).await;
        let next = it.gateway.device().await;
        let conn = loop {
            let callback = it.handler.next().await;
            match callback.event {
                Event::Created(_) => break callback.conn,
                _ => seen.note(&callback),
            }
        };
        let mut calls = Calls::new(&it.gateway, &conn);
        let (answer, present) = calls.begin_session("the one", "3600").await;
        ok(&answer);
        assert_eq!(present, Some(true));
        device = next;
    }
    it.publish(1, "end").await;
    while !seen.has("end", TAKEOVERS) {
        seen.note(&it.handler.next().await);
    }
    // Each at least once, and in order.
    let numbers = (0..TAKEOVERS).map(|number| number.to_string());
    let wanted: Vec<_> = numbers.chain(["end".to_owned()]).collect();
    assert!(seen.payloads == wanted, "{:?}", seen.payloads);
    it.gateway
        .is("exproto_connections{listener=\"tcp\"}", 1)
        .await;
    assert_eq!(it.metric(AWAY).await, 0);
    assert_eq!(it.metric(SUBSCRIPTIONS).await, 1);
    drop(device);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rivals_for_one_session_leave_it_with_one_of_them() {
    const RIVALS: usize = 50;
    let it = Setting::new(|_| ()).await;
    it.absent("the one").await;
    it.publish(1, "x").await;
    let mut devices = Vec::new();
    let mut connected = Vec::new();
    for _ in 0..RIVALS {
        let (device, calls) = connect(&it.gateway, &it.handler).await;
        devices.push(device);
        connected.push(calls);
    }
    let rivals = connected.into_iter().map(|mut calls| {
        tokio::spawn(async move {
            let (answer, present) = calls.begin_session("the one", "3600").await;
            (answer.code() == ResultCode::Success).then_some((calls, present))
        })
    });
    let rivals: Vec<_> = rivals.collect();
    let mut winners = Vec::new();
    for rival in rivals {
        winners.extend(rival.await.unwrap());
    }
    let mut alive = 0;
    for (calls, present) in &mut winners {
        assert_eq!(*present, Some(true), "the session was lost on its way");
        alive += usize::from(calls.try_send("x").await);
    }
    assert_eq!(alive, 1);
    it.publish(1, "end").await;
    let mut seen = Seen::default();
    while !seen.has("end", RIVALS - 1) {
        seen.note(&it.handler.next().await);
    }
    assert_eq!(seen.payloads, ["x", "end"]);
    it.gateway
        .is("exproto_connections{listener=\"tcp\"}", 1)
        .await;
    assert_eq!(it.metric(AWAY).await, 0);
    assert_eq!(it.metric(SUBSCRIPTIONS).await, 1);
}
