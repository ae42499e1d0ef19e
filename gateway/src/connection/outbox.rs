//! Bytes that Send accepted and the socket has not yet taken.
//!
//! Bounded by permits: whoever sends takes them first, and they come back as the socket takes bytes. Nothing is held
//! while it is empty.

use std::{
    collections::VecDeque,
    io,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::sync::Semaphore;

use crate::transport::{Batch, Socket};

/// What a message takes besides its bytes, where boundaries are kept.
const MESSAGE: usize = 16;
/// The most messages of one length that are offered to the socket at once.
const RUN: usize = 64;

/// What a step has written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) bytes: usize,
    /// Messages that are whole now.
    pub(super) messages: u32,
}

/// Bytes on their way to the device.
pub(super) struct Outbox {
    bytes: BytesMut,
    /// The length of each message that one Send brought, or of what is left of it.
    sizes: VecDeque<u32>,
    /// Whether the socket keeps the boundaries of messages.
    keeps_boundaries: bool,
    limit: usize,
    /// Permits that belong to the bytes in here.
    held: usize,
    /// A write is not done until it was flushed: TLS keeps records back.
    unflushed: bool,
    /// Since when the socket has taken nothing although bytes wait.
    stalled: Option<Instant>,
    abandoned: bool,
}

impl Outbox {
    /// Holds up to `limit` bytes.
    pub(super) fn new(limit: usize, keeps_boundaries: bool) -> Self {
        Self {
            bytes: BytesMut::new(),
            sizes: VecDeque::new(),
            keeps_boundaries,
            limit,
            held: 0,
            unflushed: false,
            stalled: None,
            abandoned: false,
        }
    }

    /// Permits that a Send of `length` bytes takes. One that is larger than the whole outbox takes all of it.
    pub(super) fn permits(limit: usize, keeps_boundaries: bool, length: usize) -> u32 {
        let weight = if keeps_boundaries {
            length.saturating_add(MESSAGE)
        } else {
            length
        };
        u32::try_from(weight.min(limit)).expect("the configuration keeps the limit below 4 GiB")
    }

    /// Appends what a Send brought, with the permits it took. Once abandoned, gives them back at once.
    pub(super) fn push(&mut self, bytes: &Bytes, room: &Semaphore) {
        let permits = Self::permits(self.limit, self.keeps_boundaries, bytes.len()) as usize;
        if self.abandoned {
            room.add_permits(permits);
            return;
        }
        self.held += permits;
        self.bytes.extend_from_slice(bytes);
        let size = u32::try_from(bytes.len()).expect("gRPC messages are below 4 GiB");
        self.sizes.push_back(size);
    }

    /// The socket takes nothing any more: what waits and what comes is dropped.
    pub(super) fn abandon(&mut self, room: &Semaphore) {
        room.add_permits(std::mem::take(&mut self.held));
        self.bytes = BytesMut::new();
        self.sizes = VecDeque::new();
        self.unflushed = false;
        self.stalled = None;
        self.abandoned = true;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sizes.is_empty() && !self.unflushed
    }

    /// Since when the socket takes nothing.
    pub(super) fn stalled_since(&self) -> Option<Instant> {
        self.stalled
    }

    /// Writes some of what waits, or flushes where nothing waits; gives the permits back to `room`. With `most`, not
    /// more than one message, and of a stream not more than so many bytes. Ready with what was written. Cancel safe:
    /// what was done is kept in `self`.
    pub(super) fn poll_step(
        &mut self,
        socket: &mut dyn Socket,
        room: &Semaphore,
        most: Option<usize>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Written>> {
        let step = if self.sizes.is_empty() {
            self.poll_flush(socket, cx).map_ok(|()| Written::default())
        } else {
            self.poll_send(socket, room, most, cx)
        };
        if step.is_pending() {
            self.stalled.get_or_insert_with(Instant::now);
        } else {
            self.stalled = None;
        }
        step
    }

    /// Flushes what the socket has taken, also while more waits for a rate.
    pub(super) fn poll_flush(
        &mut self,
        socket: &mut dyn Socket,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unflushed {
            ready!(socket.poll_flush(cx))?;
            self.unflushed = false;
        }
        if self.sizes.is_empty() {
            // An idle connection holds nothing.
            self.bytes = BytesMut::new();
            self.sizes = VecDeque::new();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_send(
        &mut self,
        socket: &mut dyn Socket,
        room: &Semaphore,
        most: Option<usize>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Written>> {
        let batch = self.batch(most);
        let bytes = ready!(socket.poll_send(cx, batch))?;
        if bytes == 0 && !self.keeps_boundaries {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.bytes.advance(bytes);
        self.unflushed = true;
        let messages = self.forget(bytes);
        let overhead = if self.keeps_boundaries { MESSAGE } else { 0 };
        let still = (self.bytes.len() + self.sizes.len() * overhead).min(self.limit);
        if still < self.held {
            room.add_permits(self.held - still);
            self.held = still;
        }
        Poll::Ready(Ok(Written { bytes, messages }))
    }

    /// What to offer to the socket: where it keeps boundaries, the messages at the front that have one length and a
    /// shorter one after them.
    fn batch(&self, most: Option<usize>) -> Batch<'_> {
        let size = self.sizes.front().map_or(0, |size| *size as usize);
        let length = match (self.keeps_boundaries, most) {
            (false, None) => self.bytes.len(),
            (false, Some(most)) => size.min(most),
            (true, Some(_)) => size,
            (true, None) => self.run(size),
        };
        Batch {
            bytes: &self.bytes[..length],
            size,
        }
    }

    fn run(&self, size: usize) -> usize {
        let mut length = size;
        if size == 0 {
            return length;
        }
        for next in self.sizes.iter().skip(1).take(RUN - 1) {
            let next = *next as usize;
            if next > size || next == 0 {
                break;
            }
            length += next;
            if next < size {
                break;
            }
        }
        length
    }

    /// Takes so many bytes off the messages at the front, the first of which may be empty. Tells how many were
    /// finished by that.
    fn forget(&mut self, bytes: usize) -> u32 {
        let mut left = bytes;
        let mut finished = 0;
        while let Some(size) = self.sizes.front_mut() {
            let length = *size as usize;
            if length > left {
                *size -= u32::try_from(left).expect("less than a u32");
                break;
            }
            if length == 0 && finished > 0 {
                break;
            }
            left -= length;
            finished += 1;
            self.sizes.pop_front();
            if left == 0 {
                break;
            }
        }
        finished
    }
}

#[cfg(test)]
mod tests;
