//! A caller that is a mirror: whatever it calls is answered and not carried out.

use config::Scope;
use exproto_tests::TestHandler;
use proto::exproto::{
    CloseSocketRequest, RawPublishRequest, ResultCode, SendBytesRequest,
    connection_adapter_client::ConnectionAdapterClient,
};

use super::{bearing, caller, started, token};

#[tokio::test]
async fn a_mirror_can_do_no_harm_whatever_it_calls() {
    let handler = TestHandler::start();
    let folder = tempfile::tempdir().unwrap();
    let mut mirror = caller(&folder, "mirror", &Scope::ALL);
    mirror.mirror = true;
    let callers = vec![caller(&folder, "handler", &Scope::ALL), mirror];
    let gateway = started(&handler, |config| config.adapter.callers = callers).await;
    let mut device = gateway.device().await;
    let conn = handler.created().await;
    let mut adapter = ConnectionAdapterClient::new(gateway.channel());
    let (of_handler, of_mirror) = (token("handler"), token("mirror"));
    let send = |bytes: &'static str| SendBytesRequest {
        conn: conn.clone(),
        bytes: bytes.into(),
    };
    let raw = |topic: &str| RawPublishRequest {
        topic: topic.to_owned(),
        qos: 1,
        payload: "x".into(),
    };
    let published = "exproto_messages_total{event=\"published\"}";

    // Also with the conn of the handler, which it may know from somewhere.
    let answer = adapter.send(bearing(send("of the mirror"), Some(&of_mirror)));
    assert_eq!(answer.await.unwrap().get_ref().code(), ResultCode::Success);
    let close = CloseSocketRequest { conn: conn.clone() };
    let answer = adapter.close(bearing(close, Some(&of_mirror))).await;
    assert_eq!(answer.unwrap().get_ref().code(), ResultCode::Success);
    let answer = adapter.raw_publish(bearing(raw("t"), Some(&of_mirror)));
    assert_eq!(answer.await.unwrap().get_ref().code(), ResultCode::Success);
    let answer = adapter.raw_publish(bearing(raw("t/+"), Some(&of_mirror)));
    let answer = answer.await.unwrap().into_inner();
    assert_eq!(answer.code(), ResultCode::ParamsTypeError);
    assert_eq!(gateway.metric(published).await, 0);

    let answer = adapter.raw_publish(bearing(raw("t"), Some(&of_handler)));
    assert_eq!(answer.await.unwrap().get_ref().code(), ResultCode::Success);
    assert_eq!(gateway.metric(published).await, 1);
    let answer = adapter.send(bearing(send("of the handler"), Some(&of_handler)));
    assert_eq!(answer.await.unwrap().get_ref().code(), ResultCode::Success);
    assert_eq!(device.read(14).await, b"of the handler");
    // Calls of the mirror are not the handler's.
    let sends = "exproto_adapter_calls_total{code=\"SUCCESS\",method=\"Send\"}";
    assert_eq!(gateway.metric(sends).await, 1);
}
