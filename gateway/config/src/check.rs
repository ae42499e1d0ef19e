//! Rules that concern more than one field. All of them are looked at, so that one start of the
//! gateway shows every rule that is broken.

use crate::{Bind, Config, error::Problem, tree::Node};

/// All rules that the configuration breaks; `root` is what it was read from.
pub(crate) fn check(config: &Config, root: &Node) -> Vec<Problem> {
    let mut report = Report {
        root,
        problems: Vec::new(),
    };
    listeners(config, &mut report);
    binds(config, &mut report);
    handler(config, &mut report);
    adapter(config, &mut report);
    messages(config, &mut report);
    report.problems
}

struct Report<'a> {
    root: &'a Node,
    problems: Vec<Problem>,
}

impl Report<'_> {
    fn add(&mut self, field: &str, text: String) {
        let place = self.root.place_of(field).clone();
        self.problems.push(Problem {
            place,
            field: field.into(),
            text,
        });
    }

    /// Of two fields at odds, the one to report: the later one, unless only the earlier is written.
    fn blame(&self, earlier: &str, later: &str) -> bool {
        self.root.has(later) || !self.root.has(earlier)
    }
}

fn listeners(config: &Config, report: &mut Report) {
    if config.listeners.is_empty() {
        report.add(
            "listeners",
            "the list is empty; write a listener, or remove the key".into(),
        );
    }
    for (index, listener) in config.listeners.iter().enumerate() {
        let twin = config.listeners[..index]
            .iter()
            .position(|other| other.name == listener.name);
        if let Some(twin) = twin {
            let text = format!(
                "listeners[{twin}] is called \"{}\" too; give each a name of its own",
                listener.name
            );
            report.add(&format!("listeners[{index}].name"), text);
        }
    }
}

fn binds(config: &Config, report: &mut Report) {
    let mut taken: Vec<(String, Bind)> = Vec::new();
    let listeners = config.listeners.iter().enumerate();
    let all = listeners
        .map(|(index, listener)| (format!("listeners[{index}].bind"), listener.bind))
        .chain([
            ("adapter.bind".to_owned(), config.adapter.bind),
            ("http.bind".to_owned(), config.http.bind),
        ]);
    for (field, bind) in all {
        if let Some((other, taken)) = taken.iter().find(|(_, taken)| taken.clashes_with(bind)) {
            let text = |here: Bind, there: Bind, other: &str| {
                format!("{here} clashes with {there} of {other}; choose another port")
            };
            if report.blame(other, &field) {
                report.add(&field, text(bind, *taken, other));
            } else {
                report.add(other, text(*taken, bind, &field));
            }
        }
        taken.push((field, bind));
    }
}

fn handler(config: &Config, report: &mut Report) {
    let handler = &config.handler;
    if handler.addresses.is_empty() {
        let text = "the list is empty; write an address, or remove the key";
        report.add("handler.addresses", text.into());
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
            report.add("handler.backoff_max", text.into());
        } else {
            let text = "it is more than handler.backoff_max; write the same or less";
            report.add("handler.backoff_min", text.into());
        }
    }
}

fn adapter(config: &Config, report: &mut Report) {
    let adapter = &config.adapter;
    if !adapter.bind.is_loopback() && !adapter.insecure {
        let text = format!(
            "{} lets other machines in, and callers are not authenticated; let only the handler \
             reach the port and write adapter.insecure: true, or bind a loopback address",
            adapter.bind
        );
        report.add("adapter.bind", text);
    }
}

fn messages(config: &Config, report: &mut Report) {
    let (queue, payload) = (
        config.connection.message_queue_bytes,
        config.broker.max_payload,
    );
    if queue < payload {
        let (queue_field, payload_field) = ("connection.message_queue_bytes", "broker.max_payload");
        if report.blame(payload_field, queue_field) {
            let text = format!(
                "{queue} cannot hold one message of {payload} ({payload_field}); write more"
            );
            report.add(queue_field, text);
        } else {
            let text = format!(
                "a message of {payload} does not fit into {queue} ({queue_field}); write less"
            );
            report.add(payload_field, text);
        }
    }
}
