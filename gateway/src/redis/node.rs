//! The servers that take part, and which slots each has.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{Problem, Slots, access::Address, channels::Session, commands::Commands, slots::SLOTS};

/// Where a server is found.
pub(super) enum Place {
    /// Always there.
    Fixed(Address),
    /// Where sentinels say; nowhere yet.
    Master(watch::Receiver<Option<Address>>),
}

/// One server that takes writes, and the two connections to it.
pub(super) struct Node {
    pub(super) place: Place,
    /// The connection for commands, while it stands.
    pub(super) commands: ArcSwapOption<Commands>,
    /// Whether `commands` is there.
    pub(super) up: watch::Sender<bool>,
    /// The connection that subscribes, while it stands; 0 without one.
    pub(super) session: AtomicU64,
    /// Whether all subscriptions were confirmed in this session.
    pub(super) standing: AtomicBool,
    /// What slots have to say.
    pub(super) inbox: Mutex<Inbox>,
    /// The inbox has something.
    pub(super) wake: Notify,
    /// Why a connection is not there: the one for commands, the one that subscribes.
    pub(super) problems: Mutex<[Option<Problem>; 2]>,
    /// How often its connections were to be made anew by order.
    pub(super) again: watch::Sender<u64>,
    /// Nobody needs it any more.
    pub(super) left: CancellationToken,
}

/// What others leave for the connection that subscribes.
#[derive(Default)]
pub(super) struct Inbox {
    /// Slots that have something to say.
    pub(super) dirty: BTreeSet<u16>,
    /// Slots that were another node's.
    pub(super) adopted: BTreeSet<u16>,
}

impl Node {
    pub(super) fn new(place: Place, left: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            place,
            commands: ArcSwapOption::empty(),
            up: watch::Sender::new(false),
            session: AtomicU64::new(0),
            standing: AtomicBool::new(false),
            inbox: Mutex::default(),
            wake: Notify::new(),
            problems: Mutex::default(),
            again: watch::Sender::new(0),
            left,
        })
    }

    /// The session that is good for its channels.
    pub(super) fn session(&self) -> Session {
        self.session.load(Relaxed)
    }

    /// Where it is, once that is known.
    pub(super) async fn address(&self) -> Address {
        match &self.place {
            Place::Fixed(address) => return address.clone(),
            Place::Master(says) => {
                if let Ok(address) = says.clone().wait_for(Option::is_some).await
                    && let Some(address) = &*address
                {
                    return address.clone();
                }
            }
        }
        // Nobody says any more: the link ends.
        std::future::pending().await
    }

    /// Ends when it is found elsewhere.
    pub(super) async fn moved_from(&self, address: &Address) {
        if let Place::Master(says) = &self.place {
            let elsewhere = |now: &Option<Address>| now.as_ref().is_some_and(|now| now != address);
            if says.clone().wait_for(elsewhere).await.is_ok() {
                return;
            }
        }
        std::future::pending::<()>().await;
    }

    /// Why it cannot be used as a whole.
    pub(super) fn trouble(&self) -> Option<Problem> {
        let [commands, subscriptions] = self.problems.lock().clone();
        if self.commands.load().is_none() {
            return Some(commands.unwrap_or(Problem::New));
        }
        if !self.standing.load(Relaxed) {
            return Some(subscriptions.unwrap_or(Problem::New));
        }
        None
    }

    /// Why no command can be sent.
    pub(super) fn away(&self) -> Problem {
        self.problems.lock()[0].clone().unwrap_or(Problem::New)
    }

    pub(super) fn leave(&self, slots: impl IntoIterator<Item = u16>, adopted: bool) {
        {
            let mut inbox = self.inbox.lock();
            if adopted {
                inbox.adopted.extend(slots);
            } else {
                inbox.dirty.extend(slots);
            }
        }
        self.wake.notify_one();
    }
}

/// Which node has which slot.
pub(super) struct Map {
    pub(super) nodes: Vec<Arc<Node>>,
    /// For each slot an index of `nodes`, or `NOBODY`.
    pub(super) owners: Box<[u16]>,
    /// Why it is not known at all, or no more.
    pub(super) trouble: Option<Problem>,
}

pub(super) const NOBODY: u16 = u16::MAX;

impl Map {
    /// Nothing is known yet.
    pub(super) fn unknown() -> Self {
        Self {
            nodes: Vec::new(),
            owners: vec![NOBODY; usize::from(SLOTS)].into(),
            trouble: Some(Problem::New),
        }
    }

    /// One node has everything.
    pub(super) fn of_one(node: Arc<Node>) -> Self {
        Self {
            nodes: vec![node],
            owners: vec![0; usize::from(SLOTS)].into(),
            trouble: None,
        }
    }

    pub(super) fn owner(&self, slot: u16) -> Option<&Arc<Node>> {
        self.nodes.get(usize::from(self.owners[usize::from(slot)]))
    }

    pub(super) fn owned(&self, node: &Arc<Node>) -> Slots {
        let mine = |slot: &u16| {
            self.owner(*slot)
                .is_some_and(|owner| Arc::ptr_eq(owner, node))
        };
        (0..SLOTS).filter(mine).collect()
    }

    /// The node at a fixed address.
    pub(super) fn at(&self, address: &Address) -> Option<&Arc<Node>> {
        let there = |node: &&Arc<Node>| matches!(&node.place, Place::Fixed(at) if at == address);
        self.nodes.iter().find(there)
    }

    pub(super) fn trouble(&self) -> Option<Problem> {
        let troubles = || self.nodes.iter().find_map(|node| node.trouble());
        self.trouble.clone().or_else(troubles).or_else(|| {
            let orphan = (0..SLOTS).find(|&slot| self.owner(slot).is_none());
            orphan.map(|slot| Problem::NoOwner { slot })
        })
    }
}
