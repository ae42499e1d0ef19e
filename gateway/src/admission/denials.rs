//! Addresses whose devices were denied too often of late.

use std::{net::IpAddr, time::Instant};

use super::{
    bucket::{Clock, Pace},
    sources::{PerSource, Source, Sources, WhenFull},
};

/// What is known of them: a table that strangers fill, and so a bounded one. Whoever does not fit into it is let pass.
pub struct Denials {
    clock: Clock,
    sources: Sources,
}

impl Default for Denials {
    fn default() -> Self {
        Self {
            clock: Clock::new(),
            sources: Sources::new(WhenFull::LetPass),
        }
    }
}

impl Denials {
    /// Whether the address has used up its rate.
    #[must_use]
    pub fn is_over(&self, device: IpAddr, pace: Pace, now: Instant) -> bool {
        let now = self.clock.at(now);
        !self.sources.would_admit(Source::from(device), pace, now)
    }

    /// One more.
    pub fn count(&self, device: IpAddr, pace: Pace, now: Instant) {
        let limit = PerSource {
            most: None,
            pace: Some(pace),
        };
        let now = self.clock.at(now);
        // Of several at once some may find it used up already.
        let _ = self.sources.admit(Source::from(device), &limit, now);
    }

    /// Nothing is known any more.
    pub fn clear(&self) {
        self.sources.forget_idle();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use config::Rate;

    use super::*;

    #[test]
    fn an_address_that_was_denied_too_often_waits_and_others_do_not() {
        let denials = Denials::default();
        let pace = Pace::new(
            Rate {
                amount: 2,
                period: Duration::from_secs(60),
            },
            1,
        );
        let (bad, good) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let now = Instant::now();
        for _ in 0..2 {
            assert!(!denials.is_over(bad, pace, now));
            denials.count(bad, pace, now);
        }
        assert!(denials.is_over(bad, pace, now));
        assert!(!denials.is_over(good, pace, now));
        let later = now + Duration::from_secs(31);
        assert!(!denials.is_over(bad, pace, later));
        denials.count(bad, pace, later);
        assert!(denials.is_over(bad, pace, later));
        denials.clear();
        assert!(!denials.is_over(bad, pace, later));
    }
}
