//! The deprecated service of a handler that does as the test says: client streams.

use std::{future::pending, sync::Arc};

use proto::exproto::{
    EmptySuccess, ReceivedBytesRequest, ReceivedMessagesRequest, SocketClosedRequest,
    SocketCreatedRequest, TimerTimeoutRequest, connection_handler_server::ConnectionHandler,
};
use tonic::{Request, Response, Status, Streaming};

use super::{Answering, Callback, Event, Script};

/// One life of the handler.
pub(super) struct Service {
    pub(super) script: Arc<Script>,
    pub(super) answering: Answering,
}

impl Service {
    async fn read<T>(
        &self,
        request: Request<Streaming<T>>,
        told: impl Fn(T) -> (String, Event),
    ) -> Result<Response<EmptySuccess>, Status> {
        let (metadata, _, mut messages) = request.into_parts();
        while let Some(message) = messages.message().await? {
            let (conn, event) = told(message);
            let has_bytes = matches!(event, Event::Received(_));
            let callback = Callback {
                conn,
                event,
                metadata: metadata.clone(),
                reply: None,
            };
            self.script
                .callbacks
                .try_send(callback)
                .map_err(|_| Status::resource_exhausted("the test reads no callbacks"))?;
            match self.answering {
                Answering::AtOnce => return Ok(Response::new(EmptySuccess {})),
                Answering::Bytes(code) if has_bytes => return Err(Status::new(code, "as told")),
                _ => {}
            }
        }
        self.script.stream_ended();
        Ok(Response::new(EmptySuccess {}))
    }
}

#[tonic::async_trait]
impl ConnectionHandler for Service {
    async fn on_socket_created(
        &self,
        request: Request<Streaming<SocketCreatedRequest>>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let told = |message: SocketCreatedRequest| {
            let info = message.conninfo.unwrap_or_default();
            (message.conn, Event::Created(info))
        };
        self.read(request, told).await
    }

    async fn on_socket_closed(
        &self,
        request: Request<Streaming<SocketClosedRequest>>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let told = |message: SocketClosedRequest| (message.conn, Event::Closed(message.reason));
        self.read(request, told).await
    }

    async fn on_received_bytes(
        &self,
        request: Request<Streaming<ReceivedBytesRequest>>,
    ) -> Result<Response<EmptySuccess>, Status> {
        if self.answering == Answering::BytesAreNotRead {
            // The request lives on, unread.
            let _request = request;
            return pending().await;
        }
        let told = |message: ReceivedBytesRequest| (message.conn, Event::Received(message.bytes));
        self.read(request, told).await
    }

    async fn on_timer_timeout(
        &self,
        request: Request<Streaming<TimerTimeoutRequest>>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let told = |message: TimerTimeoutRequest| (message.conn, Event::TimedOut);
        self.read(request, told).await
    }

    async fn on_received_messages(
        &self,
        request: Request<Streaming<ReceivedMessagesRequest>>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let told =
            |message: ReceivedMessagesRequest| (message.conn, Event::Messages(message.messages));
        self.read(request, told).await
    }
}
