//! Calls that came of late: each is taken once.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// The calls of the last while.
pub(super) struct Nonces(Mutex<Inner>);

struct Inner {
    newer: HashSet<u64>,
    older: HashSet<u64>,
    began: Instant,
    time: Duration,
    most: usize,
}

impl Nonces {
    /// Each is remembered for that long at least; where so many came in that time, for shorter.
    pub(super) fn new(time: Duration, most: usize, now: Instant) -> Self {
        Self(Mutex::new(Inner {
            newer: HashSet::new(),
            older: HashSet::new(),
            began: now,
            time,
            most,
        }))
    }

    /// Notes it. Whether it is new.
    pub(super) fn note(&self, nonce: u64, now: Instant) -> bool {
        let mut inner = self.0.lock();
        if now.duration_since(inner.began) >= inner.time || inner.newer.len() >= inner.most / 2 {
            inner.older = std::mem::take(&mut inner.newer);
            inner.began = now;
        }
        !inner.older.contains(&nonce) && inner.newer.insert(nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_new_once() {
        let time = Duration::from_secs(60);
        let now = Instant::now();
        let nonces = Nonces::new(time, 1000, now);
        assert!(nonces.note(1, now));
        assert!(!nonces.note(1, now));
        assert!(!nonces.note(1, now + time));
        assert!(nonces.note(1, now + 2 * time));
        for nonce in 0..100_000 {
            nonces.note(nonce, now + 2 * time);
        }
        let inner = nonces.0.lock();
        assert!(inner.newer.len() + inner.older.len() <= 1000);
    }
}
