//! A connection's commands until they are done, and the steps that they belong to.

use std::{collections::VecDeque, ops::Range};

use proto::stream::{Attach, Close, Command, command::Kind};

use super::lane::Limits;
use crate::Error;

/// What a command counts beside its contents. It is more than what it takes of a batch beside them.
const COMMAND: usize = 64;

/// Commands of one connection.
pub(super) struct Outbox {
    conn: u64,
    /// Of the lane that counts, or of the last one.
    limits: Limits,
    /// The last command of another process, while they wait to be carried out: nobody here knows how much they hold.
    inherited: Option<u64>,
    /// The number of the next command.
    next: u64,
    /// The last command that the lane was given.
    sent: u64,
    /// Commands that are not known to be done.
    issued: VecDeque<Issued>,
    issued_bytes: usize,
    /// While a callback runs: where its commands begin, which wait for its end.
    held_from: Option<u64>,
    held_bytes: usize,
}

struct Issued {
    command: Command,
    size: usize,
    /// A batch may end after this command: then the events up to this one are done.
    end: Option<u64>,
}

/// Commands that go into one batch with the acknowledgement of an event, so that both count or neither.
pub(super) struct Piece {
    commands: Range<usize>,
    /// What they take of a batch.
    pub(super) size: usize,
    /// The number of the last one.
    pub(super) last: u64,
    /// The event that is done with them, as are all before it.
    pub(super) done: u64,
}

impl Outbox {
    pub(super) fn new(limits: Limits, attach: &Attach) -> Self {
        Self {
            conn: attach.conn,
            limits,
            inherited: (attach.commands_accepted > attach.commands_done)
                .then_some(attach.commands_accepted),
            next: attach.commands_accepted + 1,
            sent: attach.commands_accepted,
            issued: VecDeque::new(),
            issued_bytes: 0,
            held_from: None,
            held_bytes: 0,
        }
    }

    /// Another lane counts: what its gateway has not accepted is to be said again.
    pub(super) fn rewind(&mut self, limits: Limits, attach: &Attach) {
        self.limits = limits;
        self.sent = attach.commands_accepted;
    }

    /// Nothing more is said.
    pub(super) fn clear(&mut self) {
        self.issued = VecDeque::new();
        self.issued_bytes = 0;
    }

    /// The connection has ended: of what may have to be said again only `raw_publish` has an effect, and the others are
    /// but their numbers. It may be kept for long.
    pub(super) fn lighten(&mut self) {
        for each in &mut self.issued {
            if !matches!(each.command.kind, Some(Kind::RawPublish(_))) {
                each.command.kind = Some(Kind::Close(Close {}));
                each.command.result = false;
            }
        }
    }

    /// The number of the last command; 0 for none.
    pub(super) fn last(&self) -> u64 {
        self.next - 1
    }

    /// Whether a command of that size fits into a batch.
    pub(super) fn fits(&self, size: usize) -> Result<(), Error> {
        let limit = self.limits.largest;
        if size > limit {
            let (size, limit) = (size - COMMAND, limit - COMMAND);
            return Err(Error::TooLarge { size, limit });
        }
        Ok(())
    }

    /// Whether the credits allow a command of that size.
    pub(super) fn has_room(&self, size: usize) -> bool {
        let Limits {
            commands,
            command_bytes,
            ..
        } = self.limits;
        self.inherited.is_none()
            && (self.issued.is_empty()
                || self.issued.len() < commands && self.issued_bytes + size <= command_bytes)
    }

    /// Whether it would not go into one batch with what the callback that runs has given, and with what others say.
    pub(super) fn overflows(&self, size: usize) -> bool {
        self.held_bytes > 0 && self.held_bytes + size > self.limits.batch / 2
    }

    /// Gives a command its number.
    pub(super) fn add(&mut self, kind: Kind, size: usize, result: bool) -> u64 {
        let seq = self.next;
        self.next += 1;
        self.issued_bytes += size;
        self.held_bytes += if self.is_held() { size } else { 0 };
        self.issued.push_back(Issued {
            command: Command {
                conn: self.conn,
                seq,
                result,
                kind: Some(kind),
            },
            size,
            end: None,
        });
        seq
    }

    /// Whether a callback runs.
    pub(super) fn is_held(&self) -> bool {
        self.held_from.is_some()
    }

    /// A callback begins: what it gives waits for its end.
    pub(super) fn hold(&mut self) {
        self.held_from = Some(self.next);
        self.held_bytes = 0;
    }

    /// What was given until now may go out, where events up to `done` are done.
    pub(super) fn cut(&mut self, done: u64) {
        if let Some(last) = self.issued.back_mut() {
            last.end.get_or_insert(done);
        }
        if self.held_from.is_some() {
            self.hold();
        }
    }

    /// A callback has ended, as have all events up to `done`.
    pub(super) fn release(&mut self, done: u64) {
        self.cut(done);
        self.held_from = None;
    }

    /// What is to be said next, if anything.
    pub(super) fn next(&self) -> Option<Piece> {
        let until = self.held_from.unwrap_or(self.next);
        let first = self
            .issued
            .partition_point(|each| each.command.seq <= self.sent);
        let mut size = 0;
        for (index, each) in self.issued.iter().enumerate().skip(first) {
            if each.command.seq >= until {
                return None;
            }
            size += each.size;
            if let Some(done) = each.end {
                return Some(Piece {
                    commands: first..index + 1,
                    size,
                    last: each.command.seq,
                    done,
                });
            }
        }
        None
    }

    /// Those commands, which count as said from now on.
    pub(super) fn say(&mut self, piece: &Piece) -> impl Iterator<Item = Command> {
        self.sent = piece.last;
        let commands = self.issued.range(piece.commands.clone());
        commands.map(|each| each.command.clone())
    }

    /// Commands up to this one were carried out.
    pub(super) fn forget(&mut self, done: u64) {
        while let Some(first) = self.issued.front()
            && first.command.seq <= done
        {
            self.issued_bytes -= first.size;
            self.issued.pop_front();
        }
        if self.issued.is_empty() {
            // An idle connection holds nothing.
            self.issued = VecDeque::new();
        }
        self.inherited = self.inherited.filter(|last| *last > done);
    }
}

/// What a command uses up of the credits.
pub(super) fn size(kind: &Kind) -> usize {
    COMMAND
        + match kind {
            Kind::Send(bytes) | Kind::State(bytes) => bytes.len(),
            Kind::Publish(publish) | Kind::RawPublish(publish) => {
                publish.topic.len() + publish.payload.len()
            }
            Kind::Subscribe(subscribe) => subscribe.topic.len(),
            Kind::Unsubscribe(topic) => topic.len(),
            // As it is on the wire, or a little more.
            Kind::Authenticate(authenticate) => {
                let info = authenticate.clientinfo.as_ref();
                let info = info.map_or(0, |info| {
                    [
                        &info.proto_name,
                        &info.proto_ver,
                        &info.clientid,
                        &info.username,
                        &info.mountpoint,
                    ]
                    .map(|text| text.len() + 6)
                    .iter()
                    .sum()
                });
                info + authenticate.password.len() + 32
            }
            Kind::Close(_) | Kind::StartTimer(_) => 0,
        }
}
