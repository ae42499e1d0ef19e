//! Frames between two bytes, with escapes for these inside.
//!
//! Each frame has its own start and end. Where both are the same byte, two of them with nothing between are filling:
//! the second one may always start a frame, which also finds the way back into a stream after an error.

use bytes::Bytes;
use config::{Escape, Flag};

use super::{Cut, FrameError, State};

/// The frame at the front; the first `seen` bytes hold no end.
pub(super) fn cut(rules: &Flag, max: usize, head: &[u8], seen: usize) -> Cut {
    if !is(head[0], rules.start) {
        return Cut::Bad {
            error: FrameError::Garbage { byte: head[0] },
            len: 0,
            then: State::Discarding,
        };
    }
    let within = &head[..head.len().min(max)];
    let mut at = seen.max(1);
    while let Some(&byte) = within.get(at) {
        if is(byte, rules.end) {
            if at == 1 && rules.start == rules.end {
                return Cut::Drop {
                    len: 1,
                    then: State::Ready,
                };
            }
            return frame(rules, &head[..=at]);
        }
        if is(byte, rules.start) {
            return Cut::Bad {
                error: FrameError::Unfinished,
                len: at,
                then: State::Ready,
            };
        }
        at += match (escape(rules, byte), within.get(at + 1)) {
            (false, _) => 1,
            (true, None) => break,
            (true, Some(&second)) if meant(rules, [byte, second]).is_some() => 2,
            // On the wire as it is: what the handler makes of it is its own affair.
            (true, Some(_)) if !rules.unescape => 1,
            (true, Some(&second)) => {
                return Cut::Bad {
                    error: FrameError::BadEscape {
                        written: [byte, second],
                    },
                    len: at + 1,
                    then: State::Discarding,
                };
            }
        };
    }
    if within.len() < max {
        return Cut::More { seen: at };
    }
    Cut::Bad {
        error: FrameError::TooLarge { max },
        len: within.len(),
        then: State::Discarding,
    }
}

/// The way to the next start.
pub(super) fn resume(rules: &Flag, head: &[u8]) -> Cut {
    match head.iter().position(|byte| is(*byte, rules.start)) {
        Some(len) => Cut::Drop {
            len,
            then: State::Ready,
        },
        None => Cut::Drop {
            len: head.len(),
            then: State::Discarding,
        },
    }
}

fn frame(rules: &Flag, wire: &[u8]) -> Cut {
    let content = if rules.unescape {
        unescaped(rules, &wire[1..wire.len() - 1]).into()
    } else {
        Bytes::copy_from_slice(wire)
    };
    Cut::Frame {
        len: wire.len(),
        content,
    }
}

fn unescaped(rules: &Flag, mut wire: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(wire.len());
    while let [first, rest @ ..] = wire {
        let escape = rest
            .first()
            .filter(|_| escape(rules, *first))
            .and_then(|second| meant(rules, [*first, *second]));
        content.push(escape.unwrap_or(*first));
        wire = if escape.is_some() { &rest[1..] } else { rest };
    }
    content
}

fn is(byte: u8, flag: u32) -> bool {
    u32::from(byte) == flag
}

/// Whether an escape begins with the byte.
fn escape(rules: &Flag, byte: u8) -> bool {
    rules.escapes.iter().any(|escape| escape.written[0] == byte)
}

fn meant(rules: &Flag, written: [u8; 2]) -> Option<u8> {
    let found = |escape: &&Escape| escape.written == written;
    rules.escapes.iter().find(found).map(|escape| escape.meant)
}
