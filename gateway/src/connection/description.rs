//! What a connection tells of itself to whoever runs the pod.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{broker::Subscriptions, clock};

/// So many filters are told of at most: whoever looks need not see a million.
const TOLD: usize = 1000;

/// What only the connection's task knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Some of its filters, as they are mounted, in order, with the quality of service asked for.
    pub subscriptions: Vec<(String, u8)>,
    /// How many there are in all.
    pub all_subscriptions: usize,
    /// Messages that wait for the handler.
    pub messages_waiting: usize,
    /// Their bytes.
    pub message_bytes_waiting: usize,
}

impl Description {
    /// What is subscribed, and nothing yet of messages.
    pub(super) fn of(subscriptions: &Subscriptions) -> Self {
        let told = subscriptions.first(TOLD).into_iter();
        let told = told.map(|(filter, qos)| (filter.as_str().to_owned(), qos as u8));
        Self {
            subscriptions: told.collect(),
            all_subscriptions: subscriptions.len(),
            ..Self::default()
        }
    }
}

/// How a connection became a client, and until when it is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The handler's name for the device's protocol; may be empty.
    pub proto_name: Box<str>,
    /// Its version; may be empty.
    pub proto_ver: Box<str>,
    /// When Authenticate was answered.
    pub authenticated_at: Moment,
    /// When it will be closed with `expired`.
    pub expires_at: Option<Moment>,
}

/// A time of day, in eight bytes: milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// This one.
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        Self(clock::milliseconds(time))
    }
}

/// As RFC 3339 has it, in UTC and whole seconds.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The last day of the year 9999 is the last that can be written.
        let last = 253_402_300_799_000;
        let time = UNIX_EPOCH + Duration::from_millis(self.0.min(last));
        config::Until(time).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_rfc_3339_has_it() {
        let time = UNIX_EPOCH + Duration::from_millis(1_800_000_000_999);
        assert_eq!(Moment::from(time).to_string(), "2027-01-15T08:00:00Z");
        assert_eq!(Moment(u64::MAX).to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(Moment::default().to_string(), "1970-01-01T00:00:00Z");
    }
}
