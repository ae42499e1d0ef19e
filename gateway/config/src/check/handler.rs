//! Where the handler's replicas are found, and the gateway's patience with them.

use crate::{Config, Handler, HandlerService, HandlerSource};

use super::Report;

pub(super) fn check(config: &Config, report: &mut Report) {
    let handler = &config.handler;
    source(handler, report);
    addresses(handler, report);
    tls(handler, report);
    repetition(handler, report);
    let name = |key: &str| format!("handler.{key}");
    for (low, min, high, max) in [
        (
            "backoff_min",
            handler.backoff_min,
            "backoff_max",
            handler.backoff_max,
        ),
        (
            "dns.refresh_min",
            handler.dns.refresh_min,
            "dns.refresh_max",
            handler.dns.refresh_max,
        ),
        (
            "ejection.base_time",
            handler.ejection.base_time,
            "ejection.max_time",
            handler.ejection.max_time,
        ),
    ] {
        report.ordered((&name(low), min), (&name(high), max));
    }
}

/// Replicas are found in one way.
fn source(handler: &Handler, report: &mut Report) {
    let written = [
        ("handler.addresses", report.root.has("handler.addresses")),
        ("handler.dns", handler.dns.name.is_some()),
        ("handler.file", handler.file.is_some()),
    ];
    let mut written = written.iter().filter(|(_, is)| *is).map(|(key, _)| *key);
    if let (Some(first), Some(second)) = (written.next(), written.next()) {
        let text = format!("the handler is found by {first} already; keep one of them");
        report.add(second, text);
    }
    if handler.dns.name.is_none() && report.root.has("handler.dns") {
        // An empty mapping asks for nothing.
        let asks = handler.dns != crate::HandlerDns::default();
        if asks {
            let text = "it has no name to ask for; write name: and its value, or remove it";
            report.add("handler.dns", text);
        }
    }
}

fn addresses(handler: &Handler, report: &mut Report) {
    let HandlerSource::Addresses(addresses) = handler.source() else {
        return;
    };
    if addresses.is_empty() {
        let text = "the list is empty; write an address, or remove the key";
        report.add("handler.addresses", text);
    }
    for (index, address) in addresses.iter().enumerate() {
        let field = format!("handler.addresses[{index}]");
        if addresses[..index].contains(address) {
            let text = format!("{address} stands in the list already; remove one");
            report.add(&field, text);
        }
        if index == handler.max_endpoints as usize {
            let text = format!(
                "this is one address more than {index} (handler.max_endpoints); write fewer, or more \
                 there"
            );
            report.add(&field, text);
        }
    }
}

/// What is written for TLS is there to be used.
fn tls(handler: &Handler, report: &mut Report) {
    if handler.tls == crate::HandlerTls::default() {
        return;
    }
    let remedy = match handler.source() {
        HandlerSource::Addresses(addresses) => {
            let secure = addresses.iter().any(crate::HandlerAddress::is_secure);
            (!secure).then_some("write https:// in handler.addresses")
        }
        HandlerSource::Dns(_, dns) => (!dns.secure).then_some("write handler.dns.secure: true"),
        HandlerSource::File(_) => None,
    };
    if let Some(remedy) = remedy {
        let text = format!("the handler is spoken to without TLS; {remedy}, or remove it");
        report.add("handler.tls", text);
    }
}

/// What is not acknowledged is not sent again.
fn repetition(handler: &Handler, report: &mut Report) {
    if handler.service == HandlerService::ConnectionHandler && handler.retry_unacknowledged {
        let text = "with service: ConnectionHandler nothing is acknowledged, so nothing is sent again; \
                    remove it, or write service: ConnectionUnaryHandler";
        report.add("handler.retry_unacknowledged", text);
    }
}
