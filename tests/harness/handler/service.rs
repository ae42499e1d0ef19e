//! The service of a handler that does as the test says.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, atomic::Ordering},
};

use proto::exproto::{
    EmptySuccess, ReceivedBytesRequest, ReceivedMessagesRequest, SocketClosedRequest,
    SocketCreatedRequest, TimerTimeoutRequest,
    connection_unary_handler_server::ConnectionUnaryHandler,
};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use super::{Callback, Event, Script};

/// One life of the handler.
pub(super) struct Service {
    pub(super) script: Arc<Script>,
    /// Connections with a callback in flight.
    pub(super) in_flight: Arc<Mutex<HashSet<String>>>,
}

impl Service {
    async fn called<T>(
        &self,
        conn: impl FnOnce(&T) -> String,
        event: impl FnOnce(T) -> Event,
        request: Request<T>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let script = &self.script;
        let (metadata, _, request) = request.into_parts();
        let conn = conn(&request);
        let event = event(request);
        let first = self
            .in_flight
            .lock()
            .expect("no panic while locked")
            .insert(conn.clone());
        let _in_flight = first.then(|| InFlight(self.in_flight.clone(), conn.clone()));
        let attempt = metadata.get("exproto-attempt");
        let attempt = attempt
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        // After its deadline a callback is given up, and its server may not have noticed when the next one comes.
        let given_up = matches!(&event, Event::Closed(reason) if reason == "handler_timeout")
            || (matches!(event, Event::Messages(_)) && attempt != "1");
        if !first && !given_up {
            script.broken(format!("{conn}: two callbacks in flight"));
        }
        // So that a second one would meet the first.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        let (reply, answer) = oneshot::channel();
        let hold = script.hold.load(Ordering::SeqCst);
        script.check(&conn, &event, attempt);
        let callback = Callback {
            conn,
            event,
            metadata,
            reply: hold.then_some(reply),
        };
        script
            .callbacks
            .try_send(callback)
            .map_err(|_| Status::resource_exhausted("the test reads no callbacks"))?;
        if hold {
            answer.await.unwrap_or(Ok(()))?;
        }
        Ok(Response::new(EmptySuccess {}))
    }
}

/// A callback in flight, until it is answered or given up.
struct InFlight(Arc<Mutex<HashSet<String>>>, String);

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Ok(mut in_flight) = self.0.lock() {
            in_flight.remove(&self.1);
        }
    }
}

#[tonic::async_trait]
impl ConnectionUnaryHandler for Service {
    async fn on_socket_created(
        &self,
        request: Request<SocketCreatedRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let event =
            |request: SocketCreatedRequest| Event::Created(request.conninfo.unwrap_or_default());
        self.called(|request| request.conn.clone(), event, request)
            .await
    }

    async fn on_socket_closed(
        &self,
        request: Request<SocketClosedRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let event = |request: SocketClosedRequest| Event::Closed(request.reason);
        self.called(|request| request.conn.clone(), event, request)
            .await
    }

    async fn on_received_bytes(
        &self,
        request: Request<ReceivedBytesRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let event = |request: ReceivedBytesRequest| Event::Received(request.bytes);
        self.called(|request| request.conn.clone(), event, request)
            .await
    }

    async fn on_timer_timeout(
        &self,
        request: Request<TimerTimeoutRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        self.called(|request| request.conn.clone(), |_| Event::TimedOut, request)
            .await
    }

    async fn on_received_messages(
        &self,
        request: Request<ReceivedMessagesRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let event = |request: ReceivedMessagesRequest| Event::Messages(request.messages);
        self.called(|request| request.conn.clone(), event, request)
            .await
    }
}
