//! Rounds of echoes, whatever takes turns in them: each opens its connections, warms up, counts and closes.

use std::{fmt, num::NonZeroUsize, process, time::Duration};

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    counts,
    generator::{self, Window},
    report::{Report, median},
    subject::Subject,
    usage,
};

/// What to load the programs with.
#[derive(Debug, clap::Args)]
pub(crate) struct Load {
    /// Connections open at the same time.
    #[arg(long, value_name = "N", default_value = "64")]
    pub(crate) connections: NonZeroUsize,
    /// What each connection sends at a time.
    #[arg(long, value_name = "BYTES", default_value = "64")]
    pub(crate) payload: NonZeroUsize,
    #[command(flatten)]
    pub(crate) times: Times,
}

/// How long to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Times {
    /// How long each round counts.
    #[arg(long, value_name = "SECS", default_value = "10", value_parser = seconds)]
    pub(crate) duration: Duration,
    /// How long each round runs before it counts.
    #[arg(long, value_name = "SECS", default_value = "2", value_parser = seconds)]
    pub(crate) warmup: Duration,
    /// How many rounds each side gets.
    #[arg(long, value_name = "R", default_value = "3")]
    pub(crate) rounds: NonZeroUsize,
}

impl Times {
    /// For a round that begins now.
    pub(crate) fn window(&self) -> Window {
        Window::after(self.warmup, self.duration)
    }
}

/// The figures of one round.
pub(crate) struct Round {
    pub(crate) messages_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Of the program measured, of its handler, and of the generator.
    pub(crate) cpu_us_per_message: [f64; 3],
}

/// One round by the `number`th transport of `subject`.
pub(crate) async fn round(subject: &mut Subject, number: usize, load: &Load) -> Result<Round> {
    let target = subject.target(number).clone();
    let [server_pid, handler_pid] = subject.pids();
    let pids = [server_pid, handler_pid, process::id()];
    let (connections, payload) = (load.connections.get(), load.payload.get());
    let echoes = async {
        let devices = generator::open(&target, connections, payload).await?;
        let window = load.times.window();
        let measured = tokio::try_join!(
            generator::echo(devices, window),
            usage::cpu_in(pids, window)
        )?;
        // Else the ends of these connections would be part of the other side's round.
        counts::wait_for_open(target.counts, 0).await?;
        Ok(measured)
    };
    let (latencies, cpu) = subject.watch(echoes).await?;
    let messages = f64::from(u32::try_from(latencies.count())?);
    Ok(Round {
        messages_per_second: messages / load.times.duration.as_secs_f64(),
        p50_us: microseconds(latencies.percentile(50)),
        p99_us: microseconds(latencies.percentile(99)),
        cpu_us_per_message: cpu.map(|time| microseconds(time) / messages),
    })
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

/// The medians of two sides' rounds. The keys are the gateway's or of `left`, and of `right`.
pub(crate) fn report(
    settings: &[(&str, Value)],
    load: &Load,
    keys: [[&'static str; 2]; 4],
    rounds: [Option<&[Round]>; 2],
) -> Report {
    let both =
        |figure: fn(&Round) -> f64| rounds.map(|side| median(side?.iter().map(figure).collect()));
    let mut all = vec![
        ("connections", json!(load.connections)),
        ("payload_bytes", json!(load.payload)),
        ("rounds", json!(load.times.rounds)),
        ("round_seconds", json!(load.times.duration.as_secs_f64())),
    ];
    all.extend_from_slice(settings);
    let [speed, p50, p99, cpu] = keys;
    Report::new(&all)
        .row(
            "echoes per second",
            speed,
            both(|round| round.messages_per_second),
        )
        .row("p50 latency, µs", p50, both(|round| round.p50_us))
        .row("p99 latency, µs", p99, both(|round| round.p99_us))
        .row(
            "CPU ms per 1000 echoes",
            cpu,
            both(|round| round.cpu_us_per_message[0]),
        )
}

pub(crate) fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// An option of seconds, not zero.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("not a positive number of seconds".to_owned()),
    }
}
