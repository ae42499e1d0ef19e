//! A session on OpenSSL: the handshake, and what follows it until the device has spoken, or for as long as it lasts
//! where the cipher is none that `protection` has.

use std::{cell::Cell, collections::VecDeque, time::Duration};

use openssl::{
    error::ErrorStack,
    ssl::{ErrorCode, NameType, Ssl, SslRef, SslStream},
};

use super::{
    Context, DatagramSecurity, Hello, Progress, SessionError,
    pipe::Pipe,
    protection::{Protection, Window},
    record,
    session::Refusal,
};
use crate::{
    native,
    transport::{Details, PSK_IDENTITY},
};

/// The most bytes of plaintext in a record.
const RECORD: usize = 16 * 1024;
/// OpenSSL gathers a flight of the handshake in 4 KiB, and where a datagram of it is larger cuts records in two.
const LARGEST_MTU: u32 = 4096;
/// The least that is encrypted: 1 byte and its tag, with `ChaCha20` or CCM-8 and with any other cipher.
const SHORTEST: usize = 17;
const SHORTEST_LONG_TAG: usize = 25;

thread_local! {
    /// Where plaintext is read to, lent from session to session.
    static BUFFER: Cell<Option<Box<[u8; RECORD]>>> = const { Cell::new(None) };
}

/// A session on OpenSSL.
pub(super) struct Conversation {
    stream: SslStream<Pipe>,
    phase: Phase,
    max_plain: usize,
    shortest: usize,
    /// A message has overtaken the end of the handshake.
    overtaken: bool,
    /// The records whose messages were handed out. `None` once it is not known which these were.
    heard: Option<Window>,
    /// The device has shown that the handshake is done for it as well.
    spoke: bool,
}

enum Phase {
    Handshake,
    Established,
    Over,
}

impl Conversation {
    /// A session for a device whose hello has brought a good cookie back, see [`super::Cookies::verify`]. `mtu` is the
    /// largest datagram of the handshake, up to 4 KiB.
    ///
    /// OpenSSL makes cookies only with state of its own. So it is told a first hello that the device might have sent,
    /// its answer to that is dropped, and then comes the real one.
    pub(super) fn accept(context: &Context, hello: &Hello<'_>, mtu: u32) -> Result<Self, Refusal> {
        let refuse = |error: SessionError, outgoing| Refusal { error, outgoing };
        let stream = Self::open(context, mtu)
            .map_err(|error| refuse(SessionError::NotSetUp(error.to_string()), Vec::new()))?;
        let mut session = Self {
            stream,
            phase: Phase::Handshake,
            max_plain: hello.max_fragment().unwrap_or(RECORD),
            shortest: SHORTEST,
            overtaken: false,
            heard: Some(Window::default()),
            spoke: false,
        };
        let first = hello.message();
        let mut fed = Ok(Progress::Handshaking);
        for number in 0..first {
            fed = fed.and_then(|_| session.feed(&hello.without_cookie(number), 1, &mut |_| ()));
        }
        let pipe = session.stream.get_mut();
        if fed.is_ok() {
            pipe.outgoing.clear();
        }
        // A record that is numbered like one before it would be taken for its copy.
        let sequence = hello.sequence().max(first.into());
        // The device has seen our answers to its first hellos under numbers up to its own.
        pipe.shift = sequence - u64::from(first);
        let fed = fed.and_then(|_| session.feed(&hello.renumbered(sequence), 1, &mut |_| ()));
        match fed {
            Ok(_) => Ok(session),
            Err(error) => Err(refuse(
                error,
                session.stream.get_mut().outgoing.drain(..).collect(),
            )),
        }
    }

    /// What goes on without OpenSSL from here on, and the datagrams that still have to leave. `None` for as long as the
    /// device may need the last flight of the handshake again, where it is not known which records have come, and where
    /// the cipher is not known there.
    pub(super) fn hand_over(&mut self) -> Option<(Protection, VecDeque<Vec<u8>>)> {
        let window = self.heard.filter(|_| self.spoke)?;
        // Asked once for each datagram.
        self.spoke = false;
        let pipe = self.stream.get_ref();
        let protection = Protection::take_over(self.stream.ssl(), pipe.sent, window)?;
        let outgoing = std::mem::take(&mut self.stream.get_mut().outgoing);
        Some((protection, outgoing))
    }

