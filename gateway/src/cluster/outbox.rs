//! What is published here on its way to Redis, in order: one task takes what has come, all at once, and sends it in one
//! piece. So order holds, and a busy pod sends large pieces without waiting for anything at a low load.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::{
    Failure, Link,
    log::{Id, Keeper},
};
use crate::redis::Piece;

/// Items that are taken at once, and their bytes.
const PIECE: usize = 512;
const PIECE_BYTES: usize = 1 << 20;

/// What waits, bounded.
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    filled: Notify,
    limits: Limits,
}

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

#[derive(Default)]
struct Waiting {
    items: VecDeque<Item>,
    bytes: usize,
}

/// A message, sealed, and where it goes.
pub(super) struct Item {
    pub(super) sealed: Vec<u8>,
    /// Where those listen who subscribed to its very topic.
    pub(super) channel: String,
    /// Where the others are told.
    pub(super) inboxes: Vec<String>,
    /// Where it is kept, if it must not be lost.
    pub(super) kept: Option<Box<Keeping>>,
}

/// A message that must not be lost, on its way into a log and to others.
pub(super) struct Keeping {
    /// The log.
    pub(super) log: String,
    /// Where it stands there, if an earlier try has come that far.
    pub(super) at: Option<Id>,
    /// Who waits for it.
    pub(super) reply: oneshot::Sender<Result<(), NotKept>>,
}

/// A try that failed.
#[derive(Debug)]
pub(super) struct NotKept {
    /// Where it stands in the log, if it does.
    pub(super) at: Option<Id>,
    pub(super) failure: Failure,
}

impl Item {
    fn size(&self) -> usize {
        let names = self.inboxes.iter().map(String::len).sum::<usize>();
        self.sealed.len() + self.channel.len() + names
    }
}

impl Outbox {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            waiting: Mutex::default(),
            filled: Notify::new(),
            limits,
        }
    }

    /// Takes it, if there is room.
    pub(super) fn add(&self, item: Item) -> Result<(), Item> {
        let size = item.size();
        let mut waiting = self.waiting.lock();
        let is_full = waiting.items.len() >= self.limits.messages
            || (waiting.bytes + size > self.limits.bytes && !waiting.items.is_empty());
        if is_full {
            return Err(item);
        }
        waiting.bytes += size;
        waiting.items.push_back(item);
        drop(waiting);
        self.filled.notify_one();
        Ok(())
    }

    async fn take(&self) -> Vec<Item> {
        loop {
            if let Some(piece) = self.try_take() {
                return piece;
            }
            self.filled.notified().await;
        }
    }

    fn try_take(&self) -> Option<Vec<Item>> {
        let mut waiting = self.waiting.lock();
        let mut bytes = 0;
        let fits = |item: &&Item| {
            bytes += item.size();
            bytes <= PIECE_BYTES
        };
        let count = waiting.items.iter().take(PIECE).take_while(fits).count();
        // One that is larger goes alone.
        let count = count.max(1).min(waiting.items.len());
        let piece: Vec<_> = waiting.items.drain(..count).collect();
        waiting.bytes -= piece.iter().map(Item::size).sum::<usize>();
        (!piece.is_empty()).then_some(piece)
    }

    /// Sends what comes, for ever. `lost` is called with how many copies did not get through of messages that may be lost.
    pub(super) async fn send(&self, link: &Link, keeper: &Keeper, lost: impl Fn(u64)) {
        loop {
            let failed = send(self.take().await, link, keeper).await;
            if failed > 0 {
                lost(failed);
            }
        }
    }
}

/// Sends these in order. How many copies that may be lost were.
async fn send(items: Vec<Item>, link: &Link, keeper: &Keeper) -> u64 {
    let mut piece = link.piece();
    // Of some of those that must not be lost, whoever published them has given up.
    let items = items.into_iter().filter(|item| !item.is_given_up());
    let items: Vec<_> = items.collect();
    for item in &items {
        item.write(&mut piece, keeper);
    }
    let mut answers = link.send(piece).await.into_iter();
    let mut lost = 0;
    let mut kept = Vec::new();
    for item in items {
        let copies = item.inboxes.len();
        let Some(keeping) = item.kept else {
            let copies = answers.by_ref().take(1 + copies);
            lost += copies.filter(Result::is_err).count() as u64;
            continue;
        };
        let Keeping { log, at, reply } = *keeping;
        let at = match at {
            Some(at) => Ok(at),
            None => match answers.next() {
                Some(answer) => {
                    let message = (&*log, &*item.channel, &*item.sealed);
                    keeper.kept(link, answer, message).await
                }
                None => Err(Failure::Lost),
            },
        };
        match at {
            Ok(at) => kept.push((at, item.sealed, item.inboxes, reply)),
            Err(failure) => drop(reply.send(Err(NotKept { at: None, failure }))),
        }
    }
    tell(kept, link).await;
    lost
}

/// A message that a log has: where, its copy for inboxes, these, and who waits until they have it.
type Kept = (
    Id,
    Vec<u8>,
    Vec<String>,
    oneshot::Sender<Result<(), NotKept>>,
);

/// Tells the inboxes of messages that logs have.
async fn tell(kept: Vec<Kept>, link: &Link) {
    let mut piece = link.piece();
    for (at, sealed, inboxes, _) in &kept {
        let at = at.to_string();
        for inbox in inboxes {
            piece.publish(inbox, &[at.as_bytes(), BLANK, sealed]);
        }
    }
    let mut answers = link.send(piece).await.into_iter();
    for (at, _, inboxes, reply) in kept {
        let told = answers.by_ref().take(inboxes.len());
        let told: Result<Vec<_>, Failure> = told.collect();
        let _ = reply.send(told.map(drop).map_err(|failure| NotKept {
            at: Some(at),
            failure,
        }));
    }
}

impl Item {
    fn is_given_up(&self) -> bool {
        let kept = self.kept.as_ref();
        kept.is_some_and(|keeping| keeping.reply.is_closed())
    }

    /// What is to be done first: all of it, or that a log takes it.
    fn write(&self, piece: &mut Piece, keeper: &Keeper) {
        match &self.kept {
            None => {
                for channel in [&self.channel].into_iter().chain(&self.inboxes) {
                    piece.publish(channel, &[BLANK, &self.sealed]);
                }
            }
            Some(keeping) if keeping.at.is_none() => {
                keeper.write(piece, &keeping.log, &self.channel, &self.sealed);
            }
            Some(_) => {}
        }
    }
}

/// Between a place in the log, if there is one, and the message.
pub(super) const BLANK: &[u8] = b" ";

/// What goes over a channel: the place in the log, if there is one, a blank, and the message.
pub(super) fn framed(id: &str, sealed: &[u8]) -> Vec<u8> {
    [id.as_bytes(), BLANK, sealed].concat()
}
