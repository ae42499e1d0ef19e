//! One connection to Redis: bytes out, values of RESP3 in. It knows nothing of what is said.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use redis::{Cmd, Value, ValueCodec};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    time::Instant,
};
use tokio_util::codec::Decoder as _;

/// How much is read at once.
const CHUNK: usize = 64 << 10;
/// The most that one value may take. Redis sends no larger ones but to questions that nobody here asks.
const LARGEST: usize = 64 << 20;
/// The beginnings of messages, as Redis 7 and 8 write them.
const MESSAGES: [&[u8]; 2] = [b">3\r\n$7\r\nmessage\r\n", b">3\r\n$8\r\nsmessage\r\n"];

/// What carries the bytes.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What has come.
pub(super) enum Item {
    /// A message of a channel.
    Message {
        /// The channel's name.
        channel: Bytes,
        /// What was published.
        payload: Bytes,
    },
    /// Anything else.
    Value(Value),
}

/// A connection.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    decoder: Decoder,
    out: BytesMut,
    unflushed: bool,
    /// When bytes came for the last time.
    pub(super) heard: Instant,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self {
            stream,
            decoder: Decoder::default(),
            out: BytesMut::new(),
            unflushed: false,
            heard: Instant::now(),
        }
    }

    /// Bytes that wait to be written.
    pub(super) fn waiting(&self) -> usize {
        self.out.len()
    }

    /// Writes it with the next [`Wire::moves`].
    pub(super) fn send(&mut self, packed: &[u8]) {
        self.out.extend_from_slice(packed);
    }

    /// The next value that has come whole.
    pub(super) fn next(&mut self) -> io::Result<Option<Item>> {
        self.decoder.next()
    }

    /// Ends once something was written or has come. Dropped before, it has done nothing.
    pub(super) async fn moves(&mut self) -> io::Result<()> {
        poll_fn(|context| self.poll_moves(context)).await
    }

    /// One question and its answer, where nothing else is under way.
    pub(super) async fn ask(&mut self, question: &Cmd) -> io::Result<Value> {
        self.send(&question.get_packed_command());
        self.answer().await
    }

    /// The answer to the oldest question that was sent.
    pub(super) async fn answer(&mut self) -> io::Result<Value> {
        loop {
            match self.next()? {
                Some(Item::Value(Value::Push { .. }) | Item::Message { .. }) => {}
                Some(Item::Value(value)) => return Ok(value),
                None => self.moves().await?,
            }
        }
    }

    fn poll_moves(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut moved = false;
        while !self.out.is_empty() {
            match Pin::new(&mut self.stream).poll_write(context, &self.out)? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(written) => {
                    self.out.advance(written);
                    (moved, self.unflushed) = (true, true);
                }
                Poll::Pending => break,
            }
        }
        if self.unflushed && self.out.is_empty() {
            let flushed = Pin::new(&mut self.stream).poll_flush(context)?;
            self.unflushed = flushed.is_pending();
        }
        self.decoder.buffer.reserve(CHUNK);
        match pin!(self.stream.read_buf(&mut self.decoder.buffer)).poll(context)? {
            Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Poll::Ready(_) => {
                self.heard = Instant::now();
                moved = true;
            }
            Poll::Pending => {}
        }
        if moved {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }
}

/// From bytes to values.
#[derive(Default)]
struct Decoder {
    buffer: BytesMut,
    codec: ValueCodec,
    /// Whether the codec has taken a part of a value out of the buffer.
    inside: bool,
}

impl Decoder {
    fn next(&mut self) -> io::Result<Option<Item>> {
        if self.buffer.is_empty() {
            return Ok(None);
        }
        if !self.inside {
            for start in MESSAGES {
                if self.buffer.starts_with(start) {
                    let message = message(&mut self.buffer, start.len())?;
                    return self.bounded(message);
                }
                // It may become one.
                if start.starts_with(&self.buffer) {
                    return Ok(None);
                }
            }
        }
        let value = self.codec.decode(&mut self.buffer).map_err(bad)?;
        self.inside = value.is_none();
        self.bounded(value.map(Item::Value))
    }

    fn bounded(&self, item: Option<Item>) -> io::Result<Option<Item>> {
        if item.is_none() && self.buffer.len() > LARGEST {
            return Err(bad("a value of more than 64 MiB"));
        }
        Ok(item)
    }
}

