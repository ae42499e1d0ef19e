//! Pins the wire: the compiled contract must equal the tables below, which are EMQX's schema of 5.1 to 6.2.

/// The contract of back ends.
#[path = "wire/backend.rs"]
mod backend;

use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet, field_descriptor_proto::Label};

/// (message, field, number, type). A repeated field's type starts with `repeated`.
const FIELDS: &[(&str, &str, i32, &str)] = &[
    ("CodeResponse", "code", 1, "ResultCode"),
    ("CodeResponse", "message", 2, "string"),
    ("SendBytesRequest", "conn", 1, "string"),
    ("SendBytesRequest", "bytes", 2, "bytes"),
    ("CloseSocketRequest", "conn", 1, "string"),
    ("AuthenticateRequest", "conn", 1, "string"),
    ("AuthenticateRequest", "clientinfo", 2, "ClientInfo"),
    ("AuthenticateRequest", "password", 3, "string"),
    ("TimerRequest", "conn", 1, "string"),
    ("TimerRequest", "type", 2, "TimerType"),
    ("TimerRequest", "interval", 3, "uint32"),
    ("PublishRequest", "conn", 1, "string"),
    ("PublishRequest", "topic", 2, "string"),
    ("PublishRequest", "qos", 3, "uint32"),
    ("PublishRequest", "payload", 4, "bytes"),
    ("RawPublishRequest", "topic", 1, "string"),
    ("RawPublishRequest", "qos", 2, "uint32"),
    ("RawPublishRequest", "payload", 3, "bytes"),
    ("SubscribeRequest", "conn", 1, "string"),
    ("SubscribeRequest", "topic", 2, "string"),
    ("SubscribeRequest", "qos", 3, "uint32"),
    ("UnsubscribeRequest", "conn", 1, "string"),
    ("UnsubscribeRequest", "topic", 2, "string"),
    ("SocketCreatedRequest", "conn", 1, "string"),
    ("SocketCreatedRequest", "conninfo", 2, "ConnInfo"),
    ("ReceivedBytesRequest", "conn", 1, "string"),
    ("ReceivedBytesRequest", "bytes", 2, "bytes"),
    ("TimerTimeoutRequest", "conn", 1, "string"),
    ("TimerTimeoutRequest", "type", 2, "TimerType"),
    ("SocketClosedRequest", "conn", 1, "string"),
    ("SocketClosedRequest", "reason", 2, "string"),
    ("ReceivedMessagesRequest", "conn", 1, "string"),
    ("ReceivedMessagesRequest", "messages", 2, "repeated Message"),
    ("ConnInfo", "socktype", 1, "SocketType"),
    ("ConnInfo", "peername", 2, "Address"),
    ("ConnInfo", "sockname", 3, "Address"),
    ("ConnInfo", "peercert", 4, "CertificateInfo"),
    ("Address", "host", 1, "string"),
    ("Address", "port", 2, "uint32"),
    ("CertificateInfo", "cn", 1, "string"),
    ("CertificateInfo", "dn", 2, "string"),
    ("ClientInfo", "proto_name", 1, "string"),
    ("ClientInfo", "proto_ver", 2, "string"),
    ("ClientInfo", "clientid", 3, "string"),
    ("ClientInfo", "username", 4, "string"),
    ("ClientInfo", "mountpoint", 5, "string"),
    ("Message", "node", 1, "string"),
    ("Message", "id", 2, "string"),
    ("Message", "qos", 3, "uint32"),
    ("Message", "from", 4, "string"),
    ("Message", "topic", 5, "string"),
    ("Message", "payload", 6, "bytes"),
    ("Message", "timestamp", 7, "uint64"),
];

/// (enum, value, number).
const VALUES: &[(&str, &str, i32)] = &[
    ("ResultCode", "SUCCESS", 0),
    ("ResultCode", "UNKNOWN", 1),
    ("ResultCode", "CONN_PROCESS_NOT_ALIVE", 2),
    ("ResultCode", "REQUIRED_PARAMS_MISSED", 3),
    ("ResultCode", "PARAMS_TYPE_ERROR", 4),
    ("ResultCode", "PERMISSION_DENY", 5),
    ("TimerType", "KEEPALIVE", 0),
    ("SocketType", "TCP", 0),
    ("SocketType", "SSL", 1),
    ("SocketType", "UDP", 2),
    ("SocketType", "DTLS", 3),
];

