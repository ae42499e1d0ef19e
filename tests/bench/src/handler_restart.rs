//! `handler-restart`: devices send numbered blocks and check what comes back, while their handler is killed and started
//! again. What a device misses, gets twice or gets in another order is counted, and how long it takes until all of them
//! are served again.

/// A device that numbers what it sends.
mod numbered;

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::{task::JoinSet, time};

use self::numbered::{Found, Numbered};
use crate::{
    counts,
    handler::Service,
    process::POLL,
    report::{self, median},
    rounds::seconds,
    subject::{Program, Selection, Subject},
    transport::Transport,
    usage,
};

/// What to do, and how often.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How the gateway speaks with its handler. Only the ordered stream promises that nothing is lost.
    #[arg(long, value_enum, default_value_t = Service::OrderedStream)]
    handler: Service,
    /// Connections open at the same time.
    #[arg(long, value_name = "N", default_value = "1000")]
    connections: NonZeroUsize,
    /// How often the handler is killed.
    #[arg(long, value_name = "K", default_value = "5")]
    kills: NonZeroUsize,
    /// For how long the handler serves before it is killed.
    #[arg(long, value_name = "SECS", default_value = "2", value_parser = seconds)]
    every: Duration,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: Selection,
}

/// After this long without all devices being served again a run has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures and prints.
pub(crate) async fn run(args: Args) -> Result<()> {
    let connections = args.connections.get();
    usage::ensure_open_files(connections)?;
    let program = args.selection.gateway(Service::Unary).await?;
    let Some(Program::Gateway(executable, _)) = program else {
        anyhow::bail!("there is nothing to restart: leave --ceiling-only out");
    };
    let program = Program::Gateway(executable, args.handler);
    let mut subject = Subject::start(&program, &[Transport::Tcp], Duration::ZERO).await?;
    let target = subject.target(0).clone();
    let devices: Vec<Arc<AtomicU64>> = (0..connections).map(|_| Arc::default()).collect();
    let mut running = JoinSet::new();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    for echoed in &devices {
        let device = Numbered::open(target.device).await?;
        running.spawn(device.run(Arc::clone(echoed), stopped.clone()));
        if running.len().is_multiple_of(64) {
            counts::wait_for_open(target.counts, running.len()).await?;
        }
    }
    let mut resumed = Vec::new();
    for kill in 1..=args.kills.get() {
        time::sleep(args.every).await;
        subject.kill_handler().await?;
        let (began, before) = (Instant::now(), numbers(&devices));
        subject.start_handler().await?;
        let took = all_served(&devices, &before, began).await?;
        eprintln!("kill {kill} of {}: all served after {took:.1?}", args.kills);
        resumed.push(took.as_secs_f64() * 1e3);
    }
    time::sleep(args.every).await;
    stop.send_replace(true);
    let mut total = Found::default();
    while let Some(found) = time::timeout(PATIENCE, running.join_next()).await? {
        total.add(&found?);
    }
    subject.stop().await?;
    print(&args, &total, resumed);
    ensure!(
        args.handler != Service::OrderedStream || total.is_perfect(),
        "the ordered stream did not keep its promise"
    );
    Ok(())
}

fn numbers(devices: &[Arc<AtomicU64>]) -> Vec<u64> {
    let numbers = devices.iter().map(|each| each.load(Ordering::Relaxed));
    numbers.collect()
}

/// Waits until each device has got something back that it sent after `began`, and tells how long that took.
async fn all_served(
    devices: &[Arc<AtomicU64>],
    before: &[u64],
    began: Instant,
) -> Result<Duration> {
    // What was on its way when the handler was killed comes first.
    let goes_on = |(device, before): (&Arc<AtomicU64>, &u64)| {
        let now = device.load(Ordering::Relaxed);
        now == u64::MAX || now > before + numbered::IN_FLIGHT
    };
    while !devices.iter().zip(before).all(goes_on) {
        ensure!(
            began.elapsed() < PATIENCE,
            "after {PATIENCE:?} some devices are still not served"
        );
        time::sleep(POLL).await;
    }
    Ok(began.elapsed())
}

fn print(args: &Args, found: &Found, resumed: Vec<f64>) {
    let worst = resumed.iter().copied().fold(0.0, f64::max);
    let report = json!({
        "handler": args.handler.name(),
        "connections": args.connections,
        "kills": args.kills,
        "blocks": found.blocks,
        "closed": found.closed,
        "lost": found.lost,
        "duplicated": found.duplicated,
        "reordered": found.reordered,
        "resume_median_ms": median(resumed).map(f64::round),
        "resume_worst_ms": worst.round(),
    });
    report::facts(&report, args.json);
}
