//! The ordered stream: what it carries, what it promises, and what handlers get wrong.

/// Handlers that break the rules.
mod faults;
/// Handlers and streams that go away, at any moment: nothing is lost, doubled or reordered.
mod guarantee;

use std::time::Duration;

use config::OnHandlerLoss;
use exproto_tests::{
    StreamHandler, TestGateway, gateway::allowing_everything, stream::send, until,
};
use proto::{
    exproto::{ClientInfo, ResultCode, SocketType},
    stream::{Authenticate, Close, Publish, StartTimer, Subscribe, command::Kind, event},
};

fn authenticate(clientid: &str) -> Kind {
    Kind::Authenticate(Authenticate {
        clientinfo: Some(ClientInfo {
            clientid: clientid.to_owned(),
            ..ClientInfo::default()
        }),
        ..Authenticate::default()
    })
}

#[tokio::test]
async fn a_connection_is_introduced_and_its_events_come_numbered() {
    let handler = StreamHandler::start();
    let gateway = TestGateway::with(handler.config()).await;
    let mut run = handler.run().await;
    let hello = run.hello("one").await;
    assert_eq!(hello.version, 1);
    assert_eq!(hello.max_commands, 1024);
    assert_eq!(hello.adapter_address, gateway.adapter_address().to_string());
    let mut device = gateway.device().await;
    let attach = run.attach().await;
    let conninfo = attach.conninfo.unwrap();
    assert_eq!(conninfo.socktype(), SocketType::Tcp);
    assert_eq!(
        conninfo.peername.unwrap().port,
        u32::from(device.address().port())
    );
    assert_eq!(
        (attach.listener.as_str(), attach.transport.as_str()),
        ("tcp", "tcp")
    );
    assert_eq!((attach.attempt, attach.instance.as_str()), (1, ""));
    assert_eq!((attach.acknowledged, attach.commands_accepted), (0, 0));
    for (seq, word) in (1..).zip(["one", "two", "three"]) {
        device.send(word).await;
        let event = run.event().await;
        assert_eq!(
            (event.conn, event.seq, event.resent),
            (attach.conn, seq, false)
        );
        let bytes = bytes::Bytes::from_static(word.as_bytes());
        assert_eq!(event.kind, Some(event::Kind::Bytes(bytes)));
    }
    drop(device);
    // Several events may wait for acknowledgement; the end waits for it, as what they cause may still be sent.
    run.ack(attach.conn, 3).await;
    let closed = run.event().await;
    assert_eq!(closed.seq, 4);
    let Some(event::Kind::Closed(closed)) = closed.kind else {
        panic!("not the end: {closed:?}");
    };
    assert_eq!(closed.reason, "tcp_closed");
    run.ack(attach.conn, 4).await;
    gateway.is("exproto_connections{listener=\"tcp\"}", 0).await;
}

#[tokio::test]
async fn commands_are_carried_out_once_and_in_order() {
    let handler = StreamHandler::start();
    let gateway = TestGateway::with(handler.config()).await;
    let mut run = handler.greeted("one").await;
    let mut device = gateway.device().await;
    let conn = run.attach().await.conn;
    run.step(conn, &[(1, send("a")), (2, send("b"))], 0).await;
    // Sent again, as after a reconnect, with one that is new.
    run.step(conn, &[(1, send("a")), (2, send("b")), (3, send("c"))], 0)
        .await;
    run.step(conn, &[(4, Kind::Close(Close {}))], 0).await;
    assert_eq!(device.read(3).await, b"abc");
    device.closed().await;
    let series = "exproto_stream_commands_total{outcome=\"repeated\"}";
    gateway.is(series, 2).await;
}

