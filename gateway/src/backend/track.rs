//! How far a subscriber has come in the logs.
//!
//! What is read in a log moves the place there at once. What is heard through the pod does so a little later: now and then
//! it is noted how far the pod has heard, and that holds for the subscriber once it got what waited for it then.

use std::time::Duration;

use bytes::Bytes;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{
    broker::Queue,
    clock,
    cluster::{Holes, Logs, Partition, Place, Position},
    redis::Failure,
};

pub(super) struct Track {
    pub(super) logs: Logs,
    partitions: Vec<Partition>,
    /// It has got all before.
    position: Position,
    noted: Option<Noted>,
    /// When the logs are to be looked at once more. Until then the pod's hearing tells nothing: messages that were on
    /// their way when the subscription began may have passed it by.
    settles: Option<Instant>,
    holes: watch::Receiver<Box<Holes>>,
    known: Box<Holes>,
    told: Instant,
}

/// What there is to do.
pub(super) enum Due {
    /// The subscriber is to be told of a gap.
    Gap,
    /// The logs are to be looked at once more.
    Look,
}

/// How far the pod had heard.
struct Noted {
    time: u64,
    places: Vec<Place>,
    /// So many messages that waited for the subscriber then still do.
    waiting: usize,
}

impl Track {
    /// Begins there, or, of parts that this tells nothing of, at the end.
    pub(super) async fn begin(
        logs: Logs,
        partitions: Vec<Partition>,
        from: Option<Position>,
    ) -> Result<Self, Failure> {
        let time = clock::now();
        let mut position = from.unwrap_or(Position {
            time,
            ..Position::default()
        });
        position
            .places
            .retain(|partition, _| partitions.contains(partition));
        let is_new = |partition: &Partition| !position.places.contains_key(partition);
        let new: Vec<_> = partitions.iter().copied().filter(is_new).collect();
        let ends = logs.ends(&new).await?;
        let ends = ends.into_iter().map(|place| (place.partition, place));
        position.places.extend(ends);
        let mut holes = logs.holes();
        let known = holes.borrow_and_update().clone();
        Ok(Self {
            logs,
            partitions,
            position,
            noted: None,
            settles: None,
            holes,
            known,
            told: Instant::now(),
        })
    }

    /// A subscription stands from now on, and others know of it.
    pub(super) fn subscribed(&mut self) {
        self.noted = None;
        self.settles = Some(Instant::now() + self.logs.patience());
    }

    /// They were looked at once more.
    pub(super) fn settled(&mut self) {
        self.settles = None;
    }

    /// Where reading goes on.
    pub(super) fn places(&self) -> Vec<Place> {
        self.position.places.values().copied().collect()
    }

    /// For how long the subscriber was not there, or was behind.
    pub(super) fn away(&self) -> Duration {
        Duration::from_millis(clock::now().saturating_sub(self.position.time))
    }

    /// The subscriber got all up to there.
    pub(super) fn reached(&mut self, place: Place) {
        self.position.places.insert(place.partition, place);
    }

    /// All logs were read to their ends, since then at least.
    pub(super) fn read_all(&mut self, since: u64) {
        self.position.time = since;
    }

    /// Notes how far the pod has heard. Whether the position has changed.
    pub(super) fn note(&mut self, queue: &Queue) -> bool {
        if self.settles.is_some() || self.noted.is_some() {
            return false;
        }
        let time = clock::now();
        let Some(places) = self.logs.heard(&self.partitions) else {
            return false;
        };
        let noted = Noted {
            time,
            places,
            waiting: queue.len(),
        };
        // What did not fit in the queue the pod has heard all the same.
        if !queue.is_open() {
            return false;
        }
        self.noted = Some(noted);
        self.taken(0)
    }

    /// The subscriber gets so many more messages. Whether the position has changed.
    pub(super) fn taken(&mut self, count: usize) -> bool {
        let Some(noted) = &mut self.noted else {
            return false;
        };
        noted.waiting = noted.waiting.saturating_sub(count);
        if noted.waiting > 0 {
            return false;
        }
        if let Some(Noted { time, places, .. }) = self.noted.take() {
            self.position.time = time;
            for place in places {
                let before = self.position.places.get(&place.partition);
                if before.is_none_or(|before| place.is_beyond(before)) {
                    self.reached(place);
                }
            }
        }
        true
    }

    /// Waits until there is something to do. Cancel safe.
    pub(super) async fn due(&mut self) -> Due {
        let settles = self.settles;
        let settling = async move {
            match settles {
                Some(then) => sleep_until(then).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.missed() => Due::Gap,
            () = settling => Due::Look,
        }
    }

    /// Waits until the pod has missed something for good that the subscriber may have wanted; that is a gap.
    async fn missed(&mut self) {
        loop {
            if self.holes.changed().await.is_err() {
                // The pod ends.
                return std::future::pending().await;
            }
            let now = self.holes.borrow_and_update().clone();
            let known = std::mem::replace(&mut self.known, now);
            let is_new = |each: &&Partition| known[each.index()] != self.known[each.index()];
            let new: Vec<_> = self.partitions.iter().filter(is_new).copied().collect();
            if new.is_empty() {
                continue;
            }
            // What was there is no place in the log of now.
            for place in self.logs.heard(&new).into_iter().flatten() {
                self.reached(place);
            }
            return;
        }
    }

    /// Whether the subscriber was not told where it is for so long.
    pub(super) fn is_due(&self, interval: Duration) -> bool {
        self.told.elapsed() >= interval
    }

    /// For the subscriber to keep.
    pub(super) fn told(&mut self) -> Bytes {
        self.told = Instant::now();
        self.position.seal(self.logs.sealer())
    }
}
