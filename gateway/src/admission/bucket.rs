//! A token bucket: a whole amount may come at once, and what was taken comes back evenly over the period.
//!
//! What is stored is the moment at which the bucket will be full again, and not what it holds: so it needs no refill,
//! and a bucket may be read with another rate after a reload. Nothing here reads a clock.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use config::Rate;

/// Counts nanoseconds from its own start.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

/// A point in time of one [`Clock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

/// 73 years of nanoseconds: sums of a few of them do not overflow.
const LONGEST: u64 = u64::MAX >> 3;

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self(Instant::now())
    }

    /// What was before its start is its start.
    #[must_use]
    pub fn at(self, now: Instant) -> Moment {
        Moment(nanos(now.saturating_duration_since(self.0)))
    }

    /// As the rest of the program has it.
    #[must_use]
    pub fn instant(self, moment: Moment) -> Instant {
        self.0 + Duration::from_nanos(moment.0)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Moment {
    /// So much later.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(nanos(time)).min(LONGEST))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).map_or(LONGEST, |nanos| nanos.min(LONGEST))
}

/// How fast a bucket fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    amount: u64,
    period: u64,
    debt: u64,
}

/// A time in nanoseconds and 2^-32 of one: at 100 GiB/s a nanosecond is worth 107 bytes.
#[derive(Clone, Copy)]
struct Cost {
    whole: u64,
    part: u32,
}

impl Pace {
    /// `largest` is the most that may be asked for at once and must be able to pass. Debts are bounded by what it
    /// costs, or by a whole bucket where that is more.
    #[must_use]
    pub fn new(rate: Rate, largest: u64) -> Self {
        let mut pace = Self {
            amount: rate.amount.max(1),
            period: nanos(rate.period).max(1),
            debt: 0,
        };
        pace.debt = pace.period.max(pace.cost(largest).whole);
        pace
    }

    /// What a full bucket holds.
    #[must_use]
    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// In how long an empty bucket fills.
    #[must_use]
    pub fn period(&self) -> Duration {
        Duration::from_nanos(self.period)
    }

    /// The one that lets less through in the long run; of two alike, the one with the smaller bucket.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        let speed = |this: &Self, other: &Self| u128::from(this.amount) * u128::from(other.period);
        let key = (speed(&other, &self), other.amount);
        if key < (speed(&self, &other), self.amount) {
            other
        } else {
            self
        }
    }

    fn cost(&self, amount: u64) -> Cost {
        let product = u128::from(amount) * u128::from(self.period);
        let divisor = u128::from(self.amount);
        match u64::try_from(product / divisor) {
            Ok(whole) if whole < LONGEST => Cost {
                whole,
                part: u32::try_from(((product % divisor) << 32) / divisor)
                    .expect("a remainder is less than its divisor"),
            },
            _ => Cost {
                whole: LONGEST,
                part: 0,
            },
        }
    }
}

/// One bucket; a new one is full. Any number of threads may share it.
#[derive(Debug, Default)]
pub struct Bucket {
    /// When it is full again, in nanoseconds.
    full: AtomicU64,
    /// So much later than that, in 2^-32 nanoseconds. Threads that race with one another may lose one nanosecond.
    part: AtomicU32,
}

/// A bucket at some moment.
struct Look {
    stored: u64,
    full: u64,
    part: u32,
}

impl Bucket {
    /// Takes so many, or nothing. More than a whole bucket are there when it is full: the rest is a debt.
    #[must_use]
    pub fn try_take(&self, pace: &Pace, count: u64, now: Moment) -> bool {
        loop {
            let look = self.look(pace, now);
            if !look.holds(pace, count, now) {
                return false;
            }
            if self.take(&look, pace, count, now) {
                return true;
            }
        }
    }

    /// Whether [`Bucket::try_take`] would succeed.
    #[must_use]
    pub fn holds(&self, pace: &Pace, count: u64, now: Moment) -> bool {
        self.look(pace, now).holds(pace, count, now)
    }

    /// How many are there, one at least; or when to look again: when there are `want` of them.
    pub fn ready(&self, pace: &Pace, want: u64, now: Moment) -> Result<u64, Moment> {
        let look = self.look(pace, now);
        match look.available(pace, now) {
            0 => Err(look.when(pace, want, now)),
            available => Ok(available),
        }
    }

    /// Takes so many, whether they are there or not. What is missing is a debt, which comes first when the bucket
    /// fills. Debts beyond their bound are forgiven.
    pub fn spend(&self, pace: &Pace, count: u64, now: Moment) {
        while !self.take(&self.look(pace, now), pace, count, now) {}
    }

    /// Whether it holds nothing that a new one would not hold.
    #[must_use]
    pub fn is_full(&self, now: Moment) -> bool {
        self.full.load(Relaxed) <= now.0
    }

    fn look(&self, pace: &Pace, now: Moment) -> Look {
        let (stored, part) = (self.full.load(Relaxed), self.part.load(Relaxed));
        // A debt that was made at a slower rate must not outlive it.
        let latest = now.0 + pace.period + pace.debt;
        Look {
            stored,
            full: stored.clamp(now.0, latest),
            part: if stored < now.0 { 0 } else { part },
        }
    }

    fn take(&self, look: &Look, pace: &Pace, count: u64, now: Moment) -> bool {
        let cost = pace.cost(count);
        let latest = now.0 + pace.period + pace.debt;
        let full = (look.full + cost.whole).min(latest);
        let taken = self
            .full
            .compare_exchange_weak(look.stored, full, Relaxed, Relaxed);
        if taken.is_err() {
            return false;
        }
        if full == latest {
            self.part.store(0, Relaxed);
        } else if look.stored < now.0 {
            self.part.store(cost.part, Relaxed);
        } else if self
            .part
            .fetch_add(cost.part, Relaxed)
            .checked_add(cost.part)
            .is_none()
        {
            self.full.fetch_add(1, Relaxed);
        }
        true
    }
}

impl Look {
    fn holds(&self, pace: &Pace, count: u64, now: Moment) -> bool {
        self.available(pace, now) >= count.min(pace.amount)
    }

    fn available(&self, pace: &Pace, now: Moment) -> u64 {
        let amount = u128::from(pace.amount);
        let room = (now.0 + pace.period).saturating_sub(self.full);
        let room =
            (u128::from(room) * amount).saturating_sub((u128::from(self.part) * amount) >> 32);
        u64::try_from(room / u128::from(pace.period)).expect("no more than the amount")
    }

    fn when(&self, pace: &Pace, want: u64, now: Moment) -> Moment {
        let cost = pace.cost(want.clamp(1, pace.amount));
        let parts = u64::from(self.part) + u64::from(cost.part);
        let moment = self.full + cost.whole + parts.div_ceil(1 << 32);
        // Never now: whoever waits until then would spin.
        Moment(moment.saturating_sub(pace.period).max(now.0 + 1))
    }
}

#[cfg(test)]
mod tests;
