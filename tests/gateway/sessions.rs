//! Clients that come back: what they subscribed and what waits for them.

/// Many that want the same session.
mod takeovers;

use std::time::Duration;

use config::{ByteSize, Config};
use exproto_tests::{Callback, Device, Event, TestGateway, TestHandler, gateway::config};
use proto::exproto::ResultCode;
use tonic::Status;

use crate::calls::{Calls, client, connect, ok, refused};

const AWAY: &str = "exproto_sessions";
const SUBSCRIPTIONS: &str = "exproto_subscriptions";

fn event(word: &str) -> String {
    format!("exproto_messages_total{{event=\"{word}\"}}")
}

fn ended(word: &str) -> String {
    format!("exproto_sessions_ended_total{{reason=\"{word}\"}}")
}

/// A gateway, its handler, and a publisher that is no client.
struct Setting {
    handler: TestHandler,
    gateway: TestGateway,
}

impl Setting {
    async fn new(adapt: impl FnOnce(&mut Config)) -> Self {
        let handler = TestHandler::start();
        let mut config = config(&[&handler]);
        adapt(&mut config);
        let gateway = TestGateway::with(config).await;
        Self { handler, gateway }
    }

    /// A client with a session of an hour; whether the session was there.
    async fn client(&self, clientid: &str) -> (Device, Calls, bool) {
        let (device, mut calls) = connect(&self.gateway, &self.handler).await;
        let (answer, present) = calls.begin_session(clientid, "3600").await;
        ok(&answer);
        (device, calls, present.expect("a session was asked for"))
    }

    /// As `client`, one that has subscribed to `t` and has gone.
    async fn absent(&self, clientid: &str) {
        let (device, mut calls, _) = self.client(clientid).await;
        ok(&calls.subscribe("t", 1).await);
        self.leaves(device).await;
    }

    async fn leaves(&self, device: Device) {
        drop(device);
        assert_eq!(self.handler.closed().await, "tcp_closed");
    }

    async fn publish(&self, qos: u32, payload: &str) {
        let mut calls = Calls::new(&self.gateway, "");
        ok(&calls.raw_publish("t", qos, payload.to_owned()).await);
    }

    /// What arrives until the message `end`, which is published now, as one text.
    async fn arrives(&self) -> String {
        self.publish(1, "end").await;
        let mut all = Vec::new();
        while all.last().is_none_or(|last| last != "end") {
            all.extend(payloads(&self.handler.next().await));
        }
        all.pop();
        all.join(" ")
    }

    async fn metric(&self, series: &str) -> u64 {
        self.gateway.metric(series).await
    }
}

fn payloads(callback: &Callback) -> Vec<String> {
    let Event::Messages(messages) = &callback.event else {
        panic!("not OnReceivedMessages: {callback:?}");
    };
    let payloads = messages.iter().map(|message| &message.payload[..]);
    payloads
        .map(|payload| String::from_utf8_lossy(payload).into_owned())
        .collect()
}

#[tokio::test]
async fn a_client_that_comes_back_finds_what_it_subscribed_and_what_came_in_order() {
    let it = Setting::new(|_| ()).await;
    it.absent("a").await;
    assert_eq!(it.metric(AWAY).await, 1);
    for number in 0..250 {
        it.publish(1 + number % 2, &number.to_string()).await;
    }
    let (_device, mut calls, present) = it.client("a").await;
    assert!(present);
    assert_eq!(it.metric(AWAY).await, 0);
    let wanted: Vec<_> = (0..250).map(|number| number.to_string()).collect();
    assert_eq!(it.arrives().await, wanted.join(" "));
    // It can end what an earlier connection began.
    ok(&calls.unsubscribe("t").await);
    assert_eq!(it.metric(SUBSCRIPTIONS).await, 0);
    it.publish(1, "nobody").await;
    ok(&calls.subscribe("t", 1).await);
    assert_eq!(it.arrives().await, "");
}

#[tokio::test]
async fn messages_of_qos_0_do_not_wait_for_a_client_that_is_away() {
    let it = Setting::new(|_| ()).await;
    it.absent("a").await;
    it.publish(0, "a0").await;
    it.publish(1, "b1").await;
    it.publish(0, "c0").await;
    assert_eq!(it.metric(&event("offline")).await, 2);
    let _there = it.client("a").await;
    assert_eq!(it.arrives().await, "b1");
}

