//! The same of the handler.

/// A file, and the error after the file's name.
pub(super) const BROKEN: &[(&str, &str)] = &[
    (
        "handler:\n  connections_per_endpoint: 65",
        "2:29: handler.connections_per_endpoint: 65 is out of bounds; write a number from 1 to 64",
    ),
    (
        "handler:\n  deadline: 0s",
        "2:13: handler.deadline: 0s is too short; write 1ms or more",
    ),
    (
        "handler:\n  service: Handler",
        "2:12: handler.service: \"Handler\" is not supported; write one of \
         ConnectionUnaryHandler, ConnectionHandler, ConnectionStream",
    ),
    (
        "handler:\n  service: ConnectionHandler\n  retry_unacknowledged: true",
        "3:25: handler.retry_unacknowledged: with service: ConnectionHandler nothing is \
         acknowledged, so nothing is sent again; remove it, or write service: \
         ConnectionUnaryHandler",
    ),
    (
        "handler:\n  on_handler_loss: retry",
        "2:20: handler.on_handler_loss: \"retry\" is not supported; write one of auto, close, \
         rebind",
    ),
    (
        "handler:\n  dns: {name: 10.0.0.1}",
        "2:15: handler.dns.name: \"10.0.0.1\" is no name of a host; write for example \
         handler.default.svc.cluster.local.",
    ),
    (
        "handler:\n  affinity: ip",
        "2:13: handler.affinity: \"ip\" is not supported; write one of connection, client-ip, \
         clientid, none",
    ),
    (
        "handler:\n  addresses:\n    - h:1\n    - h",
        "4:7: handler.addresses[1]: \"h\" is not a handler's address: host and port are needed; \
         write http://host:port, for example http://127.0.0.1:9001",
    ),
    (
        "handler:\n  addresses: []",
        "2:14: handler.addresses: the list is empty; write an address, or remove the key",
    ),
    (
        "handler:\n  addresses:\n    - http://h:1\n    - H:1",
        "4:7: handler.addresses[1]: http://h:1 stands in the list already; remove one",
    ),
    (
        "handler:\n  canary: {percent: 5}",
        "2:11: handler.canary: its replicas are nowhere to be found; write addresses, dns or file, \
         or remove it",
    ),
    (
        "handler:\n  canary: {addresses: [a:1], percent: 0.001}",
        "2:39: handler.canary.percent: \"0.001\" is no share in percent; write a number from 0 to \
         100 with two decimals at most, such as 5 or 0.5",
    ),
    (
        "handler:\n  canary: {addresses: [a:1], listeners: [tcp, trial]}",
        "2:47: handler.canary.listeners[1]: there is no listener \"trial\"; write the name of one, \
         or remove it",
    ),
    (
        "handler:\n  addresses: [a:1]\n  canary: {addresses: [b:1, a:1]}",
        "3:29: handler.canary.addresses[1]: http://a:1 stands in handler.addresses as well; keep \
         one of them",
    ),
    (
        "handler:\n  file: /same\n  canary: {file: /same}",
        "3:18: handler.canary.file: /same stands in handler.file as well; keep one of them",
    ),
    (
        "handler:\n  dns: {name: h}\n  canary: {dns: {name: H}}",
        "3:17: handler.canary.dns: h with port 9001 stands in handler.dns as well; keep one of them",
    ),
    (
        "handler:\n  canary: {addresses: [a:1], file: /canary}",
        "2:36: handler.canary.file: the handler is found by handler.canary.addresses already; keep \
         one of them",
    ),
    (
        "handler:\n  canary: {dns: {port: 1}}",
        "2:17: handler.canary.dns: it has no name to ask for; write name: and its value, or remove \
         it",
    ),
    (
        "handler:\n  canary: {client_ips: [10.0.0.0/33]}",
        "2:25: handler.canary.client_ips[0]: \"10.0.0.0/33\" is not a network; write for example \
         10.0.0.0/8, or an address",
    ),
    (
        "handler:\n  mirror: {percent: 5}",
        "2:11: handler.mirror: its replicas are nowhere to be found; write addresses, dns or file, \
         or remove it",
    ),
    (
        "handler:\n  addresses: [a:1]\n  mirror: {addresses: [b:1, a:1]}",
        "3:29: handler.mirror.addresses[1]: http://a:1 stands in handler.addresses as well; keep \
         one of them",
    ),
    (
        "handler:\n  canary: {dns: {name: h, port: 1}}\n  mirror: {dns: {name: h, port: 1}}",
        "3:17: handler.mirror.dns: h with port 1 stands in handler.canary.dns as well; keep one of \
         them",
    ),
    (
        "handler:\n  mirror: {addresses: [a:1], file: /mirror}",
        "2:36: handler.mirror.file: the handler is found by handler.mirror.addresses already; keep \
         one of them",
    ),
    (
        "handler:\n  mirror: {addresses: [a:1], buffer: 1GiB}",
        "2:38: handler.mirror.buffer: 1GiB is out of bounds; write a size from 1KiB to 64MiB",
    ),
    (
        "handler:\n  addresses: [a:1]\n  dns: {name: h}",
        "3:8: handler.dns: the handler is found by handler.addresses already; keep one of them",
    ),
    (
        "handler:\n  file: /handlers\n  dns: {name: h}",
        "2:9: handler.file: the handler is found by handler.dns already; keep one of them",
    ),
    (
        "handler:\n  dns: {port: 5}",
        "2:8: handler.dns: it has no name to ask for; write name: and its value, or remove it",
    ),
    (
        "handler:\n  max_endpoints: 1\n  addresses: [a:1, b:1]",
        "3:20: handler.addresses[1]: this is one address more than 1 (handler.max_endpoints); write \
         fewer, or more there",
    ),
    (
        "handler:\n  tls: {ca_file: /ca}",
        "2:8: handler.tls: the handler is spoken to without TLS; write https:// in \
         handler.addresses, or remove it",
    ),
    (
        "handler:\n  dns: {name: h}\n  tls: {ca_file: /ca}",
        "3:8: handler.tls: the handler is spoken to without TLS; write handler.dns.secure: true, or \
         remove it",
    ),
    (
        "handler:\n  ejection: {max_time: 1s}",
        "2:24: handler.ejection.max_time: it is less than handler.ejection.base_time; write the same \
         or more",
    ),
    (
        "handler:\n  backoff_min: 6s",
        "2:16: handler.backoff_min: it is more than handler.backoff_max; write the same or less",
    ),
    (
        "handler:\n  backoff_max: 50ms",
        "2:16: handler.backoff_max: it is less than handler.backoff_min; write the same or more",
    ),
];
