//! The ordered stream: many connections on one gRPC stream to a handler. The rules that both sides keep stand in
//! `proto/exproto/stream/v1/stream.proto`.
//!
//! A lane is one stream, driven by one task. An attachment is one connection's share in it, and outlives it: it
//! remembers which commands were accepted and which events were shown, so that the next lane goes on from there.

/// One connection's share in a lane.
mod attachment;
/// What is counted.
mod counts;
/// What keeps a stream going.
mod driver;
/// Batches as they come from the handler.
mod frames;
/// What both sides say first.
mod hello;
/// One stream, and what is attached to it.
mod lane;
/// Batches that wait for the handler.
mod outgoing;

use std::time::Duration;

pub(super) use self::driver::{Ended, open};
pub use self::{
    attachment::{Attachment, News, Outcome, Shown, Target},
    counts::Counts,
    lane::Lane,
};

/// What a pod says of itself to every handler.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Its name.
    pub pod: String,
    /// When it started: connections of another epoch are gone.
    pub epoch: u64,
    /// Where its adapter is, for handlers; empty where nobody knows.
    pub adapter_address: String,
}

/// How streams are driven; see the configuration for the meaning of each.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who we are.
    pub identity: Identity,
    /// The credits of each connection's commands.
    pub commands: Credits,
    /// The largest batch that a handler may send.
    pub max_batch_bytes: usize,
    /// Bytes that may wait in a lane for the handler.
    pub buffer: usize,
    /// Between two signs of life.
    pub heartbeat: Duration,
}

impl Settings {
    /// As the configuration has them.
    pub(super) fn new(config: &config::Stream, identity: Identity) -> Self {
        Self {
            identity,
            commands: Credits::of_commands(config),
            max_batch_bytes: config.max_batch_bytes.bytes(),
            buffer: config.buffer.bytes(),
            heartbeat: config.heartbeat,
        }
    }
}

/// How much of one connection may be under way in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credits {
    /// Events or commands.
    pub count: usize,
    /// Bytes of them.
    pub bytes: usize,
}

impl Credits {
    /// Those of commands, as the configuration has them.
    #[must_use]
    pub fn of_commands(config: &config::Stream) -> Self {
        Self {
            count: config.max_commands as usize,
            bytes: config.max_command_bytes.bytes(),
        }
    }
}
