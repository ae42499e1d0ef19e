//! Frames in a stream. What the chosen kind does not use may say anything.

use crate::{Flag, Framing, FramingKind, Length};

use super::One;

pub(super) fn check(one: &mut One) {
    let framing = &one.listener.framing;
    match framing.kind {
        FramingKind::None => return,
        FramingKind::Length => length(one, framing, &framing.length),
        FramingKind::Flag => flag(one, &framing.flag),
        FramingKind::Delimiter | FramingKind::Line => {}
    }
    one.fits_inbound("frame", "framing.max_frame", framing.max_frame);
}

fn length(one: &mut One, framing: &Framing, length: &Length) {
    let header = u64::from(length.offset) + u64::from(length.width);
    let smallest = header.saturating_add_signed(length.adjustment.max(0).into());
    if u64::from(length.strip) > smallest {
        let text = format!(
            "the smallest frame has {smallest} bytes (offset + width + adjustment); write no more"
        );
        one.add("framing.length.strip", text);
    }
    if smallest > framing.max_frame.bytes() as u64 {
        let text = format!(
            "no frame has less than {smallest} bytes (offset + width + adjustment of \
             framing.length); write that or more"
        );
        one.add("framing.max_frame", text);
    }
    let largest_number = u64::MAX >> (64 - 8 * length.width);
    if largest_number
        .checked_add_signed(length.adjustment.into())
        .is_none()
    {
        let text = format!(
            "a number of framing.length.width has {largest_number} at most, so every frame would \
             have less than no bytes; write {} or more",
            -i128::from(largest_number)
        );
        one.add("framing.length.adjustment", text);
    }
}

fn flag(one: &mut One, flag: &Flag) {
    let field = |index: usize| format!("framing.flag.escapes[{index}]");
    for (index, escape) in flag.escapes.iter().enumerate() {
        let twin = flag.escapes[..index]
            .iter()
            .position(|other| other.written == escape.written || other.meant == escape.meant);
        if let Some(twin) = twin {
            let text = format!(
                "{escape} and {} cannot both be undone; remove one",
                flag.escapes[twin]
            );
            one.add(&field(index), text);
        }
        let first = u32::from(escape.written[0]);
        if first == flag.start || first == flag.end {
            let text = format!(
                "{escape} begins with the byte that starts or ends a frame; write an escape that \
                 begins with another"
            );
            one.add(&field(index), text);
        }
    }
    if flag.unescape {
        unescape(one, flag);
    }
}

/// What has a meaning in a frame must have an escape, or frames that hold it could not be sent.
fn unescape(one: &mut One, flag: &Flag) {
    let firsts = flag.escapes.iter().map(|escape| escape.written[0].into());
    let mut special: Vec<u32> = [flag.start, flag.end].into_iter().chain(firsts).collect();
    special.sort_unstable();
    special.dedup();
    for byte in special {
        if !flag
            .escapes
            .iter()
            .any(|escape| u32::from(escape.meant) == byte)
        {
            let text = format!(
                "none of them means the byte {byte:02x}, which cannot stand in a frame by itself; \
                 add one that ends with ={byte:02x}, or write framing.flag.unescape: false"
            );
            one.add("framing.flag.escapes", text);
        }
    }
}
