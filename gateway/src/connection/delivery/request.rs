//! What a callback looks like on the wire: its method, its message, its metadata.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use proto::exproto;

use super::{Delivery, Event};
use crate::{
    broker::Message,
    connection::handle::Shared,
    handler::{Method, frame},
};

const OFFSET: HeaderName = HeaderName::from_static("exproto-offset");
const ATTEMPT: HeaderName = HeaderName::from_static("exproto-attempt");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

impl Delivery {
    pub(super) fn conn(&self) -> String {
        self.shared.id.as_str().to_owned()
    }

    pub(super) fn method(&self) -> Method {
        match self.event {
            Event::Created => Method::OnSocketCreated,
            Event::Received(_) => Method::OnReceivedBytes,
            Event::TimerTimeout => Method::OnTimerTimeout,
            Event::Messages(_) => Method::OnReceivedMessages,
            Event::Closed(_) => Method::OnSocketClosed,
        }
    }

    pub(super) fn frame(&self) -> Bytes {
        let conn = self.conn();
        match &self.event {
            Event::Created => Bytes::new(),
            Event::Received(bytes) => frame(&exproto::ReceivedBytesRequest {
                conn,
                bytes: bytes.clone(),
            }),
            Event::TimerTimeout => frame(&exproto::TimerTimeoutRequest {
                conn,
                r#type: exproto::TimerType::Keepalive.into(),
            }),
            Event::Messages(batch) => frame(&exproto::ReceivedMessagesRequest {
                conn,
                messages: batch
                    .messages
                    .iter()
                    .map(|each| message(&self.shared, each))
                    .collect(),
            }),
            Event::Closed(reason) => frame(&exproto::SocketClosedRequest {
                conn,
                reason: reason.as_str().to_owned(),
            }),
        }
    }

    pub(super) fn headers(&self, method: Method, attempt: u32) -> HeaderMap {
        let mut headers = self.shared.settings.tuning().headers.clone();
        headers.insert(OFFSET, passing(&self.offset.to_string()));
        headers.insert(ATTEMPT, HeaderValue::from(attempt));
        if method == Method::OnSocketCreated
            && let Some(details) = self.shared.info.details.headers()
        {
            for (name, value) in details {
                headers.append(name, passing_value(value));
            }
        }
        let (trace, span) = (fastrand::u128(1..), fastrand::u64(1..));
        headers.insert(
            TRACEPARENT,
            passing(&format!("00-{trace:032x}-{span:016x}-00")),
        );
        headers
    }
}

/// A message as the client's handler sees it.
pub(in crate::connection) fn message(shared: &Shared, message: &Message) -> exproto::Message {
    let client = shared.phase.client().ok();
    let mountpoint = client.map_or("", |client| client.mountpoint.as_str());
    exproto::Message {
        node: message.node.as_ref().to_owned(),
        id: message.id.as_ref().to_owned(),
        qos: message.qos.into(),
        from: message.from.as_ref().to_owned(),
        topic: message.topic.unmount(mountpoint).to_owned(),
        payload: message.payload.clone(),
        timestamp: message.timestamp,
    }
}

/// A value that differs each time: HPACK must not push the lasting ones out of its table for it.
fn passing(text: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(text).expect("digits and dashes");
    value.set_sensitive(true);
    value
}

fn passing_value(value: &HeaderValue) -> HeaderValue {
    let mut value = value.clone();
    value.set_sensitive(true);
    value
}
