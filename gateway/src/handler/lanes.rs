//! The lanes of one endpoint: places for HTTP/2 connections, and which of them a call takes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use h2::client::SendRequest;
use parking_lot::RwLock;
use tokio::sync::Notify;

use super::{lane, parcel::Parcel, stream};

/// HTTP/2 has 2^30 calls in a connection. Lanes are replaced long before, and not all at the same time.
const CALLS_OF_A_LANE: u64 = 1 << 28;

/// The lanes of one endpoint.
pub(super) struct Lanes(Box<[Slot]>);

/// The place of a lane.
#[derive(Default)]
struct Slot {
    /// Set while the lane takes calls.
    send: RwLock<Option<SendRequest<Parcel>>>,
    /// Set while it carries an ordered stream.
    stream: RwLock<Option<Arc<stream::Lane>>>,
    /// Calls made on it.
    calls: AtomicU64,
    /// Which connection this is; each new one counts up.
    number: AtomicU64,
    /// The lane takes no more calls, or soon will not, and is to be replaced.
    due: Notify,
}

/// A lane that takes a call.
pub(super) struct Pick {
    index: usize,
    number: u64,
    pub(super) send: SendRequest<Parcel>,
}

impl Lanes {
    /// So many empty places.
    pub(super) fn new(count: usize) -> Self {
        Self((0..count).map(|_| Slot::default()).collect())
    }

    /// The lane of `key`, or the next one that stands.
    pub(super) fn pick(&self, key: u64) -> Option<Pick> {
        let count = self.0.len();
        let first = usize::try_from(key % count as u64).unwrap_or_default();
        let pick = (first..first + count).find_map(|index| {
            let index = index % count;
            let send = self.0[index].send.read().clone()?;
            let number = self.0[index].number.load(Ordering::Acquire);
            Some(Pick {
                index,
                number,
                send,
            })
        })?;
        self.count(&pick);
        Some(pick)
    }

    /// One call more on that lane.
    pub(super) fn count(&self, pick: &Pick) {
        let calls = self.0[pick.index].calls.fetch_add(1, Ordering::Relaxed);
        let share = CALLS_OF_A_LANE / self.0.len() as u64;
        if calls == CALLS_OF_A_LANE + share * pick.index as u64 {
            self.replace(pick);
        }
    }

    /// The stream of `key`, or the next one that takes connections.
    pub(super) fn stream(&self, key: u64) -> Option<Arc<stream::Lane>> {
        let count = self.0.len();
        let first = usize::try_from(key % count as u64).unwrap_or_default();
        (first..first + count)
            .filter_map(|index| self.0[index % count].stream.read().clone())
            .find(|lane| lane.is_open())
    }

    /// Tells the handler on each stream that the pod is about to go.
    pub(super) fn drain(&self, within: Duration) {
        let streams = self.0.iter().filter_map(|slot| slot.stream.read().clone());
        streams.for_each(|stream| stream.drain(within));
    }

    /// The lane takes no more calls, unless it has been replaced already.
    pub(super) fn replace(&self, pick: &Pick) {
        let slot = &self.0[pick.index];
        if slot.number.load(Ordering::Acquire) == pick.number {
            slot.due.notify_one();
        }
    }

    /// Waits until the lane is to be replaced.
    pub(super) async fn due(&self, index: usize) {
        self.0[index].due.notified().await;
    }

    /// A new connection takes the place.
    pub(super) fn open(&self, index: usize, lane: &lane::Open) {
        let slot = &self.0[index];
        *slot.send.write() = Some(lane.send.clone());
        slot.stream.write().clone_from(&lane.stream);
        slot.calls.store(0, Ordering::Relaxed);
        slot.number.fetch_add(1, Ordering::AcqRel);
        // What was said of the lane before.
        let _ = slot.due.notified().now_or_never();
    }

    /// From now on the lane takes no calls. It ends in order once its last call is answered.
    pub(super) fn close(&self, index: usize) -> Option<SendRequest<Parcel>> {
        *self.0[index].stream.write() = None;
        self.0[index].send.write().take()
    }

    /// The same of all lanes.
    pub(super) fn close_all(&self) {
        for index in 0..self.0.len() {
            drop(self.close(index));
        }
    }
}
