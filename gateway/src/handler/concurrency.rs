//! How many callbacks an endpoint takes at a time, found by how long it takes to answer them.
//!
//! A gradient, in windows: the mean of a window is held against the lowest mean of late. Where answers take more than
//! twice as long, calls wait at the handler, and they had better wait here: what is under way is cut to the share that
//! the handler keeps up with, to a half at most. Where all that is allowed is under way and answers come as fast as ever,
//! a tenth more is allowed. Time-outs halve it. Now and then, where all is used, the minimum alone is allowed for one
//! window: so the lowest mean is that of a handler that nothing waits at. Nothing here reads a clock.

use std::time::{Duration, Instant};

/// A window lasts so long, and has so many answers.
const WINDOW: Duration = Duration::from_millis(100);
const ANSWERS: u32 = 20;
/// So long the lowest mean is believed. Then it is found again.
const MEMORY: Duration = Duration::from_secs(30);
/// Answers may take so many times the lowest mean, and so much more.
const TOLERANCE: f64 = 2.0;
const SLACK: Duration = Duration::from_millis(5);
/// Time-outs count from one in so many answers.
const TIMED_OUT: u32 = 10;

/// What is known of an endpoint.
pub(super) struct Concurrency {
    limit: usize,
    min: usize,
    max: usize,
    /// Calls begun before that say nothing of this limit.
    since: Instant,
    window: Window,
    lowest: Option<Lowest>,
    /// While the lowest mean is looked for: what was allowed before.
    paused: Option<usize>,
}

/// The lowest mean, in seconds, and when it was looked for.
struct Lowest {
    mean: f64,
    since: Instant,
}

/// What was seen since the last decision.
struct Window {
    began: Instant,
    answers: u32,
    timed_out: u32,
    seconds: f64,
    /// The most calls that were under way.
    peak: usize,
}

impl Window {
    fn new(began: Instant) -> Self {
        Self {
            began,
            answers: 0,
            timed_out: 0,
            seconds: 0.0,
            peak: 0,
        }
    }
}

/// How a call ended that the handler has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Answered,
    TimedOut,
}

impl Concurrency {
    /// Allows `max` at first, and `min` always.
    pub(super) fn new(min: usize, max: usize, now: Instant) -> Self {
        Self {
            limit: max,
            min: min.min(max),
            max,
            since: now,
            window: Window::new(now),
            lowest: None,
            paused: None,
        }
    }

    /// How many calls may be under way.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// A call that began then has ended; with it, so many were under way.
    pub(super) fn ended(&mut self, seen: Seen, began: Instant, under_way: usize, now: Instant) {
        if began < self.since {
            return;
        }
        let window = &mut self.window;
        window.answers += 1;
        window.peak = window.peak.max(under_way);
        window.seconds += now.saturating_duration_since(began).as_secs_f64();
        if seen == Seen::TimedOut {
            window.timed_out += 1;
        }
        let lasted = now.saturating_duration_since(window.began);
        if window.answers >= ANSWERS && lasted >= WINDOW {
            self.decide(now);
        }
    }

    fn decide(&mut self, now: Instant) {
        let window = std::mem::replace(&mut self.window, Window::new(now));
        let used = window.peak.min(self.limit);
        let is_used_up = used * 5 >= self.limit * 4;
        if window.timed_out * TIMED_OUT >= window.answers {
            self.paused = None;
            self.set(used / 2, now);
            return;
        }
        let mean = window.seconds / f64::from(window.answers);
        let lowest = match &mut self.lowest {
            Some(lowest) if now.saturating_duration_since(lowest.since) < MEMORY => {
                lowest.mean = lowest.mean.min(mean);
                lowest.mean
            }
            Some(_) if is_used_up && self.limit > self.min => {
                self.lowest = None;
                self.paused = Some(self.limit);
                self.set(self.min, now);
                return;
            }
            _ => {
                self.lowest = Some(Lowest { mean, since: now });
                mean
            }
        };
        if let Some(paused) = self.paused.take() {
            self.set(paused, now);
            return;
        }
        let tolerated = lowest * TOLERANCE;
        if mean > tolerated + SLACK.as_secs_f64() {
            self.set(share(used, (tolerated / mean).max(0.5)), now);
        } else if is_used_up {
            self.limit = (self.limit + self.limit / 10 + 1).min(self.max);
        }
    }

    /// Allows so many, and forgets what was seen before.
    fn set(&mut self, limit: usize, now: Instant) {
        self.limit = limit.clamp(self.min, self.max);
        self.since = now;
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a small whole number is one"
)]
fn share(of: usize, share: f64) -> usize {
    (of as f64 * share) as usize
}

#[cfg(test)]
mod tests;
