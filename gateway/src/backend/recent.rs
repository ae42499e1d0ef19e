//! The messages that a subscriber got of late: none of them is for it again.

use std::collections::{HashSet, VecDeque};

pub(super) struct Recent {
    ids: HashSet<u128>,
    order: VecDeque<u128>,
    most: usize,
}

impl Recent {
    /// Remembers so many.
    pub(super) fn new(most: usize) -> Self {
        Self {
            ids: HashSet::new(),
            order: VecDeque::new(),
            most,
        }
    }

    /// Notes the message with that id. Whether it is the first time.
    pub(super) fn note(&mut self, id: &str) -> bool {
        // An id of any other form is not known again.
        let Ok(id) = u128::from_str_radix(id, 16) else {
            return true;
        };
        if !self.ids.insert(id) {
            return false;
        }
        if self.order.len() >= self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        self.order.push_back(id);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_known_again() {
        let mut recent = Recent::new(2);
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
}
