//! Why a connection ended: one closed set, and the only place where it becomes text.

use std::{fmt, io};

use crate::transport::{Transport, udp::Superseded};

/// Why a connection ended. A value, not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The device closed its side.
    TcpClosed,
    /// The device closed its side of TLS or DTLS.
    SslClosed,
    /// The handler called Close.
    Normal,
    /// An operator asked for it.
    Kicked,
    /// The device's address or clientid was banned.
    Banned,
    /// Another connection authenticated with the same clientid.
    Discarded,
    /// The device began a new DTLS session from the same address.
    Superseded,
    /// The device sent what is no frame of its listener's framing.
    FrameError,
    /// The device broke the rules of its transport: TLS, DTLS or WebSocket.
    ProtocolError,
    /// The device said nothing for too long.
    IdleTimeout,
    /// No byte came for 1.5 times the interval of `StartTimer`.
    KeepaliveTimeout,
    /// The handler did not call Authenticate in time.
    AuthenticationTimeout,
    /// What Authenticate granted has run out.
    Expired,
    /// The device reads too slowly.
    SlowConsumer,
    /// The handler takes messages too slowly.
    SlowHandler,
    /// The handler answered a callback with an error.
    HandlerError,
    /// The handler did not answer a callback in time.
    HandlerTimeout,
    /// The handler that knew this connection is gone.
    HandlerLost,
    /// No handler was ready in time.
    HandlerUnavailable,
    /// The pod is shutting down.
    Draining,
    /// The pod died, or was taken for dead by others.
    PodLost,
    /// The socket failed.
    Socket(SocketFailure),
}

/// The socket errors that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SocketFailure {
    /// The device reset the connection.
    Reset,
    /// The network gave up.
    TimedOut,
    /// The device had gone when we wrote.
    BrokenPipe,
    /// Anything else.
    Other,
}

/// Whose doing it was. Decides how loudly it is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The device or its network.
    Device,
    /// The user's handler.
    Handler,
    /// Somebody who runs this pod, or the rules they set.
    Operator,
}

impl CloseReason {
    /// Every reason, for metrics.
    pub const ALL: [Self; 25] = [
        Self::TcpClosed,
        Self::SslClosed,
        Self::Normal,
        Self::Kicked,
        Self::Banned,
        Self::Discarded,
        Self::Superseded,
        Self::FrameError,
        Self::ProtocolError,
        Self::IdleTimeout,
        Self::KeepaliveTimeout,
        Self::AuthenticationTimeout,
        Self::Expired,
        Self::SlowConsumer,
        Self::SlowHandler,
        Self::HandlerError,
        Self::HandlerTimeout,
        Self::HandlerLost,
        Self::HandlerUnavailable,
        Self::Draining,
        Self::PodLost,
        Self::Socket(SocketFailure::Reset),
        Self::Socket(SocketFailure::TimedOut),
        Self::Socket(SocketFailure::BrokenPipe),
        Self::Socket(SocketFailure::Other),
    ];

    /// The stable word: in `OnSocketClosed`, in logs, as a metric's label. EMQX's own word where it has one.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TcpClosed => "tcp_closed",
            Self::SslClosed => "ssl_closed",
            Self::Normal => "normal",
            Self::Kicked => "kicked",
            Self::Banned => "banned",
            Self::Discarded => "discarded",
            Self::Superseded => "superseded",
            Self::FrameError => "frame_error",
            Self::ProtocolError => "protocol_error",
            Self::IdleTimeout => "idle_timeout",
            Self::KeepaliveTimeout => "keepalive_timeout",
            Self::AuthenticationTimeout => "authentication_timeout",
            Self::Expired => "expired",
            Self::SlowConsumer => "slow_consumer",
            Self::SlowHandler => "slow_handler",
            Self::HandlerError => "handler_error",
            Self::HandlerTimeout => "handler_timeout",
            Self::HandlerLost => "handler_lost",
            Self::HandlerUnavailable => "handler_unavailable",
            Self::Draining => "draining",
            Self::PodLost => "pod_lost",
            Self::Socket(SocketFailure::Reset) => "econnreset",
            Self::Socket(SocketFailure::TimedOut) => "etimedout",
            Self::Socket(SocketFailure::BrokenPipe) => "epipe",
            Self::Socket(SocketFailure::Other) => "socket_error",
        }
    }

    /// The device said goodbye.
    #[must_use]
    pub fn closed_by_device(transport: Transport) -> Self {
        if transport.is_secure() {
            Self::SslClosed
        } else {
            Self::TcpClosed
        }
    }

    /// Whose doing it was.
    #[must_use]
    pub fn blame(self) -> Blame {
        match self {
            Self::TcpClosed
            | Self::SslClosed
            | Self::Discarded
            | Self::Superseded
            | Self::FrameError
            | Self::ProtocolError
            | Self::IdleTimeout
            | Self::KeepaliveTimeout
            | Self::AuthenticationTimeout
            | Self::SlowConsumer
            | Self::Socket(_) => Blame::Device,
            Self::Normal
            | Self::SlowHandler
            | Self::HandlerError
            | Self::HandlerTimeout
            | Self::HandlerLost
            | Self::HandlerUnavailable => Blame::Handler,
            Self::Kicked | Self::Banned | Self::Expired | Self::Draining | Self::PodLost => {
                Blame::Operator
            }
        }
    }

    /// Whether a session that would outlive the connection ends with it: whoever runs the pod wants the client gone.
    #[must_use]
    pub fn ends_session(self) -> bool {
        matches!(self, Self::Kicked | Self::Banned)
    }

    /// Whether what Send accepted is still written. Not where the socket failed or the device does not read.
    #[must_use]
    pub fn flushes(self) -> bool {
        !matches!(
            self,
            Self::SlowConsumer | Self::Superseded | Self::ProtocolError | Self::Socket(_)
        )
    }

    /// Whether bytes that were read but not yet handed over still go to the handler. They do where the end came from
    /// the device or the operator; not where the handler asked for the end, failed, or must not see more.
    #[must_use]
    pub fn delivers_what_was_read(self) -> bool {
        matches!(
            self,
            Self::TcpClosed
                | Self::SslClosed
                | Self::Superseded
                | Self::FrameError
                | Self::ProtocolError
                | Self::KeepaliveTimeout
                | Self::Draining
                | Self::Expired
                | Self::Socket(_)
        )
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&io::Error> for CloseReason {
    fn from(error: &io::Error) -> Self {
        if error
            .get_ref()
            .is_some_and(<dyn std::error::Error + Send + Sync>::is::<Superseded>)
        {
            return Self::Superseded;
        }
        Self::Socket(match error.kind() {
            io::ErrorKind::InvalidData => return Self::ProtocolError,
            io::ErrorKind::ConnectionReset => SocketFailure::Reset,
            io::ErrorKind::TimedOut => SocketFailure::TimedOut,
            io::ErrorKind::BrokenPipe => SocketFailure::BrokenPipe,
            _ => SocketFailure::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_with_its_connection_where_somebody_wants_the_client_gone() {
        let ends = |reason: &CloseReason| reason.ends_session();
        let all: Vec<_> = CloseReason::ALL.into_iter().filter(ends).collect();
        assert_eq!(all, [CloseReason::Kicked, CloseReason::Banned]);
    }

    #[test]
    fn every_reason_has_a_word_of_its_own() {
        let mut words = CloseReason::ALL.map(CloseReason::as_str).to_vec();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), CloseReason::ALL.len());
    }
}
