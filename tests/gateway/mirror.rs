//! A mirror: a second handler that is told the same, whose calls are answered and not carried out, and compared.

/// What the mirror is told.
mod copies;
/// Connections that end hard, and callbacks that fail: what cannot be compared then.
mod endings;
/// A mirror, or a handler, of the ordered stream.
mod streams;
/// Mirrors that are slow, wrong, dead or gone, and more connections than may be mirrored.
mod trouble;

use std::fs;

use config::{Config, HandlerService};
use exproto_gateway::{auth::hash::argon2id, shutdown::Drained};
use exproto_tests::{
    Device, Event, StreamHandler, TestGateway, TestHandler,
    gateway::{authenticating, config},
};
use proto::exproto::{ClientInfo, ResultCode};

use crate::calls::{Calls, ok, refused};

/// A gateway, its handler, and the mirror.
struct Mirrored {
    handler: TestHandler,
    mirror: TestHandler,
    gateway: TestGateway,
}

/// A device, and the calls that the handler and the mirror make for it.
struct Pair {
    device: Device,
    real: Calls,
    copy: Calls,
}

/// A handler of the ordered stream, its mirror by unary calls, and their gateway.
async fn stream_and_calls() -> (StreamHandler, TestHandler, TestGateway) {
    let (handler, mirror) = (StreamHandler::start(), TestHandler::start());
    let mut config = handler.config();
    config.handler.mirror.service = Some(HandlerService::ConnectionUnaryHandler);
    config.handler.mirror.addresses = vec![mirror.url().parse().unwrap()];
    let gateway = TestGateway::with(config).await;
    (handler, mirror, gateway)
}

impl Mirrored {
    async fn start() -> Self {
        Self::with(TestHandler::start(), |_| ()).await
    }

    async fn with(mirror: TestHandler, adapt: impl FnOnce(&mut Config)) -> Self {
        let handler = TestHandler::start();
        let mut config = config(&[&handler]);
        config.handler.mirror.addresses = vec![mirror.url().parse().unwrap()];
        adapt(&mut config);
        Self {
            gateway: TestGateway::with(config).await,
            handler,
            mirror,
        }
    }

    async fn connect(&self) -> Pair {
        let device = self.gateway.device().await;
        let real = self.handler.created().await;
        let copy = self.mirror.created().await;
        assert_ne!(real, copy, "it must be known who calls");
        Pair {
            device,
            real: Calls::new(&self.gateway, &real),
            copy: Calls::new(&self.gateway, &copy),
        }
    }

    /// Waits until so many connections came to that.
    async fn ended(&self, result: &str, count: u64) {
        let series = format!("exproto_mirror_connections_total{{result=\"{result}\"}}");
        self.gateway.is(&series, count).await;
    }

    /// How many calls of that method came to that.
    async fn calls(&self, method: &str, result: &str) -> u64 {
        calls(&self.gateway, method, result).await
    }
}

async fn calls(gateway: &TestGateway, method: &str, result: &str) -> u64 {
    let labels = format!("method=\"{method}\",result=\"{result}\"");
    let series = format!("exproto_mirror_calls_total{{{labels}}}");
    gateway.metric(&series).await
}

