//! How much a replica of the handler is called: as much as it keeps up with, and not again and again.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::count::Count;

/// How many callbacks may be under way at a time at each replica, found by how long it takes to answer
/// them: where that is more than twice as long as at its best of late, and 5 ms more, fewer are; more
/// again once it answers as fast as ever. What is above waits as with `max_streams`, which stays the
/// bound. It concerns unary calls alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Concurrency {
    /// Whether that is done. `false`: `max_streams` alone holds.
    pub enabled: bool,

    /// How many callbacks may be under way at least. Every 30 s in which more were wanted, it is this
    /// many for a moment, to learn how fast answers can be. Above `max_streams` it has no effect.
    #[serde(with = "Count::<1, 1_000_000>")]
    pub min: u32,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self {
            enabled: true,
            min: 100,
        }
    }
}

/// How many callbacks may be repeats of others, at all replicas together, those of a canary apart: those
/// that did not reach the handler, were refused by it, or are to come again. Whoever is above that waits
/// for its turn, in order and within its patience (`park_timeout`, `redelivery_timeout`), so that a handler in trouble
/// is not called more than one that is well. The ordered stream repeats nothing in this way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetryBudget {
    /// How many repeats for a hundred callbacks.
    #[serde(with = "Count::<0, 100>")]
    pub share: u32,

    /// How many repeats a second, however few callbacks there are. What is not used is saved for ten
    /// seconds.
    #[serde(with = "Count::<1, 1_000_000>")]
    pub min_per_second: NonZeroU32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            share: 20,
            min_per_second: NonZeroU32::new(1_000).expect("the number is not zero"),
        }
    }
}
