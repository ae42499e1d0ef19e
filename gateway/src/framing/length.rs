//! Frames whose header tells their length.

use bytes::Bytes;
use config::{Endianness, Length};

use super::{Cut, FrameError, State};

/// The frame at the front. A frame that is too large is not waited for: its length tells how much to skip.
pub(super) fn cut(rules: &Length, max: usize, head: &[u8]) -> Cut {
    let (offset, width) = (rules.offset as usize, rules.width as usize);
    let Some(number) = head.get(offset..offset + width) else {
        return Cut::More { seen: 0 };
    };
    let number = value(number, rules.endianness);
    let Some(total) = total(rules, number) else {
        return Cut::Bad {
            error: FrameError::BadLength { number },
            len: 0,
            then: State::Broken,
        };
    };
    match usize::try_from(total) {
        Ok(total) if total <= max => {
            let Some(frame) = head.get(..total) else {
                return Cut::More { seen: 0 };
            };
            let strip = (rules.strip as usize).min(total);
            Cut::Frame {
                len: total,
                content: Bytes::copy_from_slice(&frame[strip..]),
            }
        }
        _ => Cut::Bad {
            error: FrameError::TooLarge { max },
            len: 0,
            then: State::Skipping(total),
        },
    }
}

/// How many bytes the whole frame has. `None` if that is less than its header, or beyond all bounds.
fn total(rules: &Length, number: u64) -> Option<u64> {
    let header = u64::from(rules.offset) + u64::from(rules.width);
    number
        .checked_add_signed(rules.adjustment.into())?
        .checked_add(header)
}

fn value(bytes: &[u8], endianness: Endianness) -> u64 {
    let append = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    match endianness {
        Endianness::Big => bytes.iter().fold(0, append),
        Endianness::Little => bytes.iter().rev().fold(0, append),
    }
}
