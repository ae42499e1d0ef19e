//! `authenticate`: Authenticates per second by chain, over the gateway's adapter, and what other connections feel of it:
//! some devices echo at an even pace meanwhile, as they do in rounds in which nobody authenticates.

/// The chains, and what clients show them.
mod chain;
/// Connections made beforehand.
mod named;
/// A closed loop of Authenticates.
mod load;
/// Devices that echo meanwhile.
mod bystanders;
/// The time that counts.
mod stretch;
/// The processes.
mod site;
/// Hidden subcommand: the service that the chain `http` asks.
pub(crate) mod service;

use std::{
    fmt,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Result, ensure};
use serde_json::json;

use self::{
    chain::Chain,
    load::{Load, WARM_UP},
    site::Site,
    stretch::Stretch,
};
use crate::{
    gateway,
    generator::{self, PATIENCE},
    histogram::Histogram,
    report::{Column, Grid, median},
    rounds::{microseconds, seconds},
    usage,
};

/// How to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Authenticates in flight at a time.
    #[arg(long, value_name = "N", default_value = "64")]
    in_flight: NonZeroUsize,
    /// Connections made before each round. Each authenticates once; a round is over when all have.
    #[arg(long, value_name = "N", default_value = "10000")]
    connections: NonZeroUsize,
    /// Other devices, which echo meanwhile.
    #[arg(long, value_name = "N", default_value = "16")]
    bystanders: NonZeroUsize,
    /// How often each of them echoes in a second.
    #[arg(long, value_name = "N", default_value = "50")]
    echoes: NonZeroU32,
    /// How long each round counts at most.
    #[arg(long, value_name = "SECS", default_value = "5", value_parser = seconds)]
    duration: Duration,
    /// How many rounds each chain gets.
    #[arg(long, value_name = "R", default_value = "3")]
    rounds: NonZeroUsize,
    /// The chains to measure; all if not given.
    #[arg(long, value_name = "CHAINS", value_enum, value_delimiter = ',')]
    chains: Vec<Chain>,
    /// The gateway's executable; built from this tree if not given.
    #[arg(long, value_name = "PATH")]
    gateway: Option<PathBuf>,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

impl Args {
    fn chains(&self) -> Vec<Chain> {
        let mut chains = Chain::ALL.to_vec();
        chains.retain(|chain| self.chains.is_empty() || self.chains.contains(chain));
        chains
    }

    fn check(&self) -> Result<()> {
        let (connections, in_flight) = (self.connections.get(), self.in_flight.get());
        let least = 2 * WARM_UP * in_flight;
        ensure!(
            connections >= least,
            "{connections} connections are too few for {in_flight} Authenticates in flight: use {least} or more"
        );
        usage::ensure_open_files(connections + self.bystanders.get())
    }
}

/// Measures and prints.
pub(crate) async fn run(args: Args) -> Result<()> {
    args.check()?;
    let chains = args.chains();
    let executable = gateway::executable(args.gateway.as_deref()).await?;
    let mut site = Site::start(&executable, &chains, args.connections.get()).await?;
    for (index, chain) in chains.iter().enumerate() {
        if *chain == Chain::HttpCached {
            eprintln!("{chain}, to fill the cache");
            // Longer than it takes: each client has to be known.
            round(&mut site, Some(index), &args, 100 * PATIENCE).await?;
        }
    }
    let mut quiet = Vec::new();
    let mut busy: Vec<Vec<Round>> = chains.iter().map(|_| Vec::new()).collect();
    for number in 1..=args.rounds.get() {
        eprintln!("nobody authenticates, round {number} of {}", args.rounds);
        let nobody = round(&mut site, None, &args, args.duration).await?;
        eprintln!("  {nobody}");
        quiet.push(nobody);
        for (index, chain) in chains.iter().enumerate() {
            eprintln!("{chain}, round {number} of {}", args.rounds);
            let round = round(&mut site, Some(index), &args, args.duration).await?;
            eprintln!("  {round}");
            busy[index].push(round);
        }
    }
    report(&args, &chains, &quiet, &busy).print(args.json);
    site.stop().await
}

/// The figures of one round.
struct Round {
    /// None where nobody authenticates.
    authenticates: Option<Authenticates>,
    echo_p50_us: f64,
    echo_p99_us: f64,
}

struct Authenticates {
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
}

