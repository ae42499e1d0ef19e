//! The messages that were served of late: what comes a second time, because it is read again from a log or was published
//! again after a time-out, is left out.
//!
//! Of each it is remembered what for: the copy that comes by a topic's channel serves filters without wildcards, the one in
//! the inbox the others.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// What a copy of a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copy {
    /// Filters without wildcards.
    Exact,
    /// Filters with wildcards, and those of groups.
    Patterns,
}

/// The messages of the last while.
pub(super) struct Seen(Mutex<Inner>);

struct Inner {
    /// Those since `began`, and those of the same time before.
    newer: HashMap<Box<str>, [bool; 2]>,
    older: HashMap<Box<str>, [bool; 2]>,
    began: Instant,
    /// How long each is remembered at least.
    time: Duration,
    /// And how many at most.
    most: usize,
}

impl Seen {
    /// Each is remembered for that long, up to twice as long, and so many at most.
    pub(super) fn new(time: Duration, most: usize, now: Instant) -> Self {
        Self(Mutex::new(Inner {
            newer: HashMap::new(),
            older: HashMap::new(),
            began: now,
            time,
            most,
        }))
    }

    /// Notes that this copy is served. Whether it is the first time.
    pub(super) fn note(&self, id: &str, copy: Copy, now: Instant) -> bool {
        let mut inner = self.0.lock();
        inner.turn(now);
        let place = copy as usize;
        if inner.older.get(id).is_some_and(|before| before[place]) {
            return false;
        }
        if let Some(before) = inner.newer.get_mut(id) {
            return !std::mem::replace(&mut before[place], true);
        }
        let mut served = [false; 2];
        served[place] = true;
        inner.newer.insert(id.into(), served);
        true
    }
}

impl Inner {
    fn turn(&mut self, now: Instant) {
        let is_full = self.newer.len() >= self.most / 2;
        if now.duration_since(self.began) >= self.time || is_full {
            self.older = std::mem::take(&mut self.newer);
            self.began = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(10);

    #[test]
    fn each_copy_is_served_once() {
        let now = Instant::now();
        let seen = Seen::new(TIME, 1000, now);
        assert!(seen.note("a", Copy::Exact, now));
        assert!(seen.note("a", Copy::Patterns, now));
        assert!(seen.note("b", Copy::Patterns, now));
        for copy in [Copy::Exact, Copy::Patterns] {
            assert!(!seen.note("a", copy, now));
        }
        // Later, but not too late.
        assert!(!seen.note("a", Copy::Exact, now + TIME));
        assert!(!seen.note("b", Copy::Patterns, now + TIME));
        assert!(seen.note("b", Copy::Exact, now + TIME));
        assert!(seen.note("a", Copy::Exact, now + 2 * TIME));
    }

    #[test]
    fn so_many_are_remembered_and_no_more() {
        let now = Instant::now();
        let seen = Seen::new(TIME, 100, now);
        for number in 0..10_000 {
            assert!(seen.note(&number.to_string(), Copy::Exact, now));
        }
        let inner = seen.0.lock();
        assert!(inner.newer.len() + inner.older.len() <= 100);
    }
}
