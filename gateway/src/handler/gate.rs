//! Who may call an endpoint now: at most `handler.max_streams`, and as many as it keeps up with.

use std::{
    sync::atomic::{
        AtomicUsize,
        Ordering::{AcqRel, Acquire},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::{
    concurrency::{Concurrency, Seen},
    lane::Failure,
};

/// Lets as many calls in as may be under way. The others wait, first come first served.
pub(super) struct Gate {
    leave: Semaphore,
    /// How many calls more are under way than may be: as many that end make no room.
    surplus: AtomicUsize,
    under_way: AtomicUsize,
    most: usize,
    /// Unset where only the bound holds.
    concurrency: Option<Mutex<Concurrency>>,
}

/// Leave to make one call, until it is dropped.
pub(super) struct Leave<'a> {
    gate: &'a Gate,
    permit: Option<SemaphorePermit<'a>>,
    began: Instant,
}

impl Gate {
    /// For at most so many calls; and fewer, but never less than `min`, where that is given.
    pub(super) fn new(most: usize, min: Option<usize>) -> Self {
        let concurrency = min.map(|min| Mutex::new(Concurrency::new(min, most, Instant::now())));
        Self {
            leave: Semaphore::new(most),
            surplus: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            most,
            concurrency,
        }
    }

    /// How many calls may be under way.
    pub(super) fn limit(&self) -> usize {
        let concurrency = self.concurrency.as_ref();
        concurrency.map_or(self.most, |concurrency| concurrency.lock().limit())
    }

    /// How many are.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.load(Acquire)
    }

    /// Waits for leave. Whoever waits in vain was not heard of by the handler.
    pub(super) async fn enter(&self, deadline: Duration) -> Result<Leave<'_>, Failure> {
        let permit = match self.leave.try_acquire() {
            Ok(permit) => permit,
            Err(_) => match timeout(deadline, self.leave.acquire()).await {
                Ok(Ok(permit)) => permit,
                _ => {
                    return Err(Failure::unreached(
                        "as many calls are under way as it may have (handler.max_streams, \
                         handler.concurrency)",
                    ));
                }
            },
        };
        self.under_way.fetch_add(1, AcqRel);
        Ok(Leave {
            gate: self,
            permit: Some(permit),
            began: Instant::now(),
        })
    }

    /// The limit has changed, and nobody else changes it meanwhile.
    fn resize(&self, before: usize, now: usize) {
        if let Some(more) = now.checked_sub(before) {
            let mut paid = 0;
            let _ = self.surplus.fetch_update(AcqRel, Acquire, |surplus| {
                paid = surplus.min(more);
                Some(surplus - paid)
            });
            self.leave.add_permits(more - paid);
        } else {
            let fewer = before - now;
            let free = self.leave.forget_permits(fewer);
            self.surplus.fetch_add(fewer - free, AcqRel);
        }
    }
}

impl Leave<'_> {
    /// The handler has seen the call, and it ended like this.
    pub(super) fn ended(&self, seen: Seen) {
        let Some(concurrency) = &self.gate.concurrency else {
            return;
        };
        let mut concurrency = concurrency.lock();
        let before = concurrency.limit();
        concurrency.ended(seen, self.began, self.gate.under_way(), Instant::now());
        self.gate.resize(before, concurrency.limit());
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.gate.under_way.fetch_sub(1, AcqRel);
        let is_surplus = self
            .gate
            .surplus
            .fetch_update(AcqRel, Acquire, |surplus| surplus.checked_sub(1))
            .is_ok();
        if is_surplus && let Some(permit) = self.permit.take() {
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// Leave, if it is given at once.
    fn enter(gate: &Gate) -> Option<Leave<'_>> {
        let entered = gate.enter(Duration::from_secs(60));
        entered.now_or_never().map(|leave| leave.ok().unwrap())
    }

    #[tokio::test]
    async fn what_is_above_a_new_limit_ends_before_anything_begins() {
        let gate = Gate::new(4, None);
        let mut calls: Vec<_> = std::iter::from_fn(|| enter(&gate)).take(9).collect();
        assert_eq!((calls.len(), gate.under_way()), (4, 4));
        gate.resize(4, 2);
        for _ in 0..2 {
            calls.pop();
            assert!(enter(&gate).is_none(), "{} are under way", calls.len());
        }
        calls.pop();
        calls.extend(enter(&gate));
        assert_eq!(calls.len(), 2);
        assert!(enter(&gate).is_none());
        gate.resize(2, 3);
        calls.extend(enter(&gate));
        assert_eq!(calls.len(), 3);
        assert!(enter(&gate).is_none());
    }

    #[tokio::test]
    async fn room_that_is_made_while_too_many_are_under_way_is_owed_first() {
        let gate = Gate::new(4, None);
        let mut calls: Vec<_> = std::iter::from_fn(|| enter(&gate)).collect();
        gate.resize(4, 1);
        gate.resize(1, 3);
        assert!(enter(&gate).is_none(), "four are under way");
        calls.pop();
        assert!(enter(&gate).is_none(), "three are under way");
        calls.pop();
        assert!(enter(&gate).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_in_vain_was_not_heard_of() {
        let gate = Gate::new(1, None);
        let _call = enter(&gate);
        let waited = gate.enter(Duration::from_secs(1)).await;
        assert!(matches!(waited, Err(Failure::Unreached { .. })));
    }
}
