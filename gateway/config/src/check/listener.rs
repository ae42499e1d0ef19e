//! Listeners: their names, and each by itself.

use crate::{ByteSize, Config, Connection, Listener, Transport};

use super::Report;

/// Frames in a stream.
mod framing;
/// What a transport has no use for, or cannot do without.
mod transport;
/// Certificates, shared keys, and what is asked of devices.
mod secrets;
/// What is agreed upon in handshakes, word by word.
mod words;

pub(super) fn check(config: &Config, report: &mut Report) {
    if config.listeners.is_empty() {
        let text = "the list is empty; write a listener, or remove the key";
        report.add("listeners", text);
    }
    for (index, listener) in config.listeners.iter().enumerate() {
        let twin = config.listeners[..index]
            .iter()
            .position(|other| other.name == listener.name);
        let mut one = One {
            listener,
            connection: &config.connection,
            index,
            report,
        };
        if let Some(twin) = twin {
            let text = format!(
                "listeners[{twin}] is called \"{}\" too; give each a name of its own",
                listener.name
            );
            one.add("name", text);
        }
        transport::check(&mut one);
        secrets::check(&mut one);
        words::check(&mut one);
        framing::check(&mut one);
    }
}

/// One listener, and where to report what is wrong with it.
struct One<'a, 'r> {
    listener: &'a Listener,
    connection: &'a Connection,
    index: usize,
    report: &'a mut Report<'r>,
}

impl One<'_, '_> {
    /// The field is one of this listener.
    fn add(&mut self, field: &str, text: impl Into<String>) {
        let field = self.path(field);
        self.report.add(&field, text);
    }

    fn path(&self, field: &str) -> String {
        format!("listeners[{}].{field}", self.index)
    }

    /// What the device sends at once must fit into what may wait for the handler.
    fn fits_inbound(&mut self, what: &str, field: &str, size: ByteSize) {
        let limit = ("connection.inbound_limit", self.connection.inbound_limit);
        let field = self.path(field);
        self.report.fits(what, (&field, size), limit);
    }
}

/// The word as the file has it.
fn word(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
        Transport::Ws => "ws",
        Transport::Wss => "wss",
        Transport::Udp => "udp",
        Transport::Dtls => "dtls",
    }
}

#[cfg(test)]
mod tests;
