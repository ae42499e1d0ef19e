//! Times as contracts have them.

use std::time::{SystemTime, UNIX_EPOCH};

/// That time in milliseconds since 1970; 0 before.
#[must_use]
pub(crate) fn milliseconds(time: SystemTime) -> u64 {
    let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

/// Now, in milliseconds since 1970.
#[must_use]
pub(crate) fn now() -> u64 {
    milliseconds(SystemTime::now())
}
