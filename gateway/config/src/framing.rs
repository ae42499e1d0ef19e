//! How a stream of bytes is cut into frames.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ByteSize,
    count::{Count, Signed},
    size::KibBetween,
    text::text,
};

/// How a stream is cut into frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Framing {
    /// What ends or bounds a frame.
    pub kind: FramingKind,

    /// The largest frame, with all that belongs to it on the wire: its delimiter, header or flags.
    /// `connection.inbound_limit` may not be less.
    #[serde(with = "KibBetween::<1, 64>")]
    pub max_frame: ByteSize,

    /// What follows a frame that is too large or malformed.
    pub on_error: FrameError,

    /// For kind delimiter.
    pub delimiter: Delimiter,

    /// For kind length.
    pub length: Length,

    /// For kind flag. Each frame has a start and an end of its own. Other bytes between two frames
    /// are malformed, and so is a start inside of a frame. Where start and end are the same byte,
    /// two of them with nothing between are ignored.
    pub flag: Flag,
}

impl Default for Framing {
    fn default() -> Self {
        Self {
            kind: FramingKind::None,
            max_frame: ByteSize::kib(64),
            on_error: FrameError::Close,
            delimiter: Delimiter::default(),
            length: Length::default(),
            flag: Flag::default(),
        }
    }
}

/// What ends or bounds a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FramingKind {
    /// Bytes are handed over as they come.
    #[default]
    None,
    /// Certain bytes end each frame.
    Delimiter,
    /// A number in the frame's header tells its length.
    Length,
    /// A byte starts each frame and a byte ends it; inside, both are escaped (as 0x7e in JT/T 808).
    Flag,
    /// A line feed ends each frame; it and a carriage return before it are taken off.
    Line,
}

/// What follows a bad frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FrameError {
    /// The connection is closed with `frame_error`; the frames before it are delivered.
    #[default]
    Close,
    /// It is dropped and counted, and the next frame is looked for. With kind length only a frame
    /// that is too large can be skipped: a length that no frame can have closes the connection all
    /// the same, as nothing tells where the next frame starts.
    Skip,
}

/// Frames that end with certain bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Delimiter {
    /// The bytes, 1 to 16 of them, in hexadecimal digits.
    pub bytes: HexBytes,

    /// Whether the handler gets frames without them.
    pub strip: bool,
}

impl Default for Delimiter {
    fn default() -> Self {
        Self {
            bytes: HexBytes(vec![b'\r', b'\n']),
            strip: false,
        }
    }
}

/// Frames whose header tells their length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Length {
    /// How many bytes stand before the number.
    #[serde(with = "Count::<0, 1024>")]
    pub offset: u32,

    /// How many bytes the number has. It has no sign.
    #[serde(with = "Count::<1, 8>")]
    pub width: u32,

    /// Which of its bytes comes first.
    pub endianness: Endianness,

    /// What to add to the number to have the count of bytes that follow it. A number that counts
    /// the whole frame, for example, needs minus `offset` minus `width`.
    #[serde(with = "Signed::<-65_536, 65_536>")]
    pub adjustment: i32,

    /// How many bytes to take off the front of each frame, such as its header. Not more than the
    /// smallest frame has: `offset`, `width`, and `adjustment` where it is above 0.
    #[serde(with = "Count::<0, 1024>")]
    pub strip: u32,
}

impl Default for Length {
    fn default() -> Self {
        Self {
            offset: 0,
            width: 2,
            endianness: Endianness::Big,
            adjustment: 0,
            strip: 0,
        }
    }
}

/// The order of a number's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Endianness {
    /// The most significant byte first (network order).
    #[default]
    Big,
    /// The least significant byte first.
    Little,
}

/// Frames between two bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Flag {
    /// The byte that starts a frame, as a decimal number: 126 is 0x7e.
    #[serde(with = "Count::<0, 255>")]
    pub start: u32,

    /// The byte that ends it; it may be the same.
    #[serde(with = "Count::<0, 255>")]
    pub end: u32,

    /// Escapes inside a frame, each `WRITTEN=MEANT` in hexadecimal digits: `7d02=7e` says that the
    /// bytes 7d 02 on the wire stand for the byte 7e.
    pub escapes: Vec<Escape>,

    /// `true`: the handler gets the frame without its start and end and with its escapes undone; a
    /// frame with bytes that begin like an escape and are none is malformed. `false`: it gets the
    /// frame as it was on the wire.
    pub unescape: bool,
}

impl Default for Flag {
    fn default() -> Self {
        Self {
            start: 0x7e,
            end: 0x7e,
            escapes: vec![
                Escape {
                    written: [0x7d, 0x01],
                    meant: 0x7d,
                },
                Escape {
                    written: [0x7d, 0x02],
                    meant: 0x7e,
                },
            ],
            unescape: false,
        }
    }
}

/// One escape: two bytes on the wire that stand for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Escape {
    /// The bytes on the wire.
    pub written: [u8; 2],
    /// The byte that they stand for.
    pub meant: u8,
}

text!(Escape, "an escape such as 7d02=7e");

impl fmt::Display for Escape {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        let [first, second] = self.written;
        write!(to, "{first:02x}{second:02x}={:02x}", self.meant)
    }
}

impl FromStr for Escape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split_once('=')
            .and_then(|(written, meant)| Some((hex(written)?, hex(meant)?)));
        match parts
            .as_ref()
            .map(|(written, meant)| (&written[..], &meant[..]))
        {
            Some((&[first, second], &[meant])) => Ok(Self {
                written: [first, second],
                meant,
            }),
            _ => Err(format!(
                "\"{text}\" is not an escape; write two bytes and the one that they mean, for example \
                 7d02=7e"
            )),
        }
    }
}

/// Some bytes, written in hexadecimal digits. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HexBytes(pub Vec<u8>);

text!(HexBytes, "bytes such as 0d0a");

impl fmt::Display for HexBytes {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(to, "{byte:02x}"))
    }
}

impl FromStr for HexBytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        hex(text)
            .filter(|bytes| (1..=16).contains(&bytes.len()))
            .map(Self)
            .ok_or_else(|| {
                format!(
                    "\"{text}\" are not 1 to 16 bytes; write two hexadecimal digits for each, for \
                     example 0d0a"
                )
            })
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_pairs_of_digits() {
        let bytes = |text: &str| text.parse::<HexBytes>().ok().map(|bytes| bytes.0);
        assert_eq!(bytes("0d0a"), Some(vec![13, 10]));
        assert_eq!(bytes("0D 0A"), Some(vec![13, 10]));
        for text in ["", "0", "0d0", "xy", "0x0d", &"00".repeat(17)] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn an_escape_is_two_bytes_for_one() {
        let shown = |text: &str| text.parse::<Escape>().ok().map(|escape| escape.to_string());
        assert_eq!(shown("7d02=7e").as_deref(), Some("7d02=7e"));
        for text in ["", "7d02", "7d=7e", "7d02=", "7d0203=7e", "7d02=7e7d"] {
            assert_eq!(shown(text), None, "{text}");
        }
    }
}
