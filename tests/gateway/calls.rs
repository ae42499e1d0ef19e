//! The calls of the adapter, with their plainest arguments, and what their answers should be.

use bytes::Bytes;
use exproto_tests::{Device, TestGateway, TestHandler, until};
use proto::exproto::{
    AuthenticateRequest, ClientInfo, CloseSocketRequest, CodeResponse, PublishRequest,
    RawPublishRequest, ResultCode, SendBytesRequest, SubscribeRequest, TimerRequest,
    UnsubscribeRequest, connection_adapter_client::ConnectionAdapterClient,
};
use tonic::{Request, metadata::MetadataValue, transport::Channel};

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

    /// By this client of the adapter.
    pub(crate) fn by(adapter: ConnectionAdapterClient<Channel>, conn: &str) -> Self {
        let conn = conn.to_owned();
        Self { adapter, conn }
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

    /// As `authenticate`, with a session that is to outlive the connection for so many seconds. Also tells whether it
    /// was there, where the answer says so.
    pub(crate) async fn begin_session(
        &mut self,
        clientid: &str,
        expiry: &str,
    ) -> (Answer, Option<bool>) {
        self.begin_session_as(clientid, "", expiry).await
    }

    /// The same of that user.
    pub(crate) async fn begin_session_as(
        &mut self,
        clientid: &str,
        username: &str,
        expiry: &str,
    ) -> (Answer, Option<bool>) {
        let mut request = Request::new(AuthenticateRequest {
            conn: self.conn.clone(),
            clientinfo: Some(ClientInfo {
                clientid: clientid.to_owned(),
                username: username.to_owned(),
                ..ClientInfo::default()
            }),
            password: String::new(),
        });
        let metadata = request.metadata_mut();
        metadata.insert("exproto-session-expiry", expiry.parse().unwrap());
        let answer = self.adapter.authenticate(request).await.unwrap();
        let present = answer.metadata().get("exproto-session-present");
        let present = present.map(|word| word.to_str().unwrap().parse().unwrap());
        (answer.into_inner(), present)
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

    /// As `publish`, with `exproto-retain`.
    pub(crate) async fn publish_retained(
        &mut self,
        topic: &str,
        qos: u32,
        payload: impl Into<Bytes>,
        retain: &'static str,
    ) -> Answer {
        let request = PublishRequest {
            conn: self.conn.clone(),
            topic: topic.to_owned(),
            qos,
            payload: payload.into(),
        };
        let request = retaining(request, retain);
        self.adapter.publish(request).await.unwrap().into_inner()
    }

    /// As `raw_publish`, with `exproto-retain: true`.
    pub(crate) async fn raw_publish_retained(
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
        let request = retaining(request, "true");
        let answer = self.adapter.raw_publish(request).await;
        answer.unwrap().into_inner()
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

fn retaining<T>(request: T, retain: &'static str) -> Request<T> {
    let mut request = Request::new(request);
    let value = MetadataValue::from_static(retain);
    request.metadata_mut().insert("exproto-retain", value);
    request
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
