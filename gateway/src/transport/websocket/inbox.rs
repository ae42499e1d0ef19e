//! A device's frames, and the messages in them.
//!
//! Bounded by what the device has sent of one message and one frame, not by what it announced. Nothing is held while
//! nothing is half received.

use std::io::Cursor;

use bytes::{Buf as _, BytesMut};
use tokio::io::ReadBuf;
use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{CloseCode, Control, Data, OpCode},
};

/// The longest payload of a ping, pong or close frame.
const LONGEST_CONTROL: u64 = 125;

/// What came and was not yet taken.
pub(super) struct Inbox {
    /// As it came: at most one frame of the longest that is taken, and what one read brought with it.
    raw: BytesMut,
    /// The frames so far of a message in several.
    message: Vec<u8>,
    /// Whether a message in several frames has begun.
    begun: bool,
    max_message: usize,
}

/// What a frame or more brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A binary message.
    Message,
    /// To be answered with this.
    Ping(Vec<u8>),
    /// The device's goodbye, to be answered with this code.
    Close(Option<CloseCode>),
}

/// What the device did against the rules, and the code that tells it.
#[derive(Debug)]
pub(super) struct Violation {
    pub(super) code: CloseCode,
    pub(super) what: &'static str,
}

impl Inbox {
    pub(super) fn new(max_message: usize) -> Self {
        Self {
            raw: BytesMut::new(),
            message: Vec::new(),
            begun: false,
            max_message,
        }
    }

    /// Appends what was read. To be called only when [`Inbox::next`] has found nothing.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
    }

    /// The bytes that wait for the rest of their message.
    pub(super) fn waiting(&self) -> usize {
        self.raw.len() + self.message.len()
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.max_message);
    }

    /// The memory that is held.
    #[cfg(test)]
    pub(super) fn holds(&self) -> usize {
        self.raw.capacity() + self.message.capacity()
    }

    /// The next thing that is complete; a message goes to `into`.
    pub(super) fn next(&mut self, into: &mut ReadBuf<'_>) -> Result<Option<Found>, Violation> {
        loop {
            let mut cursor = Cursor::new(&self.raw);
            let header = FrameHeader::parse(&mut cursor)
                .map_err(|_| protocol("a frame of an unknown kind"))?;
            let start = usize::try_from(cursor.position()).expect("it is within a buffer");
            let Some((header, length)) = header else {
                return Ok(None);
            };
            let room = into.remaining().min(self.max_message);
            let (mask, length) = self.check(&header, length, room)?;
            let Some(payload) = self.raw.get_mut(start..start + length) else {
                return Ok(None);
            };
            for (byte, mask) in payload.iter_mut().zip(mask.into_iter().cycle()) {
                *byte ^= mask;
            }
            let found = match header.opcode {
                OpCode::Control(Control::Ping) => Some(Found::Ping(payload.to_vec())),
                OpCode::Control(Control::Close) => Some(Found::Close(reply(payload))),
                OpCode::Control(_) => None,
                OpCode::Data(_) if header.is_final => {
                    into.put_slice(&self.message);
                    into.put_slice(payload);
                    self.message = Vec::new();
                    self.begun = false;
                    Some(Found::Message)
                }
                OpCode::Data(_) => {
                    self.message.extend_from_slice(payload);
                    self.begun = true;
                    None
                }
            };
            self.raw.advance(start + length);
            if self.raw.is_empty() {
                self.raw = BytesMut::new();
            }
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// The mask and the length of a frame, before its payload is there.
    fn check(
        &self,
        header: &FrameHeader,
        length: u64,
        room: usize,
    ) -> Result<([u8; 4], usize), Violation> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(protocol("a frame of an extension"));
        }
        let mask = header.mask.ok_or(protocol("a frame without a mask"))?;
        match header.opcode {
            OpCode::Control(_) if !header.is_final || length > LONGEST_CONTROL => {
                return Err(protocol("a control frame that is too long or in pieces"));
            }
            OpCode::Data(Data::Text) => {
                return Err(Violation {
                    code: CloseCode::Unsupported,
                    what: "a text message; only binary messages are taken",
                });
            }
            OpCode::Data(Data::Continue) if !self.begun => {
                return Err(protocol("a message without its beginning"));
            }
            OpCode::Data(Data::Binary) if self.begun => {
                return Err(protocol("a message before the end of the last"));
            }
            _ => {}
        }
        let room = room.saturating_sub(self.message.len());
        match usize::try_from(length) {
            Ok(length) if length <= room || matches!(header.opcode, OpCode::Control(_)) => {
                Ok((mask, length))
            }
            _ => Err(Violation {
                code: CloseCode::Size,
                what: "a message that is too large",
            }),
        }
    }
}

fn protocol(what: &'static str) -> Violation {
    Violation {
        code: CloseCode::Protocol,
        what,
    }
}

/// The code that answers a close frame: its own, unless that is none.
fn reply(payload: &[u8]) -> Option<CloseCode> {
    if payload.is_empty() {
        return None;
    }
    let reply = match payload.split_first_chunk() {
        Some((_, reason)) if std::str::from_utf8(reason).is_err() => CloseCode::Invalid,
        Some((code, _)) => CloseCode::from(u16::from_be_bytes(*code)),
        None => CloseCode::Protocol,
    };
    Some(if reply.is_allowed() {
        reply
    } else {
        CloseCode::Protocol
    })
}