/// Takes a message off the buffer once it is there as a whole; its beginning has `start` bytes. The codec would copy
/// each part on its own, and parse the frame byte by byte.
fn message(buffer: &mut BytesMut, start: usize) -> io::Result<Option<Item>> {
    let Some((channel_at, channel_length)) = bulk(buffer, start)? else {
        return Ok(None);
    };
    let Some((payload_at, payload_length)) = bulk(buffer, channel_at + channel_length + 2)? else {
        return Ok(None);
    };
    let end = payload_at + payload_length + 2;
    if buffer.len() < end {
        return Ok(None);
    }
    // A copy of its own, so that a message that waits keeps no buffer from being used again.
    let whole = Bytes::copy_from_slice(&buffer[channel_at..payload_at + payload_length]);
    buffer.advance(end);
    Ok(Some(Item::Message {
        channel: whole.slice(..channel_length),
        payload: whole.slice(payload_at - channel_at..),
    }))
}

/// Where the bytes of the string begin whose `$` is at `at`, and how many they are; the bytes need not be there yet.
fn bulk(buffer: &[u8], at: usize) -> io::Result<Option<(usize, usize)>> {
    /// More digits than a length ever has.
    const DIGITS: usize = 12;
    let Some(rest) = buffer.get(at..).filter(|rest| !rest.is_empty()) else {
        return Ok(None);
    };
    let Some(digits) = rest.iter().position(|&byte| byte == b'\r') else {
        return if rest.len() > DIGITS {
            Err(bad("a string without a length"))
        } else {
            Ok(None)
        };
    };
    let length = rest[..digits].strip_prefix(b"$");
    let length = length.and_then(|length| str::from_utf8(length).ok()?.parse::<usize>().ok());
    match length {
        Some(length) if length <= LARGEST => Ok(Some((at + digits + 2, length))),
        _ => Err(bad("a string without a length, or one of more than 64 MiB")),
    }
}

/// Writes a command, each of whose arguments is given in parts.
pub(super) fn pack(to: &mut BytesMut, arguments: &[&[&[u8]]]) {
    let line = |sign: u8, number: usize, to: &mut BytesMut| {
        to.put_u8(sign);
        to.extend_from_slice(number.to_string().as_bytes());
        to.extend_from_slice(b"\r\n");
    };
    line(b'*', arguments.len(), to);
    for parts in arguments {
        line(b'$', parts.iter().map(|part| part.len()).sum(), to);
        for part in *parts {
            to.extend_from_slice(part);
        }
        to.extend_from_slice(b"\r\n");
    }
}

fn bad(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b">3\r\n$8\r\nsmessage\r\n$3\r\na\r\n\r\n$4\r\nb\r\nc\r\n+PONG\r\n*2\r\n:1\r\n$2\r\nxy\r\n\
        >3\r\n$7\r\nmessage\r\n$0\r\n\r\n$0\r\n\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n-ERR no\r\n";

    fn shown(item: Item) -> String {
        match item {
            Item::Message { channel, payload } => format!("{channel:?} {payload:?}"),
            Item::Value(value) => format!("{value:?}"),
        }
    }

    #[test]
    fn it_reads_the_same_however_the_bytes_come() {
        let mut whole = Decoder::default();
        whole.buffer.extend_from_slice(STREAM);
        let mut expected = Vec::new();
        while let Some(item) = whole.next().unwrap() {
            expected.push(shown(item));
        }
        assert_eq!(expected.len(), 6, "{expected:?}");
        assert_eq!(expected[0], r#"b"a\r\n" b"b\r\nc""#);
        for size in 1..STREAM.len() {
            let (mut decoder, mut found) = (Decoder::default(), Vec::new());
            for chunk in STREAM.chunks(size) {
                decoder.buffer.extend_from_slice(chunk);
                while let Some(item) = decoder.next().unwrap() {
                    found.push(shown(item));
                }
            }
            assert_eq!(found, expected, "{size}");
        }
    }

    #[test]
    fn commands_are_written_as_the_crate_writes_them() {
        let mut packed = BytesMut::new();
        pack(
            &mut packed,
            &[&[b"PUBLISH"], &[b"a"], &[b"1-0", b" ", b"\r\n"]],
        );
        let mut command = redis::cmd("PUBLISH");
        command.arg("a").arg("1-0 \r\n");
        assert_eq!(packed[..], command.get_packed_command()[..]);
    }

    #[test]
    fn what_is_no_message_is_an_error_and_no_panic() {
        for rest in [
            "x",
            "$-1\r\n",
            "$99999999999\r\n",
            "$1234567890123",
            "$\r\n",
        ] {
            let mut decoder = Decoder::default();
            decoder.buffer.extend_from_slice(MESSAGES[0]);
            decoder.buffer.extend_from_slice(rest.as_bytes());
            let ended = (0..3).any(|_| decoder.next().is_err());
            assert!(ended || rest == "x", "{rest}");
        }
    }
}
