//! What is wanted here, and what of it others know. Subscriptions come and go at any pace; others are told in batches, by
//! one task, and only of what differs in the end.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use crate::broker::{Filter, others::Away};

/// What is wanted here.
pub(super) struct Interest {
    state: Mutex<State>,
    /// Something is to be told.
    told: Notify,
    /// Changes whenever others know more.
    settled: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    wanted: HashMap<Filter, Entry>,
    /// What others know, or do not know, otherwise than it is; and the order in which that came up.
    untold: HashSet<Filter>,
    order: VecDeque<Filter>,
}

impl State {
    fn tell(&mut self, filter: Filter) {
        if self.untold.insert(filter.clone()) {
            self.order.push_back(filter);
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    subscriptions: u32,
    is_known: bool,
}

/// What others are to be told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) added: Vec<Filter>,
    pub(super) removed: Vec<Filter>,
}

impl Default for Interest {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            told: Notify::new(),
            settled: watch::Sender::new(()),
        }
    }
}

impl Interest {
    /// There is one more subscription.
    pub(super) fn add(&self, filter: &Filter) {
        let mut state = self.state.lock();
        let entry = state.wanted.entry(filter.clone()).or_default();
        entry.subscriptions += 1;
        if entry.subscriptions == 1 && !entry.is_known {
            state.tell(filter.clone());
            self.told.notify_one();
        }
    }

    /// There is one less.
    pub(super) fn remove(&self, filter: &Filter) {
        let mut state = self.state.lock();
        let Some(entry) = state.wanted.get_mut(filter) else {
            return;
        };
        entry.subscriptions -= 1;
        if entry.subscriptions > 0 {
            return;
        }
        if entry.is_known {
            state.tell(filter.clone());
            self.told.notify_one();
        } else {
            // Nobody was told of it, or is being told now: then it is found out.
            state.wanted.remove(filter);
        }
    }

    /// Waits until others know of it, for so long at most.
    pub(super) async fn known(&self, filter: &Filter, patience: Duration) -> Result<(), Away> {
        let mut settled = self.settled.subscribe();
        let known = async {
            loop {
                if self.is_known(filter) {
                    return;
                }
                if settled.changed().await.is_err() {
                    return;
                }
            }
        };
        let known = timeout(patience, known).await;
        known.map_err(|_| {
            Away(format!(
                "Redis has not confirmed the subscription within {patience:?}; it stands here, and there \
                 as soon as Redis answers"
            ))
        })
    }

    /// Whether others know of it, or nobody wants it.
    pub(super) fn is_known(&self, filter: &Filter) -> bool {
        let state = self.state.lock();
        state.wanted.get(filter).is_none_or(|entry| entry.is_known)
    }

    /// Waits until there is something to tell.
    pub(super) async fn changed(&self) {
        self.told.notified().await;
    }

    /// What is to be told, at most so much; the rest the next time. It is told when [`Self::know`] says so.
    pub(super) fn changes(&self, most: usize) -> Changes {
        let mut state = self.state.lock();
        let State {
            wanted,
            untold,
            order,
        } = &mut *state;
        let some: Vec<_> = order.drain(..most.min(order.len())).collect();
        let mut changes = Changes::default();
        for filter in some {
            untold.remove(&filter);
            match wanted.get_mut(&filter) {
                Some(entry) if entry.subscriptions > 0 => changes.added.push(filter),
                entry => {
                    // From now on nobody may count on it.
                    if let Some(entry) = entry {
                        entry.is_known = false;
                    }
                    changes.removed.push(filter);
                }
            }
        }
        if !untold.is_empty() {
            self.told.notify_one();
        }
        changes
    }

