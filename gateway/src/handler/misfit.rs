//! A server that has not what is called: which service the gateway wants, and what the server has instead.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use prost::Message;
use tonic_reflection::pb::{v1, v1alpha};

use super::{Method, frame, life::Life};

/// No handler has it.
const ADAPTER: &str = "emqx.exproto.v1.ConnectionAdapter";
/// Those of handlers, by unary calls and by client streams, and how `handler.service` calls them.
const HANDLERS: [(&str, &str); 2] = [
    (
        "emqx.exproto.v1.ConnectionUnaryHandler",
        "ConnectionUnaryHandler",
    ),
    ("emqx.exproto.v1.ConnectionHandler", "ConnectionHandler"),
];

/// So long it may take to tell what it serves.
const PATIENCE: Duration = Duration::from_secs(5);

/// A callback was answered UNIMPLEMENTED. Says so, once in a life: it would be said for each device.
pub(super) fn tell(life: &Arc<Life>, method: Method) {
    if life.is_misfit.swap(true, Ordering::AcqRel) {
        return;
    }
    let life = life.clone();
    tokio::spawn(async move {
        let service = life.endpoint().settings().service;
        let what = what_is_wrong(service, method, services(&life).await.as_deref());
        tracing::error!(
            endpoint = life.address(),
            whose = life.endpoint().whose(),
            service,
            "the handler answers UNIMPLEMENTED: {what}"
        );
        life.endpoint().misfit(&life, what);
    });
}

fn what_is_wrong(service: &str, method: Method, has: Option<&[String]>) -> String {
    let other = HANDLERS.iter().find(|(name, _)| *name != service);
    let Some(has) = has else {
        let other = other.map_or_else(String::new, |(name, _)| format!("{name} or "));
        return format!(
            "the gateway calls {service}, and the server there does not say what it has (no reflection); check that \
             it has this service, and not {other}{ADAPTER}"
        );
    };
    let is_known = |name: &str| has.iter().any(|each| each == name);
    if is_known(service) {
        // Such lists are often those of a file, and not of the server.
        let others = has.iter().filter(|name| *name != service).cloned();
        let others: Vec<String> = others.collect();
        let others = match &others[..] {
            [] => String::new(),
            others => format!(", and not another such as {}", others.join(", ")),
        };
        return format!(
            "the gateway calls {service}, and the server there lists it but does not know its method {}; write that \
             method, and check that the server serves this one{others}",
            method.as_str()
        );
    }
    let has = match has {
        [] => "no service".to_owned(),
        has => has.join(", "),
    };
    let hint = if is_known(ADAPTER) {
        "; that is an adapter: write the address of the handler".to_owned()
    } else if let Some((_, configured)) = other.filter(|(name, _)| is_known(name)) {
        format!("; write handler.service: {configured}")
    } else {
        "; write the address of the handler".to_owned()
    };
    format!("the gateway calls {service}, and the server there has {has}{hint}")
}

/// What the server says that it has, where it does.
async fn services(life: &Life) -> Option<Vec<String>> {
    let question = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    // Both versions look the same on the wire.
    let question = frame(&question);
    for version in ["v1", "v1alpha"] {
        let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        if let Ok(answer) = life.ask(&path, question.clone(), PATIENCE).await {
            return listed(&answer);
        }
    }
    None
}

fn listed(answer: &Bytes) -> Option<Vec<String>> {
    use v1alpha::server_reflection_response::MessageResponse::ListServicesResponse;
    let message = answer.get(5..)?;
    let response = v1alpha::ServerReflectionResponse::decode(message).ok()?;
    let Some(ListServicesResponse(list)) = response.message_response else {
        return None;
    };
    let names = list.service.into_iter().map(|service| service.name);
    let names = names.filter(|name| !name.starts_with("grpc.")).take(20);
    Some(names.map(|name| name.chars().take(200).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNARY: &str = "emqx.exproto.v1.ConnectionUnaryHandler";
    const STREAMS: &str = "emqx.exproto.v1.ConnectionHandler";

    fn said(calls: &str, has: Option<&[&str]>) -> String {
        let has = has.map(|has| has.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        what_is_wrong(calls, Method::OnTimerTimeout, has.as_deref())
    }

    #[test]
    fn both_services_are_named() {
        for (calls, has, expected) in [
            (
                UNARY,
                None,
                "does not say what it has (no reflection); check that it has this service, and not \
                 emqx.exproto.v1.ConnectionHandler or",
            ),
            (
                STREAMS,
                None,
                "does not say what it has (no reflection); check that it has this service, and not \
                 emqx.exproto.v1.ConnectionUnaryHandler or",
            ),
            (UNARY, Some(&[][..]), "has no service; write the address"),
            (
                UNARY,
                Some(&[STREAMS][..]),
                "has emqx.exproto.v1.ConnectionHandler; write handler.service: ConnectionHandler",
            ),
            (
                STREAMS,
                Some(&[UNARY][..]),
                "has emqx.exproto.v1.ConnectionUnaryHandler; write handler.service: \
                 ConnectionUnaryHandler",
            ),
            (
                UNARY,
                Some(&[ADAPTER]),
                "has emqx.exproto.v1.ConnectionAdapter; that is an adapter",
            ),
            (
                UNARY,
                Some(&["a.B", "c.D"]),
                "has a.B, c.D; write the address",
            ),
            (
                UNARY,
                Some(&[UNARY, STREAMS]),
                "lists it but does not know its method OnTimerTimeout; write",
            ),
        ] {
            let said = said(calls, has);
            let expected = format!("the gateway calls {calls}, and the server there {expected}");
            assert!(said.starts_with(&expected), "{said}");
        }
    }
}
