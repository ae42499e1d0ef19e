//! Frames for a device.
//!
//! Bounded: a message is taken while less than `ENOUGH` waits. Nothing is held while it is empty.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BufMut as _, BytesMut};
use tokio::io::AsyncWrite;
use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{CloseCode, Control, Data, OpCode},
};

/// Small messages are written together up to here; with this much waiting none is taken.
const ENOUGH: usize = 16 * 1024;

/// What waits to be written.
#[derive(Default)]
pub(super) struct Outbox {
    /// Whole frames, but for what was written of the first.
    bytes: BytesMut,
    /// The answer to the last ping, which waits for the frames before it. Older ones need none.
    pong: Option<Vec<u8>>,
    /// A write is not done until it was flushed: TLS keeps records back.
    unflushed: bool,
    /// A close frame is the last of all.
    closed: bool,
}

impl Outbox {
    /// Whether a close frame was taken; then nothing is taken any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The bytes that wait.
    #[cfg(test)]
    pub(super) fn waits(&self) -> usize {
        self.bytes.len() + self.pong.as_ref().map_or(0, Vec::len)
    }

    /// The memory that is held.
    #[cfg(test)]
    pub(super) fn holds(&self) -> usize {
        self.bytes.capacity() + self.pong.as_ref().map_or(0, Vec::capacity)
    }

    /// Takes a binary message, after [`Outbox::poll_ready`].
    pub(super) fn message(&mut self, payload: &[u8]) {
        self.frame(OpCode::Data(Data::Binary), payload);
    }

    /// Takes the answer to a ping. False: nothing is to be answered any more.
    pub(super) fn pong(&mut self, payload: Vec<u8>) -> bool {
        if !self.closed {
            self.pong = Some(payload);
        }
        !self.closed
    }

    /// Takes a close frame; at most 123 bytes say why. False: there was one before.
    pub(super) fn close(&mut self, code: Option<CloseCode>, why: &str) -> bool {
        if self.closed {
            return false;
        }
        self.closed = true;
        self.pong = None;
        let mut payload = Vec::new();
        if let Some(code) = code {
            payload.extend(u16::from(code).to_be_bytes());
            payload.extend(why.as_bytes());
        }
        self.frame(OpCode::Control(Control::Close), &payload);
        true
    }

    fn frame(&mut self, opcode: OpCode, payload: &[u8]) {
        let header = FrameHeader {
            opcode,
            ..FrameHeader::default()
        };
        let length = payload.len() as u64;
        self.bytes.reserve(header.len(length) + payload.len());
        header
            .format(length, &mut (&mut self.bytes).writer())
            .expect("a buffer takes all");
        self.bytes.extend_from_slice(payload);
    }

    /// Ready when there is room for a message.
    pub(super) fn poll_ready(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.bytes.len() < ENOUGH {
            Poll::Ready(Ok(()))
        } else {
            self.poll_write(io, ENOUGH - 1, cx)
        }
    }

    /// Writes and flushes everything.
    pub(super) fn poll_drive(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_write(io, 0, cx))?;
        if let Some(pong) = self.pong.take() {
            self.frame(OpCode::Control(Control::Pong), &pong);
            ready!(self.poll_write(io, 0, cx))?;
        }
        if self.unflushed {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.unflushed = false;
        }
        self.bytes = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    /// Writes until no more than `rest` bytes wait.
    fn poll_write(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        rest: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.bytes.len() > rest {
            let count = ready!(Pin::new(&mut *io).poll_write(cx, &self.bytes))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.bytes.advance(count);
            self.unflushed = true;
        }
        Poll::Ready(Ok(()))
    }
}
