//! Changes of what pods retain have numbers, which grow in each part of all topics. Here stands which of them are known,
//! so that none is taken in place of a later one, however often and in whichever order they come.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Bound::{Excluded, Unbounded},
    time::Duration,
};

use tokio::time::Instant;

use super::Key;

/// A part that was read so shortly before a gap is read again in whole: what opened the gap may have spoilt that.
const FRESH: Duration = Duration::from_secs(60);

/// The place of a change among those of its part of all topics, the same for all pods. A later one has a higher number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// The part.
    pub part: usize,
    /// The number.
    pub number: u64,
}

/// What is known of all parts; without other pods there are none.
pub(super) struct Parts {
    all: Box<[Part]>,
    /// How many removals are remembered, and how many may be.
    removals: usize,
    most_removals: usize,
}

#[derive(Default)]
struct Part {
    /// All changes up to this one are known.
    floor: u64,
    /// The last one that was heard since changes are.
    heard: u64,
    /// Changes are heard as they are made.
    hears: bool,
    known: Known,
    /// How often hearing began or ended.
    turns: u64,
    /// How often it was read.
    rounds: u64,
    read_at: Option<Instant>,
    /// There was no room for some of it.
    is_partial: bool,
    /// What was removed by a later change than `floor`, and by which.
    removed: HashMap<Key, u64>,
    /// What is kept of it.
    topics: BTreeSet<Key>,
}

/// How much is known of the changes of a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nobody knows: it is to be read.
    #[default]
    Nothing,
    /// All up to the floor, and later ones may be missing.
    Some,
    /// All.
    All,
}

/// How a part stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// All changes up to this one are known.
    pub(crate) floor: u64,
    /// Changes are heard as they are made.
    pub(crate) hears: bool,
    pub(crate) known: Known,
    /// There was no room for some of it.
    pub(crate) is_partial: bool,
    turns: u64,
}

/// One reading of a part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(super) part: usize,
    pub(super) round: u64,
    turns: u64,
}

impl Parts {
    pub(super) fn new(count: usize, most_removals: usize) -> Self {
        Self {
            all: (0..count).map(|_| Part::default()).collect(),
            removals: 0,
            most_removals,
        }
    }

    /// Whether there are other pods.
    pub(super) fn are_some(&self) -> bool {
        !self.all.is_empty()
    }

    /// Whether nothing is missing of any.
    pub(super) fn are_whole(&self) -> bool {
        self.behind() == 0
    }

    /// How many there are of which something may be missing.
    pub(super) fn behind(&self) -> usize {
        let behind = self.all.iter().filter(|part| part.known != Known::All);
        behind.count()
    }

    pub(super) fn standing(&self, part: usize) -> Standing {
        let part = &self.all[part];
        Standing {
            floor: part.floor,
            hears: part.hears,
            known: part.known,
            is_partial: part.is_partial,
            turns: part.turns,
        }
    }

    /// How many removals are remembered.
    #[cfg(test)]
    pub(super) fn removals(&self) -> usize {
        let counted: usize = self.all.iter().map(|part| part.removed.len()).sum();
        assert_eq!(counted, self.removals);
        counted
    }

    /// Whether that change is known, or came before one that is.
    pub(super) fn know(&self, version: Version, key: &str) -> bool {
        version.number <= self.all[version.part].floor || self.has_removed(version, key)
    }

    /// Whether a later change has removed the topic's message.
    pub(super) fn has_removed(&self, version: Version, key: &str) -> bool {
        let removed = self.all[version.part].removed.get(key);
        removed.is_some_and(|number| version.number <= *number)
    }

    /// Remembers that this change has removed the topic's message.
    pub(super) fn note_removal(&mut self, version: Version, key: Key) {
        let part = &mut self.all[version.part];
        if self.removals >= self.most_removals {
            // It may come back, until the part is read again: not by a reading that has begun.
            part.known = Known::Nothing;
            part.turns += 1;
        } else if part.removed.insert(key, version.number).is_none() {
            self.removals += 1;
        }
    }

    pub(super) fn insert(&mut self, version: Version, key: &Key) {
        let part = &mut self.all[version.part];
        part.topics.insert(key.clone());
        if let Some(number) = part.removed.get(key)
            && *number < version.number
        {
            part.removed.remove(key);
            self.removals -= 1;
        }
    }

    pub(super) fn remove(&mut self, version: Version, key: &str) {
        self.all[version.part].topics.remove(key);
    }

    /// There was no room for that change.
    pub(super) fn lack(&mut self, version: Version) {
        self.all[version.part].is_partial = true;
    }

    /// That change was heard: those before it were too, since hearing began.
    pub(super) fn hear(&mut self, version: Version) {
        let part = &mut self.all[version.part];
        part.heard = part.heard.max(version.number);
        if part.known == Known::All {
            self.raise(version.part, version.number);
        }
    }

    /// All changes up to that one are known.
    fn raise(&mut self, part: usize, number: u64) {
        let part = &mut self.all[part];
        part.floor = part.floor.max(number);
        if !part.removed.is_empty() {
            let (floor, before) = (part.floor, part.removed.len());
            part.removed.retain(|_, number| *number > floor);
            self.removals -= before - part.removed.len();
        }
    }

    /// Changes are not heard any more.
    pub(super) fn gap(&mut self, part: usize) {
        let part = &mut self.all[part];
        part.hears = false;
        if part.known == Known::All {
            let is_settled = part.read_at.is_some_and(|at| at.elapsed() > FRESH);
            part.known = if is_settled {
                Known::Some
            } else {
                Known::Nothing
            };
        }
        part.turns += 1;
    }

    /// They are heard from now on.
    pub(super) fn again(&mut self, part: usize) {
        let part = &mut self.all[part];
        part.hears = true;
        if part.known == Known::All {
            part.known = Known::Some;
        }
        part.heard = 0;
        part.turns += 1;
    }

    /// It is read from now on.
    pub(super) fn begin(&mut self, index: usize, standing: &Standing) -> Load {
        let part = &mut self.all[index];
        part.known = Known::Nothing;
        part.is_partial = false;
        part.rounds += 1;
        Load {
            part: index,
            round: part.rounds,
            turns: standing.turns,
        }
    }

    /// What was kept of a part after that topic, in order.
    pub(super) fn topics(&self, part: usize, after: &str) -> impl Iterator<Item = &Key> {
        let after = (Excluded(after), Unbounded);
        self.all[part].topics.range::<str, _>(after)
    }

    /// It is read, and all changes up to that one are known.
    pub(super) fn end(&mut self, load: &Load, number: u64) {
        let part = &mut self.all[load.part];
        part.read_at = Some(Instant::now());
        self.settle(load.part, load.turns, number);
    }

    /// There are no other changes than those that were known when it stood like that.
    pub(super) fn unchanged(&mut self, part: usize, standing: &Standing) {
        self.settle(part, standing.turns, standing.floor);
    }

    fn settle(&mut self, index: usize, turns: u64, number: u64) {
        let part = &mut self.all[index];
        if part.turns != turns || !part.hears {
            return;
        }
        part.known = Known::All;
        let number = number.max(part.heard);
        self.raise(index, number);
    }
}
