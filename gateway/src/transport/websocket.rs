//! A WebSocket as a socket that keeps the boundaries of messages.
//!
//! The upgrade and the format of frames are tungstenite's; messages are put together here, as its own buffers keep the
//! size of the largest message that ever passed, and an idle connection is to hold none.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use self::{
    inbox::{Found, Inbox},
    outbox::Outbox,
};
use super::{Batch, Received, Socket, stream::Abort};

/// A device's frames, and the messages in them.
mod inbox;
/// Frames for a device.
mod outbox;
/// The HTTP upgrade.
mod upgrade;

pub use self::upgrade::{Error, accept};

/// The most that is read at once. It lies on the stack.
const READ: usize = 16 * 1024;

/// A WebSocket whose upgrade is done. Binary messages are the device's; pings are answered, and anything else that is
/// against the rules is an error and closes it.
pub struct WebSocket<Io> {
    io: Io,
    state: State,
    inbox: Inbox,
    outbox: Outbox,
    /// An answer to the device waits, and nobody will ask to flush it.
    must_answer: bool,
    /// Bytes came, and that was not told yet.
    heard: bool,
    /// Bytes that came and were told neither as messages nor as none.
    unaccounted: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The device was told to leave, such as for breaking the rules. What it sends is dropped until it has understood.
    Refused,
    /// The device sends no more.
    Ended,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> WebSocket<Io> {
    fn new(io: Io, max_message: usize) -> Self {
        Self {
            io,
            state: State::Open,
            inbox: Inbox::new(max_message),
            outbox: Outbox::default(),
            must_answer: false,
            heard: false,
            unaccounted: 0,
        }
    }

    /// Whether the inbox has a message for the connection. Answers what needs no connection.
    fn take(&mut self, into: &mut ReadBuf<'_>) -> io::Result<Option<Received>> {
        loop {
            match self.inbox.next(into) {
                Ok(None) => return Ok(None),
                Ok(Some(Found::Message)) => {
                    self.unaccounted = self.unaccounted.saturating_sub(into.filled().len());
                    return Ok(Some(Received::Data));
                }
                Ok(Some(Found::Ping(payload))) => {
                    self.must_answer |= self.outbox.pong(payload);
                }
                Ok(Some(Found::Close(code))) => {
                    self.must_answer |= self.outbox.close(code, "");
                    self.state = State::Ended;
                    self.inbox.clear();
                    return Ok(Some(Received::End));
                }
                Err(violation) => {
                    self.must_answer |= self.outbox.close(Some(violation.code), violation.what);
                    self.state = State::Refused;
                    self.inbox.clear();
                    let what = format!("the device broke the rules: {}", violation.what);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, what));
                }
            }
        }
    }

    /// Writes what answers the device, as far as it goes now.
    fn answer(&mut self, cx: &mut Context<'_>) {
        if self.must_answer {
            // A failure will be found again by whoever writes; what the device has sent before is still read.
            self.must_answer = self.outbox.poll_drive(&mut self.io, cx).is_pending();
        }
    }

    /// Reads some bytes; none at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [MaybeUninit::<u8>::uninit(); READ];
        let mut space = ReadBuf::uninit(&mut space);
        match ready!(Pin::new(&mut self.io).poll_read(cx, &mut space)) {
            Ok(()) => {}
            // TLS calls it so where the device has left without a goodbye.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        if self.state == State::Open {
            self.inbox.extend(space.filled());
            self.unaccounted += space.filled().len();
        }
        Poll::Ready(Ok(space.filled().len()))
    }
}

impl<Io: AsyncRead + AsyncWrite + Abort + Unpin + Send + 'static> Socket for WebSocket<Io> {
    fn keeps_boundaries(&self) -> bool {
        true
    }

    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Received>> {
        loop {
            let found = match self.state {
                State::Open => self.take(into),
                State::Refused => Ok(None),
                State::Ended => Ok(Some(Received::End)),
            };
            self.answer(cx);
            if let Some(received) = found? {
                return Poll::Ready(Ok(received));
            }
            if std::mem::take(&mut self.heard) {
                // What may still become a message is told with it.
                let waiting = self.inbox.waiting().min(self.unaccounted);
                let overhead = self.unaccounted - waiting;
                self.unaccounted = waiting;
                return Poll::Ready(Ok(Received::Part(overhead)));
            }
            if ready!(self.poll_read(cx))? == 0 {
                self.state = State::Ended;
                self.inbox.clear();
            } else {
                self.heard = self.state == State::Open;
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, batch: Batch<'_>) -> Poll<io::Result<usize>> {
        if self.outbox.is_closed() {
            let what = "the WebSocket is closed already";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, what)));
        }
        ready!(self.outbox.poll_ready(&mut self.io, cx))?;
        let size = batch.size.min(batch.bytes.len());
        self.outbox.message(&batch.bytes[..size]);
        Poll::Ready(Ok(size))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outbox.poll_drive(&mut self.io, cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outbox.close(Some(CloseCode::Normal), "");
        if self.state == State::Open {
            // What still comes is waited for, and nobody's.
            self.state = State::Refused;
            self.inbox.clear();
        }
        ready!(self.outbox.poll_drive(&mut self.io, cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn abort(&mut self) {
        self.io.abort();
    }
}

#[cfg(test)]
mod tests;
