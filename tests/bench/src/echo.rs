//! `echo`: the gateway and the ceiling take turns, a round each, so that a machine which slows down slows both; the
//! medians of their rounds are what is told.

use std::time::Duration;

use anyhow::Result;

use crate::{
    handler::Service,
    rounds::{self, Load, Round},
    streams,
    subject::{Program, Selection, Subject},
    transport::Transport,
    usage,
};

/// What to measure, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How the gateway speaks with its handler. With `ordered-stream`, unary calls and a bare TCP echo are measured too;
    /// the ceiling of the others is unary calls.
    #[arg(long, value_enum, default_value_t = Service::Unary)]
    handler: Service,
    #[command(flatten)]
    pub(crate) load: Load,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: Selection,
}

/// A program and its rounds so far.
struct Side {
    subject: Subject,
    rounds: Vec<Round>,
}

const KEYS: [[&str; 2]; 4] = [
    ["messages_per_second", "ceiling_messages_per_second"],
    ["p50_us", "ceiling_p50_us"],
    ["p99_us", "ceiling_p99_us"],
    ["gateway_cpu_us_per_message", "ceiling_cpu_us_per_message"],
];

/// Measures and prints.
pub(crate) async fn run(args: Args) -> Result<()> {
    let load = &args.load;
    if args.handler == Service::OrderedStream {
        return streams::run(load, &args.selection, args.json).await;
    }
    usage::ensure_open_files(load.connections.get())?;
    let mut gateway = match args.selection.gateway(args.handler).await? {
        Some(program) => Some(Side::start(&program).await?),
        None => None,
    };
    let mut ceiling = Side::start(&Program::Bare).await?;
    let rounds = load.times.rounds;
    for number in 1..=rounds.get() {
        for side in gateway.iter_mut().chain([&mut ceiling]) {
            eprintln!("{}, round {number} of {rounds}", side.subject.name);
            let round = rounds::round(&mut side.subject, 0, load).await?;
            eprintln!("  {round}");
            side.rounds.push(round);
        }
    }
    let ours = gateway.as_ref().map(|side| &*side.rounds);
    rounds::report(&[], load, KEYS, [ours, Some(&ceiling.rounds)])
        .print(args.json, "ceiling_ratio");
    for side in gateway.into_iter().chain([ceiling]) {
        side.subject.stop().await?;
    }
    Ok(())
}

impl Side {
    async fn start(program: &Program) -> Result<Self> {
        Ok(Self {
            subject: Subject::start(program, &[Transport::Tcp], Duration::ZERO).await?,
            rounds: Vec::new(),
        })
    }
}
