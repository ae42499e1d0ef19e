//! The search for the retained messages of one filter: it jumps from topic to topic that may match, and can stop and
//! go on at any of them.

use std::{
    ops::Bound::{Included, Unbounded},
    sync::Arc,
};

use super::{Kept, Retained, SEPARATOR, shared::Audience};
use crate::broker::{Filter, Message};

/// How far a search has come.
pub(in crate::broker) struct Seek {
    retained: Arc<Retained>,
    filter: Filter,
    wanted: Wanted,
    /// No topic before this one is of interest any more.
    cursor: String,
    has_begun: bool,
}

/// Which messages a search is for, by their numbers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    /// Those from before. What was kept later went to the subscription itself.
    Before(u64),
    /// Those from in between that did not.
    Unrouted {
        /// The first one.
        since: u64,
        /// The one after the last.
        before: u64,
    },
}

impl Wanted {
    fn are(self, kept: &Kept, filter: &Filter) -> bool {
        match self {
            Self::Before(number) => kept.number < number,
            Self::Unrouted { since, before } => {
                let is_unrouted = !kept.routed[Audience::of(filter) as usize];
                (since..before).contains(&kept.number) && is_unrouted
            }
        }
    }
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) enum Step {
    /// All is found.
    Done,
    /// It has looked at as much as it may at once.
    Unfinished,
    /// Nobody takes the next message now.
    NoRoom,
}

impl Seek {
    pub(super) fn new(retained: &Arc<Retained>, filter: &Filter, wanted: Wanted) -> Self {
        let wildcard = |level: &&str| matches!(*level, "+" | "#");
        let levels = filter.pattern().split('/');
        let plain: Vec<_> = levels.take_while(|level| !wildcard(level)).collect();
        Self {
            retained: Arc::clone(retained),
            filter: filter.clone(),
            wanted,
            cursor: plain.join(SEPARATOR),
            has_begun: false,
        }
    }

    /// Looks for what the other one is for as well, if it has not begun and that comes right after.
    pub(in crate::broker) fn extend(&mut self, other: &Self) -> bool {
        let (
            Wanted::Unrouted { before, .. },
            Wanted::Unrouted {
                since,
                before: last,
            },
        ) = (&mut self.wanted, other.wanted)
        else {
            return false;
        };
        let goes_on = !self.has_begun && self.filter == other.filter && since <= *before;
        if goes_on {
            *before = last.max(*before);
        }
        goes_on
    }

    pub(in crate::broker) fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Gives what it finds to `give`, which says whether it takes it, with so many looks at topics, which are counted
    /// down.
    pub(in crate::broker) fn step(
        &mut self,
        looks: &mut usize,
        mut give: impl FnMut(&Arc<Message>) -> bool,
    ) -> Step {
        self.has_begun = true;
        let store = self.retained.store.lock();
        loop {
            if *looks == 0 {
                return Step::Unfinished;
            }
            *looks -= 1;
            let from = (Included(&*self.cursor), Unbounded);
            let Some((key, kept)) = store.by_topic.range::<str, _>(from).next() else {
                return Step::Done;
            };
            self.cursor = match look(self.filter.pattern(), key) {
                Look::Match => {
                    let is_wanted = self.wanted.are(kept, &self.filter) && !kept.is_too_old();
                    if is_wanted && !give(&kept.message) {
                        return Step::NoRoom;
                    }
                    [key, SEPARATOR].concat()
                }
                Look::Next(cursor) => cursor,
                Look::Done => return Step::Done,
            };
        }
    }
}

/// What a topic means for a search.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Match,
    /// The next topic of interest is this one, or comes after it.
    Next(String),
    /// No topic after it is of interest.
    Done,
}

/// The first character after the separator.
const AFTER: &str = "\u{1}";

/// Holds a topic, as it is in the store, against a pattern, level by level.
fn look(pattern: &str, key: &str) -> Look {
    if pattern.starts_with(['+', '#']) && key.starts_with('$') {
        // Right after all that starts with a dollar sign.
        return Look::Next("%".to_owned());
    }
    // Where the last level that a `+` stands for ends.
    let mut free = None;
    let mut start = 0;
    let mut levels = pattern.split('/').peekable();
    while let Some(wanted) = levels.next() {
        if wanted == "#" {
            return Look::Match;
        }
        let level = key[start..].split(SEPARATOR).next().unwrap_or_default();
        let end = start + level.len();
        if wanted == "+" {
            free = Some(end);
        } else if level < wanted {
            return Look::Next([&key[..start], wanted].concat());
        } else if level > wanted {
            return next_sibling(key, free);
        }
        let is_last = end == key.len();
        match levels.peek() {
            Some(&"#") => return Look::Match,
            Some(_) if is_last => return Look::Next([key, SEPARATOR].concat()),
            Some(_) => start = end + 1,
            None if is_last => return Look::Match,
            None => return next_sibling(key, free),
        }
    }
    Look::Done
}

/// Past all that has the same level where a `+` is free to have another one.
fn next_sibling(key: &str, free: Option<usize>) -> Look {
    match free {
        Some(end) => Look::Next([&key[..end], AFTER].concat()),
        None => Look::Done,
    }
}
