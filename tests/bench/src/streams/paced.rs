//! Echoes at a given rate, far from what the programs can do: latency as a device feels it.

use std::{fmt, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at},
};

use crate::{
    counts,
    device::Device,
    generator::{self, Window},
    histogram::Histogram,
    rounds::{Load, microseconds},
    subject::Subject,
};

/// The figures of one round.
pub(crate) struct Paced {
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
}

/// One round of `pace` echoes a second, all connections together.
pub(crate) async fn round(subject: &mut Subject, pace: f64, load: &Load) -> Result<Paced> {
    let target = subject.target(0).clone();
    let (connections, payload) = (load.connections.get(), load.payload.get());
    let every = Duration::from_secs_f64(f64::from(u32::try_from(connections)?) / pace);
    let work = async {
        let devices = generator::open(&target, connections, payload).await?;
        let window = load.times.window();
        let histogram = Arc::new(Histogram::new());
        let mut running = JoinSet::new();
        for device in devices {
            running.spawn(echo(device, every, window, Arc::clone(&histogram)));
        }
        while let Some(done) = running.join_next().await {
            done??;
        }
        counts::wait_for_open(target.counts, 0).await?;
        Arc::into_inner(histogram).context("a connection is still echoing")
    };
    let latencies = subject.watch(work).await?;
    ensure!(latencies.count() > 0, "no echo arrived in time to count");
    Ok(Paced {
        p50_us: microseconds(latencies.percentile(50)),
        p99_us: microseconds(latencies.percentile(99)),
    })
}

async fn echo(
    mut device: Device,
    every: Duration,
    window: Window,
    histogram: Arc<Histogram>,
) -> Result<()> {
    // Each begins at another moment.
    let first = Instant::now() + every.mul_f64(fastrand::f64());
    let mut turns = interval_at(first, every);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while std::time::Instant::now() < window.until {
        turns.tick().await;
        let began = std::time::Instant::now();
        device.echo().await?;
        if window.from <= began && began < window.until {
            histogram.record(began.elapsed());
        }
    }
    Ok(())
}

impl fmt::Display for Paced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.0} µs, p99 {:.0} µs", self.p50_us, self.p99_us)
    }
}
