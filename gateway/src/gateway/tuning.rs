//! What a reload may change of open connections, as the configuration has it.

use std::{net::SocketAddr, sync::Arc};

use config::{Config, FramingKind, Listener, Transport};

use super::headers::headers;
use crate::{
    broker::queue,
    connection::{Patience, Tuning},
};

/// The most that a DTLS record carries (RFC 6347, section 4.1.1).
const DTLS_RECORD: usize = 16 * 1024;
/// The most that a UDP datagram carries over IPv4.
const UDP_PAYLOAD: usize = 65_507;

/// What the configuration says for the connections of a listener. `adapter` is where handlers call back.
pub(super) fn tuning(config: &Config, listener: &Listener, adapter: SocketAddr) -> Tuning {
    let limits = config.connection.clone();
    let datagram = listener.udp.max_datagram.bytes().min(UDP_PAYLOAD);
    Tuning {
        headers: headers(config, listener, adapter),
        queue: queue::Limits {
            messages: limits.message_queue as usize,
            bytes: limits.message_queue_bytes.bytes(),
        },
        patience: Patience {
            first_byte: listener.first_byte_timeout,
            idle: listener.idle_timeout(),
            authentication: listener.authentication_timeout,
            send: limits.send_timeout,
        },
        half_close: listener.half_close,
        framing: (listener.framing.kind != FramingKind::None)
            .then(|| Arc::new(listener.framing.clone())),
        max_send: match listener.transport {
            Transport::Udp => datagram,
            Transport::Dtls => datagram.min(DTLS_RECORD),
            _ => usize::MAX,
        },
        limits,
    }
}