/// Opens the connections, lets all authenticate by the `chain`th chain, or nobody, and closes them.
async fn round(
    site: &mut Site,
    chain: Option<usize>,
    args: &Args,
    duration: Duration,
) -> Result<Round> {
    let bystander = site.bystander();
    let index = chain.unwrap_or(0);
    let target = site.target(index);
    let load = Load {
        adapters: site.adapters()?,
        clients: site.clients(index),
        in_flight: args.in_flight.get(),
        duration,
    };
    let pace = Duration::from_secs(1) / args.echoes.get();
    let work = async {
        let devices = generator::open(&bystander, args.bystanders.get(), 64).await?;
        let connections = named::open(target.device, args.connections.get()).await?;
        let stretch = Stretch::new();
        let echoes = bystanders::echo(devices, pace, stretch.clone());
        let work = async {
            if chain.is_some() {
                return load.run(&connections, stretch.clone()).await.map(Some);
            }
            stretch.pass(duration).await;
            Ok(None)
        };
        let (echoes, latencies) = tokio::try_join!(echoes, work)?;
        named::close(connections, target.counts).await?;
        Round::new(&echoes, latencies.as_ref(), &stretch)
    };
    site.subject.watch(work).await
}

impl Round {
    fn new(echoes: &Histogram, latencies: Option<&Histogram>, stretch: &Stretch) -> Result<Self> {
        let authenticates = match latencies {
            Some(latencies) => Some(Authenticates {
                per_second: f64::from(u32::try_from(latencies.count())?)
                    / stretch.length().as_secs_f64(),
                p50_us: microseconds(latencies.percentile(50)),
                p99_us: microseconds(latencies.percentile(99)),
            }),
            None => None,
        };
        Ok(Self {
            authenticates,
            echo_p50_us: microseconds(echoes.percentile(50)),
            echo_p99_us: microseconds(echoes.percentile(99)),
        })
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Authenticates {
            per_second,
            p50_us,
            p99_us,
        }) = &self.authenticates
        {
            write!(
                f,
                "{per_second:.0}/s, p50 {p50_us:.0} µs, p99 {p99_us:.0} µs; "
            )?;
        }
        let (p50, p99) = (self.echo_p50_us, self.echo_p99_us);
        write!(f, "echoes p50 {p50:.0} µs, p99 {p99:.0} µs")
    }
}

const COLUMNS: [Column; 6] = [
    Column::new("per second", "per_second", 1),
    Column::new("p50 µs", "p50_us", 1),
    Column::new("p99 µs", "p99_us", 1),
    Column::new("echo p50 µs", "echo_p50_us", 1),
    Column::new("echo p99 µs", "echo_p99_us", 1),
    Column::new("p99 ratio", "echo_p99_ratio", 3),
];

fn report(args: &Args, chains: &[Chain], quiet: &[Round], busy: &[Vec<Round>]) -> Grid<6> {
    let settings = [
        ("in_flight", json!(args.in_flight)),
        ("connections", json!(args.connections)),
        ("bystanders", json!(args.bystanders)),
        (
            "echoes_per_second_each",
            json!(f64::from(args.echoes.get())),
        ),
        ("rounds", json!(args.rounds)),
        ("round_seconds_at_most", json!(args.duration.as_secs_f64())),
    ];
    let quiet_p99 = median(quiet.iter().map(|round| round.echo_p99_us).collect());
    let mut grid = Grid::new(&settings, COLUMNS).row("quiet", figures(quiet, None));
    for (chain, rounds) in chains.iter().zip(busy) {
        grid = grid.row(chain.name(), figures(rounds, quiet_p99));
    }
    grid
}

/// The medians, and what becomes of the others' p99.
fn figures(rounds: &[Round], quiet_p99: Option<f64>) -> [Option<f64>; 6] {
    let echo = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
    let own = |figure: fn(&Authenticates) -> f64| {
        let authenticates = rounds
            .iter()
            .filter_map(|round| round.authenticates.as_ref());
        median(authenticates.map(figure).collect())
    };
    let p99 = echo(|round| round.echo_p99_us);
    [
        own(|authenticates| authenticates.per_second),
        own(|authenticates| authenticates.p50_us),
        own(|authenticates| authenticates.p99_us),
        echo(|round| round.echo_p50_us),
        p99,
        p99.zip(quiet_p99).map(|(p99, quiet)| p99 / quiet),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(per_second: f64, echo_p99_us: f64) -> Round {
        Round {
            authenticates: Some(Authenticates {
                per_second,
                p50_us: 1.0,
                p99_us: 2.0,
            }),
            echo_p50_us: 3.0,
            echo_p99_us,
        }
    }

    #[test]
    fn the_ratio_is_of_the_medians_of_p99() {
        let rounds = [round(40.0, 90.0), round(50.0, 120.0), round(45.0, 800.0)];
        let wanted = [45.0, 1.0, 2.0, 3.0, 120.0, 1.2].map(Some);
        assert_eq!(figures(&rounds, Some(100.0)), wanted);
    }

    #[test]
    fn where_nobody_authenticates_there_are_echoes_alone() {
        let quiet = Round {
            authenticates: None,
            ..round(0.0, 100.0)
        };
        let wanted = [None, None, None, Some(3.0), Some(100.0), None];
        assert_eq!(figures(&[quiet], None), wanted);
    }
}
