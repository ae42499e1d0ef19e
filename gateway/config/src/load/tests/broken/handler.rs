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
