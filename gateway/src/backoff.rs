//! Pauses between tries, which pods and connections must not make in step.

use std::time::Duration;

/// Between half of `pause` and all of it.
#[must_use]
pub(crate) fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// Before what Redis could not be asked or told is tried again.
pub(crate) const PAUSE: Duration = Duration::from_millis(500);
