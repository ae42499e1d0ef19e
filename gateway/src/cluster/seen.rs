//! The messages that were served of late: what comes a second time, because it is read again from a log or was kept again
//! after a time-out, is left out.
//!
//! Of each it is remembered what for: the copy that comes by a topic's channel serves filters without wildcards, the one in
//! the inbox the others. How long is a matter of places in the log and not of time: as far back as the log is read again.

use std::{
    collections::{HashMap, VecDeque},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;

use super::{
    log::Id,
    names::{PARTITIONS, Partition},
};

/// What a copy of a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copy {
    /// Filters without wildcards.
    Exact,
    /// Filters with wildcards, and those of groups.
    Patterns,
}

/// The messages of the last while.
pub(super) struct Seen {
    parts: Box<[Mutex<Part>]>,
    /// How far behind the newest place each is remembered.
    behind: Duration,
    /// How many may be remembered.
    most: usize,
    count: AtomicUsize,
}

/// Those of one part of all topics.
#[derive(Default)]
struct Part {
    served: HashMap<Box<str>, Served>,
    /// In the order in which they came; some of them came again later.
    order: VecDeque<(Id, Box<str>)>,
    newest: Id,
    /// Nothing is forgotten, as the log is to be read from further back.
    is_held: bool,
}

struct Served {
    /// The last place where it stood.
    at: Id,
    copies: [bool; 2],
}

impl Seen {
    /// Each is remembered until its place is that far behind the newest one, unless there are more than so many.
    pub(super) fn new(behind: Duration, most: usize) -> Self {
        Self {
            parts: (0..PARTITIONS).map(|_| Mutex::default()).collect(),
            behind,
            most,
            count: AtomicUsize::new(0),
        }
    }

    /// Notes that this copy of a message is served, which stands at that place. Whether it is the first time.
    pub(super) fn note(&self, partition: Partition, at: Id, message: &str, copy: Copy) -> bool {
        let mut part = self.parts[partition.index()].lock();
        let before = part.served.len();
        let elsewhere = self.count.load(Relaxed).saturating_sub(before);
        let is_new = part.note(at, message, copy);
        part.newest = part.newest.max(at);
        if !part.is_held {
            let oldest = part.newest.before(self.behind);
            part.forget_before(oldest);
        }
        while elsewhere + part.served.len() > self.most && part.forget_first() {}
        let after = part.served.len();
        if after > before {
            self.count.fetch_add(after - before, Relaxed);
        } else {
            self.count.fetch_sub(before - after, Relaxed);
        }
        is_new
    }

    /// Forgets nothing of these parts until they are let go.
    pub(super) fn hold(&self, partition: Partition, is_held: bool) {
        self.parts[partition.index()].lock().is_held = is_held;
    }
}

impl Part {
    fn note(&mut self, at: Id, message: &str, copy: Copy) -> bool {
        let place = copy as usize;
        if let Some(served) = self.served.get_mut(message) {
            if at > served.at {
                served.at = at;
                self.order.push_back((at, message.into()));
            }
            return !std::mem::replace(&mut served.copies[place], true);
        }
        let mut copies = [false; 2];
        copies[place] = true;
        self.served.insert(message.into(), Served { at, copies });
        self.order.push_back((at, message.into()));
        true
    }

    fn forget_before(&mut self, oldest: Id) {
        while self.order.front().is_some_and(|(at, _)| *at < oldest) {
            self.forget_first();
        }
    }

    /// Forgets the one that came first, if it has not come again. Whether there was one.
    fn forget_first(&mut self) -> bool {
        let Some((at, message)) = self.order.pop_front() else {
            return false;
        };
        if self
            .served
            .get(&message)
            .is_some_and(|served| served.at == at)
        {
            self.served.remove(&message);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEHIND: Duration = Duration::from_secs(20);

    fn at(seconds: u64) -> Id {
        Id {
            ms: seconds * 1000,
            number: 0,
        }
    }

    #[test]
    fn each_copy_is_served_once() {
        let (seen, part) = (Seen::new(BEHIND, 1000), Partition::of("a"));
        assert!(seen.note(part, at(100), "a", Copy::Exact));
        assert!(seen.note(part, at(100), "a", Copy::Patterns));
        assert!(seen.note(part, at(101), "b", Copy::Patterns));
        for copy in [Copy::Exact, Copy::Patterns] {
            assert!(!seen.note(part, at(100), "a", copy));
        }
        assert!(seen.note(part, at(101), "b", Copy::Exact));
    }

    #[test]
    fn what_is_near_the_newest_place_is_remembered_however_long_ago_that_is() {
        let (seen, part) = (Seen::new(BEHIND, 1000), Partition::of("a"));
        assert!(seen.note(part, at(100), "a", Copy::Exact));
        // Others go on.
        let other = Partition::all().find(|each| *each != part).unwrap();
        for second in 0..1000 {
            seen.note(other, at(second), &second.to_string(), Copy::Exact);
        }
        assert!(!seen.note(part, at(100), "a", Copy::Exact));
        assert!(seen.note(part, at(120), "b", Copy::Exact));
        assert!(!seen.note(part, at(100), "a", Copy::Exact));
        assert!(seen.note(part, at(121), "c", Copy::Exact));
        assert!(
            seen.note(part, at(100), "a", Copy::Exact),
            "it is too far behind"
        );
    }

    #[test]
    fn what_is_kept_again_is_remembered_from_there() {
        let (seen, part) = (Seen::new(BEHIND, 1000), Partition::of("a"));
        assert!(seen.note(part, at(100), "a", Copy::Exact));
        assert!(!seen.note(part, at(115), "a", Copy::Exact));
        assert!(seen.note(part, at(130), "b", Copy::Exact));
        assert!(!seen.note(part, at(115), "a", Copy::Exact));
    }

    #[test]
    fn nothing_is_forgotten_while_it_is_held_but_for_the_bound() {
        let (seen, part) = (Seen::new(BEHIND, 100), Partition::of("a"));
        seen.note(part, at(100), "a", Copy::Exact);
        seen.hold(part, true);
        seen.note(part, at(1000), "b", Copy::Exact);
        assert!(!seen.note(part, at(100), "a", Copy::Exact));
        for number in 0..10_000 {
            seen.note(part, at(1000), &number.to_string(), Copy::Exact);
        }
        assert!(seen.parts[part.index()].lock().served.len() <= 101);
        assert!(seen.count.load(Relaxed) <= 101);
    }
}