#[tokio::test]
async fn a_mirror_that_does_the_same_changes_nothing() {
    let it = Mirrored::start().await;
    let mut pair = it.connect().await;
    pair.device.send("hello").await;
    assert_eq!(it.handler.received(5).await, b"hello");
    assert_eq!(it.mirror.received(5).await, b"hello");
    for calls in [&mut pair.real, &mut pair.copy] {
        ok(&calls.authenticate("truck").await);
        ok(&calls.start_timer(0, 60).await);
        ok(&calls.subscribe("t/+", 1).await);
    }
    // However they are cut.
    ok(&pair.real.send("to the device").await);
    ok(&pair.copy.send("to the").await);
    ok(&pair.copy.send(" device").await);
    assert_eq!(pair.device.read(13).await, b"to the device");
    for calls in [&mut pair.real, &mut pair.copy] {
        ok(&calls.publish("t/1", 1, "once").await);
    }
    let message = it.handler.messages(1).await.remove(0);
    assert_eq!(it.mirror.messages(1).await, [message]);
    for calls in [&mut pair.copy, &mut pair.real] {
        ok(&calls.unsubscribe("t/+").await);
        ok(&calls.close().await);
    }
    pair.device.closed().await;
    assert_eq!(it.handler.closed().await, "normal");
    assert_eq!(it.mirror.closed().await, "normal");
    it.ended("same", 1).await;
    for (method, count) in [
        ("Send", 2),
        ("Authenticate", 1),
        ("StartTimer", 1),
        ("Subscribe", 1),
        ("Publish", 1),
        ("Unsubscribe", 1),
        ("Close", 1),
    ] {
        assert_eq!(it.calls(method, "same").await, count, "{method}");
    }
    let gone = pair.copy.send("x").await;
    refused(&gone, ResultCode::ConnProcessNotAlive, "ended");
    // Nothing of the mirror is counted as the handler's.
    let gateway = &it.gateway;
    let published = gateway
        .metric("exproto_messages_total{event=\"published\"}")
        .await;
    assert_eq!(published, 1);
    let received = "exproto_callbacks_total{method=\"OnReceivedBytes\",outcome=\"ok\"}";
    assert_eq!(gateway.metric(received).await, 1);
    let sends = "exproto_adapter_calls_total{code=\"SUCCESS\",method=\"Send\"}";
    assert_eq!(gateway.metric(sends).await, 1);
    gateway.is("exproto_mirror_shadows", 0).await;
    let total = "exproto_mirror_endpoints{state=\"total\"}";
    assert_eq!(gateway.metric(total).await, 1);
}

#[tokio::test]
async fn a_mirror_that_does_otherwise_is_different_and_changes_nothing() {
    let it = Mirrored::start().await;
    let mut pair = it.connect().await;
    ok(&pair.copy.send("wrong").await);
    ok(&pair.copy.close().await);
    ok(&pair.real.send("right").await);
    ok(&pair.real.send(", and more").await);
    // It has closed the connection, as far as it knows.
    let gone = pair.copy.send(", whatever").await;
    refused(&gone, ResultCode::ConnProcessNotAlive, "ended");
    assert_eq!(pair.device.read(15).await, b"right, and more");
    pair.device.send("still here").await;
    it.handler.received(10).await;
    it.mirror.received(10).await;
    assert_eq!(it.calls("Send", "different").await, 1);
    drop(pair.device);
    assert_eq!(it.handler.closed().await, "tcp_closed");
    assert_eq!(it.mirror.closed().await, "tcp_closed");
    it.ended("different", 1).await;
    assert_eq!(it.calls("Send", "same").await, 0);
    assert_eq!(it.calls("Send", "different").await, 1);
    assert_eq!(it.calls("Close", "extra").await, 1);
}

#[tokio::test]
async fn what_the_mirror_never_does_is_missing() {
    let it = Mirrored::start().await;
    let mut pair = it.connect().await;
    ok(&pair.real.send("a").await);
    ok(&pair.real.send("b").await);
    ok(&pair.copy.send("a").await);
    drop(pair.device);
    it.handler.closed().await;
    it.mirror.closed().await;
    it.ended("different", 1).await;
    assert_eq!(it.calls("Send", "same").await, 1);
    assert_eq!(it.calls("Send", "missing").await, 1);
}

#[tokio::test]
async fn a_mirror_publishes_and_subscribes_nothing() {
    let it = Mirrored::start().await;
    let mut pair = it.connect().await;
    for calls in [&mut pair.copy, &mut pair.real] {
        ok(&calls.authenticate("a").await);
    }
    ok(&pair.copy.subscribe("#", 1).await);
    ok(&pair.real.subscribe("t", 1).await);
    ok(&pair.copy.publish("t", 1, "of the mirror").await);
    ok(&pair
        .real
        .publish("u", 1, "for whoever has subscribed to all")
        .await);
    ok(&pair.real.publish("t", 1, "of the handler").await);
    assert_eq!(it.handler.messages(1).await[0].payload, "of the handler");
    assert_eq!(it.mirror.messages(1).await[0].payload, "of the handler");
}

