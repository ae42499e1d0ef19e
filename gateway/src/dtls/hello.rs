//! A device's ClientHello, read before anything is kept for this device. What is read here is hostile: anyone may
//! send it under any address. Only a hello that stands complete in one record is taken; OpenSSL's own stateless
//! server (`DTLSv1_listen`) drops fragmented ones as well.

use std::ops::Range;

/// The header of a record.
const RECORD: usize = 13;
/// The header of a handshake message.
const MESSAGE: usize = 12;
/// Where the body of the hello begins.
const BODY: usize = RECORD + MESSAGE;
/// Where the client's random bytes are.
const RANDOM: Range<usize> = BODY + 2..BODY + 34;
/// The hello after the first cookie is number 1; a few more come if cookies grow stale on the way.
const MOST_MESSAGES: u16 = 4;

/// A complete `ClientHello`. It borrows the datagram.
#[derive(Clone, Copy, Debug)]
pub struct Hello<'a> {
    /// The record, without what may follow it.
    record: &'a [u8],
    /// Where the cookie is, without its length.
    cookie: (usize, usize),
    /// Where the extensions begin, or the hello ends.
    extensions: usize,
    /// How many messages of its handshake came before.
    message: u16,
    /// The number of the record.
    sequence: u64,
}

/// Whether this may be a `ClientHello`, by a glance: [`Hello::parse`] tells.
#[must_use]
pub fn looks_like_hello(datagram: &[u8]) -> bool {
    matches!(datagram, [22, 0xfe, _, 0, 0, _, _, _, _, _, _, _, _, 1, ..])
}

impl<'a> Hello<'a> {
    /// Reads a datagram that begins with a plaintext `ClientHello`; `None` if it does not, or not with all of it.
    #[must_use]
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        if !looks_like_hello(datagram) {
            return None;
        }
        let mut rest = Cursor {
            of: datagram,
            at: 3,
        };
        let sequence = rest.number(8)?;
        let record = datagram.get(..RECORD + rest.length(2)?)?;
        let mut rest = Cursor {
            of: record,
            at: RECORD + 1,
        };
        let length = rest.length(3)?;
        let message = u16::try_from(rest.number(2)?).ok()?;
        let (offset, fragment) = (rest.length(3)?, rest.length(3)?);
        let complete = offset == 0 && fragment == length && BODY + length == record.len();
        if !complete || message > MOST_MESSAGES {
            return None;
        }
        // A version of DTLS, then the random bytes.
        if rest.number(1)? != 0xfe {
            return None;
        }
        rest.skip(1 + RANDOM.len())?;
        let session_id = rest.length(1)?;
        rest.skip(session_id)?;
        let cookie = rest.length(1)?;
        let cookie = (rest.at, rest.skip(cookie)?);
        let suites = rest.length(2)?;
        rest.skip(suites)?;
        let compressions = rest.length(1)?;
        rest.skip(compressions)?;
        let legal = session_id <= 32 && suites >= 2 && suites % 2 == 0 && compressions >= 1;
        legal.then_some(Self {
            record,
            cookie,
            extensions: rest.at,
            message,
            sequence,
        })
    }

    /// The cookie; empty in a first hello.
    #[must_use]
    pub fn cookie(&self) -> &'a [u8] {
        &self.record[self.cookie.0..self.cookie.1]
    }

    /// The client's random bytes, which tell one handshake from another.
    #[must_use]
    pub fn random(&self) -> [u8; 32] {
        let random = self.record[RANDOM].try_into();
        random.expect("the range is 32 bytes long")
    }

    /// The number of its record: answers take up from it.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How many messages of this handshake the device sent before: 0 in a first hello.
    #[must_use]
    pub fn message(&self) -> u16 {
        self.message
    }

    /// What a device repeats unchanged when it brings a cookie back: version, random, session id; ciphers and
    /// compressions (RFC 6347, 4.2.1). Both parts carry their lengths.
    #[must_use]
    pub fn lasting(&self) -> [&'a [u8]; 2] {
        // The cookie's length stands between them.
        [
            &self.record[BODY..self.cookie.0 - 1],
            &self.record[self.cookie.1..self.extensions],
        ]
    }

    /// The most bytes in a record that the device asks for (RFC 6066), where it does.
    #[must_use]
    pub fn max_fragment(&self) -> Option<usize> {
        let mut rest = Cursor {
            of: self.record,
            at: self.extensions,
        };
        rest.skip(2)?;
        loop {
            let (kind, length) = (rest.number(2)?, rest.length(2)?);
            let start = rest.at;
            rest.skip(length)?;
            if kind == 1 {
                let code = *self.record[start..].first()?;
                return (length == 1 && (1..=4).contains(&code)).then(|| 256 << code);
            }
        }
    }

    /// This hello, as the record with the number that is given. Numbers of plaintext records are protected by nothing
    /// and part of no checksum.
    #[must_use]
    pub fn renumbered(&self, sequence: u64) -> Vec<u8> {
        let mut record = self.record.to_vec();
        record[5..11].copy_from_slice(&sequence.to_be_bytes()[2..]);
        record
    }

    /// The hello that the device sent before it had a cookie, as message and record `number` of the handshake.
    #[must_use]
    pub fn without_cookie(&self, number: u16) -> Vec<u8> {
        let (start, end) = self.cookie;
        let mut record = self.renumbered(number.into());
        record.drain(start..end);
        record[start - 1] = 0;
        let payload = u16::try_from(record.len() - RECORD).expect("less than a record's length");
        record[11..RECORD].copy_from_slice(&payload.to_be_bytes());
        let body = &u32::from(payload - 12).to_be_bytes()[1..];
        record[14..17].copy_from_slice(body);
        record[17..19].copy_from_slice(&number.to_be_bytes());
        record[22..BODY].copy_from_slice(body);
        record
    }

    /// The `HelloVerifyRequest` that answers this hello. It is not longer than any hello, as long as the cookie has at
    /// most 32 bytes: nobody's answer to a forged address weighs more than the question.
    #[must_use]
    pub(super) fn verify_request(&self, cookie: &[u8; 32]) -> Vec<u8> {
        const LENGTH: u8 = 3 + 32;
        let mut answer = Vec::with_capacity(BODY + usize::from(LENGTH));
        // DTLS 1.0 whatever follows, and the numbers of the hello (RFC 6347, 4.2.1).
        answer.extend([22, 0xfe, 0xff, 0, 0]);
        answer.extend(&self.sequence.to_be_bytes()[2..]);
        answer.extend([0, 12 + LENGTH]);
        answer.extend([3, 0, 0, LENGTH]);
        answer.extend(self.message.to_be_bytes());
        answer.extend([0, 0, 0, 0, 0, LENGTH]);
        answer.extend([0xfe, 0xff, 32]);
        answer.extend(cookie);
        answer
    }
}

/// Reads numbers in network order, never past the end.
struct Cursor<'a> {
    of: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    /// Returns where it stands then.
    fn skip(&mut self, bytes: usize) -> Option<usize> {
        self.at = self.at.checked_add(bytes)?;
        (self.at <= self.of.len()).then_some(self.at)
    }

    fn number(&mut self, bytes: usize) -> Option<u64> {
        let from = self.at;
        let to = self.skip(bytes)?;
        let bytes = self.of.get(from..to)?;
        Some(
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        )
    }

    fn length(&mut self, bytes: usize) -> Option<usize> {
        usize::try_from(self.number(bytes)?).ok()
    }
}
