//! How an endpoint is that stands: whether it takes new connections, and how large its share is.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::Instant as Moment;

use super::{
    affinity,
    ejection::{Bench, Seat, length},
    settings::Settings,
};
use crate::backoff::jittered;

/// How an endpoint is, as far as its connections, its answers and its failures tell.
pub(super) struct Condition {
    served: Served,
    /// Questions in a row that it did not answer as it should.
    unanswered: u32,
    ejected: Option<Ejected>,
    /// Ejections in a row.
    ejections: u32,
    /// When the last one began, or ended, and how long it was to be.
    returned: Option<(Instant, Duration)>,
    /// Since when it takes connections.
    since: Instant,
}

/// What it says of itself.
enum Served {
    /// It was asked, and has not answered yet.
    Unasked,
    /// It is well, or nobody asks.
    Yes,
    /// It wants no connections, for this reason.
    No(String),
}

struct Ejected {
    seat: Seat,
    until: Moment,
    why: String,
}

impl Condition {
    /// Before its first life.
    pub(super) fn new() -> Self {
        Self {
            served: Served::Unasked,
            unanswered: 0,
            ejected: None,
            ejections: 0,
            returned: None,
            since: Instant::now(),
        }
    }

    /// A life begins, which first is `asked` how it is.
    pub(super) fn begin(&mut self, asked: bool) {
        self.served = if asked { Served::Unasked } else { Served::Yes };
        self.unanswered = 0;
    }

    /// The life has ended, and its ejection with it: what comes next is another process. If it fails too, its ejection
    /// counts as a further one.
    pub(super) fn end(&mut self) {
        self.ejected = None;
    }

    /// Whether it takes new connections.
    pub(super) fn is_open(&self) -> bool {
        self.ejected.is_none() && matches!(self.served, Served::Yes)
    }

    pub(super) fn is_ejected(&self) -> bool {
        self.ejected.is_some()
    }

    /// It did not answer a question as it should. Tells how often in a row, and whether it has never answered one.
    pub(super) fn is_silent(&mut self) -> (u32, bool) {
        self.unanswered += 1;
        (self.unanswered, matches!(self.served, Served::Unasked))
    }

    /// From now on it takes connections, a few at first.
    pub(super) fn opens(&mut self) {
        self.since = Instant::now();
    }

    /// Its share of new connections, 1 being a whole one.
    pub(super) fn weight(&self, settings: &Settings) -> f64 {
        affinity::weight(self.since.elapsed(), settings.slow_start)
    }

    /// When its ejection ends, or has ended.
    pub(super) fn ejected_until(&self) -> Option<Moment> {
        self.ejected.as_ref().map(|ejected| ejected.until)
    }

    /// It has answered that it is well, or nobody asks. That ends an ejection whose time is over, which is told.
    pub(super) fn is_well(&mut self) -> bool {
        self.served = Served::Yes;
        self.unanswered = 0;
        if !self.is_ejected() || self.is_still_ejected() {
            return false;
        }
        self.ejected = None;
        if let Some((returned, _)) = &mut self.returned {
            *returned = Instant::now();
        }
        true
    }

    /// It wants no connections. Tells whether that is new.
    pub(super) fn is_not_serving(&mut self, said: String) -> bool {
        let is_new = !matches!(self.served, Served::No(_));
        self.served = Served::No(said);
        self.unanswered = 0;
        is_new
    }

    /// Whether it is ejected, and its time is not over.
    pub(super) fn is_still_ejected(&self) -> bool {
        self.ejected_until()
            .is_some_and(|until| until > Moment::now())
    }

