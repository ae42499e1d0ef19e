//! What a session has, for whoever keeps it elsewhere too, and how it goes on with that.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use super::{Queue, State, count, hold::Kept};
use crate::broker::{
    Message,
    recent::{self, Recent},
    session::Keeper,
};

/// Messages that are known again, so that none comes twice when a session moves.
const RECENT: usize = 1_000;
/// For how long.
const RECENTLY: Duration = Duration::from_secs(30);

/// What a session's queue has of `QoS` 1 and 2. The messages are numbered in the order in which they came.
#[derive(Debug, Default)]
pub struct Backup {
    /// The number of the oldest one: those before were confirmed or dropped.
    pub first: u64,
    /// The number of the next one.
    pub next: u64,
    /// Those that were asked for.
    pub messages: Vec<Arc<Message>>,
    /// So many of all, the oldest, were taken and not confirmed.
    pub unconfirmed: usize,
    /// How often these were taken.
    pub taken: u32,
    /// The ids of what came of late.
    pub recent: Vec<u128>,
}

/// What a session had elsewhere.
#[derive(Debug, Default)]
pub struct Restored {
    /// What waited there, in order.
    pub waiting: Vec<Arc<Message>>,
    /// So many of it, the oldest, were taken and not confirmed.
    pub unconfirmed: usize,
    /// How often these were taken.
    pub taken: u32,
    /// The ids of what came there of late.
    pub recent: Vec<u128>,
    /// What may have come in between, in any order.
    pub between: Vec<Arc<Message>>,
}

impl Queue {
    /// The session is kept elsewhere too, by this one. Nothing where it is none, or has ended.
    pub fn keep(&self, keeper: Arc<dyn Keeper>) {
        let mut state = self.state.lock();
        let State { backlog, hold, .. } = &mut *state;
        if let Some(hold) = hold {
            hold.kept = Some(Box::new(Kept {
                keeper,
                recent: Recent::new(RECENT, RECENTLY),
                came: (hold.unconfirmed() + backlog.kept().len()) as u64,
            }));
        }
    }

    /// Who keeps it elsewhere.
    pub(in crate::broker) fn keeper(&self) -> Option<Arc<dyn Keeper>> {
        let state = self.state.lock();
        let kept = state.hold.as_ref()?.kept.as_ref()?;
        Some(kept.keeper.clone())
    }

    /// It goes on elsewhere: nothing that waits here is lost with it.
    pub(in crate::broker) fn hand_over(&self) {
        let (_backlog, _hold, _seeks) = {
            let mut state = self.state.lock();
            self.shut.store(true, Relaxed);
            let backlog = std::mem::take(&mut state.backlog);
            (backlog, state.hold.take(), state.seeks.take())
        };
        self.consumer.take();
    }

    /// The number of the oldest message of `QoS` 1 and 2 that it has, and of the next one that comes. None where it is
    /// not kept elsewhere.
    #[must_use]
    pub fn numbers(&self) -> Option<(u64, u64)> {
        let state = self.state.lock();
        let hold = state.hold.as_ref()?;
        let next = hold.kept.as_ref()?.came;
        let count = hold.unconfirmed() + state.backlog.kept().len();
        Some((next - count as u64, next))
    }

    /// What it has, with the messages from that number on. None where it is no session's, or has ended.
    #[must_use]
    pub fn backup(&self, from: u64) -> Option<Backup> {
        let mut state = self.state.lock();
        let hold = state.hold.as_mut()?;
        let kept = hold.kept.as_mut()?;
        let (next, recent) = (kept.came, kept.recent.numbers().collect());
        let (unconfirmed, taken) = hold.taken();
        let unconfirmed = unconfirmed.clone();
        let all = unconfirmed.iter().chain(state.backlog.kept());
        let count = unconfirmed.len() + state.backlog.kept().len();
        let first = next - count as u64;
        let passed = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
        Some(Backup {
            first,
            next,
            messages: all.skip(passed).cloned().collect(),
            unconfirmed: unconfirmed.len(),
            taken,
            recent,
        })
    }

    /// Puts what it had elsewhere before what has come here since. Nobody takes from it yet.
    pub fn restore(&self, restored: Restored) {
        let Restored {
            waiting,
            unconfirmed,
            taken,
            recent,
            between,
        } = restored;
        let mut state = self.state.lock();
        let state = &mut *state;
        let Some(hold) = &mut state.hold else { return };
        let mut known: HashSet<u128> = recent.iter().copied().collect();
        known.extend(
            waiting
                .iter()
                .filter_map(|message| recent::number(&message.id)),
        );
        let came = hold.take_offline(&mut state.backlog);
        let mut all = waiting;
        let mut later = all.split_off(unconfirmed.min(all.len()));
        let is_new =
            |message: &Arc<Message>| recent::number(&message.id).is_none_or(|id| known.insert(id));
        later.extend(between.into_iter().chain(came).filter(is_new));
        in_order_of_publishers(&mut later);
        all.extend(later);
        let mut dropped = 0;
        for message in &all {
            let put = hold.put_offline(&mut state.backlog, message.clone());
            dropped += put.session_full;
        }
        // The oldest ones are dropped first.
        let unconfirmed =
            unconfirmed.saturating_sub(usize::try_from(dropped).unwrap_or(usize::MAX));
        hold.were_taken(&mut state.backlog, unconfirmed, taken);
        if let Some(kept) = &mut hold.kept {
            let ids = all.iter().filter_map(|message| recent::number(&message.id));
            for id in recent.into_iter().chain(ids) {
                kept.recent.note_number(id);
            }
            kept.came += all.len() as u64;
        }
        count(&self.stats.session_full, dropped);
    }
}

/// Puts the messages of each pod in the order in which they were published, without moving those of others. Their ids
/// grow.
fn in_order_of_publishers(messages: &mut [Arc<Message>]) {
    let mut by_pod: HashMap<u64, Vec<usize>> = HashMap::new();
    for (place, message) in messages.iter().enumerate() {
        if let Some(id) = recent::number(&message.id) {
            let pod = u64::try_from(id >> 64).unwrap_or_default();
            by_pod.entry(pod).or_default().push(place);
        }
    }
    for places in by_pod.into_values() {
        let mut own: Vec<_> = places
            .iter()
            .map(|&place| messages[place].clone())
            .collect();
        own.sort_by(|one, other| one.id.cmp(&other.id));
        for (place, message) in places.into_iter().zip(own) {
            messages[place] = message;
        }
    }
}
