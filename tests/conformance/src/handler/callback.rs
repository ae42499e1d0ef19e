//! One call of the handler: what it carries, and how it can fail.

use std::time::Duration;

use bytes::Bytes;
use proto::exproto::{
    ReceivedBytesRequest, ReceivedMessagesRequest, SocketClosedRequest, SocketCreatedRequest,
    TimerTimeoutRequest, connection_unary_handler_client::ConnectionUnaryHandlerClient,
};
use tonic::{Code, Request, Status, metadata::MetadataValue, transport::Channel};

use crate::check::{Miss, fail};

/// A call of the handler.
#[derive(Clone, Debug)]
pub enum Callback {
    /// OnSocketCreated.
    Created(SocketCreatedRequest),
    /// OnReceivedBytes.
    Bytes(ReceivedBytesRequest),
    /// OnTimerTimeout.
    Timer(TimerTimeoutRequest),
    /// OnReceivedMessages.
    Messages(ReceivedMessagesRequest),
    /// OnSocketClosed.
    Closed(SocketClosedRequest),
}

/// A callback that was not answered as it must be.
#[derive(Clone, Debug)]
pub enum Failure {
    /// With an error.
    Refused(&'static str, Code, String),
    /// Not at all.
    Silent(&'static str, Duration),
}

/// Which bytes come before a callback, and which attempt at it this is.
#[derive(Clone, Copy)]
pub(super) struct Stamp {
    pub(super) offset: u64,
    pub(super) attempt: u32,
}

impl Callback {
    pub(super) fn method(&self) -> &'static str {
        match self {
            Self::Created(_) => "OnSocketCreated",
            Self::Bytes(_) => "OnReceivedBytes",
            Self::Timer(_) => "OnTimerTimeout",
            Self::Messages(_) => "OnReceivedMessages",
            Self::Closed(_) => "OnSocketClosed",
        }
    }

    /// The connection that it is about.
    pub(super) fn conn(&self) -> &str {
        match self {
            Self::Created(request) => &request.conn,
            Self::Bytes(request) => &request.conn,
            Self::Timer(request) => &request.conn,
            Self::Messages(request) => &request.conn,
            Self::Closed(request) => &request.conn,
        }
    }

    /// OnReceivedBytes with these.
    pub(super) fn received(conn: &str, bytes: &[u8]) -> Self {
        Self::Bytes(ReceivedBytesRequest {
            conn: conn.to_owned(),
            bytes: Bytes::copy_from_slice(bytes),
        })
    }

    /// Makes the call.
    pub(super) async fn make(
        self,
        mut handler: ConnectionUnaryHandlerClient<Channel>,
        stamp: Stamp,
        deadline: Duration,
    ) -> Result<(), Status> {
        let answer = match self {
            Self::Created(request) => handler.on_socket_created(stamp.on(request, deadline)).await,
            Self::Bytes(request) => handler.on_received_bytes(stamp.on(request, deadline)).await,
            Self::Timer(request) => handler.on_timer_timeout(stamp.on(request, deadline)).await,
            Self::Messages(request) => {
                handler
                    .on_received_messages(stamp.on(request, deadline))
                    .await
            }
            Self::Closed(request) => handler.on_socket_closed(stamp.on(request, deadline)).await,
        };
        answer.map(drop)
    }
}

impl Stamp {
    /// The request with the metadata of a callback.
    fn on<T>(self, message: T, deadline: Duration) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(deadline);
        let metadata = request.metadata_mut();
        metadata.insert(
            "exproto-listener",
            MetadataValue::from_static("conformance"),
        );
        metadata.insert("exproto-transport", MetadataValue::from_static("tcp"));
        metadata.insert("exproto-offset", MetadataValue::from(self.offset));
        metadata.insert("exproto-attempt", MetadataValue::from(self.attempt));
        request
    }
}

impl Failure {
    /// The handler does not serve that method.
    #[must_use]
    pub fn is_unimplemented(&self) -> bool {
        matches!(self, Self::Refused(_, Code::Unimplemented, _))
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(method, code, message) => {
                write!(
                    to,
                    "{method} was answered by the gRPC error {code:?}: {message}"
                )
            }
            Self::Silent(method, patience) => {
                write!(to, "{method} was not answered within {patience:?}")
            }
        }
    }
}

impl From<Failure> for Miss {
    fn from(failure: Failure) -> Self {
        fail::<()>(failure.to_string()).expect_err("it has failed")
    }
}
