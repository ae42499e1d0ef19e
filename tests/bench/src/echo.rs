//! `echo`: the gateway and the ceiling take turns, a round each, so that a machine which slows down slows both; the
//! medians of their rounds are what is told.

use std::{fmt, num::NonZeroUsize, process, time::Duration};

use anyhow::Result;
use serde_json::json;
use tokio::time;

use crate::{
    counts,
    generator::{self, Window},
    report::{Report, median},
    subject::{Program, Selection, Subject},
    usage,
};

/// What to load the programs with.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Connections open at the same time.
    #[arg(long, value_name = "N", default_value = "64")]
    pub(crate) connections: NonZeroUsize,
    /// What each connection sends at a time.
    #[arg(long, value_name = "BYTES", default_value = "64")]
    pub(crate) payload: NonZeroUsize,
    /// How long each round counts echoes.
    #[arg(long, value_name = "SECS", default_value = "10", value_parser = seconds)]
    duration: Duration,
    /// How long each round runs before it counts.
    #[arg(long, value_name = "SECS", default_value = "2", value_parser = seconds)]
    warmup: Duration,
    /// How many rounds each program gets.
    #[arg(long, value_name = "R", default_value = "3")]
    pub(crate) rounds: NonZeroUsize,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: Selection,
}

/// Measures and prints.
pub(crate) async fn run(args: Args) -> Result<()> {
    usage::ensure_open_files(args.connections.get())?;
    let mut gateway = match args.selection.gateway().await? {
        Some(program) => Some(Side::start(&program).await?),
        None => None,
    };
    let mut ceiling = Side::start(&Program::Bare).await?;
    for number in 1..=args.rounds.get() {
        for side in gateway.iter_mut().chain([&mut ceiling]) {
            eprintln!("{}, round {number} of {}", side.subject.name, args.rounds);
            let round = side.round(&args).await?;
            eprintln!("  {round}");
            side.rounds.push(round);
        }
    }
    report(&args, gateway.as_ref(), &ceiling).print(args.json, "ceiling_ratio");
    for side in gateway.into_iter().chain([ceiling]) {
        side.subject.stop().await?;
    }
    Ok(())
}

/// A program and its rounds so far.
struct Side {
    subject: Subject,
    rounds: Vec<Round>,
}

/// The figures of one round.
struct Round {
    messages_per_second: f64,
    p50_us: f64,
    p99_us: f64,
    /// Of the program measured, of its handler, and of the generator.
    cpu_us_per_message: [f64; 3],
}

impl Side {
    async fn start(program: &Program) -> Result<Self> {
        Ok(Self {
            subject: Subject::start(program).await?,
            rounds: Vec::new(),
        })
    }

    async fn round(&mut self, args: &Args) -> Result<Round> {
        let target = self.subject.target;
        let [server_pid, handler_pid] = self.subject.pids();
        let pids = [server_pid, handler_pid, process::id()];
        let (connections, payload) = (args.connections.get(), args.payload.get());
        let load = async {
            let devices = generator::open(&target, connections, payload).await?;
            let window = Window::after(args.warmup, args.duration);
            let measured = tokio::try_join!(generator::echo(devices, window), cpu(pids, window))?;
            // Else the ends of these connections would be part of the other program's round.
            counts::wait_for_open(target.counts, 0).await?;
            Ok(measured)
        };
        let (latencies, cpu) = self.subject.watch(load).await?;
        let messages = f64::from(u32::try_from(latencies.count())?);
        Ok(Round {
            messages_per_second: messages / args.duration.as_secs_f64(),
            p50_us: microseconds(latencies.percentile(50)),
            p99_us: microseconds(latencies.percentile(99)),
            cpu_us_per_message: cpu.map(|time| microseconds(time) / messages),
        })
    }

    fn median(&self, figure: impl Fn(&Round) -> f64) -> Option<f64> {
        median(self.rounds.iter().map(figure).collect())
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [server, handler, generator] = self.cpu_us_per_message;
        write!(
            f,
            "{:.0}/s, p50 {:.0} µs, p99 {:.0} µs; CPU per echo {server:.1} µs, handler {handler:.1} µs, \
             generator {generator:.1} µs",
            self.messages_per_second, self.p50_us, self.p99_us
        )
    }
}

/// The CPU time that each process uses inside of the window.
async fn cpu(pids: [u32; 3], window: Window) -> Result<[Duration; 3]> {
    let sample = || -> Result<[Duration; 3]> {
        let [server, handler, generator] = pids.map(usage::cpu_time);
        Ok([server?, handler?, generator?])
    };
    time::sleep_until(window.from.into()).await;
    let before = sample()?;
    time::sleep_until(window.until.into()).await;
    let mut used = sample()?;
    for (used, before) in used.iter_mut().zip(before) {
        *used -= before;
    }
    Ok(used)
}

fn report(args: &Args, gateway: Option<&Side>, ceiling: &Side) -> Report {
    let both = |figure: fn(&Round) -> f64| {
        [
            gateway.and_then(|side| side.median(figure)),
            ceiling.median(figure),
        ]
    };
    let settings = [
        ("connections", json!(args.connections)),
        ("payload_bytes", json!(args.payload)),
        ("rounds", json!(args.rounds)),
        ("round_seconds", json!(args.duration.as_secs_f64())),
    ];
    Report::new(&settings)
        .row(
            "echoes per second",
            ["messages_per_second", "ceiling_messages_per_second"],
            both(|round| round.messages_per_second),
        )
        .row(
            "p50 latency, µs",
            ["p50_us", "ceiling_p50_us"],
            both(|round| round.p50_us),
        )
        .row(
            "p99 latency, µs",
            ["p99_us", "ceiling_p99_us"],
            both(|round| round.p99_us),
        )
        .row(
            "CPU ms per 1000 echoes",
            ["gateway_cpu_us_per_message", "ceiling_cpu_us_per_message"],
            both(|round| round.cpu_us_per_message[0]),
        )
}

fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("not a positive number of seconds".to_owned()),
    }
}
