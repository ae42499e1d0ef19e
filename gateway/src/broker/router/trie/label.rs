//! What stands on an edge: one or more levels, such as `+/state`. Edges of one node differ in the first level,
//! so a label is found, compared and hashed by that alone.

use std::{
    borrow::Borrow,
    hash::{Hash, Hasher},
};

#[derive(Debug)]
pub(super) struct Label(Box<str>);

/// What a label and a pattern start with alike, in whole levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Common<'a> {
    /// Length of it.
    pub(super) bytes: usize,
    /// It is all of the label.
    pub(super) whole_label: bool,
    /// The pattern's levels after it.
    pub(super) rest: Option<&'a str>,
}

/// The levels of a topic that are still to be matched; none after the last.
#[derive(Clone, Copy)]
pub(super) struct Rest<'a>(pub(super) Option<&'a str>);

impl Label {
    /// Up to where label and pattern are the same; they are expected to have the first level in common.
    pub(super) fn common<'a>(&self, pattern: &'a str) -> Common<'a> {
        let same = self
            .0
            .split('/')
            .zip(pattern.split('/'))
            .take_while(|(ours, theirs)| ours == theirs);
        let bytes = same
            .map(|(level, _)| level.len() + 1)
            .sum::<usize>()
            .saturating_sub(1);
        Common {
            bytes,
            whole_label: bytes == self.0.len(),
            rest: pattern.get(bytes + 1..),
        }
    }

    /// None when the topic does not start with these levels, else what is left; `#` leaves nothing.
    pub(super) fn matched<'a>(&self, topic: &'a str) -> Option<Rest<'a>> {
        let (mut ours, mut theirs) = (Some(&*self.0), Some(topic));
        while let Some(label) = ours {
            let (wanted, others) = split(label);
            if wanted == "#" {
                return Some(Rest(None));
            }
            let (level, after) = split(theirs?);
            if wanted != "+" && wanted != level {
                return None;
            }
            (ours, theirs) = (others, after);
        }
        Some(Rest(theirs))
    }

    /// The levels in the first `bytes`, and the others.
    pub(super) fn divide(self, bytes: usize) -> (Self, Self) {
        (self.0[..bytes].into(), self.0[bytes + 1..].into())
    }

    /// The levels of both.
    pub(super) fn join(&self, lower: &Self) -> Self {
        Self([&self.0, "/", &lower.0].concat().into())
    }

    /// The level it is found by.
    pub(super) fn first(&self) -> &str {
        split(&self.0).0
    }
}

/// The first level, and the others if there are any.
pub(super) fn split(levels: &str) -> (&str, Option<&str>) {
    // Levels are short: this is faster than the standard search, which is made for long texts.
    match levels.bytes().position(|byte| byte == b'/') {
        Some(end) => (&levels[..end], Some(&levels[end + 1..])),
        None => (levels, None),
    }
}

impl From<&str> for Label {
    fn from(levels: &str) -> Self {
        Self(levels.into())
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.first() == other.first()
    }
}

impl Eq for Label {}

impl Hash for Label {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.first().hash(state);
    }
}

impl Borrow<str> for Label {
    fn borrow(&self) -> &str {
        self.first()
    }
}
