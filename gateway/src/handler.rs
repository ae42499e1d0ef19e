//! The user's handlers: which endpoints are there, which one a connection belongs to, and one attempt at one callback.
//!
//! What to do when an attempt fails is the connection's decision (`connection/delivery.rs`). Nothing here knows of
//! connections: a caller is a number that picks an endpoint.

/// Where endpoints are found.
mod discovery;

/// All of them.
mod handlers;

/// A set of endpoints that were found, as they come and go.
mod endpoints;

/// The set for a new version that is tried.
mod canary;

/// Which of them a connection goes to.
mod affinity;

/// One address: its lanes, and its lives.
mod endpoint;

/// One life of an endpoint, and the connections that are bound to it.
mod life;

/// Who may call an endpoint now.
mod gate;

/// How many calls an endpoint keeps up with.
mod concurrency;

/// How many callbacks may be repeats.
mod budget;

/// A connection's place at an endpoint.
mod bound;

/// Callbacks as messages of client streams.
mod client_streams;

/// How an endpoint is that stands.
mod condition;

/// Asking endpoints how they are.
mod health;

/// Places for those that are ejected.
mod ejection;

/// A server that has not what is called.
mod misfit;

/// The HTTP/2 connections of an endpoint.
mod lanes;

/// The ordered stream.
pub mod stream;

/// One HTTP/2 connection to an endpoint, and a gRPC call on it.
mod lane;

/// Bytes on their way out.
mod parcel;

/// TLS to endpoints.
mod secure;

/// How endpoints are spoken to, and what is counted of them.
mod settings;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use prost::Message;

pub use self::{
    affinity::{Seeker, Wish, key_of},
    bound::Bound,
    canary::Standing as CanaryStanding,
    discovery::Whose,
    handlers::{Error, Handlers, Prepared},
    lane::Failure,
    life::Life,
    settings::{Resolution, Stats},
};

/// The callbacks, as the contract names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A device has connected.
    OnSocketCreated,
    /// The connection has ended.
    OnSocketClosed,
    /// The device has sent bytes.
    OnReceivedBytes,
    /// The keepalive timer has run out.
    OnTimerTimeout,
    /// Messages of the client's subscriptions.
    OnReceivedMessages,
}

impl Method {
    /// Every callback, for metrics.
    pub const ALL: [Self; 5] = [
        Self::OnSocketCreated,
        Self::OnSocketClosed,
        Self::OnReceivedBytes,
        Self::OnTimerTimeout,
        Self::OnReceivedMessages,
    ];

    /// The method's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnSocketCreated => "OnSocketCreated",
            Self::OnSocketClosed => "OnSocketClosed",
            Self::OnReceivedBytes => "OnReceivedBytes",
            Self::OnTimerTimeout => "OnTimerTimeout",
            Self::OnReceivedMessages => "OnReceivedMessages",
        }
    }
}

/// The headers that every gRPC call has.
#[must_use]
pub fn headers() -> HeaderMap {
    let agent = concat!("exproto-gateway/", env!("CARGO_PKG_VERSION"));
    // Room for what the call adds.
    let mut headers = HeaderMap::with_capacity(16);
    for (name, value) in [
        (header::TE, "trailers"),
        (header::CONTENT_TYPE, "application/grpc"),
        (header::USER_AGENT, agent),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
}

/// A message with gRPC's five bytes in front, ready to be sent, also more than once.
#[must_use]
pub fn frame(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(5 + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).expect("callbacks are at most 1 MiB"));
    message
        .encode(&mut frame)
        .expect("the buffer was made for this message");
    frame.freeze()
}
