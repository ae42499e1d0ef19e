//! `access`: what it costs to decide whether a device may connect, by the number of rules, beside looking at the rules
//! one by one.

use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use config::AccessRule;
use exproto_gateway::admission::AccessRules;
use serde_json::json;

use crate::report::{Report, median};

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
        keys: ["ns_with_10", "one_by_one_ns_with_10"],
    },
    Case {
        rules: 100,
        title: "ns with 100 rules",
        keys: ["ns_with_100", "one_by_one_ns_with_100"],
    },
    Case {
        rules: 1_000,
        title: "ns with 1,000 rules",
        keys: ["ns_with_1000", "one_by_one_ns_with_1000"],
    },
    Case {
        rules: 10_000,
        title: "ns with 10,000 rules",
        keys: ["ns_with_10000", "one_by_one_ns_with_10000"],
    },
];

/// A thousand times the rules may not cost more than so many times the time.
const MOST_GROWTH: f64 = 5.0;
/// Devices that come in turn.
const DEVICES: usize = 4096;
/// How long each figure of a round is measured.
const LONG_ENOUGH: Duration = Duration::from_millis(200);

/// Measures and prints.
#[expect(clippy::unused_async, reason = "as all subcommands")]
pub(crate) async fn run(args: Args) -> Result<()> {
    let mut report = Report::new(&[("rounds", json!(args.rounds))]).columns(["gateway", "in turn"]);
    let mut times = Vec::new();
    for case in CASES {
        let (rules, devices) = draw(case.rules);
        let arranged = AccessRules::new(&rules);
        for device in &devices {
            ensure!(
                arranged.allows(*device) == one_by_one(&rules, *device),
                "the rules decide differently about {device}"
            );
        }
        let mut figures = [Vec::new(), Vec::new()];
        for _ in 0..args.rounds.get() {
            figures[0].push(nanoseconds(&devices, |device| arranged.allows(*device)));
            figures[1].push(nanoseconds(&devices, |device| one_by_one(&rules, *device)));
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

/// Networks of all sizes, and devices of whom every other one is in one of them.
fn draw(count: usize) -> (Vec<AccessRule>, Vec<IpAddr>) {
    let mut dice = Dice(1);
    let mut networks = Vec::new();
    let mut rules = Vec::new();
    for _ in 0..count {
        let (address, length) = (dice.roll(), 12 + dice.roll() % 21);
        let verb = if dice.roll().is_multiple_of(2) {
            "allow"
        } else {
            "deny"
        };
        let rule = format!("{verb} {}/{length}", Ipv4Addr::from_bits(address));
        rules.push(rule.parse().expect("this is how rules are written"));
        networks.push((address, length));
    }
    let devices = (0..DEVICES).map(|number| {
        let somewhere = dice.roll();
        let (address, length) = networks[number % count];
        // The bits after the prefix are the device's own.
        let inside = address ^ somewhere.checked_shr(length).unwrap_or(0);
        let device = if number % 2 == 0 { inside } else { somewhere };
        Ipv4Addr::from_bits(device).into()
    });
    let devices = devices.collect();
    (rules, devices)
}

fn one_by_one(rules: &[AccessRule], device: IpAddr) -> bool {
    let fits = |rule: &&AccessRule| rule.network.is_none_or(|network| network.contains(&device));
    rules.iter().find(fits).is_none_or(|rule| rule.allow)
}

/// What one decision takes.
pub(crate) fn nanoseconds<T>(asking: &[T], decide: impl Fn(&T) -> bool) -> f64 {
    let began = Instant::now();
    let mut decisions = 0_u32;
    while began.elapsed() < LONG_ENOUGH {
        for one in asking {
            black_box(decide(black_box(one)));
            decisions += 1;
        }
    }
    began.elapsed().as_secs_f64() * 1e9 / f64::from(decisions)
}

/// The same numbers in every run (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u32 {
        let Self(state) = self;
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // The high bits are the good ones.
        u32::try_from(*state >> 32).expect("32 bits are left")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_other_device_is_in_a_network() {
        let (rules, devices) = draw(10);
        let inside = |device: &IpAddr| {
            let mut networks = rules.iter().filter_map(|rule| rule.network);
            networks.any(|network| network.contains(device))
        };
        assert!(devices.iter().step_by(2).all(inside));
        assert!(!devices.iter().all(inside));
    }
}
