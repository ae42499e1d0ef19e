//! One device's session: datagrams in, plaintext out, and the other way round.
//!
//! OpenSSL shakes hands. It keeps some 70 KiB for each session afterwards, most of it in case the device asks for the
//! last flight of the handshake again. The first message of the device shows that it does not, and from then on the
//! session is its keys and numbers (`protection`): a few hundred bytes.

use std::{collections::VecDeque, time::Duration};

use super::{
    Context, DatagramSecurity, Hello, Progress, SessionError,
    conversation::Conversation,
    protection::{Kind, Protection},
};
use crate::transport::Details;

/// A device was refused at once.
#[derive(Debug)]
pub struct Refusal {
    /// Why.
    pub error: SessionError,
    /// Datagrams that tell the device.
    pub outgoing: Vec<Vec<u8>>,
}

/// One device's session.
pub struct Session(State);

enum State {
    /// The handshake, and what follows until the device has spoken.
    OpenSsl(Box<Conversation>),
    Established(Box<Established>),
}

struct Established {
    /// `None` once the session is over.
    protection: Option<Protection>,
    outgoing: VecDeque<Vec<u8>>,
    max_plain: usize,
}

impl Session {
    /// A session for a device whose hello has brought a good cookie back, see [`super::Cookies::verify`]. `mtu` is the
    /// largest datagram of the handshake, up to 4 KiB.
    pub fn accept(context: &Context, hello: &Hello<'_>, mtu: u32) -> Result<Self, Refusal> {
        let conversation = Conversation::accept(context, hello, mtu)?;
        Ok(Self(State::OpenSsl(Box::new(conversation))))
    }

    /// Whether OpenSSL is still needed.
    #[cfg(test)]
    pub(super) fn is_on_openssl(&self) -> bool {
        matches!(self.0, State::OpenSsl(_))
    }

    fn engine(&self) -> &dyn DatagramSecurity {
        match &self.0 {
            State::OpenSsl(conversation) => &**conversation,
            State::Established(established) => &**established,
        }
    }

    fn engine_mut(&mut self) -> &mut dyn DatagramSecurity {
        match &mut self.0 {
            State::OpenSsl(conversation) => &mut **conversation,
            State::Established(established) => &mut **established,
        }
    }
}

impl DatagramSecurity for Session {
    fn receive(
        &mut self,
        datagram: &[u8],
        plain: &mut dyn FnMut(&[u8]),
    ) -> Result<Progress, SessionError> {
        let progress = self.engine_mut().receive(datagram, plain)?;
        if let State::OpenSsl(conversation) = &mut self.0 {
            let max_plain = conversation.max_plain();
            if let Some((protection, outgoing)) = conversation.hand_over() {
                self.0 = State::Established(Box::new(Established {
                    protection: Some(protection),
                    outgoing,
                    max_plain,
                }));
            }
        }
        Ok(progress)
    }

    fn send(&mut self, plain: &[u8]) -> Result<(), SessionError> {
        self.engine_mut().send(plain)
    }

    fn max_plain(&self) -> usize {
        self.engine().max_plain()
    }

    fn take_outgoing(&mut self) -> Option<Vec<u8>> {
        self.engine_mut().take_outgoing()
    }

    fn timeout(&self) -> Option<Duration> {
        self.engine().timeout()
    }

    fn on_timeout(&mut self) -> Result<(), SessionError> {
        self.engine_mut().on_timeout()
    }

    fn close(&mut self) {
        self.engine_mut().close();
    }

    fn details(&self) -> Details {
        self.engine().details()
    }

    fn peer_certificate_der(&self) -> Option<Vec<u8>> {
        self.engine().peer_certificate_der()
    }
}

impl DatagramSecurity for Established {
    fn receive(
        &mut self,
        datagram: &[u8],
        plain: &mut dyn FnMut(&[u8]),
    ) -> Result<Progress, SessionError> {
        let Some(protection) = &mut self.protection else {
            return Err(SessionError::Closed(String::new()));
        };
        let mut progress = Progress::Ignored;
        for (kind, content) in protection.open(datagram) {
            match (kind, &*content) {
                (Kind::ApplicationData, []) => {}
                (Kind::ApplicationData, message) => {
                    progress = Progress::Established;
                    plain(message);
                }
                // Level and description: it says goodbye.
                (Kind::Alert, [_, 0]) => {
                    self.close();
                    return Ok(Progress::Closed);
                }
                (Kind::Alert, [2, description]) => {
                    self.protection = None;
                    let by = format!(" by the device: alert {description}");
                    return Err(SessionError::Closed(by));
                }
                // A hello, for a handshake within the session: there is none (RFC 5246, section 7.2.2).
                (Kind::Other(22), [1, ..]) => {
                    self.outgoing
                        .extend(protection.seal(Kind::Alert, &[1, 100]));
                }
                // Warnings, and late copies of the handshake that is over.
                _ => {}
            }
        }
        Ok(progress)
    }

    fn send(&mut self, plain: &[u8]) -> Result<(), SessionError> {
        let Some(protection) = &mut self.protection else {
            return Err(SessionError::Closed(String::new()));
        };
        let (size, limit) = (plain.len(), self.max_plain);
        if size > limit {
            return Err(SessionError::TooLong { size, limit });
        }
        if !plain.is_empty() {
            let record = protection.seal(Kind::ApplicationData, plain);
            self.outgoing.extend(record);
        }
        Ok(())
    }

    fn max_plain(&self) -> usize {
        self.max_plain
    }

    fn take_outgoing(&mut self) -> Option<Vec<u8>> {
        let next = self.outgoing.pop_front();
        if next.is_none() {
            self.outgoing = VecDeque::new();
        }
        next
    }

    fn timeout(&self) -> Option<Duration> {
        None
    }

    fn on_timeout(&mut self) -> Result<(), SessionError> {
        Ok(())
    }

    fn close(&mut self) {
        if let Some(mut protection) = self.protection.take() {
            // A warning that no more will come.
            self.outgoing.extend(protection.seal(Kind::Alert, &[1, 0]));
        }
    }

    /// They were told when the handshake was done.
    fn details(&self) -> Details {
        Details::default()
    }

    fn peer_certificate_der(&self) -> Option<Vec<u8>> {
        None
    }
}
