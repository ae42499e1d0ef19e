//! What a session has, for whoever keeps it elsewhere too, and how it goes on with that.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use super::{
    Queue, State,
    backlog::Backlog,
    count,
    hold::{Hold, Kept},
};
use crate::broker::{
    Message,
    recent::{self, Recent},
    session::Keeper,
};

/// Messages that are known again, so that none comes twice when a session moves.
const RECENT: usize = 1_000;
/// For how long.
const RECENTLY: Duration = Duration::from_secs(30);

/// Numbers of the messages of `QoS` 1 and 2 that a queue has, in the order in which they came, round and round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// That of the oldest one: those before were confirmed or dropped.
    pub first: u32,
    /// That of the next one that comes.
    pub next: u32,
}

impl Numbers {
    fn of(hold: &Hold, backlog: &Backlog) -> Self {
        let count = hold.unconfirmed() + backlog.kept().len();
        let next = backlog.came();
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            first: next.wrapping_sub(count),
            next,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> u32 {
        self.next.wrapping_sub(self.first)
    }

    /// How many of these are gone by `later`.
    #[must_use]
    pub fn gone_by(self, later: Self) -> u32 {
        later.first.wrapping_sub(self.first).min(self.count())
    }
}

/// What a session's queue has of `QoS` 1 and 2.
#[derive(Debug, Default)]
pub struct Backup {
    /// Of all of it.
    pub numbers: Numbers,
    /// The messages that were asked for.
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
        if let Some(hold) = &mut self.state.lock().hold {
            hold.kept = Some(Box::new(Kept {
                keeper,
                recent: Recent::new(RECENT, RECENTLY),
                before: Recent::new(2 * RECENT, RECENTLY),
                since: None,
                is_torn: false,
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
    pub fn hand_over(&self) {
        let (_backlog, _hold, _seeks) = {
            let mut state = self.state.lock();
            self.shut.store(true, Relaxed);
            let backlog = std::mem::take(&mut state.backlog);
            (backlog, state.hold.take(), state.seeks.take())
        };
        self.consumer.take();
    }

    /// The numbers of what it has. None where it is not kept elsewhere, or where what is there cannot be made to fit by
    /// numbers: then it has to be written anew, and this is told once.
    #[must_use]
    pub fn numbers(&self) -> Option<Numbers> {
        let mut state = self.state.lock();
        let State { backlog, hold, .. } = &mut *state;
        let hold = hold.as_mut()?;
        let kept = hold.kept.as_mut()?;
        // Who hears nothing more would else know them for ever.
        kept.recent.forget_old();
        kept.before.forget_old();
        if std::mem::take(&mut kept.is_torn) {
            return None;
        }
        Some(Numbers::of(hold, backlog))
    }

    /// What it has: of the messages, those that came since it had these; all, where that is not known. None where it is
    /// not kept elsewhere.
    #[must_use]
    pub fn backup(&self, since: Option<Numbers>) -> Option<Backup> {
        let mut state = self.state.lock();
        let State { backlog, hold, .. } = &mut *state;
        let hold = hold.as_mut()?;
        let recent = hold.kept.as_mut()?.recent.numbers().collect();
        let numbers = Numbers::of(hold, backlog);
        let passed = since.map_or(0, |since| since.count() - since.gone_by(numbers));
        let (unconfirmed, taken) = hold.taken();
        let all = unconfirmed.iter().chain(backlog.kept());
        Some(Backup {
            numbers,
            messages: all.skip(passed as usize).cloned().collect(),
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
        let State { backlog, hold, .. } = &mut *state;
        let Some(hold) = hold else { return };
        let mut known: HashSet<u128> = recent.iter().copied().collect();
        known.extend(numbers(&waiting));
        let came = hold.take_offline(backlog);
        let mut all = waiting;
        let mut later = all.split_off(unconfirmed.min(all.len()));
        let is_new =
            |message: &Arc<Message>| recent::number(&message.id).is_none_or(|id| known.insert(id));
        later.extend(between.into_iter().chain(came).filter(is_new));
        in_order_of_publishers(&mut later);
        all.extend(later);
        if let Some(kept) = &mut hold.kept {
            for id in recent.into_iter().chain(numbers(&all)) {
                kept.recent.note_number(id);
                kept.before.note_number(id);
            }
            kept.since = Some(known);
        }
        let mut dropped = 0;
        for message in all {
            dropped += hold.put_offline(backlog, message).session_full;
        }
        // The oldest ones are dropped first.
        let unconfirmed = (unconfirmed as u64).saturating_sub(dropped);
        hold.were_taken(
            backlog,
            usize::try_from(unconfirmed).unwrap_or(usize::MAX),
            taken,
        );
        count(&self.stats.session_full, dropped);
    }

    /// Tells apart what was missed when it was brought here from what had come, or has since. None where too much has
    /// to know; and the next time.
    #[must_use]
    pub fn missed(&self, messages: Vec<Arc<Message>>) -> Option<Vec<Arc<Message>>> {
        let known = {
            let mut state = self.state.lock();
            let hold = state.hold.as_mut()?;
            hold.kept.as_mut()?.since.take()?
        };
        let is_known = |message: &Arc<Message>| {
            recent::number(&message.id).is_some_and(|id| known.contains(&id))
        };
        Some(
            messages
                .into_iter()
                .filter(|each| !is_known(each))
                .collect(),
        )
    }
}

fn numbers(messages: &[Arc<Message>]) -> impl Iterator<Item = u128> {
    messages
        .iter()
        .filter_map(|message| recent::number(&message.id))
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