    /// It gets no connections for a time, which is told; or as ever, where the bench is full.
    pub(super) fn eject(
        &mut self,
        bench: &Arc<Bench>,
        why: String,
        settings: &config::Ejection,
    ) -> Option<Duration> {
        let before = self.ejected.take();
        let was_well = before.is_none()
            && self
                .returned
                .is_none_or(|(returned, lasted)| returned.elapsed() >= lasted);
        let seat = match before {
            Some(ejected) => ejected.seat,
            None => bench.sit()?,
        };
        self.ejections = if was_well { 0 } else { self.ejections + 1 };
        let lasts = jittered(length(self.ejections, settings));
        self.unanswered = 0;
        self.returned = Some((Instant::now(), lasts));
        self.ejected = Some(Ejected {
            seat,
            until: Moment::now() + lasts,
            why,
        });
        Some(lasts)
    }

    /// Why it takes no connections, for a person to read.
    pub(super) fn trouble(&self) -> Option<String> {
        if let Some(Ejected { until, why, .. }) = &self.ejected {
            let left = until.saturating_duration_since(Moment::now()).as_secs();
            return Some(format!("ejected for {left} s more: {why}"));
        }
        match &self.served {
            Served::Unasked => Some("it has not told yet how it is".to_owned()),
            Served::Yes => None,
            Served::No(said) => Some(said.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lasting(base_time: Duration) -> config::Ejection {
        config::Ejection {
            base_time,
            max_time: Duration::from_secs(24 * 3600),
            ..config::Ejection::default()
        }
    }

    fn eject(condition: &mut Condition, bench: &Arc<Bench>, base: Duration) -> Option<Duration> {
        condition.eject(bench, "silence".to_owned(), &lasting(base))
    }

    fn bench() -> Arc<Bench> {
        let bench = Bench::new(50);
        bench.set_endpoints(2);
        bench
    }

    #[test]
    fn it_opens_when_it_is_well_and_closes_when_it_says_so() {
        let mut condition = Condition::new();
        condition.begin(true);
        assert!(!condition.is_open());
        assert!(!condition.is_well());
        assert!(condition.is_open());
        assert!(condition.is_not_serving("it says NOT_SERVING".to_owned()));
        assert!(!condition.is_not_serving("it says NOT_SERVING".to_owned()));
        assert!(!condition.is_open());
        assert_eq!(condition.trouble().unwrap(), "it says NOT_SERVING");
        // Another process is there, and is not asked.
        condition.end();
        condition.begin(false);
        assert!(condition.is_open());
    }

    #[test]
    fn an_ejection_ends_when_its_time_is_over_and_it_is_well() {
        let (bench, hour) = (bench(), Duration::from_secs(3600));
        let mut condition = Condition::new();
        condition.begin(false);
        let lasts = eject(&mut condition, &bench, hour).unwrap();
        assert!((hour / 2..=hour).contains(&lasts), "{lasts:?}");
        assert!(!condition.is_well(), "its time is not over");
        assert!(!condition.is_open());
        assert!(bench.sit().is_none());
        // From its seat it is ejected again, for longer.
        let lasts = eject(&mut condition, &bench, hour).unwrap();
        assert!((hour..=hour * 2).contains(&lasts), "{lasts:?}");
        eject(&mut condition, &bench, Duration::ZERO).unwrap();
        assert!(condition.is_well(), "it is over");
        assert!(condition.is_open());
        assert!(bench.sit().is_some(), "its seat is free");
    }

    #[test]
    fn what_comes_back_at_once_and_fails_again_is_out_for_longer() {
        let (bench, hour) = (bench(), Duration::from_secs(3600));
        let mut condition = Condition::new();
        condition.begin(false);
        eject(&mut condition, &bench, hour).unwrap();
        condition.end();
        condition.begin(false);
        assert!(condition.is_open());
        let lasts = eject(&mut condition, &bench, hour).unwrap();
        assert!((hour..=hour * 2).contains(&lasts), "{lasts:?}");
        let mut other = Condition::new();
        other.begin(false);
        assert!(
            eject(&mut other, &bench, hour).is_none(),
            "the bench is full"
        );
        assert!(other.is_open());
    }
}
