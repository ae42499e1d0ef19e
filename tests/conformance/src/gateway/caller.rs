//! Calls of the gateway's adapter, and what they are answered.

use std::future::Future;

use bytes::Bytes;
use proto::exproto::{
    AuthenticateRequest, ClientInfo, CloseSocketRequest, CodeResponse, PublishRequest,
    RawPublishRequest, ResultCode, SendBytesRequest, SubscribeRequest, TimerRequest,
    UnsubscribeRequest, connection_adapter_client::ConnectionAdapterClient,
};
use tonic::{
    Code, Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use crate::{
    check::{Miss, fail},
    dialect::Wanted,
    patience::Patience,
};

/// A client of the adapter.
#[derive(Clone)]
pub struct Caller {
    adapter: ConnectionAdapterClient<Channel>,
    token: Option<MetadataValue<Ascii>>,
    patience: Patience,
}

/// What a call was answered.
#[derive(Clone, Debug)]
pub enum Said {
    /// A code, and its message.
    Code(ResultCode, String),
    /// A code that the contract does not have.
    Strange(i32),
    /// An error of gRPC.
    Error(Code, String),
}

impl Said {
    /// Whether it is that.
    #[must_use]
    pub fn is(&self, wanted: Wanted) -> bool {
        match (self, wanted) {
            (Self::Code(code, _), Wanted::Code(wanted)) => *code == wanted,
            (Self::Error(..), Wanted::Error) => true,
            _ => false,
        }
    }

    /// Fails the check unless it is that.
    pub fn must(&self, call: &str, wanted: Wanted) -> Result<(), Miss> {
        if self.is(wanted) {
            return Ok(());
        }
        let wanted = match wanted {
            Wanted::Code(code) => code.as_str_name(),
            Wanted::Error => "an error of gRPC",
        };
        fail(format!("{call} was answered {self}, and not {wanted}"))
    }

    /// Fails the check unless it is SUCCESS.
    pub fn done(&self, call: &str) -> Result<(), Miss> {
        self.must(call, Wanted::Code(ResultCode::Success))
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code, message) if message.is_empty() => to.write_str(code.as_str_name()),
            Self::Code(code, message) => write!(to, "{} ({message})", code.as_str_name()),
            Self::Strange(number) => {
                write!(to, "the code {number}, which the contract does not have")
            }
            Self::Error(code, message) => write!(to, "the gRPC error {code:?} ({message})"),
        }
    }
}

impl Caller {
    /// A client by that channel, with a token where the adapter wants one.
    #[must_use]
    pub fn new(adapter: Channel, token: Option<MetadataValue<Ascii>>, patience: Patience) -> Self {
        Self {
            adapter: ConnectionAdapterClient::new(adapter),
            token,
            patience,
        }
    }

    /// Send.
    pub async fn send(&self, conn: &str, bytes: impl Into<Bytes>) -> Result<Said, Miss> {
        let request = SendBytesRequest {
            conn: conn.to_owned(),
            bytes: bytes.into(),
        };
        let mut adapter = self.adapter.clone();
        self.said("Send", adapter.send(self.request(request))).await
    }

    /// Close.
    pub async fn close(&self, conn: &str) -> Result<Said, Miss> {
        let conn = conn.to_owned();
        let mut adapter = self.adapter.clone();
        let closing = adapter.close(self.request(CloseSocketRequest { conn }));
        self.said("Close", closing).await
    }

    /// Authenticate as that client.
    pub async fn authenticate(&self, conn: &str, clientid: &str) -> Result<Said, Miss> {
        let info = ClientInfo {
            proto_name: "conformance".to_owned(),
            proto_ver: "1".to_owned(),
            clientid: clientid.to_owned(),
            username: clientid.to_owned(),
            mountpoint: String::new(),
        };
        self.authenticate_with(conn, Some(info)).await
    }

    /// Authenticate with what may not be.
    pub async fn authenticate_with(
        &self,
        conn: &str,
        info: Option<ClientInfo>,
    ) -> Result<Said, Miss> {
        let request = AuthenticateRequest {
            conn: conn.to_owned(),
            clientinfo: info,
            password: String::new(),
        };
        let mut adapter = self.adapter.clone();
        self.said("Authenticate", adapter.authenticate(self.request(request)))
            .await
    }

    /// StartTimer.
    pub async fn start_timer(&self, conn: &str, r#type: i32, interval: u32) -> Result<Said, Miss> {
        let request = TimerRequest {
            conn: conn.to_owned(),
            r#type,
            interval,
        };
        let mut adapter = self.adapter.clone();
        self.said("StartTimer", adapter.start_timer(self.request(request)))
            .await
    }

    /// Publish.
    pub async fn publish(
        &self,
        conn: &str,
        topic: &str,
        qos: u32,
        payload: &str,
    ) -> Result<Said, Miss> {
        let request = PublishRequest {
            conn: conn.to_owned(),
            topic: topic.to_owned(),
            qos,
            payload: payload.to_owned().into(),
        };
        let mut adapter = self.adapter.clone();
        self.said("Publish", adapter.publish(self.request(request)))
            .await
    }

    /// RawPublish.
    pub async fn raw_publish(&self, topic: &str, qos: u32, payload: &str) -> Result<Said, Miss> {
        let request = RawPublishRequest {
            topic: topic.to_owned(),
            qos,
            payload: payload.to_owned().into(),
        };
        let mut adapter = self.adapter.clone();
        self.said("RawPublish", adapter.raw_publish(self.request(request)))
            .await
    }

    /// Subscribe.
    pub async fn subscribe(&self, conn: &str, filter: &str, qos: u32) -> Result<Said, Miss> {
        let request = SubscribeRequest {
            conn: conn.to_owned(),
            topic: filter.to_owned(),
            qos,
        };
        let mut adapter = self.adapter.clone();
        self.said("Subscribe", adapter.subscribe(self.request(request)))
            .await
    }

    /// Unsubscribe.
    pub async fn unsubscribe(&self, conn: &str, filter: &str) -> Result<Said, Miss> {
        let request = UnsubscribeRequest {
            conn: conn.to_owned(),
            topic: filter.to_owned(),
        };
        let mut adapter = self.adapter.clone();
        self.said("Unsubscribe", adapter.unsubscribe(self.request(request)))
            .await
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request
                .metadata_mut()
                .insert("authorization", token.clone());
        }
        request
    }

    async fn said(
        &self,
        call: &str,
        answer: impl Future<Output = Result<Response<CodeResponse>, Status>>,
    ) -> Result<Said, Miss> {
        let what = format!("answer to {call}");
        Ok(match self.patience.wait(&what, answer).await? {
            Err(status) => Said::Error(status.code(), status.message().to_owned()),
            Ok(answer) => {
                let CodeResponse { code, message } = answer.into_inner();
                match ResultCode::try_from(code) {
                    Ok(code) => Said::Code(code, message),
                    Err(_) => Said::Strange(code),
                }
            }
        })
    }
}
