//! What a transport has no use for, or cannot do without.

use crate::{ByteSize, FramingKind, IdleTimeout, Transport};

use super::{One, word};

pub(super) fn check(one: &mut One) {
    let transport = one.listener.transport;
    if !matches!(transport, Transport::Tcp | Transport::Tls) {
        messages_only(one);
    }
    if transport.is_datagram() {
        datagrams(one);
    } else {
        streams(one);
    }
    if transport.is_websocket() {
        let size = one.listener.websocket.max_message;
        one.fits_inbound("message", "websocket.max_message", size);
    }
}

/// Transports that keep the boundaries of messages.
fn messages_only(one: &mut One) {
    let (listener, transport) = (one.listener, word(one.listener.transport));
    if listener.half_close {
        let text = format!(
            "devices of transport {transport} cannot end one direction alone; remove it, or write \
             false"
        );
        one.add("half_close", text);
    }
    if listener.framing.kind != FramingKind::None {
        let text = format!(
            "transport {transport} has messages and is not cut into frames; remove it, or write \
             none"
        );
        one.add("framing.kind", text);
    }
}

fn datagrams(one: &mut One) {
    let (listener, transport) = (one.listener, word(one.listener.transport));
    if listener.idle_timeout == Some(IdleTimeout(None)) {
        let text = format!(
            "nothing else tells that a device of transport {transport} has gone; write a time, \
             for example 5m, or remove the key"
        );
        one.add("idle_timeout", text);
    }
    if listener.proxy_protocol.enabled {
        let text =
            format!("transport {transport} has no PROXY protocol; remove it, or write false");
        one.add("proxy_protocol.enabled", text);
    }
    let (field, size) = ("udp.max_datagram", listener.udp.max_datagram);
    one.fits_inbound("datagram", field, size);
    let limit = ("connection.outbox_limit", one.connection.outbox_limit);
    let field = one.path(field);
    one.report.fits("datagram", (&field, size), limit);
}

fn streams(one: &mut One) {
    let listener = one.listener;
    if listener.proxy_protocol.enabled && listener.proxy_protocol.trusted.is_empty() {
        let text = "nobody's headers are believed; write the balancers' addresses or networks, for \
                    example [10.0.0.0/8]";
        one.add("proxy_protocol.trusted", text);
    }
    let (least, most) = (ByteSize::kib(4), ByteSize::kib(1_048_576));
    for (field, size) in [
        ("tcp.receive_buffer", listener.tcp.receive_buffer),
        ("tcp.send_buffer", listener.tcp.send_buffer),
    ] {
        if let Some(size) = size.filter(|size| !(least..=most).contains(size)) {
            let text = format!("{size} is out of bounds; write a size from {least} to {most}");
            one.add(field, text);
        }
    }
}