#[tokio::test]
async fn results_come_as_events_where_they_are_asked_for() {
    let handler = StreamHandler::start();
    let gateway = TestGateway::with(allowing_everything(handler.config())).await;
    let mut run = handler.greeted("one").await;
    let _device = gateway.device().await;
    let conn = run.attach().await.conn;
    let subscribe = |topic: &str| {
        let topic = topic.to_owned();
        Kind::Subscribe(Subscribe { topic, qos: 1 })
    };
    let publish = Kind::Publish(Publish {
        topic: "t".to_owned(),
        qos: 1,
        payload: "hello".into(),
        retain: false,
    });
    run.ask(conn, 1, subscribe("t")).await;
    run.ask(conn, 2, authenticate("me")).await;
    run.ask(conn, 3, subscribe("t")).await;
    run.ask(conn, 4, subscribe("")).await;
    run.ask(conn, 5, publish).await;
    let mut results = Vec::new();
    let mut messages = Vec::new();
    let mut last = 0;
    while results.len() < 5 || messages.is_empty() {
        let event = run.event().await;
        assert_eq!(event.seq, last + 1);
        last = event.seq;
        match event.kind {
            Some(event::Kind::Result(result)) => results.push((result.command, result.code())),
            Some(event::Kind::Messages(more)) => messages.extend(more.messages),
            other => panic!("not a result: {other:?}"),
        }
    }
    let wanted = [
        (1, ResultCode::PermissionDeny),
        (2, ResultCode::Success),
        (3, ResultCode::Success),
        (4, ResultCode::RequiredParamsMissed),
        (5, ResultCode::Success),
    ];
    assert_eq!(results, wanted);
    assert_eq!(
        (messages[0].topic.as_str(), &messages[0].payload[..]),
        ("t", &b"hello"[..])
    );
}

#[tokio::test]
async fn after_a_reconnect_the_handler_learns_where_it_was() {
    let mut handler = StreamHandler::start();
    let address = handler.address();
    let gateway = TestGateway::with(allowing_everything(handler.config())).await;
    let mut run = handler.greeted("one").await;
    let mut device = gateway.device().await;
    let conn = run.attach().await.conn;
    run.ask(conn, 1, authenticate("me")).await;
    let state = Kind::State(bytes::Bytes::from_static(b"parser at 7"));
    run.step(conn, &[(2, state)], 0).await;
    assert!(matches!(
        run.event().await.kind,
        Some(event::Kind::Result(_))
    ));
    device.send("first").await;
    assert_eq!(run.bytes(5).await, b"first");
    run.step(conn, &[(3, send("answer"))], 2).await;
    assert_eq!(device.read(6).await, b"answer");
    device.send("second").await;
    assert_eq!(run.bytes(6).await, b"second");
    handler.kill();
    drop(run);
    let handler = StreamHandler::start_again(address).await;
    let mut run = handler.greeted("two").await;
    let attach = run.attach().await;
    assert_eq!(
        (attach.conn, attach.attempt, attach.instance.as_str()),
        (conn, 2, "one")
    );
    assert_eq!((attach.acknowledged, attach.offset), (2, 5));
    assert_eq!((attach.commands_accepted, attach.commands_done), (3, 3));
    assert_eq!(&attach.state[..], b"parser at 7");
    assert_eq!(attach.client.unwrap().clientid, "me");
    let again = run.event().await;
    assert_eq!((again.seq, again.resent), (3, true));
    assert_eq!(again.kind, Some(event::Kind::Bytes("second".into())));
    // The new process introduces the same client, and goes on with the commands.
    run.ask(conn, 4, authenticate("me")).await;
    run.step(conn, &[(5, send("later"))], 3).await;
    assert_eq!(device.read(5).await, b"later");
}

#[tokio::test]
async fn with_close_a_lost_handler_closes_its_connections() {
    let mut handler = StreamHandler::start();
    let mut config = handler.config();
    config.handler.on_handler_loss = OnHandlerLoss::Close;
    let gateway = TestGateway::with(config).await;
    let mut run = handler.greeted("one").await;
    let mut device = gateway.device().await;
    run.attach().await;
    handler.kill();
    device.closed().await;
}