    /// So many messages have come out of a datagram with these records: a copy of it must not bring them once more.
    fn note(&mut self, records: &[u8], messages: usize) {
        if messages == 0 {
            return;
        }
        let mut window = self.heard.filter(|_| !self.overtaken);
        let mut numbers = 0;
        for record in record::all(records) {
            numbers += 1;
            match &mut window {
                Some(window) if record.kind == 23 => window.mark(record.number),
                _ => window = None,
            }
        }
        self.heard = window.filter(|_| numbers == messages);
        self.spoke = true;
    }

    fn open(context: &Context, mtu: u32) -> Result<SslStream<Pipe>, ErrorStack> {
        let mut ssl = Ssl::new(&context.ssl)?;
        ssl.set_mtu(mtu.min(LARGEST_MTU))?;
        SslStream::new(ssl, Pipe::default())
    }

    /// Records reach OpenSSL: so many of them, in one datagram.
    fn feed(
        &mut self,
        records: &[u8],
        count: usize,
        plain: &mut dyn FnMut(&[u8]),
    ) -> Result<Progress, SessionError> {
        self.stream.get_mut().incoming = Some(records.to_vec());
        // OpenSSL takes errors that another call left behind on this thread for its own.
        forget_errors();
        let progress = match self.phase {
            Phase::Handshake => self.shake_hands(plain),
            Phase::Established | Phase::Over => self.read(count, plain),
        };
        forget_errors();
        self.stream.get_mut().incoming = None;
        if progress.is_err() {
            self.phase = Phase::Over;
        }
        progress
    }

    fn shake_hands(&mut self, plain: &mut dyn FnMut(&[u8])) -> Result<Progress, SessionError> {
        match self.stream.accept() {
            Ok(()) => {}
            Err(error) if error.code() == ErrorCode::WANT_READ => return Ok(Progress::Handshaking),
            Err(error) => return Err(SessionError::of(&error, self.stream.ssl())),
        }
        let ssl = self.stream.ssl();
        self.shortest = shortest(ssl);
        self.phase = Phase::Established;
        if !self.overtaken {
            return Ok(Progress::Established);
        }
        // OpenSSL has kept it.
        match self.read(usize::MAX, plain)? {
            Progress::Closed => Ok(Progress::Closed),
            _ => Ok(Progress::Established),
        }
    }

    /// Hands out what is in a datagram with so many records. Where each of them was a message nothing more is asked
    /// for: OpenSSL would make a buffer of 16 KiB for the next datagram, and hold it until that comes.
    fn read(
        &mut self,
        count: usize,
        plain: &mut dyn FnMut(&[u8]),
    ) -> Result<Progress, SessionError> {
        let waiting = self.stream.get_ref().outgoing.len();
        let mut messages = 0;
        let mut buffer = BUFFER.take().unwrap_or_else(|| Box::new([0; RECORD]));
        let ended = loop {
            if messages == count {
                break None;
            }
            match self.stream.ssl_read(buffer.as_mut_slice()) {
                Ok(length) => {
                    messages += 1;
                    plain(&buffer[..length]);
                }
                Err(error) => break Some(error),
            }
        };
        BUFFER.set(Some(buffer));
        // What was repeated for a device that missed it is something too.
        let something = messages > 0 || self.stream.get_ref().outgoing.len() > waiting;
        match ended {
            Some(error) if error.code() == ErrorCode::ZERO_RETURN => {
                self.close();
                Ok(Progress::Closed)
            }
            Some(error) if error.code() != ErrorCode::WANT_READ => {
                Err(SessionError::of(&error, self.stream.ssl()))
            }
            _ if something => Ok(Progress::Established),
            _ => Ok(Progress::Ignored),
        }
    }
}