/// (service, method, request, response). A streamed request starts with `stream`.
const METHODS: &[(&str, &str, &str, &str)] = &[
    (
        "ConnectionAdapter",
        "Send",
        "SendBytesRequest",
        "CodeResponse",
    ),
    (
        "ConnectionAdapter",
        "Close",
        "CloseSocketRequest",
        "CodeResponse",
    ),
    (
        "ConnectionAdapter",
        "Authenticate",
        "AuthenticateRequest",
        "CodeResponse",
    ),
    (
        "ConnectionAdapter",
        "StartTimer",
        "TimerRequest",
        "CodeResponse",
    ),
    (
        "ConnectionAdapter",
        "Publish",
        "PublishRequest",
        "CodeResponse",
    ),
    (
        "ConnectionAdapter",
        "Subscribe",
        "SubscribeRequest",
        "CodeResponse",
    ),
    (
        "ConnectionAdapter",
        "Unsubscribe",
        "UnsubscribeRequest",
        "CodeResponse",
    ),
    (
        "ConnectionAdapter",
        "RawPublish",
        "RawPublishRequest",
        "CodeResponse",
    ),
    (
        "ConnectionHandler",
        "OnSocketCreated",
        "stream SocketCreatedRequest",
        "EmptySuccess",
    ),
    (
        "ConnectionHandler",
        "OnSocketClosed",
        "stream SocketClosedRequest",
        "EmptySuccess",
    ),
    (
        "ConnectionHandler",
        "OnReceivedBytes",
        "stream ReceivedBytesRequest",
        "EmptySuccess",
    ),
    (
        "ConnectionHandler",
        "OnTimerTimeout",
        "stream TimerTimeoutRequest",
        "EmptySuccess",
    ),
    (
        "ConnectionHandler",
        "OnReceivedMessages",
        "stream ReceivedMessagesRequest",
        "EmptySuccess",
    ),
    (
        "ConnectionUnaryHandler",
        "OnSocketCreated",
        "SocketCreatedRequest",
        "EmptySuccess",
    ),
    (
        "ConnectionUnaryHandler",
        "OnSocketClosed",
        "SocketClosedRequest",
        "EmptySuccess",
    ),
    (
        "ConnectionUnaryHandler",
        "OnReceivedBytes",
        "ReceivedBytesRequest",
        "EmptySuccess",
    ),
    (
        "ConnectionUnaryHandler",
        "OnTimerTimeout",
        "TimerTimeoutRequest",
        "EmptySuccess",
    ),
    (
        "ConnectionUnaryHandler",
        "OnReceivedMessages",
        "ReceivedMessagesRequest",
        "EmptySuccess",
    ),
];

fn contract() -> FileDescriptorProto {
    file("emqx.exproto.v1")
}

fn file(package: &str) -> FileDescriptorProto {
    let set = FileDescriptorSet::decode(crate::DESCRIPTORS).unwrap();
    let mut files = set.file.into_iter();
    let file = files.find(|file| file.package() == package).unwrap();
    assert_eq!(file.syntax(), "proto3");
    file
}

/// The fields of a file, as the tables have them.
fn fields(file: FileDescriptorProto) -> Vec<(String, String, i32, String)> {
    let mut found = Vec::new();
    for message in file.message_type {
        assert!(message.oneof_decl.is_empty() && message.reserved_range.is_empty());
        for field in &message.field {
            let mut kind = match field.type_name() {
                "" => plain(field.r#type().as_str_name()),
                named => plain(named),
            };
            if field.label() == Label::Repeated {
                kind.insert_str(0, "repeated ");
            }
            found.push((
                message.name().to_owned(),
                field.name().to_owned(),
                field.number(),
                kind,
            ));
        }
    }
    found.sort();
    found
}

/// A table of fields, in the same order.
fn rows(table: &[(&str, &str, i32, &str)]) -> Vec<(String, String, i32, String)> {
    let mut rows: Vec<_> = table
        .iter()
        .map(|&(message, field, number, kind)| {
            (
                message.to_owned(),
                field.to_owned(),
                number,
                kind.to_owned(),
            )
        })
        .collect();
    rows.sort();
    rows
}

/// `.emqx.exproto.v1.Message` → `Message`, `TYPE_UINT32` → `uint32`.
fn plain(name: &str) -> String {
    let name = name.rsplit('.').next().unwrap_or(name);
    match name.strip_prefix("TYPE_") {
        Some(scalar) => scalar.to_lowercase(),
        None => name.to_owned(),
    }
}

#[test]
fn messages_fields_numbers_and_types_are_those_of_the_contract() {
    assert_eq!(fields(contract()), rows(FIELDS));
}

#[test]
fn the_contract_has_no_other_messages() {
    let mut found: Vec<_> = contract()
        .message_type
        .iter()
        .map(|message| message.name().to_owned())
        .collect();
    let mut wanted: Vec<_> = FIELDS.iter().map(|row| row.0.to_owned()).collect();
    wanted.push("EmptySuccess".to_owned());
    wanted.sort();
    wanted.dedup();
    found.sort();
    assert_eq!(found, wanted);
}

#[test]
fn enum_values_are_those_of_the_contract() {
    let found: Vec<_> = contract()
        .enum_type
        .iter()
        .flat_map(|kind| {
            kind.value.iter().map(|value| {
                (
                    kind.name().to_owned(),
                    value.name().to_owned(),
                    value.number(),
                )
            })
        })
        .collect();
    let wanted: Vec<_> = VALUES
        .iter()
        .map(|&(kind, value, number)| (kind.to_owned(), value.to_owned(), number))
        .collect();
    assert_eq!(found, wanted);
}

#[test]
fn services_and_methods_are_those_of_the_contract() {
    let mut found = Vec::new();
    for service in contract().service {
        for method in &service.method {
            assert!(!method.server_streaming());
            let mut input = plain(method.input_type());
            if method.client_streaming() {
                input.insert_str(0, "stream ");
            }
            found.push((
                service.name().to_owned(),
                method.name().to_owned(),
                input,
                plain(method.output_type()),
            ));
        }
    }
    let wanted: Vec<_> = METHODS
        .iter()
        .map(|&(service, method, input, output)| {
            (
                service.to_owned(),
                method.to_owned(),
                input.to_owned(),
                output.to_owned(),
            )
        })
        .collect();
    assert_eq!(found, wanted);
}