#[tokio::test]
async fn a_mirror_is_denied_what_the_handler_is_denied() {
    let users = tempfile::NamedTempFile::new().unwrap();
    fs::write(&users, format!("u:{}", argon2id(b"open sesame"))).unwrap();
    let chain = format!("{{file: {{path: {}}}}}", users.path().display());
    let adapt = |config: &mut Config| *config = authenticating(config.clone(), &chain);
    let it = Mirrored::with(TestHandler::start(), adapt).await;
    let mut pair = it.connect().await;
    let info = || {
        Some(ClientInfo {
            clientid: "a".to_owned(),
            username: "u".to_owned(),
            ..ClientInfo::default()
        })
    };
    for calls in [&mut pair.real, &mut pair.copy] {
        let denied = calls.authenticate_as(info(), "knock knock").await;
        refused(&denied, ResultCode::PermissionDeny, "bad username");
        let nobody = calls.publish("t", 0, "x").await;
        refused(&nobody, ResultCode::PermissionDeny, "Authenticate");
        ok(&calls.authenticate_as(info(), "open sesame").await);
        let wildcard = calls.publish("t/+", 0, "x").await;
        refused(&wildcard, ResultCode::ParamsTypeError, "topic");
    }
    // What the handler has not done yet is looked at as far as that goes without it.
    let topic = pair.copy.subscribe("", 0).await;
    refused(&topic, ResultCode::RequiredParamsMissed, "topic");
    let qos = pair.copy.subscribe("t", 3).await;
    refused(&qos, ResultCode::ParamsTypeError, "qos");
    let interval = pair.copy.start_timer(0, 0).await;
    refused(&interval, ResultCode::ParamsTypeError, "interval");
    assert_eq!(it.calls("Authenticate", "same").await, 2);
    assert_eq!(it.calls("Publish", "same").await, 1);
}

#[tokio::test]
async fn a_mirror_sees_the_topics_that_the_handler_sees() {
    let mount = |config: &mut Config| config.mountpoint = "t/${clientid}/".parse().unwrap();
    let it = Mirrored::with(TestHandler::start(), mount).await;
    let mut pair = it.connect().await;
    for calls in [&mut pair.real, &mut pair.copy] {
        ok(&calls.authenticate("a").await);
        ok(&calls.subscribe("#", 1).await);
    }
    // The second one looks as if it were mounted once more.
    for topic in ["x", "t/a/x"] {
        for calls in [&mut pair.real, &mut pair.copy] {
            ok(&calls.publish(topic, 1, "").await);
        }
        let of_handler = it.handler.messages(1).await;
        assert_eq!(of_handler[0].topic, topic);
        assert_eq!(it.mirror.messages(1).await, of_handler);
    }
}

#[tokio::test]
async fn the_keepalive_and_its_end_are_told_as_well() {
    let it = Mirrored::start().await;
    let mut pair = it.connect().await;
    for calls in [&mut pair.real, &mut pair.copy] {
        ok(&calls.start_timer(0, 1).await);
    }
    for handler in [&it.handler, &it.mirror] {
        assert_eq!(handler.next().await.event, Event::TimedOut);
        assert_eq!(handler.closed().await, "keepalive_timeout");
    }
    it.ended("same", 1).await;
}

#[tokio::test]
async fn the_older_connection_of_a_clientid_is_discarded_with_its_mirror() {
    let it = Mirrored::start().await;
    let mut old = it.connect().await;
    for calls in [&mut old.real, &mut old.copy] {
        ok(&calls.authenticate("truck").await);
    }
    let mut new = it.connect().await;
    // The mirror's own Authenticate takes nothing over.
    ok(&new.copy.authenticate("truck").await);
    ok(&old.real.send("still here").await);
    ok(&new.real.authenticate("truck").await);
    old.device.closed().await;
    for handler in [&it.handler, &it.mirror] {
        assert_eq!(handler.closed().await, "discarded");
    }
    ok(&new.real.publish("t", 0, "x").await);
    ok(&new.copy.publish("t", 0, "x").await);
    drop(new.device);
    it.mirror.closed().await;
    it.ended("same", 1).await;
    it.ended("different", 1).await;
    assert_eq!(it.calls("Send", "missing").await, 1);
}

#[tokio::test]
async fn a_pod_that_ends_tells_the_mirror_too() {
    let Mirrored {
        handler,
        mirror,
        gateway,
    } = Mirrored::start().await;
    let _device = gateway.device().await;
    handler.created().await;
    mirror.created().await;
    assert_eq!(gateway.stop().await, Drained::All);
    assert_eq!(handler.closed().await, "draining");
    assert_eq!(mirror.closed().await, "draining");
}
