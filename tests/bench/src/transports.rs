//! `transports`: two transports of one gateway take turns, with the same load and the same handler.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::{
    handler::Service,
    rounds::{self, Load},
    subject::{Selection, Subject},
    transport::Transport,
    usage,
};

/// What to compare, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Measures this ...
    #[arg(long, value_enum, default_value_t = Transport::Tls)]
    transport: Transport,
    /// ... beside this.
    #[arg(long, value_enum, default_value_t = Transport::Tcp)]
    beside: Transport,
    #[command(flatten)]
    load: Load,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: Selection,
}

/// Devices that say no goodbye are to be gone by the next round.
const IDLE: Duration = Duration::from_secs(3);

const KEYS: [[&str; 2]; 4] = [
    ["messages_per_second", "beside_messages_per_second"],
    ["p50_us", "beside_p50_us"],
    ["p99_us", "beside_p99_us"],
    ["gateway_cpu_us_per_message", "beside_cpu_us_per_message"],
];

/// Measures and prints.
pub(crate) async fn run(args: Args) -> Result<()> {
    let load = &args.load;
    let both = [args.transport, args.beside];
    ensure!(
        args.transport != args.beside,
        "there is nothing to compare: choose another --transport or --beside"
    );
    usage::ensure_open_files(load.connections.get())?;
    let program = args.selection.gateway(Service::Unary).await?;
    let program =
        program.context("the ceiling has one transport only: leave --ceiling-only out")?;
    let mut subject = Subject::start(&program, &both, IDLE).await?;
    let mut sides = [Vec::new(), Vec::new()];
    let rounds = load.times.rounds;
    for number in 1..=rounds.get() {
        for (side, transport) in both.iter().enumerate() {
            eprintln!("{transport}, round {number} of {rounds}");
            let round = rounds::round(&mut subject, side, load).await?;
            eprintln!("  {round}");
            sides[side].push(round);
        }
    }
    let settings = [
        ("transport", json!(args.transport.name())),
        ("beside", json!(args.beside.name())),
    ];
    let [left, right] = &sides;
    rounds::report(&settings, load, KEYS, [Some(left), Some(right)])
        .columns(both.map(Transport::name))
        .print(args.json, "ratio");
    subject.stop().await
}
