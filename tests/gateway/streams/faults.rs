//! Handlers that break the rules of the ordered stream: what concerns one connection closes it, what concerns the stream
//! ends it, and nobody else notices.

use std::time::Duration;

use exproto_tests::{
    Device, StreamHandler, TestGateway,
    stream::{Run, send},
    until,
};
use proto::stream::{Ack, Command, HandlerBatch, HandlerHello, command::Kind, event};
use tonic::Status;

struct Two {
    gateway: TestGateway,
    handler: StreamHandler,
    run: Run,
    /// Whose handler is wrong.
    victim: Device,
    conn: u64,
    /// Of the same stream.
    other: Device,
    other_conn: u64,
}

async fn two(change: impl FnOnce(&mut config::Config)) -> Two {
    let handler = StreamHandler::start();
    let mut config = handler.config();
    change(&mut config);
    let gateway = TestGateway::with(config).await;
    let mut run = handler.greeted("one").await;
    let victim = gateway.device().await;
    let conn = run.attach().await.conn;
    let other = gateway.device().await;
    let other_conn = run.attach().await.conn;
    Two {
        gateway,
        handler,
        run,
        victim,
        conn,
        other,
        other_conn,
    }
}

impl Two {
    /// The other connection is served by the same stream as before.
    async fn other_goes_on(&mut self) {
        self.other.send("still there").await;
        loop {
            let event = self.run.event().await;
            if event.conn == self.other_conn {
                break;
            }
        }
        let commands = [(1, send("yes"))];
        self.run.step(self.other_conn, &commands, 1).await;
        assert_eq!(self.other.read(3).await, b"yes");
    }

    /// The stream was ended, and both connections go on by another one.
    async fn both_go_on_elsewhere(mut self) {
        self.run.ended().await;
        let mut run = self.handler.greeted("one").await;
        for _ in 0..2 {
            let attach = run.attach().await;
            assert_eq!((attach.attempt, attach.instance.as_str()), (2, "one"));
            run.step(attach.conn, &[(1, send("yes"))], 0).await;
        }
        assert_eq!(self.victim.read(3).await, b"yes");
        assert_eq!(self.other.read(3).await, b"yes");
    }
}

fn command(conn: u64, seq: u64, kind: Option<Kind>) -> HandlerBatch {
    HandlerBatch {
        commands: vec![Command {
            conn,
            seq,
            result: false,
            kind,
        }],
        ..HandlerBatch::default()
    }
}

fn ack(conn: u64, seq: u64, error: &str) -> HandlerBatch {
    let error = error.to_owned();
    HandlerBatch {
        acks: vec![Ack { conn, seq, error }],
        ..HandlerBatch::default()
    }
}

#[tokio::test]
async fn what_is_wrong_about_a_connection_closes_it_and_no_other() {
    type Wrong = fn(u64) -> HandlerBatch;
    let wrongs: [(&str, Wrong); 4] = [
        ("an acknowledgement of the future", |conn| ack(conn, 7, "")),
        ("a gap in the commands", |conn| {
            command(conn, 2, Some(send("x")))
        }),
        ("a command without contents", |conn| command(conn, 1, None)),
        ("a callback that failed", |conn| {
            ack(conn, 1, "no such protocol")
        }),
    ];
    for (name, wrong) in wrongs {
        let mut two = two(|_| ()).await;
        two.victim.send("x").await;
        assert_eq!(two.run.bytes(1).await, b"x");
        // Said twice, it is one fault.
        two.run.batch(wrong(two.conn)).await;
        two.run.batch(wrong(two.conn)).await;
        two.victim.closed().await;
        two.other_goes_on().await;
        // Its end is an event as ever.
        two.run.ack(two.conn, 2).await;
        let series = "exproto_connections_closed_total{reason=\"handler_error\"}";
        two.gateway.is(series, 1).await;
        let faults = "exproto_stream_misfits_total{kind=\"fault\"}";
        assert_eq!(two.gateway.metric(faults).await, 1, "{name}");
    }
}

#[tokio::test]
async fn more_commands_than_the_credits_close_a_connection() {
    // What waits for nothing uses up nothing, so it takes something that waits: Authenticate asks a service that hangs.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let chain = format!("{{http: {{url: \"{url}\", client: {{timeout: 20s}}}}}}");
    let mut two = two(|config| {
        *config = exproto_tests::gateway::authenticating(config.clone(), &chain);
        config.handler.stream.max_commands = 4;
    })
    .await;
    let hangs = super::authenticate("me");
    let fits: Vec<_> = (1..=4).map(|seq| (seq, hangs.clone())).collect();
    two.run.step(two.conn, &fits, 0).await;
    two.other_goes_on().await;
    two.run.step(two.conn, &[(5, hangs)], 0).await;
    two.victim.closed().await;
}

#[tokio::test]
async fn ten_thousand_commands_for_a_slow_device_delay_nobody_else() {
    let mut two = two(|config| {
        config.handler.stream.max_commands = 20_000;
        config.handler.stream.max_command_bytes = config::ByteSize::mib(64);
        config.connection.send_timeout = Duration::from_secs(600);
    })
    .await;
    let kilobyte = [b'k'; 1024];
    let commands: Vec<_> = (1..=10_000).map(|seq| (seq, send(kilobyte))).collect();
    // Larger than a batch may be, so in several.
    for part in commands.chunks(2_000) {
        two.run.step(two.conn, part, 0).await;
    }
    two.other_goes_on().await;
    // It reads at last, and nothing is missing.
    let all = two.victim.read(10_000 * 1024).await;
    assert!(all.iter().all(|byte| *byte == b'k'));
}

