//! The calls of one method: what waits of the side that is ahead.

use std::{collections::VecDeque, mem};

use super::{Known, Side};
use crate::{
    connection::CallError,
    mirror::{alone, call::Content},
};

/// A call that waits, or what is left of it.
pub(super) struct Entry {
    /// Of the handler's calls: which one it is.
    number: u64,
    content: Content,
    /// Of the handler's calls, once that is known.
    answer: Option<Known>,
}

impl Entry {
    pub(super) fn new(number: u64, content: Content) -> Self {
        let content = match content {
            Content::Bytes(bytes) => Content::Bytes(alone(&bytes)),
            print @ Content::Print(..) => print,
        };
        Self {
            number,
            content,
            answer: None,
        }
    }

    /// Not where the connection was gone when it was made: a mirror need not make it.
    fn counts(&self) -> bool {
        self.answer != Some(Err(CallError::Gone))
    }
}

/// One method.
pub(super) struct Track {
    /// Who is ahead, if something waits.
    whose: Side,
    waiting: VecDeque<Entry>,
    bytes: usize,
    /// It is not compared any more.
    left: bool,
}

impl Default for Track {
    fn default() -> Self {
        Self {
            whose: Side::Real,
            waiting: VecDeque::new(),
            bytes: 0,
            left: false,
        }
    }
}

/// What a call met.
pub(super) enum Met {
    /// Nothing is compared here any more.
    Left,
    /// Nothing of the other side waits.
    Nobody,
    /// The same, as far as it goes.
    Same { done: Done, answer: Option<Known> },
    /// Something else.
    Different {
        /// Bytes that the handler's and the mirror's say.
        sizes: (usize, usize),
    },
}

/// What came to its end.
pub(super) struct Done {
    /// So many calls of the mirror.
    pub(super) mirrored: u64,
    /// The whole call that has just come.
    pub(super) whole: bool,
}

impl Track {
    /// Puts what is left of a call beside the first that waits of the other side.
    pub(super) fn meet(&mut self, side: Side, content: &mut Content) -> Met {
        if self.left {
            return Met::Left;
        }
        if self.whose == side {
            return Met::Nobody;
        }
        let Some(first) = self.waiting.front_mut() else {
            return Met::Nobody;
        };
        let (length, other_length) = (content.length(), first.content.length());
        let held = first.content.size();
        if !content.takes_off(&mut first.content) {
            return Met::Different {
                sizes: match side {
                    Side::Real => (length, other_length),
                    Side::Mirror => (other_length, length),
                },
            };
        }
        self.bytes -= held - first.content.size();
        let (whole, first_is_done) = (content.is_used_up(), first.content.is_used_up());
        let answer = match side {
            Side::Mirror => first.answer.clone(),
            Side::Real => None,
        };
        if first_is_done {
            self.waiting.pop_front();
        }
        if self.waiting.is_empty() {
            // An idle connection holds nothing.
            self.waiting = VecDeque::new();
        }
        let mirrored = match side {
            Side::Mirror => whole,
            Side::Real => first_is_done,
        };
        Met::Same {
            done: Done {
                mirrored: mirrored.into(),
                whole,
            },
            answer,
        }
    }

    /// Nothing was met: it waits for the other side.
    pub(super) fn wait(&mut self, side: Side, entry: Entry) {
        self.whose = side;
        self.bytes += entry.content.size();
        self.waiting.push_back(entry);
    }

    /// Whether that call of the handler waits for the mirror.
    pub(super) fn waits(&self, number: u64) -> bool {
        let last = self.waiting.back();
        self.whose == Side::Real && last.is_some_and(|last| last.number == number)
    }

    /// What a call of the handler was answered, if it waits still.
    pub(super) fn answered(&mut self, number: u64, known: Known) {
        if self.whose == Side::Mirror {
            return;
        }
        // The newest ones are asked about.
        let mut waiting = self.waiting.iter_mut().rev();
        if let Some(entry) = waiting.find(|entry| entry.number == number) {
            entry.answer = Some(known);
        }
    }

    /// Nothing is compared here any more. Who was ahead, and by how many calls that count.
    pub(super) fn leave(&mut self) -> (Side, u64) {
        self.left = true;
        self.bytes = 0;
        let waiting = mem::take(&mut self.waiting);
        let counting = waiting.iter().filter(|entry| entry.counts());
        (self.whose, counting.count() as u64)
    }

    /// Whether calls of that side wait for the other one, and count.
    pub(super) fn is_ahead(&self, side: Side) -> bool {
        self.whose == side && self.waiting.iter().any(Entry::counts)
    }

    /// So many calls of the mirror wait for the handler's.
    pub(super) fn mirror_is_ahead_by(&self) -> u64 {
        match self.whose {
            Side::Mirror => self.waiting.len() as u64,
            Side::Real => 0,
        }
    }

    /// Calls that wait, and their bytes.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.waiting.len(), self.bytes)
    }
}
