//! The logs, for whoever reads them by itself: on behalf of one subscriber that was away, or is slow.
//!
//! Such a reader keeps a place in the log of each part of all topics. What it hears through this pod moves its places as
//! well: then as far as the pod has heard, and so, as with the pod itself, give or take `OVERLAP`.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::watch;

use super::{
    Failure,
    log::Id,
    names::{PARTITIONS, Partition},
    recovery::{Entry, OVERLAP, sealed_in},
    tasks::Shared,
};
use crate::{
    broker::{Filter, Message},
    seal::{Broken, Sealer},
};

/// The logs. Clones are the same.
#[derive(Clone)]
pub struct Logs(Arc<Shared>);

/// Where a reader is in the log of one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The part.
    pub partition: Partition,
    /// The last entry that was read, or heard.
    pub id: Id,
    /// Whether all before it was, too. Else only what is `OVERLAP` older.
    pub is_exact: bool,
    /// What tells whether the log is still the one that it was.
    pub mark: u32,
}

/// Some of a log.
#[derive(Debug)]
pub struct Page {
    /// What is there, in order.
    pub messages: Vec<(Id, Arc<Message>)>,
    /// The place after it.
    pub place: Place,
    /// The end of the log, when it was looked at.
    pub end: Id,
    /// Entries, and the bytes of what they hold.
    pub size: (usize, usize),
    /// Something may have left the log before it was read. It belongs before the messages.
    pub has_hole: bool,
    /// There is nothing behind it.
    pub is_last: bool,
}

/// How often each part was found to have a hole that nobody can fill.
pub type Holes = [u32; PARTITIONS as usize];

impl Place {
    /// Whether it is further than `other`, for sure.
    #[must_use]
    pub fn is_beyond(&self, other: &Self) -> bool {
        self.safe() > other.safe()
    }

    /// Whether what stands there is to be read from this place on.
    #[must_use]
    pub fn has_before(&self, id: Id) -> bool {
        if self.is_exact {
            id > self.id
        } else {
            id >= self.safe()
        }
    }

    /// All before this was delivered.
    fn safe(&self) -> Id {
        if self.is_exact {
            self.id
        } else {
            self.id.before(OVERLAP)
        }
    }

    /// Where reading goes on, as Redis has it.
    fn from(&self) -> String {
        if self.is_exact {
            format!("({}", self.id)
        } else {
            self.safe().to_string()
        }
    }
}

impl Partition {
    /// All of them.
    #[must_use]
    pub fn of_all() -> Vec<Self> {
        Self::all().collect()
    }

    /// Those of which these filters want something.
    #[must_use]
    pub fn of_filters<'a>(filters: impl IntoIterator<Item = &'a Filter> + Clone) -> Vec<Self> {
        if filters.clone().into_iter().any(Filter::is_wildcard) {
            return Self::of_all();
        }
        let mut some: Vec<_> = filters
            .into_iter()
            .map(|filter| Self::of(filter.pattern()))
            .collect();
        some.sort_unstable();
        some.dedup();
        some
    }
}

impl Logs {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// What positions are sealed with.
    #[must_use]
    pub fn sealer(&self) -> &Sealer {
        &self.0.cluster.sealer
    }

    /// For how long a message may be on its way into a log, and a subscription to other pods.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.0.cluster.settings.patience
    }

    /// Changes when this pod finds that it has missed something for good.
    #[must_use]
    pub fn holes(&self) -> watch::Receiver<Box<Holes>> {
        self.0.recovery.holes.subscribe()
    }

    /// The ends of these logs.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn ends(&self, partitions: &[Partition]) -> Result<Vec<Place>, Failure> {
        let looks = stream::iter(partitions.to_vec()).map(|partition| async move {
            let log = self.0.look_at(partition).await?;
            Ok(Place {
                partition,
                id: log.newest.unwrap_or_default(),
                is_exact: true,
                mark: short(&log.mark),
            })
        });
        looks.buffered(PARTITIONS.into()).try_collect().await
    }

    /// How far this pod has heard of these parts, and so whoever subscribed here. Nothing while it may be missing some of
    /// them: where that is, it is not known of any time after.
    #[must_use]
    pub fn heard(&self, partitions: &[Partition]) -> Option<Vec<Place>> {
        let (recovery, positions) = (&self.0.recovery, &self.0.foreign.positions);
        let place = |&partition: &Partition| {
            let (id, mark) = recovery.reached(partition, positions)?;
            Some(Place {
                partition,
                id,
                is_exact: false,
                mark: short(&mark),
            })
        };
        partitions.iter().map(place).collect()
    }

    /// So many of the entries after that place, at most. `away` is for how long the reader has not been there.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn read(&self, place: Place, away: Duration, most: usize) -> Result<Page, Failure> {
        let shared = &*self.0;
        let Place { partition, id, .. } = place;
        let log = shared.look_at(partition).await?;
        let (mark, end) = (short(&log.mark), log.newest.unwrap_or_default());
        let settings = &shared.cluster.settings;
        let is_another = mark != place.mark;
        let mut has_hole = log.has_hole(is_another, id, away + OVERLAP, settings);
        // Where Redis went back, or began anew by a clock that did, all of it is new.
        let has_gone_back = end < id;
        let (from, cursor) = if has_gone_back {
            (Id::default().to_string(), Id::default())
        } else {
            (place.from(), place.safe())
        };
        let key = shared.cluster.names.log(partition);
        let entries = if place.is_exact && end == id {
            Vec::new()
        } else {
            shared.range(&key, &from, most).await?
        };
        if !entries.is_empty() && !has_gone_back {
            // What has left it meanwhile. Where there was nothing yet, there is a first entry now, and no hole before it.
            let oldest = shared.oldest(&key).await?;
            let has_moved = log.oldest.is_some() && oldest != log.oldest;
            has_hole |= has_moved && oldest.is_none_or(|oldest| oldest > id);
        }
        let is_last = entries.len() < most;
        let last = entries.last().and_then(|(id, _)| id.parse().ok());
        let last: Id = last.unwrap_or(cursor);
        Ok(Page {
            place: Place {
                id: if is_last { last.max(end) } else { last },
                is_exact: true,
                mark,
                partition,
            },
            end,
            is_last,
            messages: self.open(&key, &entries),
            size: (entries.len(), entries.iter().map(size_of_entry).sum()),
            has_hole,
        })
    }

    /// The messages in these entries. What no pod of the cluster has written is passed over.
    fn open(&self, key: &str, entries: &[Entry]) -> Vec<(Id, Arc<Message>)> {
        let message = |(id, fields): &Entry| {
            let Some((id, sealed)) = sealed_in(id, fields) else {
                self.0.count(key, Err(Broken::Foreign));
                return None;
            };
            self.0
                .foreign
                .in_log(&sealed)
                .map_err(|error| self.0.count(key, Err(error)))
                .ok()
                .map(|message| (id, Arc::new(message)))
        };
        entries.iter().filter_map(message).collect()
    }
}

fn size_of_entry((_, fields): &Entry) -> usize {
    fields.iter().map(|(_, value)| value.len()).sum()
}

/// As much of a mark as tells it from others.
fn short(mark: &str) -> u32 {
    let digits = mark.get(..8).unwrap_or_default();
    u32::from_str_radix(digits, 16).unwrap_or_default()
}
