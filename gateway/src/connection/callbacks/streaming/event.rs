//! One event: what it holds, and what it is on the wire.

use std::time::Instant;

use bytes::Bytes;
use proto::stream::{self, Closed, Messages, TimerTimeout, event};

use crate::{
    broker::queue::Batch,
    connection::{CloseReason, copying, delivery::message, handle::Shared},
    handler::Method,
};

/// An event that has its number.
pub(super) struct Numbered {
    pub(super) seq: u64,
    pub(super) kind: Kind,
    /// When a lane was first given it.
    pub(super) shown: Option<Instant>,
}

/// What has happened.
pub(super) enum Kind {
    Bytes(Bytes),
    Messages(Batch),
    TimerTimeout,
    Closed(CloseReason),
    Result(stream::Result),
}

impl Kind {
    /// Results and the end do not: a callback may wait for the one, and nothing follows the other.
    pub(super) fn uses_credits(&self) -> bool {
        !matches!(self, Self::Result(_) | Self::Closed(_))
    }

    /// How many bytes it holds.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Messages(batch) => batch.messages.iter().map(|message| message.size()).sum(),
            Self::TimerTimeout | Self::Closed(_) | Self::Result(_) => 0,
        }
    }

    /// The handler has acknowledged it: its shadow, if the connection has one, is told as well.
    pub(super) fn copy(&self, shared: &Shared) {
        match self {
            Self::Bytes(bytes) => copying::bytes(shared, bytes),
            Self::Messages(batch) => copying::messages(shared, batch),
            Self::TimerTimeout => copying::timer_timeout(shared),
            Self::Closed(_) | Self::Result(_) => {}
        }
    }

    /// The callback that it stands for.
    pub(super) fn method(&self) -> Option<Method> {
        match self {
            Self::Bytes(_) => Some(Method::OnReceivedBytes),
            Self::Messages(_) => Some(Method::OnReceivedMessages),
            Self::TimerTimeout => Some(Method::OnTimerTimeout),
            Self::Closed(_) => Some(Method::OnSocketClosed),
            Self::Result(_) => None,
        }
    }
}

impl Numbered {
    /// Whether a handler may have seen it, and it is not the end: calls that it has made because of it count.
    pub(super) fn may_be_seen(&self) -> bool {
        self.shown.is_some() && !matches!(self.kind, Kind::Closed(_) | Kind::Result(_))
    }

    pub(super) fn to_proto(&self, shared: &Shared, resent: bool) -> stream::Event {
        let kind = match &self.kind {
            Kind::Bytes(bytes) => event::Kind::Bytes(bytes.clone()),
            Kind::Messages(batch) => event::Kind::Messages(Messages {
                messages: batch
                    .messages
                    .iter()
                    .map(|each| message(shared, each))
                    .collect(),
            }),
            Kind::TimerTimeout => event::Kind::TimerTimeout(TimerTimeout {}),
            Kind::Closed(reason) => event::Kind::Closed(Closed {
                reason: reason.as_str().to_owned(),
            }),
            Kind::Result(result) => event::Kind::Result(result.clone()),
        };
        let earlier = matches!(&self.kind, Kind::Messages(batch) if batch.earlier > 0);
        stream::Event {
            conn: shared.key,
            seq: self.seq,
            resent: resent || earlier,
            kind: Some(kind),
        }
    }
}
