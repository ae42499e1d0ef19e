//! Places for endpoints that are ejected: no more at a time than the configuration allows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Release},
    },
    time::Duration,
};

/// The places.
pub(super) struct Bench {
    taken: AtomicUsize,
    places: AtomicUsize,
    /// Of a hundred endpoints.
    share: usize,
}

/// A place, until it is dropped.
pub(super) struct Seat(Arc<Bench>);

impl Bench {
    /// For so many of a hundred endpoints.
    pub(super) fn new(share: u32) -> Arc<Self> {
        Arc::new(Self {
            taken: AtomicUsize::new(0),
            places: AtomicUsize::new(0),
            share: share as usize,
        })
    }

    /// There are so many endpoints now. Whoever sits stays.
    pub(super) fn set_endpoints(&self, count: usize) {
        self.places.store(count * self.share / 100, Release);
    }

    /// A place, if there is one.
    pub(super) fn sit(self: &Arc<Self>) -> Option<Seat> {
        let places = self.places.load(Acquire);
        let taken = self.taken.fetch_update(AcqRel, Acquire, |taken| {
            (taken < places).then_some(taken + 1)
        });
        taken.ok().map(|_| Seat(self.clone()))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, AcqRel);
    }
}

/// How long the ejection with this number lasts, the first being 0.
pub(super) fn length(number: u32, settings: &config::Ejection) -> Duration {
    let longer = 1_u32.checked_shl(number).unwrap_or(u32::MAX);
    settings
        .base_time
        .saturating_mul(longer)
        .min(settings.max_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_sit_than_may() {
        let bench = Bench::new(50);
        assert!(bench.sit().is_none());
        bench.set_endpoints(1);
        assert!(bench.sit().is_none(), "the only one is not ejected");
        bench.set_endpoints(3);
        let seat = bench.sit().unwrap();
        assert!(bench.sit().is_none());
        drop(seat);
        assert!(bench.sit().is_some());
        let all = Bench::new(100);
        all.set_endpoints(2);
        let seats = [all.sit(), all.sit()];
        assert!(seats.iter().all(Option::is_some));
        assert!(all.sit().is_none());
        // Fewer endpoints than before: nobody is told to get up.
        all.set_endpoints(1);
        drop(seats);
        assert!(all.sit().is_some());
    }

    #[test]
    fn each_time_is_twice_the_one_before() {
        let settings = config::Ejection::default();
        let lengths = [0, 1, 2, 3, 4, 40].map(|number| length(number, &settings).as_secs());
        assert_eq!(lengths, [5, 10, 20, 40, 60, 60]);
    }
}
