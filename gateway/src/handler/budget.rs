//! How many callbacks may be repeats of others: a share of those that are made, and a floor for when few are.
//!
//! A bucket for all endpoints of a set. Whoever finds it empty books its turn, and waits until the floor alone has paid for
//! it; so repeats come one after the other, however many connections want them. Nothing here reads a clock.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// What is not used is saved for so many seconds of the floor.
const SAVED: f64 = 10.0;

/// The repeats that may be made.
pub(super) struct Budget {
    /// Repeats for each callback.
    share: f64,
    /// Repeats a second.
    floor: f64,
    /// Callbacks that were not counted yet.
    made: AtomicU32,
    bucket: Mutex<Bucket>,
}

struct Bucket {
    /// Repeats that may be made at once; below zero, those that wait for their turn.
    repeats: f64,
    at: Instant,
}

impl Budget {
    /// A second's floor is there from the beginning.
    pub(super) fn new(config: &config::RetryBudget, now: Instant) -> Self {
        let floor = f64::from(config.min_per_second.get());
        Self {
            share: f64::from(config.share) / 100.0,
            floor,
            made: AtomicU32::new(0),
            bucket: Mutex::new(Bucket {
                repeats: floor,
                at: now,
            }),
        }
    }

    /// A callback is made that is no repeat.
    pub(super) fn made(&self) {
        self.made.fetch_add(1, Relaxed);
    }

    /// Books a repeat, and tells after how long it may be made. `None`, and nothing is booked, where that is longer than
    /// `patience`.
    pub(super) fn repeat(&self, patience: Duration, now: Instant) -> Option<Duration> {
        let made = f64::from(self.made.swap(0, Relaxed));
        let mut bucket = self.bucket.lock();
        let passed = now.saturating_duration_since(bucket.at);
        bucket.at = bucket.at.max(now);
        let earned = made * self.share + passed.as_secs_f64() * self.floor;
        bucket.repeats = (bucket.repeats + earned).min(self.floor * SAVED);
        let missing = 1.0 - bucket.repeats;
        let wait = Duration::from_secs_f64((missing / self.floor).max(0.0));
        if wait > patience {
            return None;
        }
        bucket.repeats -= 1.0;
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn budget(share: u32, floor: u32) -> (Budget, Instant) {
        let now = Instant::now();
        let config = config::RetryBudget {
            share,
            min_per_second: floor.try_into().unwrap(),
        };
        (Budget::new(&config, now), now)
    }

    #[test]
    fn when_it_is_used_up_repeats_come_one_after_the_other() {
        let (budget, now) = budget(0, 10);
        for _ in 0..10 {
            assert_eq!(budget.repeat(LONG, now), Some(Duration::ZERO));
        }
        for number in 1..=100 {
            let wait = budget.repeat(LONG, now).unwrap().as_secs_f64();
            assert!((wait - f64::from(number) / 10.0).abs() < 1e-6, "{wait}");
        }
        // They are paid for by then, and a second later ten more.
        let later = now + Duration::from_secs(11);
        for _ in 0..10 {
            assert_eq!(budget.repeat(LONG, later), Some(Duration::ZERO));
        }
        assert_ne!(budget.repeat(LONG, later), Some(Duration::ZERO));
    }

    #[test]
    fn who_has_no_patience_books_nothing() {
        let (budget, now) = budget(0, 1);
        assert_eq!(budget.repeat(Duration::ZERO, now), Some(Duration::ZERO));
        for _ in 0..100 {
            assert_eq!(budget.repeat(Duration::from_millis(999), now), None);
        }
        let wait = budget.repeat(LONG, now).unwrap();
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
    }

    #[test]
    fn callbacks_earn_their_share_of_repeats() {
        let (budget, now) = budget(20, 1);
        assert_eq!(budget.repeat(LONG, now), Some(Duration::ZERO));
        for _ in 0..25 {
            budget.made();
        }
        for _ in 0..5 {
            assert_eq!(budget.repeat(LONG, now), Some(Duration::ZERO));
        }
        assert_ne!(budget.repeat(LONG, now), Some(Duration::ZERO));
    }

    #[test]
    fn what_is_saved_is_bounded() {
        let (budget, now) = budget(100, 2);
        for _ in 0..1_000 {
            budget.made();
        }
        let free = |_: &u32| budget.repeat(LONG, now + LONG) == Some(Duration::ZERO);
        assert_eq!((0..1_000).take_while(free).count(), 20);
    }
}
