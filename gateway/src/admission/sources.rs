//! What is known of the places that devices come from: how many connections each has open, and how fast they came.
//!
//! A table that strangers fill: it is bounded, and it forgets those of whom nothing is left to know.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use parking_lot::Mutex;

use super::{
    Refusal,
    bucket::{Bucket, Moment, Pace},
};

/// How many sources without open connections are remembered, for the sake of their rates. Those with open connections
/// are as many as there may be connections.
pub const MOST_IDLE: usize = 1 << 18;

const SHARDS: usize = 64;
const MOST_IDLE_IN_SHARD: usize = MOST_IDLE / SHARDS;

/// No shard is searched for sources to forget more often than this.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// Below this a shard is not worth a search.
const SMALL: usize = 32;

/// Where a device comes from. Whoever has an IPv6 network has all of its addresses, so they count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// The upper half of an IPv6 address: its /64 network.
    V6(u64),
}

impl From<IpAddr> for Source {
    fn from(device: IpAddr) -> Self {
        match device.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let upper = address.to_bits() >> 64;
                Self::V6(u64::try_from(upper).expect("half of the bits are left"))
            }
        }
    }
}

impl From<Source> for IpNet {
    fn from(source: Source) -> Self {
        match source {
            Source::V4(address) => Ipv4Net::from(address).into(),
            Source::V6(upper) => {
                let address = Ipv6Addr::from_bits(u128::from(upper) << 64);
                Ipv6Net::new_assert(address, 64).into()
            }
        }
    }
}

/// What one source is allowed.
#[derive(Clone, Copy, Debug, Default)]
pub struct PerSource {
    /// How many connections at a time.
    pub most: Option<u32>,
    /// How fast they may come.
    pub pace: Option<Pace>,
}

/// What becomes of the rate of a new source when no more can be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// All new sources share one rate.
    Share,
    /// New sources have no limit.
    LetPass,
}

/// The table. Any number of threads may use it.
pub struct Sources {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    when_full: WhenFull,
    shared: Bucket,
}

#[derive(Default)]
struct Shard {
    states: HashMap<Source, State>,
    /// How many of them have no open connection.
    idle: usize,
    /// How many were left by the last search.
    kept: usize,
    next_sweep: Option<Moment>,
}

struct State {
    open: u32,
    bucket: Bucket,
}

impl Sources {
    /// An empty table.
    #[must_use]
    pub fn new(when_full: WhenFull) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            when_full,
            shared: Bucket::default(),
        }
    }

    /// Lets one connection in, or one event happen. `Ok(true)`: it is counted, and [`Sources::release`] must follow.
    pub fn admit(&self, source: Source, limit: &PerSource, now: Moment) -> Result<bool, Refusal> {
        if limit.most.is_none() && limit.pace.is_none() {
            return Ok(false);
        }
        let mut shard = self.shard(source).lock();
        match shard.admit_known(source, limit, now) {
            Some(answer) => answer,
            None => self.admit_new(&mut shard, source, limit, now),
        }
    }

    /// Whether [`Sources::admit`] would let one event at that pace happen.
    #[must_use]
    pub fn would_admit(&self, source: Source, pace: Pace, now: Moment) -> bool {
        let shard = self.shard(source).lock();
        let state = shard.states.get(&source);
        state.is_none_or(|state| state.bucket.holds(&pace, 1, now))
    }

    /// A counted connection of that source has ended.
    pub fn release(&self, source: Source, now: Moment) {
        let mut shard = self.shard(source).lock();
        let shard = &mut *shard;
        let Some(state) = shard.states.get_mut(&source) else {
            return;
        };
        state.open = state.open.saturating_sub(1);
        if state.open > 0 {
            return;
        }
        if state.bucket.is_full(now) || shard.idle >= MOST_IDLE_IN_SHARD {
            shard.states.remove(&source);
        } else {
            shard.idle += 1;
        }
    }

    /// Forgets the rate of a source that has no open connections.
    pub fn forget(&self, source: Source) {
        let mut shard = self.shard(source).lock();
        if shard
            .states
            .get(&source)
            .is_some_and(|state| state.open == 0)
        {
            shard.states.remove(&source);
            shard.idle -= 1;
        }
    }

    /// Forgets the rates of all sources that have no open connections.
    pub fn forget_idle(&self) {
        for shard in &self.shards {
            shard.lock().keep(|state| state.open > 0);
        }
    }

    /// How many sources are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().states.len())
            .sum()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn admit_new(
        &self,
        shard: &mut Shard,
        source: Source,
        limit: &PerSource,
        now: Moment,
    ) -> Result<bool, Refusal> {
        shard.sweep(now);
        let has_room = shard.idle < MOST_IDLE_IN_SHARD;
        let bucket = Bucket::default();
        match &limit.pace {
            Some(pace) if has_room => bucket.spend(pace, 1, now),
            Some(pace) if self.when_full == WhenFull::Share => {
                if !self.shared.try_take(pace, 1, now) {
                    return Err(Refusal::ConnectionRatePerIp);
                }
                // Else each new source would have a burst of its own on top of the shared rate.
                bucket.spend(pace, pace.amount(), now);
            }
            _ => {}
        }
        let counted = limit.most.is_some();
        if counted || has_room {
            shard.idle += usize::from(!counted);
            let open = u32::from(counted);
            shard.states.insert(source, State { open, bucket });
        }
        Ok(counted)
    }

    fn shard(&self, source: Source) -> &Mutex<Shard> {
        let hash = self.hasher.hash_one(source).to_le_bytes()[0];
        &self.shards[usize::from(hash) % SHARDS]
    }
}

impl Shard {
    fn admit_known(
        &mut self,
        source: Source,
        limit: &PerSource,
        now: Moment,
    ) -> Option<Result<bool, Refusal>> {
        let state = self.states.get_mut(&source)?;
        if limit.most.is_some_and(|most| state.open >= most) {
            return Some(Err(Refusal::MaxConnectionsPerIp));
        }
        if let Some(pace) = &limit.pace
            && !state.bucket.try_take(pace, 1, now)
        {
            return Some(Err(Refusal::ConnectionRatePerIp));
        }
        let counted = limit.most.is_some();
        if counted {
            self.idle -= usize::from(state.open == 0);
            state.open += 1;
        }
        Some(Ok(counted))
    }

    /// A search costs as much as the shard is long; so it waits until the shard has doubled, or is full.
    fn sweep(&mut self, now: Moment) {
        let worth =
            self.states.len() >= 2 * self.kept.max(SMALL) || self.idle >= MOST_IDLE_IN_SHARD;
        if worth && self.next_sweep.is_none_or(|next| next <= now) {
            self.keep(|state| state.open > 0 || !state.bucket.is_full(now));
            self.next_sweep = Some(now.after(SWEEP_PAUSE));
        }
    }

    fn keep(&mut self, keep: impl Fn(&State) -> bool) {
        self.states.retain(|_, state| keep(state));
        self.kept = self.states.len();
        self.idle = self.states.values().filter(|state| state.open == 0).count();
        if self.states.capacity() > 8 * self.kept.max(SMALL) {
            self.states.shrink_to(2 * self.kept);
        }
    }
}

#[cfg(test)]
mod tests;
