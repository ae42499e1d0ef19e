//! What is counted of the mirror, and how much of it is said.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use crate::metrics::AdapterMethod;

/// So much is said at `info` in a second, and the rest at `debug`.
const LOUD: u32 = 1;

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Both made it.
    Same,
    /// Each made another one in its place.
    Different,
    /// The handler alone made it.
    Missing,
    /// The mirror alone made it.
    Extra,
}

impl Verdict {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Same, Self::Different, Self::Missing, Self::Extra];

    /// Its label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Different => "different",
            Self::Missing => "missing",
            Self::Extra => "extra",
        }
    }
}

/// What came of mirroring a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// To its end, and all calls that were compared were the same.
    Same,
    /// Some call was not the same.
    Different,
    /// Nothing differed until the mirror did not keep up, or failed.
    Abandoned,
    /// It was never mirrored: there were `max_connections` already.
    Skipped,
}

impl Fate {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Same, Self::Different, Self::Abandoned, Self::Skipped];

    /// Its label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Different => "different",
            Self::Abandoned => "abandoned",
            Self::Skipped => "skipped",
        }
    }
}

/// What is counted of the mirror.
pub struct Counts {
    calls: [[AtomicU64; Verdict::ALL.len()]; AdapterMethod::COUNT],
    connections: [AtomicU64; Fate::ALL.len()],
    began: Instant,
    /// The second in which something was said last, and how much.
    second: AtomicU64,
    said: AtomicU32,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            calls: Default::default(),
            connections: Default::default(),
            began: Instant::now(),
            second: AtomicU64::new(0),
            said: AtomicU32::new(0),
        }
    }
}

impl Counts {
    /// A call was compared.
    pub fn compared(&self, method: AdapterMethod, verdict: Verdict, calls: u64) {
        self.calls[method as usize][verdict as usize].fetch_add(calls, Relaxed);
    }

    /// A connection is mirrored no more, or was not at all.
    pub fn ended(&self, fate: Fate) {
        self.connections[fate as usize].fetch_add(1, Relaxed);
    }

    /// Calls of a method that came to this.
    #[must_use]
    pub fn calls(&self, method: AdapterMethod, verdict: Verdict) -> u64 {
        self.calls[method as usize][verdict as usize].load(Relaxed)
    }

    /// Connections that came to this.
    #[must_use]
    pub fn connections(&self, fate: Fate) -> u64 {
        self.connections[fate as usize].load(Relaxed)
    }

    /// Whether what is to be said now is worth the attention of whoever reads the log: not all of it is, where all
    /// connections differ.
    #[must_use]
    pub fn is_loud(&self) -> bool {
        let second = self.began.elapsed().as_secs();
        if self.second.swap(second, Relaxed) != second {
            self.said.store(0, Relaxed);
        }
        self.said.fetch_add(1, Relaxed) < LOUD
    }
}
