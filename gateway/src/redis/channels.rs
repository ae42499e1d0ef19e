//! Which channels the pod wants, and what is known of each: whether Redis was asked for it, and whether it confirmed.
//!
//! Channels are grouped by slot, as a cluster wants it. What a group has to say to Redis is taken in batches by the
//! connection of the slot's node; each connection is a session with a number of its own, so that what an earlier one
//! confirmed counts no more.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Failure, Slots, slots::slot_of};

/// A list that had more room than this gives it back once it is empty.
const MOST_SPARE: usize = 1024;

/// A connection that subscribes. 0 is none.
pub(super) type Session = u64;

/// All channels of the pod.
#[derive(Default)]
pub(super) struct Channels {
    groups: Mutex<HashMap<u16, Group>>,
    wanted: AtomicUsize,
}

#[derive(Default)]
struct Group {
    channels: HashMap<Arc<str>, Channel>,
    /// Those that may have something to say to Redis. Some are there in vain, or twice.
    todo: VecDeque<Arc<str>>,
}

struct Channel {
    wanted: bool,
    session: Session,
    phase: Phase,
    waiters: Vec<Weak<Ticket>>,
}

/// What was said to Redis in the channel's session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Nothing,
    Asked,
    Held,
    Leaving,
}

/// One thing to say to Redis about channels of one slot.
pub(super) struct Batch {
    pub(super) slot: u16,
    pub(super) subscribe: bool,
    pub(super) channels: Vec<Arc<str>>,
}

/// Whoever waits until channels are subscribed.
#[derive(Default)]
pub(super) struct Ticket {
    left: AtomicUsize,
    failure: Mutex<Option<Failure>>,
    done: Notify,
}

impl Ticket {
    /// Waits until Redis has confirmed all of them, or refused one.
    pub(super) async fn settled(&self) -> Result<(), Failure> {
        loop {
            let done = self.done.notified();
            if let Some(failure) = self.failure.lock().clone() {
                return Err(failure);
            }
            if self.left.load(Ordering::Acquire) == 0 {
                return Ok(());
            }
            done.await;
        }
    }

    fn one_less(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_one();
        }
    }

    fn fail(&self, failure: &Failure) {
        self.failure.lock().get_or_insert_with(|| failure.clone());
        self.done.notify_one();
    }
}

impl Channels {
    /// Wants these from now on. `holds` says which session is good for a slot. Also tells the slots that have something
    /// to say now.
    pub(super) fn want(
        &self,
        names: &[String],
        holds: impl Fn(u16) -> Session,
    ) -> (Arc<Ticket>, Slots) {
        let ticket = Arc::new(Ticket::default());
        let mut touched = Slots::none();
        let mut groups = self.groups.lock();
        for name in names {
            let slot = slot_of(name.as_bytes());
            let group = groups.entry(slot).or_default();
            let name: Arc<str> = name.as_str().into();
            let channel = group.channels.entry(name.clone()).or_insert(Channel::NEW);
            if !std::mem::replace(&mut channel.wanted, true) {
                self.wanted.fetch_add(1, Ordering::Relaxed);
            }
            if channel.phase == Phase::Held && channel.session == holds(slot) {
                continue;
            }
            ticket.left.fetch_add(1, Ordering::AcqRel);
            // Those who gave up are no more.
            channel.waiters.retain(|each| each.strong_count() > 0);
            channel.waiters.push(Arc::downgrade(&ticket));
            group.todo.push_back(name);
            touched.insert(slot);
        }
        (ticket, touched)
    }

    /// Wants these no more. Tells the slots that have something to say now.
    pub(super) fn forget(&self, names: &[String]) -> Slots {
        let mut touched = Slots::none();
        let mut groups = self.groups.lock();
        for name in names {
            let slot = slot_of(name.as_bytes());
            let Some(group) = groups.get_mut(&slot) else {
                continue;
            };
            if let Some((name, channel)) = group.channels.get_key_value(name.as_str())
                && channel.wanted
            {
                let name = name.clone();
                let channel = group.channels.get_mut(&name).expect("it was just seen");
                channel.wanted = false;
                self.wanted.fetch_sub(1, Ordering::Relaxed);
                channel.settle();
                group.todo.push_back(name);
                touched.insert(slot);
            }
        }
        touched
    }

    /// All channels of a slot have to be subscribed to anew. Whether there are any.
    pub(super) fn begin(&self, slot: u16) -> bool {
        let mut groups = self.groups.lock();
        let Some(group) = groups.get_mut(&slot) else {
            return false;
        };
        group.channels.retain(|_, channel| channel.wanted);
        for channel in group.channels.values_mut() {
            (channel.phase, channel.session) = (Phase::Nothing, 0);
        }
        group.todo = group.channels.keys().cloned().collect();
        !group.todo.is_empty()
    }

