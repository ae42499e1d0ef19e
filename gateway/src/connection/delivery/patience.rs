//! How long a delivery goes on trying, and in which steps.

use std::time::Duration;

use tokio::time::Instant;

use super::Policy;
use crate::backoff::jittered;

/// How long a delivery, or the search for a lane, goes on trying, counted from its first trouble.
#[derive(Default)]
pub(in crate::connection) struct Patience {
    until: Option<Instant>,
    pause: Option<Duration>,
}

impl Patience {
    pub(in crate::connection) fn until(&mut self, policy: &Policy) -> Instant {
        *self
            .until
            .get_or_insert_with(|| Instant::now() + policy.park_timeout)
    }

    /// The next pause before a call that the handler has seen is made again: it is there.
    pub(super) fn repeat(&mut self, policy: &Policy) -> Duration {
        self.until = None;
        let pause = self.pause.unwrap_or(policy.backoff_min);
        self.pause = Some((pause * 2).min(policy.backoff_max));
        jittered(pause)
    }

    /// The next pause, and when to give up.
    pub(in crate::connection) fn next(&mut self, policy: &Policy) -> (Duration, Instant) {
        let until = self.until(policy);
        // At once the first time: another lane may stand.
        let Some(pause) = self.pause else {
            self.pause = Some(policy.backoff_min);
            return (Duration::ZERO, until);
        };
        self.pause = Some((pause * 2).min(policy.backoff_max));
        (jittered(pause), until)
    }
}