#[tokio::test]
async fn a_handler_that_says_goodbye_is_left_once_it_owes_nothing() {
    let (first, second) = (StreamHandler::start(), StreamHandler::start());
    let both = [first.address(), second.address()];
    let gateway = TestGateway::with(exproto_tests::stream::stream_config(&both)).await;
    let (mut a, mut b) = (first.greeted("a").await, second.greeted("b").await);
    // Whichever it is bound to goes.
    let mut device = gateway.device().await;
    let attached = tokio::select! {
        attach = a.attach() => (attach, true),
        attach = b.attach() => (attach, false),
    };
    let (attach, at_a) = attached;
    let (leaving, other) = if at_a {
        (&mut a, &mut b)
    } else {
        (&mut b, &mut a)
    };
    device.send("owed").await;
    assert_eq!(leaving.bytes(4).await, b"owed");
    leaving.goodbye().await;
    // What comes before the gateway has heard of it is still told.
    gateway
        .is("exproto_handler_endpoints{state=\"ready\"}", 1)
        .await;
    device.send("not for it").await;
    leaving.step(attach.conn, &[(1, send("done"))], 1).await;
    let again = other.attach().await;
    assert_eq!(
        (again.conn, again.acknowledged, again.commands_accepted),
        (attach.conn, 1, 1)
    );
    let event = other.event().await;
    assert_eq!((event.seq, event.resent), (2, false));
    assert_eq!(event.kind, Some(event::Kind::Bytes("not for it".into())));
    assert_eq!(device.read(4).await, b"done");
    // Nothing is left there, so the gateway ends its side.
    leaving.ended().await;
    assert_eq!(leaving.try_event(), None);
}

#[tokio::test]
async fn what_is_sent_when_the_keepalive_runs_out_still_arrives() {
    let handler = StreamHandler::start();
    let gateway = TestGateway::with(handler.config()).await;
    let mut run = handler.greeted("one").await;
    let mut device = gateway.device().await;
    let conn = run.attach().await.conn;
    run.step(
        conn,
        &[(1, Kind::StartTimer(StartTimer { interval: 1 }))],
        0,
    )
    .await;
    let timeout = run.event().await;
    assert!(matches!(timeout.kind, Some(event::Kind::TimerTimeout(_))));
    run.step(conn, &[(2, send("bye"))], 1).await;
    assert_eq!(device.read(3).await, b"bye");
    device.closed().await;
    let Some(event::Kind::Closed(closed)) = run.event().await.kind else {
        panic!("not the end");
    };
    assert_eq!(closed.reason, "keepalive_timeout");
}

#[tokio::test]
async fn the_handler_hears_of_the_drain_and_of_each_end() {
    let handler = StreamHandler::start();
    let gateway = TestGateway::with(handler.config()).await;
    let mut run = handler.greeted("one").await;
    let _device = gateway.device().await;
    let conn = run.attach().await.conn;
    let stopping = gateway.begin_stop();
    run.drain().await;
    let Some(event::Kind::Closed(closed)) = run.event().await.kind else {
        panic!("not the end");
    };
    assert_eq!(closed.reason, "draining");
    run.ack(conn, 1).await;
    exproto_tests::within("the drain", stopping).await.unwrap();
}

#[tokio::test]
async fn a_handler_that_stops_acknowledging_stops_its_device_and_no_other() {
    let handler = StreamHandler::start();
    let mut config = handler.config();
    config.handler.stream.max_events = 4;
    config.handler.deadline = Duration::from_secs(600);
    let gateway = TestGateway::with(config).await;
    let mut run = handler.greeted("one").await;
    let mut slow = gateway.device().await;
    let conn = run.attach().await.conn;
    for number in 1..=4 {
        slow.send("x").await;
        assert_eq!(run.event().await.seq, number);
    }
    // Beyond the credits it waits in the gateway, and comes as one event.
    for _ in 0..20 {
        slow.send("y").await;
    }
    until("the bytes to be read", async || {
        gateway
            .metric("exproto_received_bytes_total{listener=\"tcp\"}")
            .await
            == 24
    })
    .await;
    let mut quick = gateway.device().await;
    let other = run.attach().await.conn;
    quick.send("z").await;
    let event = run.event().await;
    assert_eq!((event.conn, event.seq), (other, 1));
    run.ack(conn, 2).await;
    assert_eq!(run.bytes(20).await, [b'y'; 20]);
}

#[tokio::test]
async fn progress_is_told_when_much_was_carried_out() {
    let handler = StreamHandler::start();
    let mut config = handler.config();
    config.handler.stream.max_commands = 16;
    let gateway = TestGateway::with(config).await;
    let mut run = handler.greeted("one").await;
    let mut device = gateway.device().await;
    let conn = run.attach().await.conn;
    run.step(conn, &[(1, send("a")), (2, send("b"))], 0).await;
    let progress = run.progress().await;
    assert_eq!((progress.conn, progress.done), (conn, 2));
    assert_eq!(device.read(2).await, b"ab");
}
