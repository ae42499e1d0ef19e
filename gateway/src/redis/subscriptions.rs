//! The connection of a server that subscribes: what its slots have to say goes out in batches, messages go straight into
//! the queue. It never waits for the pod.

use std::{
    collections::{BTreeSet, VecDeque},
    io,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use redis::{PushKind, ServerErrorKind, Value};
use tokio::time::{self, Instant, MissedTickBehavior};

use super::{
    Failure, Slots,
    channels::{Batch, Session},
    commands::{Left, PING_AFTER, TICK},
    node::Node,
    shared::Shared,
    slots::slot_of,
    wire::{Item, Wire},
};

/// How many channels one command names.
const BATCH: usize = 512;
/// How many such commands may wait for Redis' answer, so that no answers pile up there.
const MOST_IN_FLIGHT: usize = 8;
/// The pause before a slot is asked for again that its node did not give.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// A connection that subscribes, from its login on.
pub(super) struct Subscriptions<'a> {
    shared: &'a Arc<Shared>,
    node: &'a Arc<Node>,
    session: Session,
    wire: Wire,
    in_flight: VecDeque<InFlight>,
    /// Slots that may have something to say.
    dirty: BTreeSet<u16>,
    /// Slots that were refused, and since when the first of them waits.
    later: BTreeSet<u16>,
    later_since: Instant,
    /// Slots that are not whole yet: `Again` is due for them.
    recovering: Slots,
    messages: Vec<(Bytes, Bytes)>,
}

enum InFlight {
    Ping,
    Batch {
        batch: Batch,
        /// How many of its channels are confirmed.
        confirmed: usize,
    },
}

impl<'a> Subscriptions<'a> {
    pub(super) fn new(
        shared: &'a Arc<Shared>,
        node: &'a Arc<Node>,
        session: Session,
        wire: Wire,
    ) -> Self {
        Self {
            shared,
            node,
            session,
            wire,
            in_flight: VecDeque::new(),
            dirty: BTreeSet::new(),
            later: BTreeSet::new(),
            later_since: Instant::now(),
            recovering: Slots::none(),
            messages: Vec::new(),
        }
    }

