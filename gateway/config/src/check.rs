//! Rules that concern more than one field. All of them are looked at, so that one start of the
//! gateway shows every rule that is broken.

use std::time::Duration;

use crate::{BrokerKind, ByteSize, Config, error::Problem, tree::Node};

/// Who may be a client.
mod authentication;
/// Who may publish and subscribe.
mod authorization;
/// Addresses that are taken twice.
mod binds;
/// The handler.
mod handler;
/// The Redis that the pods share.
mod redis;
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
    handler::check(config, &mut report);
    servers::check(config, &mut report);
    redis::check(config, &mut report);
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

    /// The least of something must not be above its most.
    fn ordered(&mut self, (low, min): (&str, Duration), (high, max): (&str, Duration)) {
        if min <= max {
            return;
        }
        if self.blame(low, high) {
            self.add(
                high,
                format!("it is less than {low}; write the same or more"),
            );
        } else {
            self.add(
                low,
                format!("it is more than {high}; write the same or less"),
            );
        }
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
    let (interval, log) = (config.sessions.save_interval, config.broker.shared.log_time);
    if config.broker.kind == BrokerKind::Redis && interval > log / 2 {
        report.add(
            "sessions.save_interval",
            "what came since is read in the logs of Redis, so it must not be more than half of \
             broker.shared.log_time; write less",
        );
    }
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