    /// Others know of these changes, or do not.
    pub(super) fn know(&self, changes: Changes, is_known: bool) {
        let mut state = self.state.lock();
        let was = changes.added.into_iter().map(|filter| (filter, true));
        let was_not = changes.removed.into_iter().map(|filter| (filter, false));
        for (filter, was_wanted) in was.chain(was_not) {
            if !is_known {
                state.tell(filter);
                continue;
            }
            let entry = state.wanted.entry(filter.clone()).or_default();
            entry.is_known = was_wanted;
            let is_wanted = entry.subscriptions > 0;
            if is_wanted != was_wanted {
                state.tell(filter);
            } else if !is_wanted {
                state.wanted.remove(&filter);
            }
        }
        if !state.untold.is_empty() {
            self.told.notify_one();
        }
        drop(state);
        if is_known {
            self.settled.send_replace(());
        }
    }

    /// All that is wanted and of which `which` holds.
    pub(super) fn wanted(&self, which: impl Fn(&Filter) -> bool) -> Vec<Filter> {
        let state = self.state.lock();
        let wanted = state.wanted.iter();
        wanted
            .filter(|(filter, entry)| entry.subscriptions > 0 && which(filter))
            .map(|(filter, _)| filter.clone())
            .collect()
    }

    /// How many filters are wanted, and how many of them others do not know yet.
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.wanted.len(), state.untold.len())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn filter(text: &str) -> Filter {
        Filter::parse(text, 128).unwrap()
    }

    fn tell(interest: &Interest) -> (Vec<String>, Vec<String>) {
        let changes = interest.changes(100);
        let shown = |filters: &[Filter]| {
            let mut shown: Vec<_> = filters.iter().map(ToString::to_string).collect();
            shown.sort();
            shown
        };
        let told = (shown(&changes.added), shown(&changes.removed));
        interest.know(changes, true);
        told
    }

    fn is_known(interest: &Interest, text: &str) -> bool {
        interest.known(&filter(text), PATIENCE).now_or_never() == Some(Ok(()))
    }

    #[tokio::test]
    async fn the_first_and_the_last_subscription_are_told() {
        let interest = Interest::default();
        let a = filter("a");
        interest.add(&a);
        interest.add(&a);
        assert!(!is_known(&interest, "a"));
        assert_eq!(tell(&interest), (vec!["a".to_owned()], vec![]));
        assert!(is_known(&interest, "a"));
        interest.remove(&a);
        assert_eq!(tell(&interest), (vec![], vec![]));
        interest.remove(&a);
        assert_eq!(tell(&interest), (vec![], vec!["a".to_owned()]));
        assert_eq!(interest.counts(), (0, 0));
    }

    #[tokio::test]
    async fn what_changes_while_it_is_told_is_told_again() {
        let interest = Interest::default();
        let a = filter("a");
        interest.add(&a);
        let changes = interest.changes(100);
        interest.remove(&a);
        interest.know(changes, true);
        assert_eq!(tell(&interest), (vec![], vec!["a".to_owned()]));
        // The other way round.
        interest.add(&a);
        tell(&interest);
        interest.remove(&a);
        let changes = interest.changes(100);
        interest.add(&a);
        assert!(
            !is_known(&interest, "a"),
            "others are just told that it is not wanted"
        );
        interest.know(changes, true);
        assert!(!is_known(&interest, "a"));
        assert_eq!(tell(&interest), (vec!["a".to_owned()], vec![]));
        assert!(is_known(&interest, "a"));
    }

    #[tokio::test]
    async fn what_could_not_be_told_is_told_later() {
        let interest = Interest::default();
        interest.add(&filter("a"));
        interest.add(&filter("b"));
        let changes = interest.changes(1);
        assert_eq!(changes.added.len(), 1);
        interest.know(changes, false);
        interest.changed().now_or_never().unwrap();
        assert_eq!(tell(&interest).0, ["a", "b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_has_an_end() {
        let interest = Interest::default();
        interest.add(&filter("a"));
        let error = interest.known(&filter("a"), PATIENCE).await.unwrap_err();
        assert!(error.to_string().contains("within 5s"), "{error}");
    }
}
