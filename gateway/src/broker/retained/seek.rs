//! The search for the retained messages of one filter: it jumps from topic to topic that may match, and can stop and
//! go on at any of them.

use std::{
    ops::Bound::{Included, Unbounded},
    sync::Arc,
};

use tokio::time::Instant;

use super::{Retained, SEPARATOR};
use crate::broker::{Filter, Message};

/// How far a search has come.
pub(in crate::broker) struct Seek {
    retained: Arc<Retained>,
    filter: Filter,
    /// What was kept later was delivered to the subscription itself.
    before: u64,
    /// No topic before this one is of interest any more.
    cursor: String,
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
    pub(super) fn new(retained: &Arc<Retained>, filter: &Filter, before: u64) -> Self {
        let wildcard = |level: &&str| matches!(*level, "+" | "#");
        let levels = filter.pattern().split('/');
        let plain: Vec<_> = levels.take_while(|level| !wildcard(level)).collect();
        Self {
            retained: Arc::clone(retained),
            filter: filter.clone(),
            before,
            cursor: plain.join(SEPARATOR),
        }
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
        let store = self.retained.store.lock();
        let age = self.retained.limits.age;
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
                    let too_old = age.is_some_and(|age| kept.since + age <= Instant::now());
                    let wanted = kept.number < self.before && !too_old;
                    if wanted && !give(&kept.message) {
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
