//! The end of a pod: every connection closed at a limited rate, every handler told, within a time.

use tokio::{
    sync::Semaphore,
    time::{Duration, Instant, interval, sleep, timeout},
};

use crate::{connection::CloseReason, handler::Handlers, listen::Connections};

/// How often a drain closes its next few connections.
const DRAIN_TICK: Duration = Duration::from_millis(50);
/// Sockets of a pod that may wait for their device to close. More are closed at once, and what was sent last may be
/// lost where the device has sent bytes that nobody read.
pub const LINGERING: usize = 1024;

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every connection is closed, and every handler knows.
    All,
    /// The time was up with so many connections left.
    Left(usize),
}

/// Closes all connections at a limited rate, and waits until every handler knows.
pub async fn drain(
    connections: &Connections,
    handlers: &Handlers,
    lingering: &Semaphore,
    config: &config::Drain,
) -> Drained {
    connections.tasks.close();
    let open = connections.registry.snapshot();
    // All of them must be told in time, and the last ones need some of it.
    #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
    let needed = open.len() as f64 / (config.timeout.as_secs_f64() / 2.0);
    let per_tick = f64::from(config.rate).max(needed) * DRAIN_TICK.as_secs_f64();
    let all = async {
        let mut ticks = interval(DRAIN_TICK);
        let mut due = 0.0;
        for handle in open {
            while due < 1.0 {
                ticks.tick().await;
                due += per_tick;
            }
            due -= 1.0;
            handle.end(CloseReason::Draining);
        }
        connections.tasks.wait().await;
    };
    let patience = async {
        sleep(config.timeout / 2).await;
        // Whoever waits for a handler that is not there would wait longer than the drain may.
        handlers.give_up();
        std::future::pending::<()>().await;
    };
    let started = Instant::now();
    let all = async {
        tokio::select! {
            () = all => {}
            () = patience => {}
        }
    };
    if timeout(config.timeout, all).await.is_err() {
        let left = connections.tasks.len();
        tracing::error!(
            left,
            "drain.timeout is over; the handler was not told the end of all connections"
        );
        return Drained::Left(left);
    }
    // What was sent last is on its way to devices that still have to close.
    let rest = config.timeout.saturating_sub(started.elapsed());
    let places = u32::try_from(LINGERING).unwrap_or(u32::MAX);
    let _ = timeout(rest, lingering.acquire_many(places)).await;
    tracing::info!("drained");
    Drained::All
}
