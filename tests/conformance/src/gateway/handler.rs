//! The played handler: it notes each callback, and answers it as the check that runs wants.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use proto::exproto::{
    ConnInfo, EmptySuccess, Message, ReceivedBytesRequest, ReceivedMessagesRequest, ResultCode,
    SocketClosedRequest, SocketCreatedRequest, TimerTimeoutRequest,
    connection_unary_handler_server::ConnectionUnaryHandler,
};
use tonic::{Request, Response, Status, metadata::MetadataMap};

use super::caller::{Caller, Said};
use crate::board::Board;

/// All callbacks of a run.
#[derive(Default)]
pub struct Heard {
    /// By `conn`.
    pub connections: HashMap<String, Line>,
    /// How the callbacks of a connection are answered that nobody has seen before.
    pub next: Manner,
}

/// What was heard of one connection.
#[derive(Default)]
pub struct Line {
    /// Its callbacks, in order.
    pub events: Vec<Event>,
    /// All bytes of the device, in order.
    pub bytes: Vec<u8>,
    /// A check has taken it for its device.
    pub claimed: bool,
    /// How its callbacks are answered.
    pub manner: Manner,
    /// Callbacks that are not answered yet.
    pub in_flight: usize,
    /// There were two of them at a time.
    pub overlapped: bool,
    /// Answers to the calls that were made from inside its callbacks.
    pub inside: Vec<Said>,
}

/// One callback.
#[derive(Clone, Debug)]
pub struct Event {
    /// Which.
    pub kind: Kind,
    /// `exproto-offset`, where it is there.
    pub offset: Option<u64>,
    /// `exproto-attempt`, where it is there.
    pub attempt: Option<u32>,
}

/// What a callback tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// OnSocketCreated.
    Created(Option<ConnInfo>),
    /// OnReceivedBytes.
    Bytes(Bytes),
    /// OnTimerTimeout.
    Timer,
    /// OnReceivedMessages.
    Messages(Vec<Message>),
    /// OnSocketClosed, with the reason.
    Closed(String),
}

/// How callbacks are answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Manner {
    /// At once.
    #[default]
    Plain,
    /// Not before the manner is another.
    Held,
    /// By an error.
    Failing,
    /// After bytes were sent back from inside the callback.
    Echo,
    /// After these were sent from inside OnTimerTimeout or OnSocketClosed.
    Farewell(Bytes),
}

impl Kind {
    /// The method's name.
    #[must_use]
    pub fn method(&self) -> &'static str {
        match self {
            Self::Created(_) => "OnSocketCreated",
            Self::Bytes(_) => "OnReceivedBytes",
            Self::Timer => "OnTimerTimeout",
            Self::Messages(_) => "OnReceivedMessages",
            Self::Closed(_) => "OnSocketClosed",
        }
    }
}

impl Line {
    /// All messages, in order.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        let of = |event: &Event| match &event.kind {
            Kind::Messages(messages) => messages.clone(),
            _ => Vec::new(),
        };
        self.events.iter().flat_map(of).collect()
    }

    /// The reason of OnSocketClosed, once it was called.
    #[must_use]
    pub fn closed(&self) -> Option<&str> {
        self.events.iter().find_map(|event| match &event.kind {
            Kind::Closed(reason) => Some(reason.as_str()),
            _ => None,
        })
    }

    /// The names of its callbacks, in order.
    #[must_use]
    pub fn methods(&self) -> Vec<&'static str> {
        self.events
            .iter()
            .map(|event| event.kind.method())
            .collect()
    }
}

/// The service.
pub(super) struct Service {
    pub(super) heard: Arc<Board<Heard>>,
    pub(super) caller: Caller,
}

/// A callback that is not answered yet, or was given up.
struct InFlight(Arc<Board<Heard>>, String);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.write(|heard| {
            if let Some(line) = heard.connections.get_mut(&self.1) {
                line.in_flight -= 1;
            }
        });
    }
}

impl Service {
    async fn called(
        &self,
        conn: String,
        kind: Kind,
        metadata: &MetadataMap,
    ) -> Result<Response<EmptySuccess>, Status> {
        let event = Event {
            kind: kind.clone(),
            offset: number(metadata, "exproto-offset"),
            attempt: number(metadata, "exproto-attempt"),
        };
        self.heard.write(|heard| {
            let manner = heard.next.clone();
            let line = heard
                .connections
                .entry(conn.clone())
                .or_insert_with(|| Line {
                    manner,
                    ..Line::default()
                });
            line.in_flight += 1;
            line.overlapped |= line.in_flight > 1;
            if let Kind::Bytes(bytes) = &event.kind {
                line.bytes.extend_from_slice(bytes);
            }
            line.events.push(event);
        });
        let _in_flight = InFlight(self.heard.clone(), conn.clone());
        let manner = self.heard.until(|heard| {
            let manner = heard.connections.get(&conn).map(|line| line.manner.clone());
            manner.filter(|manner| *manner != Manner::Held)
        });
        match (manner.await, kind) {
            (Manner::Failing, _) => return Err(Status::internal("the check wants an error")),
            (Manner::Echo, Kind::Bytes(bytes))
            | (Manner::Farewell(bytes), Kind::Timer | Kind::Closed(_)) => {
                self.send(&conn, bytes).await;
            }
            _ => {}
        }
        Ok(Response::new(EmptySuccess {}))
    }

    async fn send(&self, conn: &str, bytes: Bytes) {
        let said = self.caller.send(conn, bytes).await;
        let said = said.unwrap_or_else(|_| Said::Code(ResultCode::Unknown, "no answer".to_owned()));
        self.heard.write(|heard| {
            if let Some(line) = heard.connections.get_mut(conn) {
                line.inside.push(said);
            }
        });
    }
}

fn number<T: std::str::FromStr>(metadata: &MetadataMap, name: &str) -> Option<T> {
    metadata.get(name)?.to_str().ok()?.parse().ok()
}

#[tonic::async_trait]
impl ConnectionUnaryHandler for Service {
    async fn on_socket_created(
        &self,
        request: Request<SocketCreatedRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.called(request.conn, Kind::Created(request.conninfo), &metadata)
            .await
    }

    async fn on_socket_closed(
        &self,
        request: Request<SocketClosedRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.called(request.conn, Kind::Closed(request.reason), &metadata)
            .await
    }

    async fn on_received_bytes(
        &self,
        request: Request<ReceivedBytesRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.called(request.conn, Kind::Bytes(request.bytes), &metadata)
            .await
    }

    async fn on_timer_timeout(
        &self,
        request: Request<TimerTimeoutRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.called(request.conn, Kind::Timer, &metadata).await
    }

    async fn on_received_messages(
        &self,
        request: Request<ReceivedMessagesRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.called(request.conn, Kind::Messages(request.messages), &metadata)
            .await
    }
}
