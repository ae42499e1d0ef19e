//! The proxy between the gateway and its handler.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use proto::exproto::{
    EmptySuccess, Message, ReceivedBytesRequest, ReceivedMessagesRequest, SocketClosedRequest,
    SocketCreatedRequest, TimerTimeoutRequest,
    connection_unary_handler_server::ConnectionUnaryHandler,
};
use tonic::{Request, Response, Status};

use super::{Fault, Shared};

pub(super) struct Proxy(pub(super) Arc<Shared>);

type Answer = Result<Response<EmptySuccess>, Status>;

impl Proxy {
    /// The same callback for the handler.
    fn pass<T>(&self, request: &Request<T>, message: T) -> Request<T> {
        let mut passed = Request::new(message);
        if !self.0.has(Fault::NoMetadata) {
            *passed.metadata_mut() = request.metadata().clone();
        }
        passed
    }

    fn answer(&self, answer: Answer) -> Answer {
        match answer {
            Err(_) if self.0.has(Fault::ErrorsForgiven) => Ok(Response::new(EmptySuccess {})),
            answer => answer,
        }
    }

    /// The bytes as the fault has them; `None`: they are lost.
    fn spoil(&self, bytes: &Bytes) -> Option<Bytes> {
        let mut all = bytes.to_vec();
        match self.0.fault {
            Some(Fault::ByteChanged) => {
                all.iter_mut()
                    .filter(|byte| **byte == 255)
                    .for_each(|byte| *byte = 254);
            }
            Some(Fault::SmallByteLost) if all.len() < 250 => all.retain(|byte| *byte != 77),
            Some(Fault::LargeBytesSwapped) if all.len() > 10_000 => all.swap(5000, 5001),
            Some(Fault::WaitingBytesReversed) if all.len() == 20 => all.reverse(),
            Some(Fault::LastBytesLost) if all == b"goodbye" => return None,
            _ => {}
        }
        Some(all.into())
    }

    fn spoil_message(&self, message: &mut Message) -> bool {
        match self.0.fault {
            Some(Fault::FromChanged) if message.from != "exproto" => message.from.push('x'),
            Some(Fault::RawFromChanged) if message.from == "exproto" => message.from.clear(),
            Some(Fault::MessageTwice) if message.payload == "100" => message.payload = "99".into(),
            Some(Fault::MessageLost) => return message.payload != "hello",
            Some(Fault::NestedMessageLost) => return message.payload != "all/b/c",
            _ => {}
        }
        true
    }
}

#[tonic::async_trait]
impl ConnectionUnaryHandler for Proxy {
    async fn on_socket_created(&self, request: Request<SocketCreatedRequest>) -> Answer {
        let mut created = request.get_ref().clone();
        if self.0.has(Fault::WrongPort) {
            created
                .conninfo
                .as_mut()
                .unwrap()
                .peername
                .as_mut()
                .unwrap()
                .port ^= 1;
        }
        let mut handler = self.0.handler.clone();
        let passed = self.pass(&request, created.clone());
        let answer = handler.on_socket_created(passed).await;
        if self.0.has(Fault::CreatedTwice) {
            handler.on_socket_created(created).await?;
        }
        self.answer(answer)
    }

    async fn on_received_bytes(&self, request: Request<ReceivedBytesRequest>) -> Answer {
        let is_storm = request
            .get_ref()
            .bytes
            .windows(7)
            .any(|part| part == b"-storm-");
        let _one_at_a_time = if self.0.has(Fault::OneCallbackAtATime) && !is_storm {
            Some(self.0.one_at_a_time.lock().await)
        } else {
            None
        };
        let ReceivedBytesRequest { conn, bytes } = request.get_ref().clone();
        let Some(spoilt) = self.spoil(&bytes) else {
            return Ok(Response::new(EmptySuccess {}));
        };
        if bytes == "last words" {
            self.0.lost.lock().unwrap().push(conn.clone());
        }
        let mut handler = self.0.handler.clone();
        let passed = ReceivedBytesRequest {
            conn: conn.clone(),
            bytes: spoilt,
        };
        let passed = self.pass(&request, passed);
        let forgives = self.0.has(Fault::SilenceForgiven) && bytes == "no answer";
        if forgives || (self.0.has(Fault::AnswersForTheHandler) && bytes == "one") {
            tokio::spawn(async move { handler.on_received_bytes(passed).await });
            return Ok(Response::new(EmptySuccess {}));
        }
        let answer = handler.on_received_bytes(passed).await;
        if self.0.has(Fault::EmptyBytes) && bytes.len() > 10_000 {
            let empty = ReceivedBytesRequest {
                conn,
                bytes: Bytes::new(),
            };
            handler.on_received_bytes(empty).await?;
        }
        self.answer(answer)
    }

    async fn on_timer_timeout(&self, request: Request<TimerTimeoutRequest>) -> Answer {
        if self.0.has(Fault::NoTimeout) {
            return Ok(Response::new(EmptySuccess {}));
        }
        let message = request.get_ref().clone();
        let passed = self.pass(&request, message);
        self.answer(self.0.handler.clone().on_timer_timeout(passed).await)
    }

    async fn on_received_messages(&self, request: Request<ReceivedMessagesRequest>) -> Answer {
        let ReceivedMessagesRequest { conn, mut messages } = request.get_ref().clone();
        messages.retain_mut(|message| self.spoil_message(message));
        let mut handler = self.0.handler.clone();
        if self.0.has(Fault::EmptyMessages) && messages.iter().any(|each| each.payload == "200") {
            let empty = ReceivedMessagesRequest {
                conn: conn.clone(),
                messages: Vec::new(),
            };
            handler.on_received_messages(empty).await?;
        }
        if messages.is_empty() {
            return Ok(Response::new(EmptySuccess {}));
        }
        let passed = self.pass(&request, ReceivedMessagesRequest { conn, messages });
        self.answer(handler.on_received_messages(passed).await)
    }

    async fn on_socket_closed(&self, request: Request<SocketClosedRequest>) -> Answer {
        let mut closed = request.get_ref().clone();
        if self.0.has(Fault::AnotherReason) && closed.reason == "discarded" {
            "kicked".clone_into(&mut closed.reason);
        }
        let lost = self.0.lost.lock().unwrap().contains(&closed.conn);
        if self.0.has(Fault::ClosedLost) && lost {
            return Ok(Response::new(EmptySuccess {}));
        }
        let mut handler = self.0.handler.clone();
        let passed = self.pass(&request, closed.clone());
        let answer = handler.on_socket_closed(passed).await;
        if self.0.has(Fault::ClosedTwice) {
            tokio::time::sleep(Duration::from_millis(50)).await;
            handler.on_socket_closed(closed).await?;
        }
        self.answer(answer)
    }
}
