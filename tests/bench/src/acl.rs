//! `acl`: what it costs to decide whether a client may publish, by the number of rules: those for names in full, which
//! are found by these names, beside those that have to be looked at one by one.

use std::{fmt::Write as _, hint::black_box, num::NonZeroUsize};

use anyhow::{Context as _, Result, ensure};
use config::Permission;
use exproto_gateway::{
    authorization::{Access, Asker, Rules, Wanted},
    broker::{Qos, Topic},
};
use serde_json::json;

use crate::{
    access::nanoseconds,
    report::{Report, median},
};

/// How to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many rounds each side gets.
    #[arg(long, value_name = "R", default_value = "3")]
    rounds: NonZeroUsize,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// A number of rules, and how it is told.
struct Case {
    rules: usize,
    title: &'static str,
    keys: [&'static str; 2],
}

const CASES: [Case; 4] = [
    Case {
        rules: 10,
        title: "ns with 10 rules",
        keys: ["by_name_ns_with_10", "one_by_one_ns_with_10"],
    },
    Case {
        rules: 100,
        title: "ns with 100 rules",
        keys: ["by_name_ns_with_100", "one_by_one_ns_with_100"],
    },
    Case {
        rules: 1_000,
        title: "ns with 1,000 rules",
        keys: ["by_name_ns_with_1000", "one_by_one_ns_with_1000"],
    },
    Case {
        rules: 10_000,
        title: "ns with 10,000 rules",
        keys: ["by_name_ns_with_10000", "one_by_one_ns_with_10000"],
    },
];

/// A thousand times the rules may not cost more than so many times the time, where names are written in full.
const MOST_GROWTH: f64 = 5.0;
/// Clients that ask in turn, of whom each but the last has a rule.
const CLIENTS: usize = 256;

/// Measures and prints.
#[expect(clippy::unused_async, reason = "as all subcommands")]
pub(crate) async fn run(args: Args) -> Result<()> {
    let columns = ["by name", "one by one"];
    let mut report = Report::new(&[("rounds", json!(args.rounds))]).columns(columns);
    let mut times = Vec::new();
    for case in CASES {
        let clients = clients(case.rules);
        let by_name = rules(case.rules, |name| format!("clientid: {name}"))?;
        // The beginning of a name is no name in full; it fits as many clients.
        let one_by_one = rules(case.rules, |name| format!("clientid: '{name}*'"))?;
        let mut figures = [Vec::new(), Vec::new()];
        for (rules, figures) in [by_name, one_by_one].iter().zip(&mut figures) {
            check(rules, &clients)?;
            for _ in 0..args.rounds.get() {
                figures.push(nanoseconds(&clients, |client| client.decide(rules)));
            }
        }
        let medians = figures.map(median);
        times.push(medians[0]);
        report = report.row(case.title, case.keys, medians);
    }
    report.print(args.json, "ratio_with_10");
    let ends = times
        .first()
        .copied()
        .flatten()
        .zip(times.last().copied().flatten());
    let (few, many) = ends.context("nothing was measured")?;
    ensure!(
        many < MOST_GROWTH * few,
        "a decision takes {many} ns with the most rules, and {few} ns with the fewest: it must not grow like that"
    );
    Ok(())
}

/// Who asks, and the topic.
struct Client {
    name: String,
    topic: Topic,
    access: Access,
    allowed: bool,
}

impl Client {
    fn decide(&self, rules: &Rules) -> bool {
        let asker = Asker {
            clientid: black_box(&self.name),
            username: "",
            ip: [10, 0, 0, 1].into(),
            listener: "tcp",
            is_mounted: false,
            access: &self.access,
        };
        let wanted = Wanted::publish(&self.topic, Qos::AtLeastOnce);
        rules.decide(&asker, &wanted) == Some(Permission::Allow)
    }
}

/// The name of whom a rule is for; all are of one length.
fn name(number: usize) -> String {
    format!("device-{number:05}")
}

/// Evenly spread over the rules, and one beyond them.
fn clients(rules: usize) -> Vec<Client> {
    let numbers = (0..CLIENTS).map(|index| index * rules / (CLIENTS - 1));
    let client = |number| {
        let name = name(number);
        let topic = Topic::parse(&format!("fleet/{name}/speed"), 10);
        Client {
            topic: topic.expect("it has no wildcard"),
            name,
            access: Access::default(),
            allowed: number < rules,
        }
    };
    numbers.map(client).collect()
}

fn rules(count: usize, who: impl Fn(&str) -> String) -> Result<Rules> {
    let mut text = String::new();
    for number in 0..count {
        let who = who(&name(number));
        let topic = "fleet/${clientid}/#";
        writeln!(text, "- {{permission: allow, topic: '{topic}', {who}}}")?;
    }
    Ok(Rules::new(config::Rules::parse(&text, "rules")?))
}

fn check(rules: &Rules, clients: &[Client]) -> Result<()> {
    for client in clients {
        let decided = client.decide(rules);
        ensure!(
            decided == client.allowed,
            "the rules decide wrongly about {}",
            client.name
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_but_the_last_has_a_rule() {
        let clients = clients(10);
        let denied = clients.iter().filter(|client| !client.allowed).count();
        assert_eq!(denied, 1);
        let rules = rules(10, |name| format!("clientid: {name}")).unwrap();
        check(&rules, &clients).unwrap();
    }
}