#[tokio::test]
async fn commands_and_acknowledgements_for_strangers_are_counted_and_ignored() {
    let mut two = two(|_| ()).await;
    for batch in [command(4711, 1, Some(send("x"))), ack(4711, 1, "")] {
        two.run.batch(batch).await;
    }
    two.other_goes_on().await;
    two.gateway
        .is("exproto_stream_misfits_total{kind=\"stray\"}", 2)
        .await;
}

#[tokio::test]
async fn a_batch_that_is_too_large_ends_the_stream_and_no_connection() {
    let two = two(|config| {
        config.handler.stream.max_batch_bytes = config::ByteSize::kib(64);
    })
    .await;
    let large = vec![0; 100 * 1024];
    two.run.batch(command(two.conn, 1, Some(send(large)))).await;
    two.both_go_on_elsewhere().await;
}

#[tokio::test]
async fn a_second_hello_ends_the_stream_and_no_connection() {
    let two = two(|_| ()).await;
    let hello = HandlerHello {
        version: 1,
        instance: "again".to_owned(),
        ..HandlerHello::default()
    };
    let batch = HandlerBatch {
        hello: Some(hello),
        ..HandlerBatch::default()
    };
    two.run.batch(batch).await;
    two.both_go_on_elsewhere().await;
}

#[tokio::test]
async fn an_error_ends_the_stream_and_no_connection() {
    let two = two(|_| ()).await;
    let status = Status::internal("broken on purpose");
    two.run.say.send(Err(status)).await.unwrap();
    two.both_go_on_elsewhere().await;
}

#[tokio::test]
async fn a_handler_that_is_silent_is_taken_for_lost() {
    let two = two(|config| config.handler.stream.heartbeat = Duration::from_millis(50)).await;
    two.both_go_on_elsewhere().await;
}

#[tokio::test]
async fn hellos_that_are_none_are_named_and_tried_again() {
    let handler = StreamHandler::start();
    let gateway = TestGateway::with(handler.config()).await;
    let bad = [
        (HandlerHello::default(), "hello.version is 0"),
        (
            HandlerHello {
                version: 1,
                ..HandlerHello::default()
            },
            "hello.instance has 0 bytes",
        ),
        (
            HandlerHello {
                version: 1,
                instance: "one".to_owned(),
                max_batch_bytes: 1000,
                ..HandlerHello::default()
            },
            "hello.max_batch_bytes is 1000",
        ),
    ];
    for (hello, why) in bad {
        let run = handler.run().await;
        let hello = Some(hello);
        run.batch(HandlerBatch {
            hello,
            ..HandlerBatch::default()
        })
        .await;
        until(why, async || gateway.http("/readyz").await.contains(why)).await;
    }
    let run = handler.run().await;
    run.batch(HandlerBatch::default()).await;
    until("no hello to be named", async || {
        gateway
            .http("/readyz")
            .await
            .contains("first batch has no hello")
    })
    .await;
    let _run = handler.greeted("one").await;
    until("the gateway to be ready", async || {
        gateway.http("/readyz").await.starts_with("HTTP/1.1 200")
    })
    .await;
}

#[tokio::test]
async fn a_handler_of_another_service_is_told_apart() {
    let unary = exproto_tests::TestHandler::start();
    let config = exproto_tests::stream::stream_config(&[unary.address()]);
    let gateway = TestGateway::with(config).await;
    until("both services to be named", async || {
        let said = gateway.http("/readyz").await;
        said.contains("exproto.stream.v1.ConnectionStream")
            && said.contains("emqx.exproto.v1.ConnectionUnaryHandler")
    })
    .await;
}

#[tokio::test]
async fn messages_whose_callback_failed_stay_in_the_session() {
    let handler = StreamHandler::start();
    let config = exproto_tests::gateway::allowing_everything(handler.config());
    let gateway = TestGateway::with(config).await;
    let mut run = handler.greeted("one").await;
    let with_session = |clientid: &str| match super::authenticate(clientid) {
        Kind::Authenticate(authenticate) => Kind::Authenticate(proto::stream::Authenticate {
            session_expiry: Some(60),
            ..authenticate
        }),
        other => other,
    };
    let mut device = gateway.device().await;
    let conn = run.attach().await.conn;
    let subscribe = Kind::Subscribe(proto::stream::Subscribe {
        topic: "t".to_owned(),
        qos: 1,
    });
    let publish = Kind::Publish(proto::stream::Publish {
        topic: "t".to_owned(),
        qos: 1,
        payload: "kept".into(),
        retain: false,
    });
    run.step(
        conn,
        &[(1, with_session("me")), (2, subscribe), (3, publish)],
        0,
    )
    .await;
    let event = run.event().await;
    assert!(matches!(event.kind, Some(event::Kind::Messages(_))));
    run.batch(ack(conn, event.seq, "no room")).await;
    device.closed().await;
    run.ack(conn, event.seq + 1).await;
    let _device = gateway.device().await;
    let conn = run.attach().await.conn;
    run.step(conn, &[(1, with_session("me"))], 0).await;
    loop {
        let event = run.event().await;
        if event.conn != conn {
            continue;
        }
        let Some(event::Kind::Messages(again)) = event.kind else {
            panic!("not messages: {event:?}");
        };
        assert!(event.resent);
        assert_eq!(&again.messages[0].payload[..], b"kept");
        break;
    }
}
