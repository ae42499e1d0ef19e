//! A stream cut into frames, so that one `OnReceivedBytes` carries exactly one. Stands between what was read from a
//! socket and what waits for the handler, and never touches the socket itself.
//!
//! What comes out depends on the bytes alone, never on how they were split on their way. Each byte is looked at once,
//! and a frame without an end takes no more memory than the largest frame.

use std::sync::Arc;

use bytes::Bytes;
use config::{Framing, FramingKind};

use self::backlog::Backlog;

/// Bytes that wait for the rest of their frame.
mod backlog;
/// Frames that end with certain bytes.
mod delimiter;
/// Frames between two bytes.
mod flag;
/// Frames whose header tells their length.
mod length;

/// Cuts the stream of one connection. Push what was read, then take frames until there is none.
#[derive(Debug)]
pub struct Framer {
    settings: Arc<Framing>,
    backlog: Backlog,
    state: State,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It is larger than allowed.
    #[error("a frame has more than {max} bytes; raise framing.max_frame if the device may send it")]
    TooLarge {
        /// The largest allowed.
        max: usize,
    },

    /// Its header tells a length that no frame can have, so nobody knows where the next one starts.
    #[error(
        "a frame tells its length as {number}, which framing.length.adjustment makes impossible"
    )]
    BadLength {
        /// What the header says.
        number: u64,
    },

    /// There are bytes between two frames.
    #[error("the byte {byte:#04x} stands between frames, where only framing.flag.start may stand")]
    Garbage {
        /// The first of them.
        byte: u8,
    },

    /// The next frame starts inside it.
    #[error("a frame starts before the one before it has ended")]
    Unfinished,

    /// It has bytes that begin like an escape and are none.
    #[error("a frame has the escape {:02x}{:02x}, which is not in framing.flag.escapes", written[0], written[1])]
    BadEscape {
        /// The bytes.
        written: [u8; 2],
    },
}

impl FrameError {
    /// Whether no frame can be found after it, whatever `framing.on_error` says.
    #[must_use]
    pub fn is_fatal(self) -> bool {
        matches!(self, Self::BadLength { .. })
    }
}

/// Where in the stream its front is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A frame starts here.
    Ready,
    /// Inside of what was reported as bad; up to where a frame may start, bytes are dropped.
    Discarding,
    /// So many bytes are dropped before the next frame starts.
    Skipping(u64),
    /// No frame will be found any more.
    Broken,
}

/// What was found at the front of the stream.
enum Cut {
    /// Nothing whole. `seen` bytes need not be looked at again.
    More { seen: usize },
    /// A frame that takes `len` bytes of the stream.
    Frame { len: usize, content: Bytes },
    /// `len` bytes that are no frame, to be reported.
    Bad {
        error: FrameError,
        len: usize,
        then: State,
    },
    /// `len` bytes that nobody needs to hear of.
    Drop { len: usize, then: State },
}

impl Framer {
    /// `None` where the settings cut nothing.
    #[must_use]
    pub fn new(settings: Arc<Framing>) -> Option<Self> {
        (settings.kind != FramingKind::None).then(|| Self {
            settings,
            backlog: Backlog::default(),
            state: State::Ready,
        })
    }

    /// Takes bytes that were read. Frames of earlier ones should have been taken out before, as nothing else bounds
    /// what waits.
    pub fn push(&mut self, mut bytes: &[u8]) {
        match self.state {
            State::Broken => return,
            State::Skipping(left) if self.backlog.is_empty() => {
                let dropped = at_most(left, bytes.len());
                bytes = &bytes[dropped..];
                self.state = State::after_skipping(left, dropped);
            }
            _ => {}
        }
        self.backlog.push(bytes);
    }

    /// The next frame, or why there is none in the next bytes; each bad frame is told of once. `None`: more bytes are
    /// needed, or [`Framer::is_broken`].
    #[expect(
        clippy::should_implement_trait,
        reason = "there may be more after None"
    )]
    pub fn next(&mut self) -> Option<Result<Bytes, FrameError>> {
        loop {
            match self.cut() {
                Cut::More { seen } => {
                    self.backlog.settle(seen);
                    return None;
                }
                Cut::Frame { len, content } => {
                    self.backlog.consume(len);
                    return Some(Ok(content));
                }
                Cut::Drop { len, then } => {
                    self.backlog.consume(len);
                    self.state = then;
                }
                Cut::Bad { error, len, then } => {
                    if error.is_fatal() || self.settings.on_error == config::FrameError::Close {
                        self.state = State::Broken;
                        self.backlog = Backlog::default();
                    } else {
                        self.backlog.consume(len);
                        self.state = then;
                    }
                    return Some(Err(error));
                }
            }
        }
    }

    /// Whether the last error ended it all, by its kind or by `framing.on_error`: the connection is to be closed.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.state == State::Broken
    }

    /// How many bytes wait inside. After [`Framer::next`] had nothing more: fewer than the largest frame has.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.backlog.bytes().len()
    }

    fn cut(&self) -> Cut {
        let (settings, head, seen) = (&*self.settings, self.backlog.bytes(), self.backlog.seen());
        let max = settings.max_frame.bytes();
        let discarding = match self.state {
            _ if head.is_empty() => return Cut::More { seen: 0 },
            State::Broken => return Cut::More { seen },
            State::Skipping(left) => {
                let len = at_most(left, head.len());
                let then = State::after_skipping(left, len);
                return Cut::Drop { len, then };
            }
            State::Discarding => true,
            State::Ready => false,
        };
        match settings.kind {
            FramingKind::None => Cut::More { seen },
            FramingKind::Length => length::cut(&settings.length, max, head),
            FramingKind::Flag if discarding => flag::resume(&settings.flag, head),
            FramingKind::Flag => flag::cut(&settings.flag, max, head, seen),
            FramingKind::Delimiter | FramingKind::Line => {
                let rules = delimiter::Rules::new(settings);
                if discarding {
                    rules.resume(head)
                } else {
                    rules.cut(max, head, seen)
                }
            }
        }
    }
}

impl State {
    fn after_skipping(left: u64, dropped: usize) -> Self {
        match left - dropped as u64 {
            0 => Self::Ready,
            left => Self::Skipping(left),
        }
    }
}

fn at_most(count: u64, len: usize) -> usize {
    usize::try_from(count).map_or(len, |count| count.min(len))
}

#[cfg(test)]
mod tests;
