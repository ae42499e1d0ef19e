//! The messages that somebody got of late: none of them is for it again.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

/// Their ids, the latest ones.
pub(crate) struct Recent {
    ids: HashSet<u128>,
    order: VecDeque<(Instant, u128)>,
    most: usize,
    age: Duration,
}

impl Recent {
    /// Remembers so many, each for so long at most.
    pub(crate) fn new(most: usize, age: Duration) -> Self {
        Self {
            ids: HashSet::new(),
            order: VecDeque::new(),
            most,
            age,
        }
    }

    /// Notes the message with that id. Whether it is the first time.
    pub(crate) fn note(&mut self, id: &str) -> bool {
        // An id of any other form is not known again.
        number(id).is_none_or(|id| self.note_number(id))
    }

    /// The same, of an id as a number.
    pub(crate) fn note_number(&mut self, id: u128) -> bool {
        self.forget_old();
        if !self.ids.insert(id) {
            return false;
        }
        if self.order.len() >= self.most {
            self.forget_first();
        }
        self.order.push_back((Instant::now(), id));
        true
    }

    /// Whether the message with that id was noted.
    pub(crate) fn has(&self, id: &str) -> bool {
        number(id).is_some_and(|id| self.ids.contains(&id))
    }

    /// All of them, in the order in which they came.
    pub(crate) fn numbers(&mut self) -> impl Iterator<Item = u128> {
        self.forget_old();
        self.order.iter().map(|(_, id)| *id)
    }

    /// Forgets what is too old.
    pub(crate) fn forget_old(&mut self) {
        while let Some((since, _)) = self.order.front()
            && since.elapsed() > self.age
        {
            self.forget_first();
        }
        if self.order.is_empty() {
            self.order = VecDeque::new();
            self.ids = HashSet::new();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, oldest)) = self.order.pop_front() {
            self.ids.remove(&oldest);
        }
    }
}

/// The id of a message as a number, if it has the form of one.
pub(crate) fn number(id: &str) -> Option<u128> {
    u128::from_str_radix(id, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_known_again() {
        let mut recent = Recent::new(2, Duration::MAX);
        let ids: Vec<_> = (0..3).map(|number| format!("{number:032x}")).collect();
        for id in &ids {
            assert!(recent.note(id));
        }
        assert!(!recent.note(&ids[1]) && !recent.note(&ids[2]));
        assert!(recent.note(&ids[0]), "it was forgotten");
        assert!(!recent.note(&ids[2]));
        assert_eq!((recent.ids.len(), recent.order.len()), (2, 2));
        assert!(recent.note("none") && recent.note("none"));
    }

    #[tokio::test(start_paused = true)]
    async fn they_are_not_known_for_ever() {
        let mut recent = Recent::new(10, Duration::from_secs(30));
        assert!(recent.note("1"));
        tokio::time::advance(Duration::from_secs(20)).await;
        assert!(recent.note("2") && !recent.note("1"));
        tokio::time::advance(Duration::from_secs(20)).await;
        assert!(recent.numbers().eq([2]));
        assert!(recent.note("1") && recent.has("1"));
    }
}
