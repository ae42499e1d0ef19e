//! Rules that concern more than one field. All of them are looked at, so that one start of the
//! gateway shows every rule that is broken.

use crate::{ByteSize, Config, error::Problem, tree::Node};

/// Who may be a client.
mod authentication;
/// Who may publish and subscribe.
mod authorization;
/// Addresses that are taken twice.
mod binds;
/// The adapter and the management API.
mod servers;
/// Listeners: their names, and each by itself.
mod listener;

/// All rules that the configuration breaks; `root` is what it was read from.
pub(crate) fn check(config: &Config, root: &Node) -> Vec<Problem> {
    let mut report = Report {
        root,
        problems: Vec::new(),
    };
    listener::check(config, &mut report);
    authentication::check(config, &mut report);
    authorization::check(config, &mut report);
    binds::check(config, &mut report);
    handler(config, &mut report);
    servers::check(config, &mut report);
    messages(config, &mut report);
    sessions(config, &mut report);
    report.problems
}

struct Report<'a> {
    root: &'a Node,
    problems: Vec<Problem>,
}

impl Report<'_> {
    fn add(&mut self, field: &str, text: impl Into<String>) {
        let place = self.root.place_of(field).clone();
        self.problems.push(Problem {
            place,
            field: field.into(),
            text: text.into(),
        });
    }

    /// Of two fields at odds, the one to report: the later one, unless only the earlier is written.
    fn blame(&self, earlier: &str, later: &str) -> bool {
        self.root.has(later) || !self.root.has(earlier)
    }

    /// One `what` of the size of one field must fit into another.
    fn fits(&mut self, what: &str, (field, size): Size<'_>, (limit_field, limit): Size<'_>) {
        if size <= limit {
            return;
        }
        if self.blame(field, limit_field) {
            let text = format!("{limit} cannot hold one {what} of {size} ({field}); write more");
            self.add(limit_field, text);
        } else {
            let text =
                format!("a {what} of {size} does not fit into {limit} ({limit_field}); write less");
            self.add(field, text);
        }
    }
}

/// A field and what it says.
type Size<'a> = (&'a str, ByteSize);

fn handler(config: &Config, report: &mut Report) {
    let handler = &config.handler;
    if handler.addresses.is_empty() {
        let text = "the list is empty; write an address, or remove the key";
        report.add("handler.addresses", text);
    }
    for (index, address) in handler.addresses.iter().enumerate() {
        if handler.addresses[..index].contains(address) {
            let text = format!("{address} stands in the list already; remove one");
            report.add(&format!("handler.addresses[{index}]"), text);
        }
    }
    let (min, max) = (handler.backoff_min, handler.backoff_max);
    if min > max {
        if report.blame("handler.backoff_min", "handler.backoff_max") {
            let text = "it is less than handler.backoff_min; write the same or more";
            report.add("handler.backoff_max", text);
        } else {
            let text = "it is more than handler.backoff_max; write the same or less";
            report.add("handler.backoff_min", text);
        }
    }
}

fn messages(config: &Config, report: &mut Report) {
    report.fits(
        "message",
        ("broker.max_payload", config.broker.max_payload),
        (
            "connection.message_queue_bytes",
            config.connection.message_queue_bytes,
        ),
    );
}

fn sessions(config: &Config, report: &mut Report) {
    report.fits(
        "message",
        ("broker.max_payload", config.broker.max_payload),
        (
            "sessions.message_queue_bytes",
            config.sessions.message_queue_bytes,
        ),
    );
    let (one, all) = ("sessions.message_queue_bytes", "sessions.max_bytes");
    let queue = (one, config.sessions.message_queue_bytes);
    report.fits("session", queue, (all, config.sessions.max_bytes));
    for (index, listener) in config.listeners.iter().enumerate() {
        let field = format!("listeners[{index}].session_expiry");
        let longest = config.sessions.max_expiry;
        if listener
            .session_expiry
            .is_none_or(|expiry| expiry <= longest)
        {
            continue;
        }
        if report.blame(&field, "sessions.max_expiry") {
            let text = format!("it is less than {field}; write the same or more");
            report.add("sessions.max_expiry", text);
        } else {
            let text = "it is more than sessions.max_expiry; write the same or less";
            report.add(&field, text);
        }
    }
}