#[tokio::test]
async fn a_device_that_leaves_with_messages_on_their_way_gets_them_when_it_comes_back() {
    let it = Setting::new(|_| ()).await;
    let (device, mut calls, present) = it.client("a").await;
    assert!(!present);
    ok(&calls.subscribe("t", 1).await);
    it.handler.hold(true);
    it.publish(1, "first").await;
    let mut callback = it.handler.next().await;
    it.publish(1, "second").await;
    drop(device);
    // The handler cannot reach it any more, and says so each time.
    while !matches!(callback.event, Event::Closed(_)) {
        assert_eq!(payloads(&callback), ["first"]);
        callback.answer(Err(Status::not_found("no such device")));
        callback = it.handler.next().await;
    }
    it.handler.hold(false);
    callback.answer(Ok(()));
    let (_device, _, present) = it.client("a").await;
    assert!(present);
    let again = it.handler.next().await;
    assert_eq!(payloads(&again), ["first"]);
    assert_ne!(again.header("exproto-attempt"), "1");
    let rest = it.handler.next().await;
    assert_eq!(payloads(&rest), ["second"]);
    assert_eq!(rest.header("exproto-attempt"), "1");
    assert_eq!(it.arrives().await, "");
}

#[tokio::test]
async fn what_the_handler_took_after_its_device_had_left_does_not_come_again() {
    let it =
        Setting::new(|config| config.handler.redelivery_timeout = Duration::from_secs(600)).await;
    let (device, mut calls, _) = it.client("a").await;
    ok(&calls.subscribe("t", 1).await);
    it.handler.hold(true);
    it.publish(1, "first").await;
    let mut held = it.handler.next().await;
    drop(device);
    it.handler.hold(false);
    held.answer(Ok(()));
    assert_eq!(it.handler.closed().await, "tcp_closed");
    let _there = it.client("a").await;
    assert_eq!(it.arrives().await, "");
}

#[tokio::test]
async fn a_full_session_drops_its_oldest_message() {
    let it = Setting::new(|config| config.sessions.message_queue = 3).await;
    it.absent("a").await;
    for payload in ["1", "2", "3", "4", "5"] {
        it.publish(1, payload).await;
    }
    assert_eq!(it.metric(&event("session_full")).await, 2);
    let _there = it.client("a").await;
    assert_eq!(it.arrives().await, "3 4 5");
}

#[tokio::test]
async fn a_session_bounds_its_bytes() {
    let it = Setting::new(|config| {
        config.broker.max_payload = ByteSize::kib(40);
        config.sessions.message_queue_bytes = ByteSize::kib(100);
    })
    .await;
    it.absent("a").await;
    for payload in ["1", "2", "3"] {
        it.publish(1, &payload.repeat(40 * 1024)).await;
    }
    let _there = it.client("a").await;
    let arrived = it.arrives().await;
    assert_eq!(arrived.len(), 2 * 40 * 1024 + 1);
    assert!(arrived.starts_with('2') && arrived.ends_with('3'));
}

#[tokio::test]
async fn sessions_of_a_pod_are_bounded() {
    let it = Setting::new(|config| config.sessions.max_sessions = 1).await;
    it.absent("a").await;
    it.absent("b").await;
    assert_eq!(it.metric(AWAY).await, 1);
    assert_eq!(it.metric(&ended("evicted")).await, 1);
    assert_eq!(it.metric(SUBSCRIPTIONS).await, 1);
    let (_device_a, _, present) = it.client("a").await;
    assert!(!present);
    let (_device_b, _, present) = it.client("b").await;
    assert!(present);
}

#[tokio::test]
async fn a_session_ends_when_its_time_is_over() {
    let it = Setting::new(|_| ()).await;
    let (device, mut calls) = connect(&it.gateway, &it.handler).await;
    ok(&calls.begin_session("a", "1").await.0);
    ok(&calls.subscribe("t", 1).await);
    it.leaves(device).await;
    it.publish(1, "x").await;
    it.gateway.is(&ended("expired"), 1).await;
    it.gateway.is(SUBSCRIPTIONS, 0).await;
    assert_eq!(it.metric(&event("discarded")).await, 1);
    assert!(!it.client("a").await.2);
}

#[tokio::test]
async fn a_ban_ends_the_session_of_a_client_that_is_there_and_of_one_that_is_not() {
    let it = Setting::new(|_| ()).await;
    it.absent("away").await;
    let (mut device, mut calls, _) = it.client("there").await;
    ok(&calls.subscribe("t", 1).await);
    it.gateway.reconfigure(|config| {
        config.bans.list = ["clientid:away", "clientid:there"]
            .map(|who| config::Ban {
                who: who.parse().unwrap(),
                until: None,
                reason: String::new(),
            })
            .into();
    });
    device.closed().await;
    assert_eq!(it.handler.closed().await, "banned");
    it.gateway.is(AWAY, 0).await;
    it.gateway.is(SUBSCRIPTIONS, 0).await;
    it.gateway.reconfigure(|config| config.bans.list.clear());
    let (_device_a, _, present) = it.client("away").await;
    assert!(!present);
    let (_device_b, _, present) = it.client("there").await;
    assert!(!present);
}