    /// Subscribes and receives until the connection is to be left.
    pub(super) async fn run(&mut self) -> Left {
        self.begin();
        let mut tick = time::interval(TICK);
        let mut retry = time::interval(AGAIN_AFTER);
        for interval in [&mut tick, &mut retry] {
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let node = self.node;
        let mut since = Instant::now();
        loop {
            if let Err(error) = self.receive(&mut since) {
                return Left::Broken(error);
            }
            self.say(&mut since);
            self.tell_if_whole();
            tokio::select! {
                moved = self.wire.moves() => {
                    if let Err(error) = moved {
                        // What came before the end counts.
                        let _ = self.receive(&mut since);
                        return Left::Broken(error);
                    }
                }
                () = node.wake.notified() => self.take_in(),
                _ = retry.tick(), if !self.later.is_empty() => {
                    if self.later_since.elapsed() >= AGAIN_AFTER {
                        self.dirty.append(&mut self.later);
                    }
                }
                _ = tick.tick() => {
                    if !self.look_after(&mut since) {
                        return Left::Silent;
                    }
                }
            }
        }
    }

    /// All that the slots of this node hold is to be subscribed to.
    fn begin(&mut self) {
        self.recovering = self.shared.owned(self.node);
        let mut filled = self.shared.channels.slots();
        filled.keep(&self.recovering);
        for slot in filled.iter() {
            if self.shared.channels.begin(slot) {
                self.dirty.insert(slot);
            }
        }
    }

    /// What others left for this node.
    fn take_in(&mut self) {
        let inbox = std::mem::take(&mut *self.node.inbox.lock());
        for &slot in &inbox.adopted {
            self.recovering.insert(slot);
            self.shared.channels.begin(slot);
        }
        self.dirty.extend(inbox.dirty);
        self.dirty.extend(inbox.adopted);
    }

    /// Says what there is to say, as far as it may.
    fn say(&mut self, since: &mut Instant) {
        while self.in_flight.len() < MOST_IN_FLIGHT
            && let Some(&slot) = self.dirty.first()
        {
            let ours = self.shared.owner_is(slot, self.node);
            let batch = ours
                .then(|| self.shared.channels.next(slot, self.session, BATCH))
                .flatten();
            let Some(batch) = batch else {
                self.dirty.remove(&slot);
                continue;
            };
            if self.in_flight.is_empty() {
                *since = Instant::now();
            }
            let verb = match (self.shared.is_cluster(), batch.subscribe) {
                (false, true) => "SUBSCRIBE",
                (false, false) => "UNSUBSCRIBE",
                (true, true) => "SSUBSCRIBE",
                (true, false) => "SUNSUBSCRIBE",
            };
            let mut command = redis::cmd(verb);
            for channel in &batch.channels {
                command.arg(&**channel);
            }
            self.wire.send(&command.get_packed_command());
            self.in_flight.push_back(InFlight::Batch {
                batch,
                confirmed: 0,
            });
        }
    }

    fn tell_if_whole(&mut self) {
        let idle = self.dirty.is_empty() && self.later.is_empty() && self.in_flight.is_empty();
        if !idle || self.recovering.is_empty() {
            return;
        }
        let mut whole = std::mem::replace(&mut self.recovering, Slots::none());
        whole.keep(&self.shared.owned(self.node));
        self.shared.queue.again(&whole);
        self.shared.stands(self.node);
    }

    /// Takes in what has come. `since` is when something was heard, or the first thing was asked.
    fn receive(&mut self, since: &mut Instant) -> io::Result<()> {
        let ended = loop {
            match self.wire.next() {
                Ok(Some(Item::Message { channel, payload })) => {
                    self.messages.push((channel, payload));
                }
                Ok(Some(Item::Value(value))) => {
                    // Marks and messages keep their order.
                    self.shared.queue.add(&mut self.messages);
                    *since = Instant::now();
                    if let Err(error) = self.value(value) {
                        break Err(error);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.shared.queue.add(&mut self.messages);
        ended
    }

    fn value(&mut self, value: Value) -> io::Result<()> {
        match value {
            Value::Push { kind, data } => {
                let subscribed = match kind {
                    PushKind::Subscribe | PushKind::SSubscribe => true,
                    PushKind::Unsubscribe | PushKind::SUnsubscribe => false,
                    _ => return Ok(()),
                };
                if let Some(Value::BulkString(name)) = data.first()
                    && let Ok(name) = str::from_utf8(name)
                {
                    self.changed(name, subscribed);
                }
                Ok(())
            }
            Value::ServerError(error) => match self.in_flight.pop_front() {
                Some(InFlight::Batch { batch, .. }) => {
                    self.refused(&batch, &error);
                    Ok(())
                }
                _ => Err(io::Error::other(format!(
                    "{} {}",
                    error.code(),
                    error.details().unwrap_or_default()
                ))),
            },
            _ => match self.in_flight.pop_front() {
                Some(InFlight::Ping) => Ok(()),
                _ => Err(io::Error::other("an answer to no question")),
            },
        }
    }

    /// Redis says that a channel is subscribed to, or no more: the next one that was asked for, or one that it took away
    /// by itself.
    fn changed(&mut self, name: &str, subscribed: bool) {
        if let Some(InFlight::Batch { batch, confirmed }) = self.in_flight.front_mut()
            && batch.subscribe == subscribed
            && &*batch.channels[*confirmed] == name
        {
            *confirmed += 1;
            let channels = &self.shared.channels;
            channels.confirmed(batch.slot, self.session, name, subscribed);
            if *confirmed == batch.channels.len() {
                self.in_flight.pop_front();
            }
        } else if !subscribed {
            let slot = slot_of(name.as_bytes());
            self.shared.channels.taken_away(slot, self.session, name);
            self.shared.queue.gap(&[slot].into_iter().collect());
            self.recovering.insert(slot);
            self.put_off(slot);
        }
    }

    fn refused(&mut self, batch: &Batch, error: &redis::ServerError) {
        let passes = matches!(
            error.kind(),
            Some(
                ServerErrorKind::Moved
                    | ServerErrorKind::Ask
                    | ServerErrorKind::TryAgain
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::BusyLoading
            )
        );
        if passes {
            self.shared.channels.undone(batch, self.session, None);
            self.put_off(batch.slot);
            return;
        }
        let failure = Failure::refused(error);
        tracing::warn!(%failure, "a subscription");
        let channels = &self.shared.channels;
        channels.undone(batch, self.session, Some(&failure));
    }

    /// Somebody else may have the slot now.
    fn put_off(&mut self, slot: u16) {
        if self.later.is_empty() {
            self.later_since = Instant::now();
        }
        self.later.insert(slot);
        self.shared.refresh.notify_one();
    }

    /// Whether the server is still there, as far as we know.
    fn look_after(&mut self, since: &mut Instant) -> bool {
        if !self.in_flight.is_empty() {
            return (*since).max(self.wire.heard).elapsed() <= self.shared.patience;
        }
        if self.wire.heard.elapsed() > PING_AFTER {
            *since = Instant::now();
            self.wire.send(b"*1\r\n$4\r\nPING\r\n");
            self.in_flight.push_back(InFlight::Ping);
        }
        true
    }
}
