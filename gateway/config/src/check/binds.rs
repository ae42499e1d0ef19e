//! Addresses that are taken twice. TCP and UDP have ports of their own.

use crate::{Bind, BrokerKind, Config};

use super::Report;

struct Taken {
    field: String,
    bind: Bind,
    datagram: bool,
}

pub(super) fn check(config: &Config, report: &mut Report) {
    let stream = |field: &str, bind| Taken {
        field: field.into(),
        bind,
        datagram: false,
    };
    let listeners = config.listeners.iter().enumerate();
    let mut binds: Vec<Taken> = listeners
        .map(|(index, listener)| Taken {
            field: format!("listeners[{index}].bind"),
            bind: listener.bind,
            datagram: listener.transport.is_datagram(),
        })
        .collect();
    binds.push(stream("adapter.bind", config.adapter.bind));
    binds.push(stream("http.bind", config.http.bind));
    if config.management.is_on() {
        binds.push(stream("management.bind", config.management.bind));
    }
    if config.broker.kind == BrokerKind::Redis {
        binds.push(stream("cluster.peers.bind", config.cluster.peers.bind));
    }
    for (index, here) in binds.iter().enumerate() {
        let clash = binds[..index]
            .iter()
            .find(|there| there.datagram == here.datagram && there.bind.clashes_with(here.bind));
        let Some(there) = clash else { continue };
        let (here, there) = if report.blame(&there.field, &here.field) {
            (here, there)
        } else {
            (there, here)
        };
        let text = format!(
            "{} clashes with {} of {}; choose another port",
            here.bind, there.bind, there.field
        );
        report.add(&here.field, text);
    }
}
