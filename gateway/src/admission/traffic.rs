//! How fast the bytes and messages of a connection pass.
//!
//! Three buckets may stand in the way of each direction: the connection's own, its listener's and the pod's, each for
//! bytes and for messages. What is asked is cheap, and nothing is asked where no rate is set.

use std::{
    sync::{Arc, OnceLock, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use config::Rate;

use super::{
    Gate, Level,
    bucket::{Bucket, Clock, Pace},
};

/// What one message may cost at once, whatever the rate: the largest are rarely larger. One that is costs no more.
const LARGEST: u64 = 1 << 20;

/// Whoever waits for bytes waits for so many or for a 20th of the bucket, not to be woken for each single one.
const WORTH_WAKING: u64 = 4096;

/// Those who wait for the same bucket come back spread over so long at most.
const SPREAD: Duration = Duration::from_secs(1);

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the device.
    In,
    /// To the device.
    Out,
}

/// The rates of one connection.
pub struct Flow {
    pod: Arc<Level>,
    listener: Arc<Level>,
    /// Most connections have no rates of their own: they pay one pointer.
    own: OnceLock<Box<Buckets>>,
}

/// The buckets of a connection, or of all connections of a level.
#[derive(Default)]
pub(super) struct Buckets {
    bytes: [Bucket; 2],
    messages: [Bucket; 2],
}

/// How fast they fill; `None` is no limit.
#[derive(Clone, Copy)]
pub(super) struct Paces {
    bytes: [Option<Pace>; 2],
    messages: [Option<Pace>; 2],
}

/// One bucket in the way.
struct Gauge<'a> {
    bucket: &'a Bucket,
    pace: &'a Pace,
    clock: Clock,
    is_shared: bool,
}

impl Flow {
    /// The rates of a connection that came through that gate.
    #[must_use]
    pub fn new(gate: &Gate) -> Self {
        Self {
            pod: gate.pod.clone(),
            listener: gate.listener.clone(),
            own: OnceLock::new(),
        }
    }

    /// Whether no rate is set at all: then there is no need to ask, nor to know the time.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        !self.listener.has_traffic_rates.load(Relaxed) && !self.pod.has_traffic_rates.load(Relaxed)
    }

    /// How many bytes may pass now, one at least, as one message or in a few; `usize::MAX` where no rate is set. Or
    /// when to ask again. What then passes has to be told by [`Flow::spend`], at once.
    pub fn allowance(&self, direction: Direction, now: Instant) -> Result<usize, Instant> {
        let mut allowance = u64::MAX;
        let mut wait = None;
        self.each(direction, |gauge, is_bytes| {
            match gauge.ready(is_bytes, now) {
                Ok(there) if is_bytes => allowance = allowance.min(there),
                Ok(_) => {}
                Err(then) => wait = wait.max(Some(then)),
            }
        });
        match wait {
            Some(then) => Err(then),
            None => Ok(usize::try_from(allowance).unwrap_or(usize::MAX)),
        }
    }

    /// So much has passed. More than was allowed is a debt, paid before anything else passes; debts are bounded.
    pub fn spend(&self, direction: Direction, bytes: usize, messages: u32, now: Instant) {
        self.each(direction, |gauge, is_bytes| {
            let count = if is_bytes {
                bytes as u64
            } else {
                messages.into()
            };
            gauge.bucket.spend(gauge.pace, count, gauge.clock.at(now));
        });
    }

    /// For a datagram: it passes, and that is told already, or it has to be dropped. One that is larger than a bucket
    /// passes when the bucket is full.
    #[must_use]
    pub fn try_pass(&self, direction: Direction, bytes: usize, now: Instant) -> bool {
        let mut passes = true;
        self.each(direction, |gauge, is_bytes| {
            let count = if is_bytes { bytes as u64 } else { 1 };
            passes &= gauge.bucket.holds(gauge.pace, count, gauge.clock.at(now));
        });
        if passes {
            // What others took in between is a debt.
            self.spend(direction, bytes, 1, now);
        }
        passes
    }

    /// Visits the buckets in the way; `true` is one of bytes.
    fn each(&self, direction: Direction, mut visit: impl FnMut(Gauge, bool)) {
        if self.is_unlimited() {
            return;
        }
        let (listener, pod) = (self.listener.rules.load(), self.pod.rules.load());
        let own = listener
            .per_connection
            .stricter(&pod.per_connection, direction);
        if own.any() {
            let buckets = self.own.get_or_init(Box::default);
            buckets.each(&own, direction, self.listener.clock, false, &mut visit);
        }
        for (level, rules) in [(&self.listener, &listener), (&self.pod, &pod)] {
            let buckets = &level.traffic;
            buckets.each(&rules.traffic, direction, level.clock, true, &mut visit);
        }
    }
}

impl Buckets {
    fn each(
        &self,
        paces: &Paces,
        direction: Direction,
        clock: Clock,
        is_shared: bool,
        visit: &mut impl FnMut(Gauge, bool),
    ) {
        let index = direction as usize;
        let kinds = [
            (&self.bytes[index], &paces.bytes[index], true),
            (&self.messages[index], &paces.messages[index], false),
        ];
        for (bucket, pace, is_bytes) in kinds {
            if let Some(pace) = pace {
                visit(
                    Gauge {
                        bucket,
                        pace,
                        clock,
                        is_shared,
                    },
                    is_bytes,
                );
            }
        }
    }
}

impl Gauge<'_> {
    fn ready(&self, is_bytes: bool, now: Instant) -> Result<u64, Instant> {
        let want = if is_bytes {
            (self.pace.amount() / 20).clamp(1, WORTH_WAKING)
        } else {
            1
        };
        let ready = self.bucket.ready(self.pace, want, self.clock.at(now));
        ready.map_err(|then| self.clock.instant(then) + self.spread())
    }

    /// If all came back at the same moment, the first would leave nothing to the others, over and over. What comes
    /// back meanwhile is not lost: it takes twice as long for the bucket to be full.
    fn spread(&self) -> Duration {
        if self.is_shared {
            (self.pace.period() / 2)
                .min(SPREAD)
                .mul_f64(fastrand::f64())
        } else {
            Duration::ZERO
        }
    }
}

impl Paces {
    pub(super) fn new(traffic: &config::Traffic) -> Self {
        let bytes = |rate: Option<Rate>| rate.map(|rate| Pace::new(rate, LARGEST));
        let messages = |rate: Option<Rate>| rate.map(|rate| Pace::new(rate, 1));
        Self {
            bytes: [bytes(traffic.bytes_in), bytes(traffic.bytes_out)],
            messages: [
                messages(traffic.messages_in),
                messages(traffic.messages_out),
            ],
        }
    }

    pub(super) fn any(&self) -> bool {
        self.bytes.iter().chain(&self.messages).any(Option::is_some)
    }

    /// Of one direction; the other is left without rates.
    fn stricter(&self, other: &Self, direction: Direction) -> Self {
        let index = direction as usize;
        let pick = |one: &[Option<Pace>; 2], other: &[Option<Pace>; 2]| {
            let mut picked = [None; 2];
            picked[index] = match (one[index], other[index]) {
                (Some(one), Some(other)) => Some(one.stricter(other)),
                (one, other) => one.or(other),
            };
            picked
        };
        Self {
            bytes: pick(&self.bytes, &other.bytes),
            messages: pick(&self.messages, &other.messages),
        }
    }
}

#[cfg(test)]
mod tests;
