//! Whether a canary keeps up: what of its callbacks failed of late, in ten parts of the interval that counts.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The interval moves by a part at a time.
const PARTS: u32 = 10;

/// Callbacks, and those of them that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) callbacks: u64,
    pub(super) failed: u64,
}

/// What was counted since the pod has started.
pub(super) struct Counts {
    pub(super) ok: u64,
    pub(super) failed: u64,
    /// How often a trial was lost.
    pub(super) rollbacks: u64,
}

/// The judge of a canary.
#[derive(Default)]
pub(in crate::handler) struct Trial {
    /// Unset once it is lost, and before the first one.
    window: Mutex<Option<Window>>,
    why: Mutex<Option<Tally>>,
    told: Notify,
    ok: AtomicU64,
    failed: AtomicU64,
    rollbacks: AtomicU64,
}

/// What counts now.
struct Window {
    rules: config::Rollback,
    began: Instant,
    /// Each with its number since then, the newest last.
    parts: VecDeque<(u128, Tally)>,
}

impl Trial {
    /// It begins, whatever came of an earlier one.
    pub(super) fn begin(&self, rules: config::Rollback) {
        let mut window = self.window.lock();
        *self.why.lock() = None;
        *window = rules.enabled.then(|| Window::new(rules, Instant::now()));
    }

    /// A callback was made.
    pub(in crate::handler) fn made(&self, has_failed: bool) {
        let count = if has_failed { &self.failed } else { &self.ok };
        count.fetch_add(1, Relaxed);
        let mut window = self.window.lock();
        let lost = window
            .as_mut()
            .and_then(|window| window.made(has_failed, Instant::now()));
        if lost.is_some() {
            *window = None;
            *self.why.lock() = lost;
            self.rollbacks.fetch_add(1, Relaxed);
            self.wake();
        }
    }

    /// Waits until one is lost, or somebody wants to be looked at.
    pub(super) async fn changed(&self) {
        self.told.notified().await;
    }

    /// Ends the wait of whoever waits.
    pub(super) fn wake(&self) {
        self.told.notify_one();
    }

    /// What decided the one that was lost, unless another has begun.
    pub(super) fn why(&self) -> Option<Tally> {
        *self.why.lock()
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            ok: self.ok.load(Relaxed),
            failed: self.failed.load(Relaxed),
            rollbacks: self.rollbacks.load(Relaxed),
        }
    }
}

impl Window {
    fn new(rules: config::Rollback, began: Instant) -> Self {
        Self {
            rules,
            began,
            parts: VecDeque::new(),
        }
    }

    /// A callback was made. What counts now, if that is too much.
    fn made(&mut self, has_failed: bool, now: Instant) -> Option<Tally> {
        let part = (self.rules.interval / PARTS).as_nanos().max(1);
        let number = now.duration_since(self.began).as_nanos() / part;
        while let Some((first, _)) = self.parts.front()
            && first + u128::from(PARTS) <= number
        {
            self.parts.pop_front();
        }
        if self.parts.back().is_none_or(|(last, _)| *last < number) {
            self.parts.push_back((number, Tally::default()));
        }
        let (_, newest) = self.parts.back_mut()?;
        newest.callbacks += 1;
        newest.failed += u64::from(has_failed);
        if !has_failed {
            return None;
        }
        let tally = self
            .parts
            .iter()
            .fold(Tally::default(), |sum, (_, each)| Tally {
                callbacks: sum.callbacks + each.callbacks,
                failed: sum.failed + each.failed,
            });
        self.is_too_much(tally).then_some(tally)
    }

    #[expect(clippy::cast_precision_loss, reason = "there are not 2^52 of them")]
    fn is_too_much(&self, tally: Tally) -> bool {
        let most = self.rules.failures.share() * tally.callbacks as f64;
        tally.callbacks >= self.rules.min_callbacks.into() && tally.failed as f64 > most
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn window() -> (Window, Instant) {
        let rules = config::Rollback {
            min_callbacks: 20,
            interval: Duration::from_secs(10),
            ..config::Rollback::default()
        };
        let began = Instant::now();
        (Window::new(rules, began), began)
    }

    /// So many callbacks; what the last one came to.
    fn made(window: &mut Window, ok: u64, failed: u64, at: Instant) -> Option<Tally> {
        let mut last = None;
        for _ in 0..ok {
            last = window.made(false, at);
        }
        for _ in 0..failed {
            last = window.made(true, at);
        }
        last
    }

    #[test]
    fn more_than_the_share_is_too_much() {
        let (mut window, now) = window();
        assert_eq!(made(&mut window, 95, 5, now), None);
        let lost = Tally {
            callbacks: 101,
            failed: 6,
        };
        assert_eq!(made(&mut window, 0, 1, now), Some(lost));
    }

    #[test]
    fn few_callbacks_say_nothing() {
        let (mut window, now) = window();
        assert_eq!(made(&mut window, 0, 19, now), None);
        assert!(made(&mut window, 0, 1, now).is_some());
    }

    #[test]
    fn what_is_long_ago_does_not_count() {
        let (mut window, now) = window();
        let after = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(made(&mut window, 0, 19, now), None);
        assert_eq!(
            made(&mut window, 0, 19, after(10)),
            None,
            "the first are gone"
        );
        assert!(
            made(&mut window, 0, 1, after(19)).is_some(),
            "these are not"
        );
        assert_eq!(made(&mut window, 10_000, 1, after(3600)), None);
    }

    #[tokio::test]
    async fn a_lost_trial_is_told_once_and_forgotten_with_the_next() {
        let trial = Trial::default();
        trial.made(true);
        trial.begin(config::Rollback {
            min_callbacks: 1,
            ..config::Rollback::default()
        });
        trial.made(true);
        trial.made(true);
        trial.changed().await;
        assert_eq!(trial.why().map(|why| why.failed), Some(1));
        trial.begin(config::Rollback::default());
        assert_eq!(trial.why(), None);
        let counts = trial.counts();
        assert_eq!((counts.failed, counts.rollbacks), (3, 1));
    }
}
