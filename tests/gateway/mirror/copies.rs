//! What the mirror is told: what the handler was told, cut in the same way, on any transport and by any service.

use config::{Config, HandlerService};
use exproto_tests::{Answering, Carrier, Credentials, Event, Manner, TestHandler};

use super::Mirrored;
use crate::calls::{Calls, ok};

#[tokio::test]
async fn a_mirror_that_lags_is_told_in_the_same_pieces() {
    let it = Mirrored::start().await;
    let mut pair = it.connect().await;
    it.mirror.hold(true);
    for piece in ["one", "two", "three", "four"] {
        pair.device.send(piece).await;
        assert_eq!(it.handler.received(1).await, piece.as_bytes());
    }
    let mut first = it.mirror.next().await;
    assert_eq!(first.event, Event::Received("one".into()));
    drop(pair.device);
    it.handler.closed().await;
    it.mirror.hold(false);
    first.answer(Ok(()));
    for piece in ["two", "three", "four"] {
        assert_eq!(it.mirror.next().await.event, Event::Received(piece.into()));
    }
    assert_eq!(it.mirror.closed().await, "tcp_closed");
    it.ended("same", 1).await;
}

#[tokio::test]
async fn messages_of_a_socket_are_compared_one_by_one() {
    for carrier in [Carrier::Udp, Carrier::Ws] {
        let credentials = Credentials::default();
        let it = Mirrored::with(TestHandler::start(), |config| {
            config.listeners = carrier.config(&[], &credentials).listeners;
        })
        .await;
        let address = it.gateway.device_address();
        let mut device = carrier.connect(address, &credentials).await;
        device.send("one").await;
        let mut real = Calls::new(&it.gateway, &it.handler.created().await);
        let mut copy = Calls::new(&it.gateway, &it.mirror.created().await);
        device.send("").await;
        device.send("two").await;
        for handler in [&it.handler, &it.mirror] {
            for message in ["one", "", "two"] {
                assert_eq!(handler.next().await.event, Event::Received(message.into()));
            }
        }
        for calls in [&mut real, &mut copy] {
            ok(&calls.send("a").await);
            ok(&calls.send("").await);
        }
        assert_eq!(it.calls("Send", "same").await, 2, "{carrier:?}");
        for message in ["b", "c"] {
            ok(&real.send(message).await);
        }
        ok(&copy.send("bc").await);
        assert_eq!(it.calls("Send", "different").await, 1, "{carrier:?}");
    }
}

#[tokio::test]
async fn an_old_handler_may_be_a_mirror() {
    let manner = Manner {
        client_streams: Some(Answering::AtTheEnd),
        ..Manner::default()
    };
    let mirror = TestHandler::start_as(([127, 0, 0, 1], 0).into(), manner);
    let streams = |config: &mut Config| {
        config.handler.mirror.service = Some(HandlerService::ConnectionHandler);
    };
    let it = Mirrored::with(mirror, streams).await;
    let mut pair = it.connect().await;
    pair.device.send("hello").await;
    it.handler.received(5).await;
    assert_eq!(it.mirror.received(5).await, b"hello");
    for calls in [&mut pair.copy, &mut pair.real] {
        ok(&calls.send("x").await);
        ok(&calls.close().await);
    }
    pair.device.read(1).await;
    assert_eq!(it.mirror.closed().await, "normal");
    it.ended("same", 1).await;
}
