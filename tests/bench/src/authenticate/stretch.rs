//! The time within which something counts, when nobody knows beforehand from when until when that is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::time;

/// Clones are the same.
#[derive(Clone)]
pub(super) struct Stretch(Arc<Inner>);

struct Inner {
    epoch: Instant,
    /// In nanoseconds since the epoch; `NEVER` until it is known.
    from: AtomicU64,
    until: AtomicU64,
}

const NEVER: u64 = u64::MAX;

impl Stretch {
    /// Nothing counts yet.
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            epoch: Instant::now(),
            from: AtomicU64::new(NEVER),
            until: AtomicU64::new(NEVER),
        }))
    }

    /// It counts what is from now on.
    pub(super) fn open(&self, at: Instant) {
        self.0.from.fetch_min(self.nanoseconds(at), Relaxed);
    }

    /// What is later does not count. The earliest end that is told is the end.
    pub(super) fn close(&self, at: Instant) {
        self.0.until.fetch_min(self.nanoseconds(at), Relaxed);
    }

    /// Opens it, and closes it so much later.
    pub(super) async fn pass(&self, duration: Duration) {
        let now = Instant::now();
        self.open(now);
        time::sleep_until((now + duration).into()).await;
        self.close(now + duration);
    }

    /// For how long it has been open at that moment, if it is.
    pub(super) fn open_for(&self, at: Instant) -> Option<Duration> {
        let at = self.nanoseconds(at);
        let (from, until) = (self.0.from.load(Relaxed), self.0.until.load(Relaxed));
        (from <= at && at < until).then(|| Duration::from_nanos(at - from))
    }

    /// Whether it has been closed.
    pub(super) fn is_over(&self) -> bool {
        self.0.until.load(Relaxed) != NEVER
    }

    /// From its beginning to its end; nothing unless it has both.
    pub(super) fn length(&self) -> Duration {
        let (from, until) = (self.0.from.load(Relaxed), self.0.until.load(Relaxed));
        if until == NEVER {
            return Duration::ZERO;
        }
        Duration::from_nanos(until.saturating_sub(from))
    }

    fn nanoseconds(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.0.epoch);
        u64::try_from(since.as_nanos()).unwrap_or(NEVER - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_first_beginning_and_the_first_end_counts() {
        let stretch = Stretch::new();
        let start = stretch.0.epoch;
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(stretch.open_for(at(5)), None);
        stretch.open(at(10));
        stretch.open(at(11));
        assert_eq!(stretch.length(), Duration::ZERO);
        assert!(!stretch.is_over());
        stretch.close(at(20));
        stretch.close(at(21));
        assert!(stretch.is_over());
        assert_eq!(stretch.length(), Duration::from_secs(10));
        assert_eq!(stretch.open_for(at(9)), None);
        assert_eq!(stretch.open_for(at(13)), Some(Duration::from_secs(3)));
        assert_eq!(stretch.open_for(at(20)), None);
    }
}
