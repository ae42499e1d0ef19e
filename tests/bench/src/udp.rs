//! `udp`: datagrams per second through the gateway, without gRPC, beside a plain loop around the same sockets. The two
//! take turns.

/// The devices.
mod load;

use std::{
    fmt,
    num::{NonZeroU32, NonZeroUsize},
    process,
    thread::available_parallelism,
    time::Duration,
};

use anyhow::Result;
use serde_json::json;

use self::load::Counts;
use crate::{
    reflect::Reflector,
    report::{Report, median},
    rounds::{Times, microseconds},
    transport::Transport,
    usage,
};

/// What to load the programs with.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Devices, each with a socket of its own.
    #[arg(long, value_name = "N", default_value = "64")]
    devices: NonZeroUsize,
    /// Echoes that each device waits for at the same time.
    #[arg(long, value_name = "N", default_value = "8")]
    in_flight: NonZeroU32,
    /// The size of each datagram.
    #[arg(long, value_name = "BYTES", default_value = "64")]
    payload: NonZeroUsize,
    /// Only every Nth datagram is sent back: with more than 1 most of the traffic goes in.
    #[arg(long, value_name = "N", default_value = "1")]
    echo_every: NonZeroU32,
    #[command(flatten)]
    times: Times,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Devices are forgotten after this, so that later rounds do not have those of earlier ones.
pub(crate) const IDLE: Duration = Duration::from_secs(5);

/// Measures and prints.
pub(crate) async fn run(args: Args) -> Result<()> {
    usage::ensure_open_files(args.devices.get())?;
    let sockets = available_parallelism().map_or(1, NonZeroUsize::get);
    let mut sides = [
        ("gateway", Reflector::gateway(&[Transport::Udp]).await?),
        ("ceiling", Reflector::bare(sockets).await?),
    ];
    let mut rounds = [Vec::new(), Vec::new()];
    for number in 1..=args.times.rounds.get() {
        for ((name, reflector), rounds) in sides.iter_mut().zip(&mut rounds) {
            eprintln!("{name}, round {number} of {}", args.times.rounds);
            let round = Round::run(reflector, &args).await?;
            eprintln!("  {round}");
            rounds.push(round);
        }
    }
    report(&args, &rounds).print(args.json, "ceiling_ratio");
    for (_, reflector) in sides {
        reflector.process.stop().await?;
    }
    Ok(())
}

/// The figures of one round.
struct Round {
    datagrams_per_second: f64,
    lost: f64,
    /// Of the program measured, and of the generator.
    cpu_us_per_datagram: [f64; 2],
}

impl Round {
    async fn run(reflector: &mut Reflector, args: &Args) -> Result<Self> {
        let window = args.times.window();
        let pids = [reflector.process.pid, process::id()];
        let work = async {
            tokio::try_join!(
                load::run(reflector.devices[0], args, window),
                usage::cpu_in(pids, window)
            )
        };
        let (counts, cpu) = tokio::select! {
            measured = work => measured?,
            death = reflector.process.death() => return Err(death),
        };
        let Counts { echoes, lost } = counts;
        let every = f64::from(args.echo_every.get());
        let datagrams = f64::from(u32::try_from(echoes)?) * every;
        Ok(Self {
            datagrams_per_second: datagrams / args.times.duration.as_secs_f64(),
            lost: f64::from(u32::try_from(lost)?),
            cpu_us_per_datagram: cpu.map(|time| microseconds(time) / datagrams),
        })
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [server, generator] = self.cpu_us_per_datagram;
        write!(
            f,
            "{:.0}/s, {:.0} lost; CPU per datagram {server:.2} µs, generator {generator:.2} µs",
            self.datagrams_per_second, self.lost
        )
    }
}

fn report(args: &Args, rounds: &[Vec<Round>; 2]) -> Report {
    let both = |figure: fn(&Round) -> f64| {
        let sides = rounds.each_ref();
        sides.map(|side| median(side.iter().map(figure).collect()))
    };
    let settings = [
        ("devices", json!(args.devices)),
        ("in_flight", json!(args.in_flight)),
        ("payload_bytes", json!(args.payload)),
        ("echo_every", json!(args.echo_every)),
        ("rounds", json!(args.times.rounds)),
        ("round_seconds", json!(args.times.duration.as_secs_f64())),
        ("goal_ratio", json!(0.5)),
    ];
    Report::new(&settings)
        .row(
            "datagrams per second",
            ["datagrams_per_second", "ceiling_datagrams_per_second"],
            both(|round| round.datagrams_per_second),
        )
        .row(
            "CPU ms per 1000 datagrams",
            ["gateway_cpu_us_per_datagram", "ceiling_cpu_us_per_datagram"],
            both(|round| round.cpu_us_per_datagram[0]),
        )
        .row(
            "generator's CPU, the same",
            [
                "generator_cpu_us_per_datagram",
                "ceiling_generator_cpu_us_per_datagram",
            ],
            both(|round| round.cpu_us_per_datagram[1]),
        )
        .row(
            "echoes lost in a round",
            ["lost", "ceiling_lost"],
            both(|round| round.lost),
        )
}
