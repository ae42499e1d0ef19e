//! Many devices: each waits for all of its payload to come back before it sends it once more (closed loop).

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tokio::{task::JoinSet, time};

use crate::{
    counts, credentials::Clients, device::Device, histogram::Histogram, transport::Transport,
};

/// How many connections are opened, or echo once, at the same time: as many as the shortest of usual backlogs holds.
pub(crate) const AT_ONCE: usize = 128;
/// After this long without an echo a run has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The addresses of a program that a load needs.
#[derive(Clone)]
pub(crate) struct Target {
    /// How devices connect.
    pub(crate) transport: Transport,
    /// What they shake hands with.
    pub(crate) clients: Clients,
    /// Where it accepts devices.
    pub(crate) device: SocketAddr,
    /// Where its handler tells how many connections it was told of.
    pub(crate) counts: SocketAddr,
}

/// When echoes count.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) from: Instant,
    pub(crate) until: Instant,
}

impl Window {
    /// Opens after the warm-up.
    pub(crate) fn after(warmup: Duration, duration: Duration) -> Self {
        let from = Instant::now() + warmup;
        let until = from + duration;
        Self { from, until }
    }
}

/// Opens `count` connections to a program without any, each with another payload of `length` bytes. They are open
/// to the handler too when this returns.
pub(crate) async fn open(to: &Target, count: usize, length: usize) -> Result<Vec<Device>> {
    let mut devices = Vec::with_capacity(count);
    while devices.len() < count {
        let end = count.min(devices.len() + AT_ONCE);
        let opened = in_turns(devices.len()..end, |number| {
            let to = to.clone();
            async move {
                let mut device = Device::open(&to, number, length).await?;
                if to.transport.speaks_at_once() {
                    device.echo().await?;
                }
                Ok(device)
            }
        });
        let opened = time::timeout(PATIENCE, opened).await;
        devices.extend(
            opened
                .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
                .with_context(|| format!("cannot open {count} connections to {}", to.device))?,
        );
        // A connection that finds the accept queue full looks open from here, and is lost.
        counts::wait_for_open(to.counts, end).await?;
    }
    Ok(devices)
}

/// Echoes until the window closes, and tells the latency of each echo that ended inside of it.
pub(crate) async fn echo(devices: Vec<Device>, window: Window) -> Result<Histogram> {
    let histogram = Arc::new(Histogram::new());
    let mut running = JoinSet::new();
    for mut device in devices {
        let histogram = Arc::clone(&histogram);
        running.spawn(async move {
            let mut began = Instant::now();
            while began < window.until {
                device.echo().await?;
                let ended = Instant::now();
                if window.from <= ended && ended < window.until {
                    histogram.record(ended - began);
                }
                began = ended;
            }
            Ok(())
        });
    }
    let ends = time::timeout_at((window.until + PATIENCE).into(), all(&mut running));
    ends.await
        .with_context(|| format!("an echo did not arrive within {PATIENCE:?}"))??;
    ensure!(histogram.count() > 0, "no echo arrived in time to count");
    Arc::into_inner(histogram).context("a connection is still echoing")
}

/// One echo on each connection.
pub(crate) async fn echo_once(devices: Vec<Device>) -> Result<Vec<Device>> {
    in_turns(devices, |mut device| async move {
        let echo = time::timeout(PATIENCE, device.echo()).await;
        echo.with_context(|| format!("an echo did not arrive within {PATIENCE:?}"))??;
        Ok(device)
    })
    .await
}

/// Makes a task of each input, [`AT_ONCE`] at a time.
pub(crate) async fn in_turns<I, T, F>(
    inputs: impl IntoIterator<Item = I>,
    task: impl Fn(I) -> F,
) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let mut running = JoinSet::new();
    let mut outputs = Vec::new();
    for input in inputs {
        if running.len() == AT_ONCE
            && let Some(done) = running.join_next().await
        {
            outputs.push(done??);
        }
        running.spawn(task(input));
    }
    outputs.extend(all(&mut running).await?);
    Ok(outputs)
}

/// Waits for every task, or for the first that fails.
async fn all<T: 'static>(running: &mut JoinSet<Result<T>>) -> Result<Vec<T>> {
    let mut outputs = Vec::new();
    while let Some(done) = running.join_next().await {
        outputs.push(done??);
    }
    Ok(outputs)
}
