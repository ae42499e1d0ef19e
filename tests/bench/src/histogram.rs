//! Latencies in log-linear buckets: each power of two nanoseconds is cut into `STEPS` equal parts, so that a
//! percentile is off by less than 1 %. Recording is one atomic addition; every connection shares one histogram.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Buckets per power of two; a power of two itself.
const STEPS: u64 = 128;
/// What is longer (a quarter of an hour) counts as this long.
const LONGEST: u64 = (1 << 40) - 1;

/// Counts of durations.
pub(crate) struct Histogram {
    buckets: Box<[AtomicU64]>,
}

impl Histogram {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let buckets = (0..=bucket(LONGEST)).map(|_| AtomicU64::new(0)).collect();
        Self { buckets }
    }

    /// Counts `duration`.
    pub(crate) fn record(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(LONGEST);
        self.buckets[bucket(nanoseconds.min(LONGEST))].fetch_add(1, Ordering::Relaxed);
    }

    /// Adds what another process has recorded: the buckets that are not empty.
    pub(crate) fn add(&self, filled: &[(usize, u64)]) {
        for (bucket, count) in filled {
            if let Some(bucket) = self.buckets.get(*bucket) {
                bucket.fetch_add(*count, Ordering::Relaxed);
            }
        }
    }

    /// The buckets that are not empty, for another process.
    pub(crate) fn filled(&self) -> Vec<(usize, u64)> {
        let counts = self.counts().enumerate();
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// How many were recorded.
    pub(crate) fn count(&self) -> u64 {
        self.counts().sum()
    }

    /// The duration which `percent` of the recorded ones do not exceed: the middle of its bucket.
    /// Zero if nothing was recorded.
    pub(crate) fn percentile(&self, percent: u64) -> Duration {
        let rank = (self.count() * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let found = self.counts().position(|count| {
            seen += count;
            seen >= rank
        });
        Duration::from_nanos(found.map_or(0, middle))
    }

    fn counts(&self) -> impl Iterator<Item = u64> {
        self.buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
    }
}

/// The first two powers' worth of values have a bucket each; later ones share.
fn bucket(nanoseconds: u64) -> usize {
    let doublings = (nanoseconds / STEPS).checked_ilog2().map_or(0, u64::from);
    let index = doublings * STEPS + (nanoseconds >> doublings);
    usize::try_from(index).expect("the index of LONGEST is a few thousand")
}

/// The value in the middle of a bucket.
fn middle(bucket: usize) -> u64 {
    let index = bucket as u64;
    let doublings = (index / STEPS).saturating_sub(1);
    let lowest = (index - doublings * STEPS) << doublings;
    lowest + (1 << doublings) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_holds_its_own_middle() {
        for index in 0..=bucket(LONGEST) {
            assert_eq!(bucket(middle(index)), index);
        }
    }

    #[test]
    fn a_percentile_is_within_one_percent_of_the_truth() {
        let histogram = Histogram::new();
        for microseconds in 1..=10_000 {
            histogram.record(Duration::from_micros(microseconds));
        }
        assert_eq!(histogram.count(), 10_000);
        for (percent, truth) in [(1, 100.0), (50, 5_000.0), (99, 9_900.0), (100, 10_000.0)] {
            let found = histogram.percentile(percent).as_secs_f64() * 1e6;
            assert!(
                (found / truth - 1.0).abs() < 0.01,
                "p{percent}: {found} for {truth}"
            );
        }
    }

    #[test]
    fn a_single_slow_echo_is_not_p99_but_p100() {
        let histogram = Histogram::new();
        for _ in 0..199 {
            histogram.record(Duration::from_nanos(100));
        }
        histogram.record(Duration::from_secs(3600));
        assert_eq!(histogram.percentile(99), Duration::from_nanos(100));
        assert!(histogram.percentile(100) > Duration::from_secs(600));
    }

    #[test]
    fn what_others_recorded_is_added() {
        let [one, both] = [Histogram::new(), Histogram::new()];
        one.record(Duration::from_micros(1));
        both.record(Duration::from_secs(1));
        both.add(&one.filled());
        assert_eq!(both.count(), 2);
        assert_eq!(both.percentile(50), one.percentile(50));
    }

    #[test]
    fn nothing_recorded_is_zero() {
        assert_eq!(Histogram::new().percentile(50), Duration::ZERO);
    }
}
