//! Frames that end with certain bytes, and lines, which are frames that end with a line feed.

use bytes::Bytes;
use config::{Framing, FramingKind};

use super::{Cut, FrameError, State};

/// What ends a frame, and what is taken off its end.
pub(super) struct Rules<'a> {
    delimiter: &'a [u8],
    strip: bool,
    strip_return: bool,
}

impl<'a> Rules<'a> {
    pub(super) fn new(settings: &'a Framing) -> Self {
        let is_line = settings.kind == FramingKind::Line;
        Self {
            delimiter: if is_line {
                b"\n"
            } else {
                &settings.delimiter.bytes.0
            },
            strip: is_line || settings.delimiter.strip,
            strip_return: is_line,
        }
    }

    /// The frame at the front; the first `seen` bytes hold no start of a delimiter.
    pub(super) fn cut(&self, max: usize, head: &[u8], seen: usize) -> Cut {
        let within = &head[..head.len().min(max)];
        // The delimiter may have begun, so its bytes but one are looked at again.
        let seen_now = within.len().saturating_sub(self.delimiter.len() - 1);
        match find(&within[seen..], self.delimiter) {
            Some(at) => self.frame(head, seen + at),
            None if within.len() < max => Cut::More {
                seen: seen_now.max(seen),
            },
            None => Cut::Bad {
                error: FrameError::TooLarge { max },
                len: seen_now,
                then: State::Discarding,
            },
        }
    }

    /// The way to the end of a frame that is dropped.
    pub(super) fn resume(&self, head: &[u8]) -> Cut {
        if let Some(at) = find(head, self.delimiter) {
            return Cut::Drop {
                len: at + self.delimiter.len(),
                then: State::Ready,
            };
        }
        match head.len().saturating_sub(self.delimiter.len() - 1) {
            0 => Cut::More { seen: 0 },
            len => Cut::Drop {
                len,
                then: State::Discarding,
            },
        }
    }

    fn frame(&self, head: &[u8], at: usize) -> Cut {
        let len = at + self.delimiter.len();
        let mut content = if self.strip {
            &head[..at]
        } else {
            &head[..len]
        };
        if self.strip_return {
            content = content.strip_suffix(b"\r").unwrap_or(content);
        }
        Cut::Frame {
            len,
            content: Bytes::copy_from_slice(content),
        }
    }
}

/// Where the delimiter first stands whole.
fn find(bytes: &[u8], delimiter: &[u8]) -> Option<usize> {
    let (first, last_start) = (delimiter[0], bytes.len().checked_sub(delimiter.len())?);
    let mut from = 0;
    while from <= last_start {
        let at = from
            + bytes[from..=last_start]
                .iter()
                .position(|byte| *byte == first)?;
        if bytes[at..].starts_with(delimiter) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}
