use crate::{Config, Error};

fn problems(text: &str) -> Vec<String> {
    match Config::parse(text, "gateway.yaml") {
        Ok(_) => Vec::new(),
        Err(Error::Invalid { problems }) => problems
            .into_iter()
            .map(|problem| format!("{}: {}", problem.field, problem.text))
            .collect(),
        Err(error) => panic!("{error}"),
    }
}

/// The problems of a listener, without its name in front.
fn of_listener(text: &str) -> Vec<String> {
    let place = "listeners[0].";
    problems(&format!("listeners: [{{{text}}}]"))
        .iter()
        .map(|problem| problem.strip_prefix(place).expect(problem).to_owned())
        .collect()
}

#[test]
fn a_listener_that_cannot_be_is_refused() {
    for (text, expected) in REFUSED {
        assert_eq!(of_listener(text), [*expected], "{text}");
    }
}

#[test]
fn a_listener_that_can_be_is_taken() {
    for text in TAKEN {
        assert_eq!(of_listener(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn what_comes_at_once_fits_into_what_may_wait() {
    let limit = "connection: {inbound_limit: 8KiB, outbox_limit: 8KiB}";
    let with = |listener: &str| problems(&format!("{limit}\nlisteners: [{{{listener}}}]"));
    assert_eq!(with("transport: tcp"), Vec::<String>::new());
    assert_eq!(
        with("framing: {kind: line, max_frame: 9KiB}"),
        [
            "connection.inbound_limit: 8KiB cannot hold one frame of 9KiB \
          (listeners[0].framing.max_frame); write more"
        ]
    );
    assert_eq!(
        with("transport: ws"),
        [
            "connection.inbound_limit: 8KiB cannot hold one message of 64KiB \
          (listeners[0].websocket.max_message); write more"
        ]
    );
    assert_eq!(
        with("transport: udp"),
        [
            "connection.inbound_limit: 8KiB cannot hold one datagram of 64KiB \
             (listeners[0].udp.max_datagram); write more",
            "connection.outbox_limit: 8KiB cannot hold one datagram of 64KiB \
             (listeners[0].udp.max_datagram); write more",
        ]
    );
    assert_eq!(
        with("transport: udp, udp: {max_datagram: 8KiB}"),
        Vec::<String>::new()
    );
}

#[test]
fn tcp_and_udp_have_ports_of_their_own() {
    let two = |one: &str, other: &str| {
        problems(&format!(
            "listeners: [{{name: a, transport: {one}, bind: 7993}}, \
             {{name: b, transport: {other}, bind: 7993}}]"
        ))
    };
    assert_eq!(two("tcp", "udp"), Vec::<String>::new());
    let clash = "listeners[1].bind: [::]:7993 clashes with [::]:7993 of listeners[0].bind; choose \
                 another port";
    assert_eq!(two("udp", "udp"), [clash]);
    assert_eq!(two("tcp", "tcp"), [clash]);
    assert_eq!(
        problems("listeners: [{transport: udp, bind: 9100}]"),
        Vec::<String>::new()
    );
}

#[test]
fn names_have_bounds() {
    let long = "x".repeat(256);
    let text = format!("tls: {{alpn: [{long}]}}, psk: {{file: /psk, identity_hint: {long}}}");
    let found = of_listener(&format!("{text}, transport: tls"));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("tls.alpn[0]: "));
    assert!(found[1].starts_with("psk.identity_hint: it cannot be a hint; write 1 to 128 bytes"));
}

const TAKEN: &[&str] = &[
    "transport: tcp, idle_timeout: off, half_close: true, framing: {kind: line}",
    "transport: tls, tls: {certificates: [{chain: c, key: k}], verify: required, ca_file: a}",
    "transport: tls, psk: {file: p, identity_hint: fleet}",
    "transport: wss, tls: {certificates: [{chain: c, key: k}], verify: optional, ca_file: a, crl_file: l}",
    "transport: ws, websocket: {path: /a/b%20c, subprotocols: [mqtt, v12.stomp]}",
    "transport: udp, bind: 0, udp: {workers: 4}",
    "transport: dtls, psk: {file: p}",
    "transport: dtls, psk: {file: p}, tls: {certificates: [{chain: c, key: k}], verify: optional, ca_file: a}",
    "transport: dtls, dtls: {versions: ['1.3']}, tls: {certificates: [{chain: c, key: k}], alpn: [coap, http/1.1]}",
    "proxy_protocol: {enabled: true, trusted: [10.0.0.0/8]}",
    "framing: {kind: flag, flag: {unescape: true}}",
    "framing: {kind: flag, flag: {start: 40, end: 41, escapes: []}}",
    "framing: {kind: flag, flag: {start: 192, end: 192, escapes: [dbdc=c0, dbdd=db], unescape: true}}",
    "framing: {kind: length, length: {offset: 2, width: 2, adjustment: 4, strip: 8}}",
    "framing: {kind: length, length: {width: 1, adjustment: -255}}",
    "framing: {kind: length, length: {width: 8, adjustment: -65536}}",
    "framing: {kind: line, length: {strip: 1024}, flag: {unescape: true, escapes: []}}",
    "limits: {access: [deny all]}",
    "tcp: {receive_buffer: 4KiB}",
];

/// A listener, and the one problem that it has.
const REFUSED: &[(&str, &str)] = &[
    (
        "transport: tcp, tls: {certificates: [{chain: c, key: k}]}",
        "tls.certificates: transport tcp does not use it; write transport: tls, or remove it",
    ),
    (
        "transport: ws, tls: {certificates: [{chain: c, key: k}]}",
        "tls.certificates: transport ws does not use it; write transport: wss, or remove it",
    ),
    (
        "transport: udp, psk: {file: p}",
        "psk.file: transport udp does not use it; write transport: dtls, or remove it",
    ),
    (
        "transport: ws, psk: {file: p}",
        "psk.file: transport ws does not use it; remove it",
    ),
    (
        "transport: tcp, tls: {verify: required, ca_file: a}",
        "tls.verify: transport tcp does not use it; write transport: tls, or remove it",
    ),
    (
        "transport: tls",
        "tls.certificates: transport tls needs one, or shared keys; write the files of its chain \
         and key, or psk.file",
    ),
    (
        "transport: tls, tls: {certificates: [{chain: c, key: k}]}, psk: {file: p}",
        "psk.file: transport tls has certificates or shared keys; remove it, or remove \
         tls.certificates and give the keys a listener of their own",
    ),
    (
        "transport: dtls",
        "tls.certificates: transport dtls needs one, or shared keys; write the files of its chain \
         and key, or psk.file",
    ),
    (
        "transport: wss",
        "tls.certificates: transport wss needs one; write the files of its chain and key",
    ),
    (
        "transport: wss, psk: {file: p}",
        "psk.file: transport wss takes certificates only; remove it, or write transport: tls",
    ),
    (
        "transport: tls, tls: {certificates: [{chain: c, key: k}], verify: optional}",
        "tls.verify: it needs to be known who signs devices' certificates; write tls.ca_file, or \
         tls.verify: none",
    ),
    (
        "transport: tls, tls: {certificates: [{chain: c, key: k}], ca_file: a}",
        "tls.ca_file: no device is asked for a certificate; write tls.verify: required or \
         optional, or remove it",
    ),
    (
        "transport: tls, tls: {certificates: [{chain: c, key: k}], crl_file: a}",
        "tls.crl_file: no device is asked for a certificate; write tls.verify: required or \
         optional, or remove it",
    ),
    (
        "transport: dtls, psk: {file: p}, tls: {verify: required, ca_file: a}",
        "tls.verify: devices with shared keys show no certificate; write none, or \
         tls.certificates instead of psk.file",
    ),
    (
        "psk: {identity_hint: fleet}",
        "psk.identity_hint: without psk.file no device is told; write that too, or remove it",
    ),
    (
        "dtls: {versions: []}",
        "dtls.versions: one version is needed, and two cannot share a port; write [\"1.2\"] or \
         [\"1.3\"], and give each a listener of its own",
    ),
    (
        "dtls: {versions: ['1.2', '1.3']}",
        "dtls.versions: one version is needed, and two cannot share a port; write [\"1.2\"] or \
         [\"1.3\"], and give each a listener of its own",
    ),
    (
        "transport: dtls, dtls: {versions: ['1.3']}, psk: {file: p}",
        "psk.file: DTLS 1.3 takes no shared keys here; remove it, or write dtls.versions: \
         [\"1.2\"]",
    ),
    (
        "transport: dtls, dtls: {versions: ['1.3']}, \
         tls: {certificates: [{chain: c, key: k}], verify: optional, ca_file: a}",
        "tls.verify: DTLS 1.3 asks devices for no certificate here; write none, or \
         dtls.versions: [\"1.2\"]",
    ),
    (
        "transport: dtls, dtls: {versions: ['1.3']}, \
         tls: {certificates: [{chain: c, key: k}, {chain: d, key: l}]}",
        "tls.certificates[1]: DTLS 1.3 shows one certificate here; remove the others, or write \
         dtls.versions: [\"1.2\"]",
    ),
    (
        "transport: udp, idle_timeout: off",
        "idle_timeout: nothing else tells that a device of transport udp has gone; write a time, \
         for example 5m, or remove the key",
    ),
    (
        "transport: ws, half_close: true",
        "half_close: devices of transport ws cannot end one direction alone; remove it, or write \
         false",
    ),
    (
        "transport: udp, framing: {kind: line}",
        "framing.kind: transport udp has messages and is not cut into frames; remove it, or write \
         none",
    ),
    (
        "transport: udp, proxy_protocol: {enabled: true, trusted: [10.0.0.0/8]}",
        "proxy_protocol.enabled: transport udp has no PROXY protocol; remove it, or write false",
    ),
    (
        "proxy_protocol: {enabled: true}",
        "proxy_protocol.trusted: nobody's headers are believed; write the balancers' addresses or \
         networks, for example [10.0.0.0/8]",
    ),
    (
        "tcp: {send_buffer: 1}",
        "tcp.send_buffer: 1 is out of bounds; write a size from 4KiB to 1GiB",
    ),
    (
        "tls: {alpn: [mqtt, 'a b']}",
        "tls.alpn[1]: \"a b\" cannot name a protocol; write 1 to 255 ASCII characters, no blanks",
    ),
    (
        "tls: {alpn: ['']}",
        "tls.alpn[0]: \"\" cannot name a protocol; write 1 to 255 ASCII characters, no blanks",
    ),
    (
        "websocket: {subprotocols: [a/b]}",
        "websocket.subprotocols[0]: \"a/b\" cannot name a subprotocol; write 1 to 255 ASCII \
         characters, letters, digits and any of !#$%&'*+-.^_`|~",
    ),
    (
        "websocket: {path: devices}",
        "websocket.path: \"devices\" is not a path; write one that starts with /, without a \
         query, and with % for what is not ASCII",
    ),
    (
        "websocket: {path: '/devices?all'}",
        "websocket.path: \"/devices?all\" is not a path; write one that starts with /, without a \
         query, and with % for what is not ASCII",
    ),
    (
        "framing: {kind: length, length: {strip: 3}}",
        "framing.length.strip: the smallest frame has 2 bytes (offset + width + adjustment); \
         write no more",
    ),
    (
        "framing: {kind: length, max_frame: 1KiB, length: {offset: 1023}}",
        "framing.max_frame: no frame has less than 1025 bytes (offset + width + adjustment of \
         framing.length); write that or more",
    ),
    (
        "framing: {kind: length, length: {width: 1, adjustment: -256}}",
        "framing.length.adjustment: a number of framing.length.width has 255 at most, so every \
         frame would have less than no bytes; write -255 or more",
    ),
    (
        "framing: {kind: flag, flag: {escapes: [7d01=7d, 7d01=7e]}}",
        "framing.flag.escapes[1]: 7d01=7e and 7d01=7d cannot both be undone; remove one",
    ),
    (
        "framing: {kind: flag, flag: {escapes: [7d01=7d, 7d02=7d]}}",
        "framing.flag.escapes[1]: 7d02=7d and 7d01=7d cannot both be undone; remove one",
    ),
    (
        "framing: {kind: flag, flag: {escapes: [7e01=7d]}}",
        "framing.flag.escapes[0]: 7e01=7d begins with the byte that starts or ends a frame; write \
         an escape that begins with another",
    ),
    (
        "framing: {kind: flag, flag: {end: 13, unescape: true}}",
        "framing.flag.escapes: none of them means the byte 0d, which cannot stand in a frame by \
         itself; add one that ends with =0d, or write framing.flag.unescape: false",
    ),
];