impl DatagramSecurity for Conversation {
    fn receive(
        &mut self,
        datagram: &[u8],
        plain: &mut dyn FnMut(&[u8]),
    ) -> Result<Progress, SessionError> {
        let nothing = match self.phase {
            Phase::Handshake => Progress::Handshaking,
            Phase::Established => Progress::Ignored,
            Phase::Over => return Err(SessionError::Closed(String::new())),
        };
        let (records, count) = record::sift(datagram, self.shortest);
        if count == 0 {
            return Ok(nothing);
        }
        self.overtaken |= nothing == Progress::Handshaking
            && record::all(&records).any(|record| record.epoch > 0 && record.kind == 23);
        let mut messages = 0;
        let progress = self.feed(&records, count, &mut |bytes| {
            messages += 1;
            plain(bytes);
        })?;
        self.note(&records, messages);
        Ok(progress)
    }

    fn send(&mut self, plain: &[u8]) -> Result<(), SessionError> {
        match self.phase {
            Phase::Handshake => return Err(SessionError::NotEstablished),
            Phase::Over => return Err(SessionError::Closed(String::new())),
            Phase::Established => {}
        }
        let (size, limit) = (plain.len(), self.max_plain);
        if size > limit {
            return Err(SessionError::TooLong { size, limit });
        }
        forget_errors();
        let sent = self.stream.ssl_write(plain);
        let sent = sent.map_err(|error| SessionError::of(&error, self.stream.ssl()));
        forget_errors();
        sent.map(|_| ()).inspect_err(|_| self.phase = Phase::Over)
    }

    fn max_plain(&self) -> usize {
        self.max_plain
    }

    fn take_outgoing(&mut self) -> Option<Vec<u8>> {
        let outgoing = &mut self.stream.get_mut().outgoing;
        let next = outgoing.pop_front();
        if next.is_none() {
            // A flight was here; from now on it is one datagram at a time.
            outgoing.shrink_to(1);
        }
        next
    }

    fn timeout(&self) -> Option<Duration> {
        match self.phase {
            Phase::Handshake => native::timeout(self.stream.ssl()),
            Phase::Established | Phase::Over => None,
        }
    }

    fn on_timeout(&mut self) -> Result<(), SessionError> {
        if !matches!(self.phase, Phase::Handshake) {
            return Ok(());
        }
        forget_errors();
        if native::handle_timeout(&mut self.stream) {
            return Ok(());
        }
        self.phase = Phase::Over;
        let stack = ErrorStack::get();
        Err(SessionError::of_stack(
            &stack,
            self.stream.ssl().verify_result(),
        ))
    }

    fn close(&mut self) {
        if matches!(self.phase, Phase::Established) {
            forget_errors();
            // It says what OpenSSL has written, and that is taken elsewhere.
            let _ = self.stream.shutdown();
            forget_errors();
        }
        self.phase = Phase::Over;
    }

    fn details(&self) -> Details {
        let ssl = self.stream.ssl();
        let mut details = Details::default();
        details.add("exproto-tls-version", ssl.version_str().as_bytes());
        if let Some(cipher) = ssl.current_cipher() {
            let name = cipher.standard_name().unwrap_or(cipher.name());
            details.add("exproto-tls-cipher", name.as_bytes());
        }
        if let Some(name) = ssl.servername_raw(NameType::HOST_NAME) {
            details.add("exproto-tls-sni", name);
        }
        if let Some(protocol) = ssl.selected_alpn_protocol() {
            details.add("exproto-tls-alpn", protocol);
        }
        if let Some(identity) = ssl.psk_identity() {
            details.add(PSK_IDENTITY, identity);
        }
        details
    }

    fn peer_certificate_der(&self) -> Option<Vec<u8>> {
        self.stream.ssl().peer_certificate()?.to_der().ok()
    }
}

/// The least bytes in a record with the cipher that was agreed on.
fn shortest(ssl: &SslRef) -> usize {
    let cipher = ssl.current_cipher().map_or("", |cipher| cipher.name());
    if cipher.contains("CHACHA") || cipher.ends_with("CCM8") {
        SHORTEST
    } else {
        SHORTEST_LONG_TAG
    }
}

fn forget_errors() {
    let _ = ErrorStack::get();
}
