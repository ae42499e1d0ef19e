//! A connection from its first callback to its last: order, one at a time, exactly one end.

use exproto_tests::{Device, Event, TestGateway, TestHandler, gateway::config};
use proto::exproto::{Address, CloseSocketRequest, SendBytesRequest, SocketType};

use crate::calls::{client, ok};

#[tokio::test]
async fn created_then_bytes_then_closed() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let mut device = gateway.device().await;
    device.send("hello").await;
    let conn = handler.created().await;
    let bytes = handler.next().await;
    assert_eq!(
        (bytes.conn.as_str(), bytes.event),
        (conn.as_str(), Event::Received("hello".into()))
    );
    drop(device);
    let closed = handler.next().await;
    assert_eq!(
        (closed.conn, closed.event),
        (conn, Event::Closed("tcp_closed".to_owned()))
    );
}

#[tokio::test]
async fn the_handler_learns_both_ends_of_the_socket() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let device = gateway.device().await;
    let Event::Created(info) = handler.next().await.event else {
        panic!("not OnSocketCreated");
    };
    let address = |address: std::net::SocketAddr| {
        Some(Address {
            host: address.ip().to_string(),
            port: address.port().into(),
        })
    };
    assert_eq!(info.socktype(), SocketType::Tcp);
    assert_eq!(info.peername, address(device.address()));
    assert_eq!(info.sockname, address(gateway.device_address()));
    assert_eq!(info.peercert, None);
}

#[tokio::test]
async fn an_ipv4_device_of_a_dual_stack_listener_is_shown_as_ipv4() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.listeners[0].bind = "[::]:0".parse().unwrap();
    let gateway = TestGateway::with(config).await;
    let port = gateway.device_address().port();
    for (host, shown) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")] {
        let _device = Device::connect(format!("{host}:{port}").parse().unwrap()).await;
        loop {
            if let Event::Created(info) = handler.next().await.event {
                assert_eq!(info.peername.unwrap().host, shown);
                assert_eq!(info.sockname.unwrap().host, shown);
                break;
            }
        }
    }
}

#[tokio::test]
async fn every_callback_carries_its_metadata() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let mut device = gateway.device().await;
    device.send("12345").await;
    handler.created().await;
    handler.received(5).await;
    device.send("678").await;
    let bytes = handler.next().await;
    assert_eq!(bytes.header("exproto-listener"), "tcp");
    assert_eq!(bytes.header("exproto-transport"), "tcp");
    assert_eq!(
        bytes.header("exproto-adapter-address"),
        gateway.adapter_address().to_string()
    );
    assert_eq!(bytes.header("exproto-offset"), "5");
    assert_eq!(bytes.header("exproto-attempt"), "1");
    assert_eq!(bytes.header("grpc-timeout"), "11000m");
    let trace = bytes.header("traceparent");
    let parts: Vec<_> = trace.split('-').map(str::len).collect();
    assert_eq!(parts, [2, 32, 16, 2], "{trace}");
}

#[tokio::test]
async fn bytes_come_in_order_one_callback_at_a_time() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let mut device = gateway.device().await;
    let sent: Vec<u8> = (0..200_000_u32).flat_map(u32::to_be_bytes).collect();
    device.send(&sent).await;
    handler.created().await;
    assert_eq!(handler.received(sent.len()).await, sent);
}

#[tokio::test]
async fn no_bytes_before_created_is_answered() {
    let handler = TestHandler::start();
    handler.hold(true);
    let gateway = TestGateway::start(&handler).await;
    let mut device = gateway.device().await;
    device.send("early").await;
    let mut created = handler.next().await;
    // Something that the gateway does after it has read the bytes.
    gateway
        .adapter()
        .send(SendBytesRequest {
            conn: created.conn.clone(),
            bytes: "x".into(),
        })
        .await
        .unwrap();
    device.read(1).await;
    assert!(handler.try_next().is_none());
    created.answer(Ok(()));
    let mut bytes = handler.next().await;
    assert_eq!(bytes.event, Event::Received("early".into()));
    bytes.answer(Ok(()));
}

#[tokio::test]
async fn a_handler_may_call_back_from_inside_its_callback() {
    let handler = TestHandler::start();
    handler.hold(true);
    let gateway = TestGateway::start(&handler).await;
    let mut device = gateway.device().await;
    let mut created = handler.next().await;
    let request = SendBytesRequest {
        conn: created.conn.clone(),
        bytes: "welcome".into(),
    };
    let answer = gateway.adapter().send(request).await.unwrap().into_inner();
    assert_eq!(answer.code, 0, "{}", answer.message);
    assert_eq!(device.read(7).await, b"welcome");
    created.answer(Ok(()));
}

