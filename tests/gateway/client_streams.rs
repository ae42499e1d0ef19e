//! Client streams, for old handlers: `ConnectionHandler`, served by real servers with their different manners.

/// What is written, and in which order.
mod wire;

use std::time::Duration;

use config::{Config, HandlerService, OnHandlerLoss};
use exproto_tests::{
    Answering, Event, Manner, TestGateway, TestHandler, gateway::config as config_for, until,
};
use tonic::Code;

use crate::calls::{both_ready, client, connect, ok};

fn handler(answering: Answering) -> TestHandler {
    let manner = Manner {
        client_streams: Some(answering),
        ..Manner::default()
    };
    TestHandler::start_as(([127, 0, 0, 1], 0).into(), manner)
}

fn config(handlers: &[&TestHandler]) -> Config {
    let mut config = config_for(handlers);
    config.handler.service = HandlerService::ConnectionHandler;
    config
}

async fn start(handler: &TestHandler) -> TestGateway {
    TestGateway::with(config(&[handler])).await
}

async fn closed_with(gateway: &TestGateway, reason: &str) {
    let metric = format!("exproto_connections_closed_total{{reason=\"{reason}\"}}");
    until("the end to be counted", async || {
        gateway.metric(&metric).await == 1
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_answers_only_at_the_end_hears_everything_and_all_streams_are_ended() {
    let handler = handler(Answering::AtTheEnd);
    let gateway = start(&handler).await;
    let (mut device, mut calls) = client(&gateway, &handler, "truck").await;
    for text in ["one", "two", "three"] {
        device.send(text).await;
        assert_eq!(handler.received(text.len()).await, text.as_bytes());
    }
    ok(&calls.send("back").await);
    assert_eq!(device.read(4).await, b"back");
    ok(&calls.subscribe("t", 1).await);
    ok(&calls.publish("t", 1, "hello").await);
    assert_eq!(&handler.messages(1).await[0].payload[..], b"hello");
    assert_eq!(handler.ended_streams(), 0);
    drop(device);
    assert_eq!(handler.closed().await, "tcp_closed");
    // Created, bytes, messages, closed.
    until("the streams to end", async || handler.ended_streams() == 4).await;
    closed_with(&gateway, "tcp_closed").await;
    let untold = "exproto_closes_untold_total{reason=\"handler_timeout\"}";
    assert_eq!(gateway.metric(untold).await, 0);
}

#[tokio::test]
async fn metadata_goes_with_the_headers_of_each_stream() {
    let handler = handler(Answering::AtTheEnd);
    let gateway = start(&handler).await;
    let mut device = gateway.device().await;
    let created = handler.next().await;
    assert_eq!(created.header("exproto-attempt"), "1");
    assert_eq!(created.header("exproto-transport"), "tcp");
    assert!(!created.header("traceparent").is_empty());
    assert_eq!(created.header("grpc-timeout"), "", "a stream has no end");
    device.send("12345").await;
    let first = handler.next().await;
    assert_eq!(first.header("exproto-offset"), "0");
    device.send("6").await;
    // Of the stream, and so of its first message.
    assert_eq!(handler.next().await.header("exproto-offset"), "0");
    drop(device);
    let closed = handler.next().await;
    assert!(matches!(closed.event, Event::Closed(_)));
    assert_eq!(closed.header("exproto-offset"), "6");
}

#[tokio::test]
async fn a_stream_that_is_answered_early_with_ok_is_opened_again_for_the_next_event() {
    let handler = handler(Answering::AtOnce);
    let gateway = start(&handler).await;
    let (mut device, _) = connect(&gateway, &handler).await;
    // What is written before the answer has come back is lost with the stream, so not each byte is heard.
    let mut offsets = Vec::new();
    until("several streams", async || {
        device.send("x").await;
        while let Some(callback) = handler.try_next() {
            let Event::Received(_) = callback.event else {
                panic!("not OnReceivedBytes: {callback:?}");
            };
            offsets.push(callback.header("exproto-offset").parse::<u64>().unwrap());
        }
        offsets.len() >= 5
    })
    .await;
    // Each was the first message of its stream.
    assert!(offsets.is_sorted_by(|one, next| one < next), "{offsets:?}");
    drop(device);
    until("OnSocketClosed", async || {
        matches!(handler.next().await.event, Event::Closed(reason) if reason == "tcp_closed")
    })
    .await;
    closed_with(&gateway, "tcp_closed").await;
}

#[tokio::test]
async fn a_stream_that_ends_with_an_error_closes_its_connection_also_while_nothing_is_told() {
    let handler = handler(Answering::Bytes(Code::Internal));
    let gateway = start(&handler).await;
    let (mut device, _) = connect(&gateway, &handler).await;
    let (mut other, _) = connect(&gateway, &handler).await;
    device.send("x").await;
    assert_eq!(handler.received(1).await, b"x");
    device.closed().await;
    assert_eq!(handler.closed().await, "handler_error");
    closed_with(&gateway, "handler_error").await;
    other.send("y").await;
    assert_eq!(handler.received(1).await, b"y");
}

#[tokio::test]
async fn a_server_without_the_service_is_an_error_of_the_handler_and_said() {
    let handler = TestHandler::start();
    let gateway = start(&handler).await;
    let mut device = gateway.device().await;
    device.closed().await;
    closed_with(&gateway, "handler_error").await;
    until("the reason to be said", async || {
        let said = gateway.http("/readyz").await;
        said.contains("the gateway calls emqx.exproto.v1.ConnectionHandler")
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_never_reads_stops_the_device_and_is_given_up_after_the_deadline() {
    let handler = handler(Answering::BytesAreNotRead);
    let mut config = config(&[&handler]);
    config.handler.deadline = Duration::from_secs(2);
    let limit = config.connection.inbound_limit.bytes() as u64;
    let gateway = TestGateway::with(config).await;
    let (mut device, _) = connect(&gateway, &handler).await;
    let read = || gateway.metric("exproto_received_bytes_total{listener=\"tcp\"}");
    let closed = || gateway.metric("exproto_connections_closed_total{reason=\"handler_timeout\"}");
    let mut sent = 0;
    until("the device to be closed", async || {
        sent += device.send_what_fits(1024 * 1024);
        closed().await == 1
    })
    .await;
    // The handler's windows, what waits, and one message under way: nothing else is held, however long one tries.
    let taken = read().await;
    assert!(
        taken >= limit && taken < limit + 4 * 1024 * 1024,
        "{taken} of {sent} bytes were read"
    );
    assert_eq!(handler.closed().await, "handler_timeout");
}

#[tokio::test]
async fn a_handler_that_does_not_read_one_device_for_a_while_loses_nothing_of_others() {
    let handler = handler(Answering::BytesAreNotRead);
    let gateway = start(&handler).await;
    let (mut device, _) = connect(&gateway, &handler).await;
    device.send("never read").await;
    let (other, _) = connect(&gateway, &handler).await;
    drop(other);
    assert_eq!(handler.closed().await, "tcp_closed");
}

#[tokio::test]
async fn a_lost_handler_closes_its_connections_and_the_end_is_told_to_the_next() {
    let mut handler = handler(Answering::AtTheEnd);
    let gateway = start(&handler).await;
    let (mut device, _) = connect(&gateway, &handler).await;
    device.send("x").await;
    handler.received(1).await;
    handler.restart().await;
    device.closed().await;
    assert_eq!(handler.closed().await, "handler_lost");
    let (mut device, mut calls) = connect(&gateway, &handler).await;
    ok(&calls.send("hi").await);
    device.read(2).await;
}

#[tokio::test]
async fn with_rebind_the_next_handler_gets_new_streams_and_sockets_stay() {
    let (mut a, mut b) = (handler(Answering::AtTheEnd), handler(Answering::AtTheEnd));
    let mut config = config(&[&a, &b]);
    config.handler.on_handler_loss = OnHandlerLoss::Rebind;
    let gateway = TestGateway::with(config).await;
    both_ready(&gateway).await;
    let mut device = gateway.device().await;
    let mut conn = None;
    until("OnSocketCreated", async || {
        let at_a = a.try_next().map(|callback| (true, callback.conn));
        conn = at_a.or_else(|| b.try_next().map(|callback| (false, callback.conn)));
        conn.is_some()
    })
    .await;
    let (at_a, conn) = conn.unwrap();
    let (old, new) = if at_a { (&mut a, &b) } else { (&mut b, &a) };
    device.send("one").await;
    assert_eq!(old.received(3).await, b"one");
    old.kill();
    let again = new.next().await;
    assert!(matches!(again.event, Event::Created(_)), "{again:?}");
    assert_eq!(again.conn, conn);
    assert_eq!(again.header("exproto-attempt"), "2");
    device.send("two").await;
    let bytes = new.next().await;
    assert!(matches!(&bytes.event, Event::Received(bytes) if bytes == "two"));
    assert_eq!(bytes.header("exproto-offset"), "3");
    drop(device);
    assert_eq!(new.closed().await, "tcp_closed");
}

#[tokio::test]
async fn with_rebind_a_stream_that_breaks_moves_its_connection() {
    let handler = handler(Answering::Bytes(Code::Unavailable));
    let mut config = config(&[&handler]);
    config.handler.on_handler_loss = OnHandlerLoss::Rebind;
    let gateway = TestGateway::with(config).await;
    let (mut device, _) = connect(&gateway, &handler).await;
    for attempt in ["2", "3"] {
        device.send("x").await;
        handler.received(1).await;
        let again = handler.next().await;
        assert!(matches!(again.event, Event::Created(_)), "{again:?}");
        assert_eq!(again.header("exproto-attempt"), attempt);
    }
    drop(device);
    assert_eq!(handler.closed().await, "tcp_closed");
}

#[tokio::test]
async fn while_no_handler_is_there_a_device_is_parked_and_then_told_of() {
    let mut handler = handler(Answering::AtTheEnd);
    handler.kill();
    let gateway = start(&handler).await;
    let mut device = gateway.device().await;
    device.send("patience").await;
    until("the device to be parked", async || {
        gateway.metric("exproto_callbacks_parked").await == 1
    })
    .await;
    handler.restart().await;
    // Written in order; but the server reads its streams side by side.
    let both = [handler.next().await.event, handler.next().await.event];
    let created = |event: &Event| matches!(event, Event::Created(_));
    let patience = Event::Received("patience".into());
    assert!(
        both.iter().any(created) && both.contains(&patience),
        "{both:?}"
    );
}
