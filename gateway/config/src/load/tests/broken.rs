//! Every way to get a file wrong that we could think of, and what its author is told.

use super::error;

/// Of the handler.
mod handler;
/// Of the Redis that pods share.
mod redis;

#[test]
fn every_error_says_where_and_what_to_write() {
    for (text, expected) in BROKEN.iter().chain(handler::BROKEN).chain(redis::BROKEN) {
        assert_eq!(error(text), format!("gateway.yaml:{expected}"), "{text}");
    }
}

/// A file, and the error after the file's name.
const BROKEN: &[(&str, &str)] = &[
    (
        "drian: {rate: 1}",
        "1:1: drian: there is no such key; did you mean drain?",
    ),
    (
        "nothing: 1",
        "1:1: nothing: there is no such key; the keys here are pod, cluster, listeners, \
         limits, bans, mountpoint, authentication, authorization, connection, handler, adapter, backend, \
         broker, redis, sessions, http, management, drain, log",
    ),
    (
        "adapter:\n  bnd: 127.0.0.1:1",
        "2:3: adapter.bnd: there is no such key; did you mean bind?",
    ),
    (
        "listeners:\n  - name: a\n  - nmae: b",
        "3:5: listeners[1].nmae: there is no such key; did you mean name?",
    ),
    (
        "adapter: 5",
        "1:10: adapter: \"5\" does not fit; write a mapping of the keys bind, callers, \
         tls, insecure, advertised_address, max_request, max_connections, \
         max_concurrent_calls",
    ),
    (
        "adapter:\n  - bind",
        "2:3: adapter: this is a list; write a mapping of the keys bind, callers, \
         tls, insecure, advertised_address, max_request, max_connections, \
         max_concurrent_calls",
    ),
    (
        "listeners: {name: a}",
        "1:12: listeners: this is a mapping; write a list, each entry after a dash",
    ),
    (
        "listeners: tcp",
        "1:12: listeners: \"tcp\" does not fit; write a list, each entry after a dash",
    ),
    (
        "listeners:",
        "1:10: listeners: there is no value; write a list, each entry after a dash, or remove the \
         key",
    ),
    (
        "drain:\n  rate:",
        "2:7: drain.rate: there is no value; write a whole number, or remove the key",
    ),
    (
        "drain:\n  rate: fast",
        "2:9: drain.rate: \"fast\" is not a whole number; write digits only",
    ),
    (
        "drain:\n  rate: 1.5",
        "2:9: drain.rate: \"1.5\" is not a whole number; write digits only",
    ),
    (
        "drain:\n  rate: 0",
        "2:9: drain.rate: 0 is out of bounds; write a number from 1 to 1000000",
    ),
    (
        "drain:\n  rate: -5",
        "2:9: drain.rate: -5 is out of bounds; write a number from 1 to 1000000",
    ),
    (
        "limits:\n  max_connections: 0",
        "2:20: limits.max_connections: 0 is out of bounds; write a number from 1 to 10000000",
    ),
    (
        "adapter:\n  insecure: yes",
        "2:13: adapter.insecure: \"yes\" is neither true nor false; write one of them",
    ),
    (
        "drain:\n  timeout: 25",
        "2:12: drain.timeout: 25 has no unit; write for example 25s or 25ms",
    ),
    (
        "drain:\n  timeout: soon",
        "2:12: drain.timeout: \"soon\" is not a time; write a number and a unit, for example 10s \
         or 500ms",
    ),
    (
        "drain:\n  timeout: [1s]",
        "2:12: drain.timeout: this is a list; write a time such as 10s",
    ),
    (
        "listeners:\n  - idle_timeout: 0s",
        "2:19: listeners[0].idle_timeout: 0s is too short; write \"off\" to switch it off",
    ),
    (
        "listeners:\n  - idle_timeout: never",
        "2:19: listeners[0].idle_timeout: \"never\" is not a time; write a number and a unit, for \
         example 10s or 500ms, or \"off\"",
    ),
    (
        "connection:\n  inbound_limit: big",
        "2:18: connection.inbound_limit: \"big\" is not a size; write bytes or a unit, for \
         example 256KiB",
    ),
    (
        "connection:\n  inbound_limit: 0",
        "2:18: connection.inbound_limit: 0 is out of bounds; write a size from 4KiB to 1GiB",
    ),
    (
        "connection:\n  outbox_limit: 2GiB",
        "2:17: connection.outbox_limit: 2GiB is out of bounds; write a size from 4KiB to 1GiB",
    ),
    (
        "broker:\n  max_payload: 1MiB",
        "2:16: broker.max_payload: 1MiB is out of bounds; write a size from 1KiB to 960KiB",
    ),
    (
        "listeners:\n  - bind: fo:o",
        "2:11: listeners[0].bind: \"fo:o\" is not an address; write host:port, for example \
         0.0.0.0:7993",
    ),
    (
        "listeners:\n  - bind: {port: 1}",
        "2:11: listeners[0].bind: this is a mapping; write an address such as 0.0.0.0:7993",
    ),
    (
        "listeners:\n  - name: TCP",
        "2:11: listeners[0].name: \"TCP\" cannot name a listener; write 1 to 63 characters out of \
         a-z, 0-9 and -",
    ),
    (
        "limits:\n  max_connections_per_ip: 0",
        "2:27: limits.max_connections_per_ip: 0 is out of bounds; write a number from 1 to \
         10000000, or \"off\"",
    ),
    (
        "limits:\n  max_connections_per_ip: few",
        "2:27: limits.max_connections_per_ip: \"few\" is not a whole number; write digits only, or \
         \"off\"",
    ),
    (
        "limits:\n  connection_rate: 100",
        "2:20: limits.connection_rate: \"100\" is not a rate; write for example 1000/s or 60/1m, or \
         \"off\"",
    ),
    (
        "limits:\n  connection_rate: 0/s",
        "2:20: limits.connection_rate: 0/s lets nothing through; write \"off\" for no limit, or a \
         larger rate",
    ),
    (
        "limits:\n  traffic: {bytes_in: fast}",
        "2:23: limits.traffic.bytes_in: \"fast\" is not a rate; write for example 64KiB/s or \
         10MB/1m, or \"off\"",
    ),
    (
        "limits:\n  access:\n    - reject all",
        "3:7: limits.access[0]: \"reject all\" is not a rule; write allow or deny and then an \
         address, a network or all, for example \"deny 10.0.0.0/8\"",
    ),
    (
        "bans:\n  list:\n    - who: somebody",
        "3:12: bans.list[0].who: \"somebody\" names nobody; write an IP address, a network such as \
         10.0.0.0/8, or clientid:NAME",
    ),
    (
        "bans:\n  list:\n    - until: 2027-01-31T12:00:00Z",
        "3:7: bans.list[0]: who is missing; write who: and its value",
    ),
    (
        "bans:\n  list:\n    - {who: 10.0.0.1, until: tomorrow}",
        "3:30: bans.list[0].until: \"tomorrow\" is not a time in UTC; write for example \
         2027-01-31T12:00:00Z",
    ),
    (
        "listeners:\n  - framing: {length: {adjustment: -70000}}",
        "2:36: listeners[0].framing.length.adjustment: -70000 is out of bounds; write a number \
         from -65536 to 65536",
    ),
    (
        "listeners:\n  - framing: {delimiter: {bytes: 0x0d}}",
        "2:34: listeners[0].framing.delimiter.bytes: \"0x0d\" are not 1 to 16 bytes; write two \
         hexadecimal digits for each, for example 0d0a",
    ),
    (
        "listeners:\n  - framing: {flag: {escapes: [7d=7e]}}",
        "2:32: listeners[0].framing.flag.escapes[0]: \"7d=7e\" is not an escape; write two bytes \
         and the one that they mean, for example 7d02=7e",
    ),
    (
        "listeners:\n  - framing: {max_frame: 1MiB}",
        "2:26: listeners[0].framing.max_frame: 1MiB is out of bounds; write a size from 1KiB to \
         64KiB",
    ),
    (
        "listeners:\n  - proxy_protocol: {trusted: [balancer]}",
        "2:32: listeners[0].proxy_protocol.trusted[0]: \"balancer\" is not a network; write for \
         example 10.0.0.0/8, or an address",
    ),
    (
        "listeners:\n  - tls: {certificates: [{chain: /tls/tls.crt}]}",
        "2:26: listeners[0].tls.certificates[0]: key is missing; write key: and its value",
    ),
    (
        "listeners:\n  - tls: {min_version: 1.1}",
        "2:24: listeners[0].tls.min_version: \"1.1\" is not supported; write one of 1.2, 1.3",
    ),
    (
        "pod:\n  name: a/b",
        "2:9: pod.name: \"a/b\" cannot name a pod; write 1 to 63 characters out of A-Z, a-z, 0-9, \
         ., _ and -",
    ),
    (
        "mountpoint: a/#",
        "1:13: mountpoint: \"a/#\" cannot be a mountpoint: it holds '#'; write a prefix without \
         +, # and NUL",
    ),
    (
        "listeners:\n  - mountpoint: ${client}/",
        "2:17: listeners[0].mountpoint: \"${client}/\" cannot be a mountpoint: ${client} is not \
         filled in, only ${clientid}, ${username} and ${attr.NAME} are; write one of them, or remove it",
    ),
    (
        "listeners:\n  - transport: quic",
        "2:16: listeners[0].transport: \"quic\" is not supported; write one of tcp, tls, ws, wss, \
         udp, dtls",
    ),
    (
        "broker:\n  kind: kafka",
        "2:9: broker.kind: \"kafka\" is not supported; write one of memory, redis",
    ),
    (
        "log:\n  format: [text]",
        "2:11: log.format: this is a list; write auto or text or json",
    ),
    (
        "log:\n  level: ''",
        "2:10: log.level: \"\" is no log level; write one of off, error, warn, info, \
         debug, trace, as in info or info,exproto_gateway=debug",
    ),
    (
        "adapter:\n  advertised_address: g",
        "2:23: adapter.advertised_address: \"g\" is not an address; write host:port",
    ),
    (
        "http:\n  bind: 1\n  bind: 2",
        "3:3: http.bind: the key stands at gateway.yaml:2:3 already; keep one",
    ),
    (
        "drain: {rate: 1",
        "1:8: this is not YAML: unclosed bracket '{'; close it",
    ),
    (
        "drain: {timeout: \"1s}",
        "1:18: this is not YAML: unclosed quote; close it",
    ),
    (
        "listeners:\n\t- name: a",
        "2:2: this is not YAML: tabs disallowed within this context (block indentation); indent \
         with spaces",
    ),
    (
        "a: b: c",
        "1:5: this is not YAML: mapping values are not allowed in this context; check the \
         indentation, and put values such as \"[::]:7993\" in quotes",
    ),
    (
        "http:\n  bind: [::]:9102",
        "2:13: this is not YAML: while parsing a block mapping, did not find expected key; check \
         the indentation, and put values such as \"[::]:7993\" in quotes",
    ),
    (
        "drain: {rate: 1}\n---\ndrain: {rate: 2}",
        "3:1: a second YAML document begins here; keep one",
    ),
    (
        "drain: &d {rate: 1}\nlog: *d",
        "2:6: log: YAML aliases are not supported; write the value out",
    ),
    (
        "pod: !env NAME",
        "1:11: pod: YAML tags are not supported; remove the word that begins with !",
    ),
    ("? [a]\n: b", "1:3: a key must be text; write name: value"),
    (
        "- a",
        "1:1: this is a list; write a mapping of the keys pod, cluster, listeners, limits, bans, \
         mountpoint, authentication, authorization, connection, handler, adapter, backend, broker, redis, \
         sessions, http, management, drain, log",
    ),
    (
        "listeners: []",
        "1:12: listeners: the list is empty; write a listener, or remove the key",
    ),
    (
        "listeners:\n  - bind: 1\n  - bind: 2",
        "3:5: listeners[1].name: listeners[0] is called \"tcp\" too; give each a name of its own",
    ),
    (
        "listeners:\n  - {name: a, bind: 7000}\n  - {name: b, bind: 127.0.0.1:7000}",
        "3:21: listeners[1].bind: 127.0.0.1:7000 clashes with [::]:7000 of listeners[0].bind; \
         choose another port",
    ),
    (
        "listeners:\n  - bind: 9102",
        "2:11: listeners[0].bind: [::]:9102 clashes with 127.0.0.1:9102 of http.bind; choose \
         another port",
    ),
    (
        "http:\n  bind: 127.0.0.1:9100",
        "2:9: http.bind: 127.0.0.1:9100 clashes with 127.0.0.1:9100 of adapter.bind; choose \
         another port",
    ),
    (
        "adapter:\n  bind: 0.0.0.0:9100",
        "2:9: adapter.bind: 0.0.0.0:9100 lets other machines in, and callers are not \
         authenticated; write adapter.callers, or let only the handler reach the port and write \
         adapter.insecure: true, or bind a loopback address",
    ),
    (
        "listeners:\n  - session_expiry: 25h",
        "2:21: listeners[0].session_expiry: it is more than sessions.max_expiry; write the same or \
         less",
    ),
    (
        "listeners:\n  - session_expiry: 2h\nsessions:\n  max_expiry: 1h",
        "4:15: sessions.max_expiry: it is less than listeners[0].session_expiry; write the same or \
         more",
    ),
    (
        "broker:\n  kind: redis\nredis:\n  urls: [redis://a]\ncluster:\n  key_file: k\nsessions:\n  \
         save_interval: 10m",
        "8:18: sessions.save_interval: what came since is read in the logs of Redis, so it must not be \
         more than half of broker.shared.log_time; write less",
    ),
    (
        "sessions:\n  message_queue_bytes: 64KiB",
        "2:24: sessions.message_queue_bytes: 64KiB cannot hold one message of 512KiB \
         (broker.max_payload); write more",
    ),
    (
        "sessions:\n  max_bytes: 1MiB\n  message_queue_bytes: 2MiB",
        "2:14: sessions.max_bytes: 1MiB cannot hold one session of 2MiB \
         (sessions.message_queue_bytes); write more",
    ),
    (
        "connection:\n  message_queue_bytes: 64KiB",
        "2:24: connection.message_queue_bytes: 64KiB cannot hold one message of 512KiB \
         (broker.max_payload); write more",
    ),
    (
        "broker:\n  max_payload: 900KiB\nconnection:\n  message_queue_bytes: 512KiB",
        "4:24: connection.message_queue_bytes: 512KiB cannot hold one message of 900KiB \
         (broker.max_payload); write more",
    ),
];
