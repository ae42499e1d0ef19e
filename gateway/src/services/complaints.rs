//! Warnings about somebody who cannot be asked: such a service may fail for every device.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The least time between two warnings about one of them; those in between are for debugging.
const QUIET: Duration = Duration::from_secs(10);

/// When it was last said that one of them fails.
#[derive(Default)]
pub struct Complaints(Mutex<Option<Instant>>);

impl Complaints {
    /// `what` it decides is not available, as `who` could not be asked.
    pub fn tell(&self, what: &str, who: &str, error: &str) {
        let now = Instant::now();
        let mut last = self.0.lock();
        if last.is_none_or(|last| now.duration_since(last) >= QUIET) {
            *last = Some(now);
            tracing::warn!(
                by = who,
                error,
                "{what} is not available; what depends on it is denied"
            );
        } else {
            tracing::debug!(by = who, error, "{what} is not available");
        }
    }
}
