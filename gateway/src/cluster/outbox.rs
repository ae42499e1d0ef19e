//! What is published here on its way to Redis, in order: one task takes what has come, all at once, and sends it in one
//! piece. So order holds, and a busy pod sends large pieces without waiting for anything at a low load.

use std::collections::VecDeque;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::{
    Failure, Link,
    log::{Id, Keeper},
};

/// Items that are taken at once.
const PIECE: usize = 512;

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
            {
                let mut waiting = self.waiting.lock();
                if !waiting.items.is_empty() {
                    let count = waiting.items.len().min(PIECE);
                    let piece: Vec<_> = waiting.items.drain(..count).collect();
                    let size: usize = piece.iter().map(Item::size).sum();
                    waiting.bytes -= size;
                    return piece;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Sends what comes, for ever. `lost` is called with how many copies did not get through of messages that may be lost.
    pub(super) async fn send(&self, link: &Link, keeper: &Keeper, lost: impl Fn(u64)) {
        loop {
            let piece = self.take().await;
            // Polled in order, and so sent in order.
            let sent = join_all(piece.into_iter().map(|item| item.send(link, keeper)));
            let failed = sent.await.into_iter().sum();
            if failed > 0 {
                lost(failed);
            }
        }
    }
}

impl Item {
    /// Sends it. How many copies that may be lost were.
    async fn send(self, link: &Link, keeper: &Keeper) -> u64 {
        let Some(keeping) = self.kept else {
            let copies = [&self.channel].into_iter().chain(&self.inboxes);
            let payload = framed("", &self.sealed);
            let sent = join_all(copies.map(|channel| link.publish(channel, &payload)));
            return sent.await.iter().map(|sent| u64::from(sent.is_err())).sum();
        };
        let Keeping { log, at, reply } = *keeping;
        if reply.is_closed() {
            // Whoever published it has given up.
            return 0;
        }
        let kept = match at {
            Some(at) => Ok(at),
            None => keeper.keep(link, &log, &self.channel, &self.sealed).await,
        };
        let told = match kept {
            Err(failure) => Err(NotKept { at: None, failure }),
            Ok(at) => {
                let payload = framed(&at.to_string(), &self.sealed);
                let told = self
                    .inboxes
                    .iter()
                    .map(|inbox| link.publish(inbox, &payload));
                let told: Result<(), Failure> = join_all(told).await.into_iter().collect();
                told.map_err(|failure| NotKept {
                    at: Some(at),
                    failure,
                })
            }
        };
        let _ = reply.send(told);
        0
    }
}

/// What goes over a channel: the place in the log, if there is one, a blank, and the message.
pub(super) fn framed(id: &str, sealed: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(id.len() + 1 + sealed.len());
    payload.extend_from_slice(id.as_bytes());
    payload.push(b' ');
    payload.extend_from_slice(sealed);
    payload
}