#[tokio::test]
async fn close_with_a_callback_in_flight_still_ends_in_one_closed() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let mut device = gateway.device().await;
    let conn = handler.created().await;
    handler.hold(true);
    device.send("x").await;
    let mut bytes = handler.next().await;
    gateway
        .adapter()
        .close(CloseSocketRequest { conn: conn.clone() })
        .await
        .unwrap();
    device.read_to_end().await;
    assert!(
        handler.try_next().is_none(),
        "OnSocketClosed must wait its turn"
    );
    handler.hold(false);
    bytes.answer(Ok(()));
    assert_eq!(handler.closed().await, "normal");
    assert_gone(&gateway, &conn).await;
    assert!(handler.try_next().is_none());
}

#[tokio::test]
async fn calls_made_from_inside_closed_are_told_that_the_connection_is_gone() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let device = gateway.device().await;
    let conn = handler.created().await;
    handler.hold(true);
    drop(device);
    let mut closed = handler.next().await;
    assert!(matches!(closed.event, Event::Closed(_)));
    assert_gone(&gateway, &conn).await;
    closed.answer(Ok(()));
}

async fn assert_gone(gateway: &TestGateway, conn: &str) {
    let request = SendBytesRequest {
        conn: conn.to_owned(),
        bytes: "x".into(),
    };
    let answer = gateway.adapter().send(request).await.unwrap().into_inner();
    assert_eq!(answer.code().as_str_name(), "CONN_PROCESS_NOT_ALIVE");
}

#[tokio::test]
async fn a_reset_is_told_as_what_it_is() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let device = gateway.device().await;
    handler.created().await;
    device.reset();
    assert_eq!(handler.closed().await, "econnreset");
}

#[tokio::test]
async fn a_device_that_sends_and_leaves_is_heard_and_answered() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let mut device = gateway.device().await;
    handler.created().await;
    handler.hold(true);
    device.send("last words").await;
    device.finish().await;
    let mut bytes = handler.next().await;
    assert_eq!(bytes.event, Event::Received("last words".into()));
    handler.hold(false);
    let request = SendBytesRequest {
        conn: bytes.conn.clone(),
        bytes: "heard".into(),
    };
    gateway.adapter().send(request).await.unwrap();
    bytes.answer(Ok(()));
    assert_eq!(device.read_to_end().await, b"heard");
    assert_eq!(handler.closed().await, "tcp_closed");
}

#[tokio::test]
async fn calls_for_a_device_that_left_at_once_still_count() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    for leaves in ["close", "reset"] {
        let (mut device, mut calls) = client(&gateway, &handler, "truck").await;
        handler.hold(true);
        device.send("pub").await;
        let mut bytes = handler.next().await;
        // The device has gone, and so would the first Send make known; publications go on.
        if leaves == "reset" {
            device.reset();
        } else {
            drop(device);
        }
        handler.hold(false);
        for _ in 0..20 {
            ok(&calls.send("+ok").await);
            ok(&calls.publish("t", 1, "x").await);
        }
        bytes.answer(Ok(()));
        let reason = handler.closed().await;
        let expected: &[&str] = if leaves == "reset" {
            &["econnreset", "epipe"]
        } else {
            &["tcp_closed"]
        };
        assert!(expected.contains(&reason.as_str()), "{leaves}: {reason}");
    }
}

#[tokio::test]
async fn with_half_close_the_handler_goes_on_sending() {
    let handler = TestHandler::start();
    let mut config = config(&[&handler]);
    config.listeners[0].half_close = true;
    let gateway = TestGateway::with(config).await;
    let mut device = gateway.device().await;
    let conn = handler.created().await;
    device.send("question").await;
    device.finish().await;
    handler.received(8).await;
    let mut adapter = gateway.adapter();
    for part in ["long ", "answer"] {
        let request = SendBytesRequest {
            conn: conn.clone(),
            bytes: part.into(),
        };
        let answer = adapter.send(request).await.unwrap().into_inner();
        assert_eq!(answer.code, 0, "{}", answer.message);
    }
    adapter.close(CloseSocketRequest { conn }).await.unwrap();
    assert_eq!(device.read_to_end().await, b"long answer");
    assert_eq!(handler.closed().await, "normal");
}

#[tokio::test]
async fn devices_that_connect_and_vanish_leave_nothing_behind() {
    const DEVICES: usize = 10_000;
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    for number in 0..DEVICES {
        let device = gateway.device().await;
        if number % 2 == 0 {
            device.reset();
        }
    }
    exproto_tests::until("no connection to be left", async || {
        let accepted = gateway.metric("exproto_connections_accepted_total{listener=\"tcp\"}");
        let open = gateway.metric("exproto_connections{listener=\"tcp\"}");
        accepted.await == DEVICES as u64 && open.await == 0
    })
    .await;
    // A device may be gone before anybody was told of it; then nobody is told of its end.
    let mut open = std::collections::HashSet::new();
    let mut created = 0;
    while let Some(callback) = handler.try_next() {
        match callback.event {
            Event::Created(_) => {
                created += 1;
                assert!(open.insert(callback.conn), "created twice");
            }
            Event::Closed(reason) => {
                assert!(
                    open.remove(&callback.conn),
                    "closed ({reason}), not created"
                );
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(open.is_empty(), "{} were never closed", open.len());
    assert!(created > 0);
}
