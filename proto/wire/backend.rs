//! `exproto.gateway.v1`: what is there stays as it is, and what is added gets a row here.

use super::{fields, file, plain, rows};

const FIELDS: &[(&str, &str, i32, &str)] = &[
    ("PublishRequest", "topic", 1, "string"),
    ("PublishRequest", "qos", 2, "uint32"),
    ("PublishRequest", "payload", 3, "bytes"),
    ("PublishRequest", "retain", 4, "bool"),
    ("PublishProgress", "published", 1, "uint64"),
    ("SubscribeRequest", "filters", 1, "repeated string"),
    ("SubscribeRequest", "position", 2, "bytes"),
    ("SubscribeRequest", "max_waiting", 3, "uint32"),
    ("SubscribeRequest", "skip_retained", 4, "bool"),
    ("SubscribeResponse", "subscribed", 1, "Subscribed"),
    ("SubscribeResponse", "gap", 2, "Gap"),
    ("SubscribeResponse", "messages", 3, "repeated Message"),
    ("SubscribeResponse", "position", 4, "bytes"),
    ("Subscribed", "resumable", 1, "bool"),
    ("Gap", "reason", 1, "string"),
];

const METHODS: &[(&str, &str, &str)] = &[
    ("Publish", "PublishRequest", "PublishResponse"),
    (
        "PublishStream",
        "stream PublishRequest",
        "stream PublishProgress",
    ),
    ("Subscribe", "SubscribeRequest", "stream SubscribeResponse"),
];

#[test]
fn fields_are_those_of_the_contract() {
    assert_eq!(fields(file("exproto.gateway.v1")), rows(FIELDS));
}

#[test]
fn methods_are_those_of_the_contract() {
    let services = file("exproto.gateway.v1").service;
    let names: Vec<_> = services.iter().map(|service| service.name()).collect();
    assert_eq!(names, ["Backend"]);
    let streamed = |is_stream: bool, name: &str| match is_stream {
        true => format!("stream {}", plain(name)),
        false => plain(name),
    };
    let found = services[0].method.iter().map(|method| {
        (
            method.name().to_owned(),
            streamed(method.client_streaming(), method.input_type()),
            streamed(method.server_streaming(), method.output_type()),
        )
    });
    let wanted = METHODS
        .iter()
        .map(|&(name, from, to)| (name.to_owned(), from.to_owned(), to.to_owned()));
    assert!(found.eq(wanted));
}
