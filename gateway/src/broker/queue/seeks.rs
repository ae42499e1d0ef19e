//! Retained messages on their way into a queue: they are looked for as there is room for them, a little at a time, so
//! that nothing is dropped for them and nobody waits for the search.

use std::collections::VecDeque;

use super::{Limits, Queue, backlog::Backlog};
use crate::broker::{
    Filter,
    retained::{Seek, Step},
};

/// Topics that are looked at before others have their turn: some ten microseconds.
const AT_ONCE: usize = 100;
/// So many messages may wait already: the next batch is full, and the search can wait.
const ENOUGH: usize = 100;

impl Queue {
    /// Retained messages that are to come in as there is room.
    pub(in crate::broker) fn seek(&self, seek: Seek) {
        if self.is_open() {
            self.state.lock().seeks.get_or_insert_default().add(seek);
            self.consumer.wake();
        }
    }

    /// Whether there may be retained messages that have not come in yet.
    #[must_use]
    pub fn is_seeking(&self) -> bool {
        self.state.lock().seeks.is_some()
    }

    /// No more retained messages of that filter.
    pub(in crate::broker) fn stop_seeking(&self, filter: &Filter) {
        let mut state = self.state.lock();
        if let Some(seeks) = &mut state.seeks {
            seeks.remove(filter);
        }
    }
}

/// What is still to be looked for: of each subscription at most one search that is under way, and one that is not yet.
#[derive(Default)]
pub(super) struct Seeks(VecDeque<Seek>);

impl Seeks {
    pub(super) fn add(&mut self, seek: Seek) {
        if !self.0.iter_mut().any(|each| each.extend(&seek)) {
            self.0.push_back(seek);
        }
    }

    pub(super) fn remove(&mut self, filter: &Filter) {
        self.0.retain(|seek| seek.filter() != filter);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts some of what is found into the backlog. Whether there may be more, although there was room.
    pub(super) fn fill(&mut self, backlog: &mut Backlog, limits: Limits) -> bool {
        let mut looks = AT_ONCE;
        while backlog.len() < ENOUGH {
            let Some(seek) = self.0.front_mut() else {
                return false;
            };
            let give = |message: &_| backlog.push_if_room(message, limits);
            match seek.step(&mut looks, give) {
                Step::Unfinished => return true,
                Step::NoRoom => return false,
                Step::Done => drop(self.0.pop_front()),
            }
        }
        false
    }
}
