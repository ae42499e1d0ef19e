//! The calls of the adapter, with their plainest arguments, and what their answers should be.

use bytes::Bytes;
use exproto_tests::{Device, TestGateway, TestHandler, until};
use proto::exproto::{
    AuthenticateRequest, ClientInfo, CloseSocketRequest, CodeResponse, PublishRequest,
    RawPublishRequest, ResultCode, SendBytesRequest, SubscribeRequest, TimerRequest,
    UnsubscribeRequest, connection_adapter_client::ConnectionAdapterClient,
};
use tonic::transport::Channel;

/// All calls of the adapter, with their plainest arguments.
pub(crate) struct Calls {
    adapter: ConnectionAdapterClient<Channel>,
    pub(crate) conn: String,
}

type Answer = CodeResponse;

impl Calls {
    pub(crate) fn new(gateway: &TestGateway, conn: &str) -> Self {
        Self {
            adapter: gateway.adapter(),
            conn: conn.to_owned(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl Into<Bytes>) -> Answer {
        let request = SendBytesRequest {
            conn: self.conn.clone(),
            bytes: bytes.into(),
        };
        self.adapter.send(request).await.unwrap().into_inner()
    }

    /// Whether a Send was accepted.
    pub(crate) async fn try_send(&mut self, bytes: impl Into<Bytes>) -> bool {
        self.send(bytes).await.code() == ResultCode::Success
    }

    pub(crate) async fn close(&mut self) -> Answer {
        let request = CloseSocketRequest {
            conn: self.conn.clone(),
        };
        self.adapter.close(request).await.unwrap().into_inner()
    }

    pub(crate) async fn authenticate(&mut self, clientid: &str) -> Answer {
        let info = ClientInfo {
            proto_name: "test".to_owned(),
            proto_ver: "1".to_owned(),
            clientid: clientid.to_owned(),
            ..ClientInfo::default()
        };
        self.authenticate_as(Some(info), "").await
    }

    pub(crate) async fn authenticate_as(
        &mut self,
        clientinfo: Option<ClientInfo>,
        password: &str,
    ) -> Answer {
        let request = AuthenticateRequest {
            conn: self.conn.clone(),
            clientinfo,
            password: password.to_owned(),
        };
        self.adapter
            .authenticate(request)
            .await
            .unwrap()
            .into_inner()
    }

    pub(crate) async fn start_timer(&mut self, kind: i32, interval: u32) -> Answer {
        let request = TimerRequest {
            conn: self.conn.clone(),
            r#type: kind,
            interval,
        };
        self.adapter
            .start_timer(request)
            .await
            .unwrap()
            .into_inner()
    }

    pub(crate) async fn publish(
        &mut self,
        topic: &str,
        qos: u32,
        payload: impl Into<Bytes>,
    ) -> Answer {
        let request = PublishRequest {
            conn: self.conn.clone(),
            topic: topic.to_owned(),
            qos,
            payload: payload.into(),
        };
        self.adapter.publish(request).await.unwrap().into_inner()
    }

    pub(crate) async fn raw_publish(
        &mut self,
        topic: &str,
        qos: u32,
        payload: impl Into<Bytes>,
    ) -> Answer {
        let request = RawPublishRequest {
            topic: topic.to_owned(),
            qos,
            payload: payload.into(),
        };
        self.adapter
            .raw_publish(request)
            .await
            .unwrap()
            .into_inner()
    }

    pub(crate) async fn subscribe(&mut self, topic: &str, qos: u32) -> Answer {
        let request = SubscribeRequest {
            conn: self.conn.clone(),
            topic: topic.to_owned(),
            qos,
        };
        self.adapter.subscribe(request).await.unwrap().into_inner()
    }

    pub(crate) async fn unsubscribe(&mut self, topic: &str) -> Answer {
        let request = UnsubscribeRequest {
            conn: self.conn.clone(),
            topic: topic.to_owned(),
        };
        self.adapter
            .unsubscribe(request)
            .await
            .unwrap()
            .into_inner()
    }
}

/// A device whose connection is known, and the calls for it.
pub(crate) async fn connect(gateway: &TestGateway, handler: &TestHandler) -> (Device, Calls) {
    let device = gateway.device().await;
    let conn = handler.created().await;
    let calls = Calls::new(gateway, &conn);
    (device, calls)
}

/// As `connect`, and authenticated.
pub(crate) async fn client(
    gateway: &TestGateway,
    handler: &TestHandler,
    id: &str,
) -> (Device, Calls) {
    let (device, mut calls) = connect(gateway, handler).await;
    ok(&calls.authenticate(id).await);
    (device, calls)
}

/// Waits until both handlers of a gateway are ready.
pub(crate) async fn both_ready(gateway: &TestGateway) {
    until("both handlers to be ready", async || {
        gateway
            .metric("exproto_handler_endpoints{state=\"ready\"}")
            .await
            == 2
    })
    .await;
}

pub(crate) fn ok(answer: &CodeResponse) {
    assert_eq!(answer.code(), ResultCode::Success, "{}", answer.message);
    assert_eq!(answer.message, "");
}

/// The answer has that code, and a message that holds `word`.
pub(crate) fn refused(answer: &CodeResponse, code: ResultCode, word: &str) {
    assert_eq!(answer.code(), code, "{}", answer.message);
    assert!(
        answer.message.contains(word),
        "{:?} has no {word:?}",
        answer.message
    );
}
