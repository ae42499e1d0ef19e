//! `pubsub`: from Publish to `OnReceivedMessages`. How long it takes to one subscriber, in a closed loop and at an even
//! rate; how many deliveries a second there are to many; and what the broker alone can do, without sockets and gRPC.

/// The publisher and the subscribers of one program.
mod side;
/// Their handler.
mod inbox;
/// Publishing, and waiting until all have it.
mod load;
/// The broker without a gateway.
mod broker;

use std::{
    fmt,
    num::{NonZeroU32, NonZeroUsize},
};

use anyhow::Result;
use serde_json::json;

use self::{
    load::{Burst, Publisher},
    side::Side,
};
use crate::{
    handler::Service,
    report::{Report, median},
    rounds::Times,
    subject::{Program, Selection},
    usage,
};

/// How to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What is published at a time; the time at which it was stands in it.
    #[arg(long, value_name = "BYTES", default_value = "64")]
    #[arg(value_parser = clap::value_parser!(u32).range(8..=1 << 20))]
    payload: u32,
    /// How often it is published in a second, where that is no closed loop.
    #[arg(long, value_name = "N", default_value = "200")]
    rate: NonZeroU32,
    /// Of 1, 100 and 10,000 subscribers those are measured that are not more than this.
    #[arg(long, value_name = "N", default_value = "10000")]
    subscribers: NonZeroUsize,
    #[command(flatten)]
    times: Times,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: Selection,
}

/// How many subscribe to the same topic.
const CASES: [u32; 3] = [1, 100, 10_000];

/// Measures and prints.
pub(crate) async fn run(args: Args) -> Result<()> {
    let cases = cases(args.subscribers);
    let most = cases.iter().max().map_or(0, |most| *most as usize);
    usage::ensure_open_files(most + 1)?;
    let mut gateway = match args.selection.gateway(Service::Unary).await? {
        Some(program) => Some(Side::start(&program, cases).await?),
        None => None,
    };
    let mut ceiling = Side::start(&Program::Bare, cases).await?;
    let mut rounds = [Vec::new(), Vec::new()];
    let mut alone = Vec::new();
    for number in 1..=args.times.rounds.get() {
        let sides = [gateway.as_mut(), Some(&mut ceiling)];
        for (side, rounds) in sides.into_iter().zip(&mut rounds) {
            let Some(side) = side else { continue };
            eprintln!("{}, round {number} of {}", side.name, args.times.rounds);
            let publisher = side.publisher.clone();
            let round = side.watch(Round::run(&publisher, cases, &args)).await?;
            eprintln!("  {round}");
            rounds.push(round);
        }
        let mut speeds = Vec::new();
        for subscribers in cases {
            speeds.push(broker::deliveries_per_second(*subscribers, args.payload).await?);
        }
        alone.push(speeds);
    }
    report(&args, cases, &rounds, &alone).print(args.json, "latency_ratio");
    for side in gateway.into_iter().chain([ceiling]) {
        side.stop().await?;
    }
    Ok(())
}

fn cases(most: NonZeroUsize) -> &'static [u32] {
    let count = CASES
        .iter()
        .take_while(|case| **case as usize <= most.get());
    &CASES[..count.count()]
}

/// The figures of one round of one side.
struct Round {
    /// At an even rate: p50 and p99, µs.
    paced_us: [f64; 2],
    /// By case.
    bursts: Vec<Burst>,
}

impl Round {
    async fn run(publisher: &Publisher, cases: &[u32], args: &Args) -> Result<Self> {
        let paced_us = publisher
            .at_rate(args.rate, args.payload, &args.times)
            .await?;
        let mut bursts = Vec::new();
        for subscribers in cases {
            let burst = publisher.in_turn(*subscribers, args.payload, &args.times);
            bursts.push(burst.await?);
        }
        Ok(Self { paced_us, bursts })
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99] = self.paced_us;
        write!(f, "at a rate p50 {p50:.0} µs, p99 {p99:.0} µs")?;
        for burst in &self.bursts {
            write!(f, "; {burst}")?;
        }
        Ok(())
    }
}

/// The medians. `alone`, by round and case: the broker, and plain queues.
fn report(args: &Args, cases: &[u32], rounds: &[Vec<Round>; 2], alone: &[Vec<[f64; 2]>]) -> Report {
    let settings = [
        ("payload_bytes", json!(args.payload)),
        ("messages_per_second_at_a_rate", json!(args.rate)),
        ("rounds", json!(args.times.rounds)),
        ("round_seconds", json!(args.times.duration.as_secs_f64())),
    ];
    let mut report = Report::new(&settings);
    let mut add = |title: &str, key: &str, figure: &dyn Fn(&Round) -> f64| {
        let medians = [0, 1].map(|side: usize| median(rounds[side].iter().map(figure).collect()));
        let keys = [key.to_owned(), format!("ceiling_{key}")];
        report.add(title, keys, medians);
    };
    add("closed loop, p50 µs", "p50_us", &|round| {
        round.bursts[0].p50_us
    });
    add("closed loop, p99 µs", "p99_us", &|round| {
        round.bursts[0].p99_us
    });
    add("at a rate, p50 µs", "paced_p50_us", &|round| {
        round.paced_us[0]
    });
    add("at a rate, p99 µs", "paced_p99_us", &|round| {
        round.paced_us[1]
    });
    for (index, case) in cases.iter().enumerate() {
        let (title, key) = (
            format!("deliveries/s to {case}"),
            format!("deliveries_per_second_{case}"),
        );
        add(&title, &key, &|round| round.bursts[index].per_second);
    }
    for (index, case) in cases.iter().enumerate().skip(1) {
        let (title, key) = (
            format!("all {case} have it, p50 µs"),
            format!("all_p50_us_{case}"),
        );
        add(&title, &key, &|round| round.bursts[index].p50_us);
    }
    for (index, case) in cases.iter().enumerate() {
        let of = |side: usize| median(alone.iter().map(|round| round[index][side]).collect());
        let keys = ["broker", "plain_queues"].map(|who| format!("{who}_per_second_{case}"));
        report.add(&format!("broker alone, /s to {case}"), keys, [of(0), of(1)]);
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_subscribe_than_are_asked_for() {
        let cases = |most| super::cases(NonZeroUsize::new(most).unwrap());
        assert_eq!(cases(1), [1]);
        assert_eq!(cases(9_999), [1, 100]);
        assert_eq!(cases(20_000), CASES);
    }
}
