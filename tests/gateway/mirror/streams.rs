//! A mirror of the ordered stream, and a mirror of a handler that speaks it.

use config::HandlerService;
use exproto_tests::{
    StreamHandler, TestGateway, TestHandler,
    gateway::{allowing_everything, config},
    stream::send,
};
use proto::{
    exproto::{ClientInfo, ResultCode},
    stream::{Authenticate, Close, Publish, Subscribe, command::Kind, event},
};

use super::{calls, stream_and_calls};
use crate::calls::{Calls, ok};

fn authenticate(clientid: &str) -> Kind {
    Kind::Authenticate(Authenticate {
        clientinfo: Some(ClientInfo {
            clientid: clientid.to_owned(),
            proto_name: "test".to_owned(),
            proto_ver: "1".to_owned(),
            ..ClientInfo::default()
        }),
        ..Authenticate::default()
    })
}

fn subscribe(topic: &str) -> Kind {
    let topic = topic.to_owned();
    Kind::Subscribe(Subscribe { topic, qos: 1 })
}

fn letter(payload: &'static str) -> Publish {
    Publish {
        topic: "t".to_owned(),
        qos: 1,
        payload: payload.into(),
        retain: false,
    }
}

#[tokio::test]
async fn a_mirror_by_stream_is_compared_with_unary_calls() {
    let (handler, mirror) = (TestHandler::start(), StreamHandler::start());
    let mut config = config(&[&handler]);
    config.handler.connections_per_endpoint = 1;
    config.handler.mirror.service = Some(HandlerService::ConnectionStream);
    config.handler.mirror.addresses = vec![mirror.address().to_string().parse().unwrap()];
    let gateway = TestGateway::with(config).await;
    let mut run = mirror.greeted("one").await;
    let mut device = gateway.device().await;
    let mut real = Calls::new(&gateway, &handler.created().await);
    let attach = run.attach().await;
    assert_ne!(attach.id, real.conn);
    let conn = attach.conn;
    device.send("hello").await;
    handler.received(5).await;
    ok(&real.authenticate("me").await);
    ok(&real.subscribe("t", 1).await);
    ok(&real.send("hello").await);
    assert_eq!(run.bytes(5).await, b"hello");
    let commands = [
        (1, authenticate("me")),
        (2, subscribe("t")),
        (3, send("hel")),
        (4, send("lo")),
        (5, Kind::RawPublish(letter("raw, of the mirror"))),
    ];
    run.step(conn, &commands, 1).await;
    assert_eq!(device.read(5).await, b"hello");
    ok(&real.publish("t", 1, "of the handler").await);
    assert_eq!(handler.messages(1).await[0].payload, "of the handler");
    let Some(event::Kind::Messages(messages)) = run.event().await.kind else {
        panic!("no messages");
    };
    assert_eq!(messages.messages[0].payload, "of the handler");
    run.ask(conn, 6, Kind::Publish(letter("of the handler")))
        .await;
    let Some(event::Kind::Result(result)) = run.event().await.kind else {
        panic!("no result");
    };
    assert_eq!((result.command, result.code()), (6, ResultCode::Success));
    run.step(conn, &[(7, Kind::Close(Close {}))], 3).await;
    ok(&real.close().await);
    device.closed().await;
    assert_eq!(handler.closed().await, "normal");
    let Some(event::Kind::Closed(closed)) = run.event().await.kind else {
        panic!("not the end");
    };
    assert_eq!(closed.reason, "normal");
    run.ack(conn, 4).await;
    let ended = "exproto_mirror_connections_total{result=\"same\"}";
    gateway.is(ended, 1).await;
    assert_eq!(calls(&gateway, "Send", "same").await, 2);
    assert_eq!(calls(&gateway, "Publish", "same").await, 1);
    let published = "exproto_messages_total{event=\"published\"}";
    assert_eq!(gateway.metric(published).await, 1);
    gateway.is("exproto_mirror_shadows", 0).await;
}

#[tokio::test]
async fn a_handler_of_the_stream_is_mirrored_by_unary_calls() {
    let (handler, mirror, gateway) = stream_and_calls().await;
    let mut run = handler.greeted("one").await;
    let mut device = gateway.device().await;
    let conn = run.attach().await.conn;
    let mut copy = Calls::new(&gateway, &mirror.created().await);
    device.send("hello").await;
    assert_eq!(run.bytes(5).await, b"hello");
    // Those that need no waiting and those that do, in their order.
    let mut commands = vec![(1, send("a")), (2, authenticate("me")), (3, send("b"))];
    commands.extend((4..100).map(|seq| (seq, send("c"))));
    run.step(conn, &commands, 1).await;
    let mut wanted = b"ab".to_vec();
    wanted.extend([b'c'; 96]);
    assert_eq!(device.read(98).await, wanted);
    assert_eq!(mirror.received(5).await, b"hello");
    ok(&copy.authenticate("me").await);
    ok(&copy.send(wanted).await);
    assert_eq!(calls(&gateway, "Send", "same").await, 1);
    assert_eq!(calls(&gateway, "Authenticate", "same").await, 1);
    drop(device);
    let Some(event::Kind::Closed(_)) = run.event().await.kind else {
        panic!("not the end");
    };
    run.ack(conn, 2).await;
    assert_eq!(mirror.closed().await, "tcp_closed");
    let ended = "exproto_mirror_connections_total{result=\"same\"}";
    gateway.is(ended, 1).await;
}

#[tokio::test]
async fn by_streams_raw_publishes_are_compared_and_those_of_the_mirror_go_nowhere() {
    let (handler, mirror) = (StreamHandler::start(), StreamHandler::start());
    let mut config = allowing_everything(handler.config());
    config.handler.mirror.addresses = vec![mirror.address().to_string().parse().unwrap()];
    let gateway = TestGateway::with(config).await;
    let mut run = handler.greeted("one").await;
    let mut copy = mirror.greeted("two").await;
    let mut device = gateway.device().await;
    let (conn, number) = (run.attach().await.conn, copy.attach().await.conn);
    assert_ne!(conn, number);
    device.send("x").await;
    run.bytes(1).await;
    run.step(conn, &[(1, Kind::RawPublish(letter("x")))], 1)
        .await;
    copy.bytes(1).await;
    let twice = [
        (1, Kind::RawPublish(letter("x"))),
        (2, Kind::RawPublish(letter("x"))),
    ];
    copy.step(number, &twice, 1).await;
    drop(device);
    assert!(matches!(
        run.event().await.kind,
        Some(event::Kind::Closed(_))
    ));
    run.ack(conn, 2).await;
    assert!(matches!(
        copy.event().await.kind,
        Some(event::Kind::Closed(_))
    ));
    copy.ack(number, 2).await;
    let ended = "exproto_mirror_connections_total{result=\"different\"}";
    gateway.is(ended, 1).await;
    assert_eq!(calls(&gateway, "RawPublish", "same").await, 1);
    assert_eq!(calls(&gateway, "RawPublish", "extra").await, 1);
    let published = "exproto_messages_total{event=\"published\"}";
    assert_eq!(gateway.metric(published).await, 1);
}
