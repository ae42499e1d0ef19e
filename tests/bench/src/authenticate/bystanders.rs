//! Devices that echo at an even pace: what they feel is what a gateway does to those who have nothing to do with it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tokio::{
    task::JoinSet,
    time::{self, MissedTickBehavior},
};

use super::stretch::Stretch;
use crate::{device::Device, generator::PATIENCE, histogram::Histogram};

/// Echoes until the stretch is over; the latencies of the echoes that began within it.
pub(super) async fn echo(
    devices: Vec<Device>,
    pace: Duration,
    stretch: Stretch,
) -> Result<Histogram> {
    let histogram = Arc::new(Histogram::new());
    let mut running = JoinSet::new();
    let count = u32::try_from(devices.len())?;
    for (number, device) in (0..count).zip(devices) {
        // Evenly, and not all at once.
        let start = Instant::now() + pace * number / count;
        running.spawn(echo_at(
            start,
            device,
            pace,
            stretch.clone(),
            histogram.clone(),
        ));
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    ensure!(histogram.count() > 0, "no echo began in time to count");
    Arc::into_inner(histogram).context("a device is still echoing")
}

async fn echo_at(
    start: Instant,
    mut device: Device,
    pace: Duration,
    stretch: Stretch,
    histogram: Arc<Histogram>,
) -> Result<()> {
    let mut ticks = time::interval_at(start.into(), pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut free = start;
    loop {
        let due = ticks.tick().await.into_std();
        if stretch.is_over() {
            return Ok(());
        }
        let began = began(due, free, Instant::now());
        let echo = time::timeout(PATIENCE, device.echo()).await;
        echo.with_context(|| format!("an echo did not arrive within {PATIENCE:?}"))??;
        free = Instant::now();
        if stretch.open_for(began).is_some() {
            histogram.record(free - began);
        }
    }
}

/// From when an echo's latency is counted: an echo that had to wait for the one before it is late from when it was
/// due, but what the timer is late by is nobody's latency.
fn began(due: Instant, free: Instant, now: Instant) -> Instant {
    if due < free { due } else { now }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_behind_a_slow_one_is_late_too() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        assert_eq!(began(at(20), at(5), at(21)), at(21));
        assert_eq!(began(at(20), at(50), at(50)), at(20));
    }
}
