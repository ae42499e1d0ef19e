//! Where the handler's replicas are found, and the gateway's patience with them.

use std::path::PathBuf;

use crate::{
    Config, Handler, HandlerAddress, HandlerDns, HandlerService, HandlerSource, HandlerTls, Mirror,
};

use super::Report;

pub(super) fn check(config: &Config, report: &mut Report) {
    let handler = &config.handler;
    let canary = &handler.canary;
    for set in [
        Written {
            key: "handler",
            addresses: &handler.addresses,
            dns: &handler.dns,
            file: handler.file.as_ref(),
        },
        Written {
            key: "handler.canary",
            addresses: &canary.addresses,
            dns: &canary.dns,
            file: canary.file.as_ref(),
        },
        Written {
            key: "handler.mirror",
            addresses: &handler.mirror.addresses,
            dns: &handler.mirror.dns,
            file: handler.mirror.file.as_ref(),
        },
    ] {
        found(&set, handler.max_endpoints, report);
    }
    tried(config, report);
    mirrored(config, report);
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
            "ejection.base_time",
            handler.ejection.base_time,
            "ejection.max_time",
            handler.ejection.max_time,
        ),
    ] {
        report.ordered((&name(low), min), (&name(high), max));
    }
}

/// Where one set of replicas is found, as it is written.
struct Written<'a> {
    /// Where that stands, such as `handler`.
    key: &'a str,
    addresses: &'a [HandlerAddress],
    dns: &'a HandlerDns,
    file: Option<&'a PathBuf>,
}

/// Replicas are found in one way.
fn found(written: &Written<'_>, most: u32, report: &mut Report) {
    let [addresses, dns, file] =
        ["addresses", "dns", "file"].map(|way| format!("{}.{way}", written.key));
    let mut ways = [
        (&addresses, report.root.has(&addresses)),
        (&dns, written.dns.name.is_some()),
        (&file, written.file.is_some()),
    ]
    .into_iter()
    .filter_map(|(way, is_written)| is_written.then_some(way));
    if let (Some(first), Some(second)) = (ways.next(), ways.next()) {
        let text = format!("the handler is found by {first} already; keep one of them");
        report.add(second, text);
    }
    // An empty mapping asks for nothing.
    if written.dns.name.is_none() && *written.dns != HandlerDns::default() {
        let text = "it has no name to ask for; write name: and its value, or remove it";
        report.add(&dns, text);
    }
    let (low, high) = (format!("{dns}.refresh_min"), format!("{dns}.refresh_max"));
    report.ordered(
        (&low, written.dns.refresh_min),
        (&high, written.dns.refresh_max),
    );
    listed(&addresses, written.addresses, most, report);
}

/// Those that are written one by one.
fn listed(key: &str, addresses: &[HandlerAddress], most: u32, report: &mut Report) {
    if addresses.is_empty() && report.root.has(key) {
        let text = "the list is empty; write an address, or remove the key";
        report.add(key, text);
    }
    for (index, address) in addresses.iter().enumerate() {
        let field = format!("{key}[{index}]");
        if addresses[..index].contains(address) {
            let text = format!("{address} stands in the list already; remove one");
            report.add(&field, text);
        }
        if index == most as usize {
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
    if handler.tls == HandlerTls::default() {
        return;
    }
    let uses = |source| match source {
        HandlerSource::Addresses(addresses) => addresses.iter().any(HandlerAddress::is_secure),
        HandlerSource::Dns(_, dns) => dns.secure,
        HandlerSource::File(_) => true,
    };
    let others = [handler.canary.source(), handler.mirror.source()];
    if uses(handler.source()) || others.into_iter().flatten().any(uses) {
        return;
    }
    let remedy = match handler.source() {
        HandlerSource::Dns(..) => "write handler.dns.secure: true",
        _ => "write https:// in handler.addresses",
    };
    let text = format!("the handler is spoken to without TLS; {remedy}, or remove it");
    report.add("handler.tls", text);
}

/// A mirror is somewhere, and not the handler itself.
fn mirrored(config: &Config, report: &mut Report) {
    let (handler, mirror) = (&config.handler, &config.handler.mirror);
    if mirror.source().is_none() {
        let written = Mirror {
            // That it has no name is said already.
            dns: HandlerDns::default(),
            ..mirror.clone()
        };
        if written != Mirror::default() {
            let text =
                "its replicas are nowhere to be found; write addresses, dns or file, or remove it";
            report.add("handler.mirror", text);
        }
        return;
    }
    for (field, other, what) in handler.shared_with_mirror() {
        let text = format!("{what} stands in {other} as well; keep one of them");
        report.add(&field, text);
    }
}

/// A canary has somebody who goes there, and somewhere to go.
fn tried(config: &Config, report: &mut Report) {
    let canary = &config.handler.canary;
    let Some(source) = canary.source() else {
        if canary.gets_some() {
            let text =
                "its replicas are nowhere to be found; write addresses, dns or file, or remove it";
            report.add("handler.canary", text);
        }
        return;
    };
    for (index, name) in canary.listeners.iter().enumerate() {
        if !config
            .listeners
            .iter()
            .any(|listener| listener.name == *name)
        {
            let text =
                format!("there is no listener \"{name}\"; write the name of one, or remove it");
            report.add(&format!("handler.canary.listeners[{index}]"), text);
        }
    }
    for shared in source.shares(config.handler.source()) {
        let (field, way) = (format!("handler.canary.{}", shared.place), shared.way);
        let text = format!(
            "{} stands in handler.{way} as well; keep one of them",
            shared.what
        );
        report.add(&field, text);
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
