//! One stream to a handler, and the connections that are attached to it.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use parking_lot::Mutex;
use proto::stream::{Ack, Attach, Command, Drain, Event, GatewayBatch, HandlerBatch};

use super::{
    Attachment, Counts, Credits, Settings,
    attachment::{Shown, Taken},
    hello::Hello,
    outgoing::Outgoing,
};

/// One stream. It takes connections until its handler says goodbye, and carries events until it has ended.
pub struct Lane {
    /// No two lanes of a process have the same.
    pub(super) serial: u64,
    pub(super) outgoing: Arc<Outgoing>,
    hello: Hello,
    pub(super) counts: Arc<Counts>,
    pub(super) attached: Mutex<HashMap<u64, Arc<Attachment>>>,
    leaving: AtomicBool,
    ended: AtomicBool,
}

impl Lane {
    pub(super) fn new(hello: Hello, settings: &Settings, counts: Arc<Counts>) -> Arc<Self> {
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self {
            serial: SERIAL.fetch_add(1, Relaxed),
            outgoing: Arc::new(Outgoing::new(settings.buffer, hello.max_batch)),
            hello,
            counts,
            attached: Mutex::default(),
            leaving: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        })
    }

    /// The handler's process.
    #[must_use]
    pub fn instance(&self) -> &Arc<str> {
        &self.hello.instance
    }

    /// The credits of each connection's events, where the handler wants fewer than `ours`.
    #[must_use]
    pub fn credits(&self, ours: Credits) -> Credits {
        let fewer = |theirs: usize, ours: usize| if theirs == 0 { ours } else { theirs.min(ours) };
        Credits {
            count: fewer(self.hello.events.count, ours.count),
            bytes: fewer(self.hello.events.bytes, ours.bytes),
        }
    }

    /// Whether connections may be attached to it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.leaving.load(Acquire) && !self.has_ended()
    }

    /// Whether the handler has said goodbye: it is told nothing more, and acknowledges what it was told.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Acquire)
    }

    /// Whether nothing comes or goes any more. What is attached must go elsewhere.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.load(Acquire)
    }

    /// Introduces a connection: `attach` is filled up with what its attachment remembers. False where the lane has ended
    /// meanwhile.
    pub fn attach(&self, attachment: &Arc<Attachment>, mut attach: Attach) -> bool {
        let mut attached = self.attached.lock();
        // With the table locked: whoever ends the lane looks at it after that.
        if !self.is_open() {
            return false;
        }
        attached.insert(attachment.conn(), attachment.clone());
        let Shown {
            accepted,
            done,
            state,
            actor,
        } = attachment.link(self);
        attach.commands_accepted = accepted;
        attach.commands_done = done;
        attach.state = state;
        if let Some(actor) = actor {
            actor.as_ref().clone_into(&mut attach.instance);
        }
        self.outgoing.push(&GatewayBatch {
            attaches: vec![attach],
            ..GatewayBatch::default()
        });
        true
    }

    /// Nothing more is to be said of the connection, or heard.
    pub fn detach(&self, attachment: &Attachment) {
        attachment.unlink();
        let mut attached = self.attached.lock();
        attached.remove(&attachment.conn());
        if attached.is_empty() && self.is_leaving() {
            // The last one has gone.
            self.outgoing.wake();
        }
    }

    /// Whether there is room for an event; else the connection is woken when there is some.
    #[must_use]
    pub fn has_room(&self, attachment: &Arc<Attachment>) -> bool {
        self.outgoing.has_room(attachment)
    }

    /// Sends an event of an attached connection.
    pub fn show(&self, attachment: &Attachment, event: Event) {
        let counter = if event.resent {
            &self.counts.resent
        } else {
            &self.counts.events
        };
        counter.fetch_add(1, Relaxed);
        attachment.show(event);
    }

    /// Tells the handler that the pod is about to go.
    pub(in crate::handler) fn drain(&self, within: Duration) {
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        self.outgoing.push(&GatewayBatch {
            drain: Some(Drain { within_ms }),
            ..GatewayBatch::default()
        });
    }

    fn attachment(&self, conn: u64) -> Option<Arc<Attachment>> {
        self.attached.lock().get(&conn).cloned()
    }

    /// Takes all of a batch. The commands first: an acknowledgement may be what makes a connection go.
    pub(super) fn take(&self, batch: HandlerBatch) -> Result<(), String> {
        if batch.hello.is_some() {
            return Err("the handler said hello twice".to_owned());
        }
        self.counts.batches_received.fetch_add(1, Relaxed);
        for command in batch.commands {
            self.command(command);
        }
        for ack in batch.acks {
            self.acknowledge(ack);
        }
        if let Some(goodbye) = batch.goodbye
            && !self.leaving.swap(true, Release)
        {
            tracing::info!(reason = goodbye.reason, "a handler says goodbye");
            self.wake_all();
        }
        Ok(())
    }

    fn command(&self, command: Command) {
        let counts = &self.counts;
        let taken = match self.attachment(command.conn) {
            Some(attachment) => attachment.accept(self.serial, command),
            None => Taken::Stray,
        };
        let counter = match taken {
            Taken::Yes => &counts.commands,
            Taken::Repeated => &counts.repeated_commands,
            Taken::Stray => &counts.strays,
            Taken::Fault => &counts.faults,
        };
        counter.fetch_add(1, Relaxed);
    }

    fn acknowledge(&self, ack: Ack) {
        let taken = match self.attachment(ack.conn) {
            Some(attachment) => attachment.acknowledge(self.serial, ack),
            None => Taken::Stray,
        };
        match taken {
            Taken::Yes | Taken::Repeated => {}
            Taken::Stray => drop(self.counts.strays.fetch_add(1, Relaxed)),
            Taken::Fault => drop(self.counts.faults.fetch_add(1, Relaxed)),
        }
    }

    /// All of them as they are now, with the table open to others.
    fn attachments(&self) -> Vec<Arc<Attachment>> {
        self.attached.lock().values().cloned().collect()
    }

    fn wake_all(&self) {
        for each in self.attachments() {
            each.wake();
        }
    }

    /// What handlers would not hear of otherwise: there is nothing else to say of these connections.
    pub(super) fn tell_progress(&self) {
        for each in self.attachments() {
            each.tell();
        }
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Release);
        self.outgoing.close();
        let attached = std::mem::take(&mut *self.attached.lock());
        for each in attached.values() {
            each.wake();
        }
    }
}
