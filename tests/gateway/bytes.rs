//! Bytes in both directions: whole, in order, however they were cut.

use bytes::Bytes;
use exproto_tests::{Event, TestGateway, TestHandler, within};
use proto::exproto::{CloseSocketRequest, SendBytesRequest};

const MIB: usize = 1024 * 1024;

/// Bytes that show where they come from when they are moved.
fn pattern(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

#[tokio::test]
async fn sixteen_mebibytes_reach_the_handler_unchanged() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let mut device = gateway.device().await;
    handler.created().await;
    let sent = pattern(16 * MIB);
    let (received, ()) = tokio::join!(handler.received(sent.len()), device.send(&sent));
    assert!(received == sent);
}

#[tokio::test]
async fn no_callback_carries_more_than_64_kib() {
    let handler = TestHandler::start();
    handler.hold(true);
    let gateway = TestGateway::start(&handler).await;
    let mut device = gateway.device().await;
    let mut created = handler.next().await;
    device.send(vec![1; 200_000]).await;
    handler.hold(false);
    created.answer(Ok(()));
    let (mut total, mut offset) = (0, Vec::new());
    while total < 200_000 {
        let callback = handler.next().await;
        offset.push(callback.header("exproto-offset").to_owned());
        assert_eq!(callback.header("exproto-offset"), total.to_string());
        let Event::Received(bytes) = callback.event else {
            panic!("not OnReceivedBytes");
        };
        assert!(bytes.len() <= 64 * 1024);
        total += bytes.len();
    }
}

#[tokio::test]
async fn sixteen_mebibytes_reach_the_device_unchanged() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let mut device = gateway.device().await;
    let conn = handler.created().await;
    let sent = Bytes::from(pattern(16 * MIB));
    let mut adapter = gateway.adapter();
    let sending = async {
        for part in 0..64 {
            let size = sent.len() / 64;
            let request = SendBytesRequest {
                conn: conn.clone(),
                bytes: sent.slice(part * size..(part + 1) * size),
            };
            let answer = adapter.send(request).await.unwrap().into_inner();
            assert_eq!(answer.code, 0, "{}", answer.message);
        }
    };
    let (received, ()) = tokio::join!(device.read(sent.len()), sending);
    assert!(received == sent);
}

#[tokio::test]
async fn one_send_larger_than_the_outbox_arrives_whole() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let mut device = gateway.device().await;
    let conn = handler.created().await;
    let sent = Bytes::from(pattern(15 * MIB));
    let request = SendBytesRequest {
        conn,
        bytes: sent.clone(),
    };
    let mut adapter = gateway.adapter();
    let (received, answer) = tokio::join!(device.read(sent.len()), adapter.send(request));
    assert_eq!(answer.unwrap().into_inner().code, 0);
    assert!(received == sent);
}

#[tokio::test]
async fn single_bytes_arrive_in_order() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let mut device = gateway.device().await;
    handler.created().await;
    let sent = pattern(3000);
    let sending = async {
        for byte in &sent {
            device.send([*byte]).await;
        }
    };
    let (received, ()) = tokio::join!(handler.received(sent.len()), sending);
    assert_eq!(received, sent);
}

#[tokio::test]
async fn bytes_that_come_while_a_callback_is_in_flight_are_merged() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let mut device = gateway.device().await;
    let conn = handler.created().await;
    handler.hold(true);
    device.send("first").await;
    let mut first = handler.next().await;
    for _ in 0..10 {
        device.send("more").await;
    }
    // The last bytes have been read once the counter says so; they wait.
    exproto_tests::until("the bytes to be read", async || {
        gateway
            .metric("exproto_received_bytes_total{listener=\"tcp\"}")
            .await
            == 45
    })
    .await;
    first.answer(Ok(()));
    let mut merged = handler.next().await;
    assert_eq!(merged.event, Event::Received("more".repeat(10).into()));
    assert_eq!(
        (merged.conn.as_str(), merged.header("exproto-offset")),
        (conn.as_str(), "5")
    );
    merged.answer(Ok(()));
}

#[tokio::test]
async fn what_was_sent_before_close_arrives() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let sent = Bytes::from(pattern(MIB));
    for _ in 0..20 {
        let mut device = gateway.device().await;
        let conn = handler.created().await;
        // Bytes that nobody reads any more must not make the kernel reset the connection.
        device.send("unread").await;
        let mut adapter = gateway.adapter();
        let request = SendBytesRequest {
            conn: conn.clone(),
            bytes: sent.clone(),
        };
        adapter.send(request).await.unwrap();
        adapter.close(CloseSocketRequest { conn }).await.unwrap();
        device.send("unread").await;
        assert!(device.read_to_end().await == sent);
        drop(device);
        let closed = async { while !matches!(handler.next().await.event, Event::Closed(_)) {} };
        within("OnSocketClosed", closed).await;
    }
}

#[tokio::test]
async fn an_empty_send_is_no_error() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let _device = gateway.device().await;
    let conn = handler.created().await;
    let request = SendBytesRequest {
        conn,
        bytes: Bytes::new(),
    };
    assert_eq!(
        gateway
            .adapter()
            .send(request)
            .await
            .unwrap()
            .into_inner()
            .code,
        0
    );
}
