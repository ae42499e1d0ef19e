//! Bytes from the device on their way to the callbacks: read as there is room and as the rates allow, and cut into
//! frames where the listener says so.

use std::{
    cell::RefCell,
    io,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use tokio::io::ReadBuf;

use super::{CHUNK, callbacks::Callbacks, handle::Shared};
use crate::{
    admission::{Direction, Flow},
    framing::{FrameError, Framer},
    transport::{Received, Socket},
};

/// The way in of one connection.
pub(super) struct Inbound {
    shared: Arc<Shared>,
    /// The device may still send.
    reading: bool,
    framer: Option<Framer>,
    /// A rate stands in the way until then.
    resumes: Option<Instant>,
}

/// What reading came to.
pub(super) enum Read {
    /// Bytes came, or a frame of those that came before.
    Received,
    /// The device sends no more.
    End,
    /// What came is no frame. It was dropped, and where `true` nothing that follows can be told apart either.
    BadFrame(FrameError, bool),
    Failed(io::Error),
}

impl Inbound {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let framing = shared.settings.tuning().framing.clone();
        Self {
            shared,
            reading: true,
            framer: framing.and_then(Framer::new),
            resumes: None,
        }
    }

    /// Whether each `OnReceivedBytes` carries one message.
    pub(super) fn is_by_message(&self) -> bool {
        self.framer.is_some() || self.shared.keeps_boundaries
    }

    pub(super) fn is_reading(&self) -> bool {
        self.reading
    }

    /// Nothing more is read; frames that were read still come out by [`Inbound::refill`].
    pub(super) fn stop(&mut self) {
        self.reading = false;
    }

    /// When a rate lets more in, where that is what is waited for.
    pub(super) fn resumes(&self) -> Option<Instant> {
        self.resumes
    }

    /// Reads what there is room for.
    pub(super) fn poll(
        &mut self,
        socket: &mut dyn Socket,
        callbacks: &mut Callbacks,
        flow: Option<&Flow>,
        cx: &mut Context<'_>,
    ) -> Poll<Read> {
        thread_local! {
            /// An idle connection holds no buffer: the worker thread lends one for the moment.
            static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; CHUNK].into());
        }
        self.resumes = None;
        if !self.reading || callbacks.room() == 0 {
            return Poll::Pending;
        }
        let allowed = match allowance(flow) {
            Ok(allowed) => allowed,
            Err(resumes) => {
                self.resumes = Some(resumes);
                return Poll::Pending;
            }
        };
        if let Some(read) = self.next_frame(callbacks, flow) {
            return Poll::Ready(read);
        }
        let limit = if self.shared.keeps_boundaries {
            // A message comes as a whole or not at all.
            CHUNK
        } else {
            callbacks.room().min(CHUNK).min(allowed)
        };
        BUFFER.with_borrow_mut(|buffer| {
            let mut chunk = ReadBuf::new(&mut buffer[..limit]);
            let received = ready!(socket.poll_receive(cx, &mut chunk));
            Poll::Ready(self.take(received, chunk.filled(), callbacks, flow))
        })
    }

    /// What was received goes to the callbacks, or to the framer.
    fn take(
        &mut self,
        received: io::Result<Received>,
        chunk: &[u8],
        callbacks: &mut Callbacks,
        flow: Option<&Flow>,
    ) -> Read {
        let counts = &self.shared.settings.counts;
        match received {
            Ok(Received::Message(bytes)) => {
                counts.bytes_received(bytes.len());
                spend(flow, bytes.len(), 1);
                callbacks.received_message(bytes);
                Read::Received
            }
            Ok(Received::Data) => {
                counts.bytes_received(chunk.len());
                if let Some(framer) = &mut self.framer {
                    spend(flow, chunk.len(), 0);
                    framer.push(chunk);
                } else {
                    spend(flow, chunk.len(), 1);
                    callbacks.received(chunk);
                }
                Read::Received
            }
            Ok(Received::Part(bytes)) => {
                spend(flow, bytes, 0);
                Read::Received
            }
            Ok(Received::End) => {
                self.reading = false;
                Read::End
            }
            Err(error) => {
                self.reading = false;
                Read::Failed(error)
            }
        }
    }

    /// Hands the next frame over, if one is whole.
    fn next_frame(&mut self, callbacks: &mut Callbacks, flow: Option<&Flow>) -> Option<Read> {
        let framer = self.framer.as_mut()?;
        Some(match framer.next()? {
            Ok(frame) => {
                spend(flow, 0, 1);
                callbacks.received_message(frame);
                Read::Received
            }
            Err(error) => {
                self.shared.settings.counts.bad_frame();
                let fatal = framer.is_broken();
                if fatal {
                    self.framer = None;
                    self.reading = false;
                }
                Read::BadFrame(error, fatal)
            }
        })
    }

    /// Hands over the next frame that was read before reading stopped. Whether something waits for the handler now.
    pub(super) fn refill(&mut self, callbacks: &mut Callbacks) -> bool {
        while callbacks.room() > 0 {
            match self.next_frame(callbacks, None) {
                Some(Read::Received) => return true,
                Some(_) => {}
                None => return false,
            }
        }
        true
    }
}

fn allowance(flow: Option<&Flow>) -> Result<usize, Instant> {
    match flow {
        Some(flow) if !flow.is_unlimited() => flow.allowance(Direction::In, Instant::now()),
        _ => Ok(usize::MAX),
    }
}

fn spend(flow: Option<&Flow>, bytes: usize, messages: u32) {
    if let Some(flow) = flow
        && !flow.is_unlimited()
    {
        flow.spend(Direction::In, bytes, messages, Instant::now());
    }
}