#[tokio::test]
async fn with_another_mountpoint_a_client_begins_anew() {
    let it = Setting::new(|config| config.mountpoint = "one/".parse().unwrap()).await;
    it.absent("a").await;
    it.gateway
        .reconfigure(|config| config.mountpoint = "other/".parse().unwrap());
    let (_device, mut calls, present) = it.client("a").await;
    assert!(!present);
    assert_eq!(it.metric(SUBSCRIPTIONS).await, 0);
    ok(&calls.subscribe("t", 1).await);
    ok(&calls.publish("t", 1, "mine").await);
    assert_eq!(it.handler.messages(1).await[0].topic, "t");
}

#[tokio::test]
async fn whoever_wants_no_session_ends_the_one_that_is_there() {
    let it = Setting::new(|_| ()).await;
    it.absent("a").await;
    let (device, mut calls) = client(&it.gateway, &it.handler, "a").await;
    assert_eq!(it.metric(AWAY).await, 0);
    assert_eq!(it.metric(&ended("discarded")).await, 1);
    ok(&calls.subscribe("t", 1).await);
    it.leaves(device).await;
    assert_eq!(it.metric(SUBSCRIPTIONS).await, 0);
    assert!(!it.client("a").await.2);
}

#[tokio::test]
async fn the_listener_decides_where_the_handler_says_nothing() {
    let hour = Duration::from_secs(3600);
    let it = Setting::new(|config| config.listeners[0].session_expiry = Some(hour)).await;
    let (device, mut calls) = client(&it.gateway, &it.handler, "a").await;
    ok(&calls.subscribe("t", 1).await);
    it.leaves(device).await;
    assert_eq!(it.metric(AWAY).await, 1);
    // 0 is a word of the handler too.
    let (device, mut calls) = connect(&it.gateway, &it.handler).await;
    let (answer, present) = calls.begin_session("a", "0").await;
    ok(&answer);
    assert_eq!(present, None);
    it.leaves(device).await;
    assert_eq!(it.metric(AWAY).await, 0);
    // A listener that changes its mind counts for those that come later.
    it.gateway
        .reconfigure(|config| config.listeners[0].session_expiry = None);
    let (device, _) = client(&it.gateway, &it.handler, "a").await;
    it.leaves(device).await;
    assert_eq!(it.metric(AWAY).await, 0);
}

#[tokio::test]
async fn no_session_lasts_longer_than_the_pod_allows() {
    let it = Setting::new(|config| config.sessions.max_expiry = Duration::from_secs(1)).await;
    let (device, mut calls) = connect(&it.gateway, &it.handler).await;
    ok(&calls.begin_session("a", "99999999999999999999").await.0);
    it.leaves(device).await;
    it.gateway.is(&ended("expired"), 1).await;
}

#[tokio::test]
async fn an_expiry_that_is_no_number_is_refused_by_name() {
    let it = Setting::new(|_| ()).await;
    let (_device, mut calls) = connect(&it.gateway, &it.handler).await;
    for expiry in ["1h", "-1", "1.5", "never"] {
        let (answer, present) = calls.begin_session("a", expiry).await;
        refused(
            &answer,
            ResultCode::ParamsTypeError,
            "exproto-session-expiry",
        );
        assert_eq!(present, None);
    }
    ok(&calls.begin_session("a", "60").await.0);
}

#[tokio::test]
async fn a_session_survives_a_handler_that_was_too_slow_for_it() {
    let it = Setting::new(|config| config.connection.message_queue = 3).await;
    let (mut device, mut calls, _) = it.client("a").await;
    ok(&calls.subscribe("t", 1).await);
    it.handler.hold(true);
    device.send("busy").await;
    let mut busy = it.handler.next().await;
    for payload in ["1", "2", "3", "4"] {
        it.publish(1, payload).await;
    }
    device.closed().await;
    it.handler.hold(false);
    busy.answer(Ok(()));
    assert_eq!(it.handler.closed().await, "slow_handler");
    let _there = it.client("a").await;
    let messages = it.handler.messages(3).await;
    let payloads: Vec<_> = messages
        .iter()
        .map(|message| &message.payload[..])
        .collect();
    assert_eq!(payloads, [b"2", b"3", b"4"]);
}