    /// What a slot has to say next in this session, about at most so many channels.
    pub(super) fn next(&self, slot: u16, session: Session, most: usize) -> Option<Batch> {
        let mut groups = self.groups.lock();
        let group = groups.get_mut(&slot)?;
        let mut batch = Batch {
            slot,
            subscribe: true,
            channels: Vec::new(),
        };
        while batch.channels.len() < most
            && let Some(name) = group.todo.pop_front()
        {
            let Some(channel) = group.channels.get_mut(&name) else {
                continue;
            };
            let phase = channel.phase_in(session);
            let holds = matches!(phase, Phase::Asked | Phase::Held);
            if channel.wanted == holds {
                continue;
            }
            if !channel.wanted && phase == Phase::Nothing {
                group.channels.remove(&name);
                continue;
            }
            if !channel.wanted && phase == Phase::Leaving {
                continue;
            }
            // One command does one thing.
            if !batch.channels.is_empty() && batch.subscribe != channel.wanted {
                group.todo.push_front(name);
                break;
            }
            batch.subscribe = channel.wanted;
            channel.session = session;
            channel.phase = if channel.wanted {
                Phase::Asked
            } else {
                Phase::Leaving
            };
            batch.channels.push(name);
        }
        if group.channels.is_empty() {
            groups.remove(&slot);
        } else if group.todo.is_empty() && group.todo.capacity() > MOST_SPARE {
            group.todo = VecDeque::new();
        }
        (!batch.channels.is_empty()).then_some(batch)
    }

    /// Redis has confirmed what was said about a channel.
    pub(super) fn confirmed(&self, slot: u16, session: Session, name: &str, subscribed: bool) {
        let mut groups = self.groups.lock();
        let Some(group) = groups.get_mut(&slot) else {
            return;
        };
        let Some(channel) = group.channels.get_mut(name) else {
            return;
        };
        match (subscribed, channel.phase_in(session)) {
            (true, Phase::Asked) => {
                channel.phase = Phase::Held;
                channel.settle();
            }
            (false, Phase::Leaving) if channel.wanted => channel.phase = Phase::Nothing,
            (false, Phase::Leaving) => {
                group.channels.remove(name);
            }
            // It was said something else meanwhile, which Redis will confirm.
            _ => {}
        }
    }

    /// The channel is subscribed to no more, although nobody asked for that.
    pub(super) fn taken_away(&self, slot: u16, session: Session, name: &str) {
        let mut groups = self.groups.lock();
        if let Some(group) = groups.get_mut(&slot)
            && let Some((name, channel)) = group.channels.get_key_value(name)
            && channel.phase_in(session) == Phase::Held
        {
            let name = name.clone();
            group
                .channels
                .get_mut(&name)
                .expect("it was just seen")
                .phase = Phase::Nothing;
            group.todo.push_back(name);
        }
    }

    /// Redis did not do what a batch asked for. With `failure` whoever waits is told so, and it is not tried again in
    /// this session; without, it is to be said again.
    pub(super) fn undone(&self, batch: &Batch, session: Session, failure: Option<&Failure>) {
        let mut groups = self.groups.lock();
        let Some(group) = groups.get_mut(&batch.slot) else {
            return;
        };
        for name in &batch.channels {
            let Some(channel) = group.channels.get_mut(name) else {
                continue;
            };
            let asked = if batch.subscribe {
                Phase::Asked
            } else {
                Phase::Leaving
            };
            if channel.phase_in(session) != asked {
                continue;
            }
            channel.phase = Phase::Nothing;
            match failure {
                Some(failure) => {
                    for waiter in channel.waiters.drain(..) {
                        if let Some(waiter) = waiter.upgrade() {
                            waiter.fail(failure);
                        }
                    }
                }
                None => group.todo.push_back(name.clone()),
            }
        }
    }

    /// The slots with channels.
    pub(super) fn slots(&self) -> Slots {
        self.groups.lock().keys().copied().collect()
    }

    /// How many are wanted.
    pub(super) fn count(&self) -> usize {
        self.wanted.load(Ordering::Relaxed)
    }
}

impl Channel {
    const NEW: Self = Self {
        wanted: false,
        session: 0,
        phase: Phase::Nothing,
        waiters: Vec::new(),
    };

    fn phase_in(&self, session: Session) -> Phase {
        if self.session == session {
            self.phase
        } else {
            Phase::Nothing
        }
    }

    fn settle(&mut self) {
        for waiter in self.waiters.drain(..) {
            if let Some(waiter) = waiter.upgrade() {
                waiter.one_less();
            }
        }
    }
}

#[cfg(test)]
mod tests;
