//! The handler by client streams, which are answered when they end.

use std::sync::atomic::Ordering;

use proto::exproto::{
    EmptySuccess, ReceivedBytesRequest, ReceivedMessagesRequest, SocketClosedRequest,
    SocketCreatedRequest, TimerTimeoutRequest, connection_handler_server::ConnectionHandler,
};
use tonic::{Request, Response, Status, Streaming};

use super::Handler;

#[tonic::async_trait]
impl ConnectionHandler for Handler {
    async fn on_socket_created(
        &self,
        request: Request<Streaming<SocketCreatedRequest>>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let mut messages = request.into_inner();
        while messages.message().await?.is_some() {
            self.counts.created.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Response::new(EmptySuccess {}))
    }

    async fn on_socket_closed(
        &self,
        request: Request<Streaming<SocketClosedRequest>>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let mut messages = request.into_inner();
        while messages.message().await?.is_some() {
            self.counts.closed.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Response::new(EmptySuccess {}))
    }

    async fn on_received_bytes(
        &self,
        request: Request<Streaming<ReceivedBytesRequest>>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let (metadata, _, mut messages) = request.into_parts();
        while let Some(message) = messages.message().await? {
            self.received(&metadata, message).await?;
        }
        Ok(Response::new(EmptySuccess {}))
    }

    async fn on_timer_timeout(
        &self,
        _: Request<Streaming<TimerTimeoutRequest>>,
    ) -> Result<Response<EmptySuccess>, Status> {
        Err(Status::unimplemented("no benchmark starts a timer"))
    }

    async fn on_received_messages(
        &self,
        _: Request<Streaming<ReceivedMessagesRequest>>,
    ) -> Result<Response<EmptySuccess>, Status> {
        Err(Status::unimplemented("no benchmark subscribes"))
    }
}
