//! A DTLS session as a socket: a UDP peer whose datagrams go through the session's engine.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::{
    io::ReadBuf,
    time::{Instant, Sleep, sleep_until},
};

use super::{Batch, Received, Socket, udp::PeerSocket};
use crate::{
    dtls::{DatagramSecurity, Progress, SessionError},
    metrics::Dropped,
};

/// A DTLS session over a UDP peer.
pub struct DtlsSocket {
    peer: PeerSocket,
    session: Box<dyn DatagramSecurity>,
    /// What one datagram brought and has not been asked for yet.
    plain: VecDeque<Bytes>,
    /// A datagram that the port did not take yet.
    outgoing: Option<Vec<u8>>,
    /// While the handshake is under way.
    retransmission: Option<Pin<Box<Sleep>>>,
    /// The most bytes of a message that is taken.
    max_message: usize,
    ended: bool,
    /// What ended it, once what came before is taken.
    failed: Option<SessionError>,
}

impl DtlsSocket {
    /// A session that has taken the device's hello.
    #[must_use]
    pub fn new(peer: PeerSocket, session: Box<dyn DatagramSecurity>, max_message: usize) -> Self {
        Self {
            peer,
            session,
            plain: VecDeque::new(),
            outgoing: None,
            retransmission: None,
            max_message,
            ended: false,
            failed: None,
        }
    }

    /// The session's engine, for what it knows of the device.
    #[must_use]
    pub fn session(&self) -> &dyn DatagramSecurity {
        &*self.session
    }

    /// Drives the handshake; ready once it is done.
    pub fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SessionError>> {
        loop {
            let drained = self.poll_drain(cx);
            if let Poll::Ready(datagram) = self.peer.poll_datagram(cx) {
                let datagram = datagram.map_err(|_| SessionError::Superseded)?;
                match self.take(&datagram)? {
                    Progress::Handshaking | Progress::Ignored => continue,
                    Progress::Established => {
                        self.retransmission = None;
                        return Poll::Ready(Ok(()));
                    }
                    Progress::Closed => {
                        let why = "the device said goodbye in its handshake".to_owned();
                        return Poll::Ready(Err(SessionError::Closed(why)));
                    }
                }
            }
            if drained.is_pending() {
                return Poll::Pending;
            }
            let Some(after) = self.session.timeout() else {
                return Poll::Pending;
            };
            let at = Instant::now() + after;
            let sleep = self
                .retransmission
                .get_or_insert_with(|| Box::pin(sleep_until(at)));
            sleep.as_mut().reset(at);
            ready!(sleep.as_mut().poll(cx));
            self.session.on_timeout()?;
        }
    }

    /// Sends what is left to say, where that needs no waiting.
    pub fn poll_last_words(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = self.poll_drain(cx);
        Poll::Ready(())
    }

    fn take(&mut self, datagram: &[u8]) -> Result<Progress, SessionError> {
        let (plain, peer, most) = (&mut self.plain, &self.peer, self.max_message);
        self.session.receive(datagram, &mut |bytes| {
            if bytes.len() > most {
                peer.dropped(Dropped::TooLarge);
            } else {
                plain.push_back(Bytes::copy_from_slice(bytes));
            }
        })
    }

    /// Sends what the engine has for the device. Ready once nothing is left.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(datagram) = self
                .outgoing
                .take()
                .or_else(|| self.session.take_outgoing())
            else {
                return Poll::Ready(());
            };
            let batch = Batch {
                bytes: &datagram,
                size: datagram.len(),
            };
            // A port that failed drops what it is given, as the network may.
            if self.peer.poll_datagrams(cx, batch).is_pending() {
                self.outgoing = Some(datagram);
                return Poll::Pending;
            }
        }
    }
}

impl Socket for DtlsSocket {
    fn keeps_boundaries(&self) -> bool {
        true
    }

    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Received>> {
        loop {
            if let Some(bytes) = self.plain.pop_front() {
                return Poll::Ready(Ok(Received::Message(bytes)));
            }
            self.plain = VecDeque::new();
            // Answers to what came, such as the last flight once more.
            let _ = self.poll_drain(cx);
            if self.ended {
                return Poll::Ready(Ok(Received::End));
            }
            if let Some(error) = self.failed.take() {
                let error = io::Error::new(io::ErrorKind::InvalidData, error);
                return Poll::Ready(Err(error));
            }
            let datagram = ready!(self.peer.poll_datagram(cx))?;
            match self.take(&datagram) {
                Ok(Progress::Closed) => self.ended = true,
                Ok(_) => {}
                Err(error) => self.failed = Some(error),
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, batch: Batch<'_>) -> Poll<io::Result<usize>> {
        ready!(self.poll_drain(cx));
        let message = &batch.bytes[..batch.size];
        match self.session.send(message) {
            // The device takes less than most do.
            Err(SessionError::TooLong { .. }) => self.peer.dropped(Dropped::TooLarge),
            Err(error) => {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
            Ok(()) => {}
        }
        // What the port does not take now leaves with the flush.
        let _ = self.poll_drain(cx);
        Poll::Ready(Ok(message.len()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_drain(cx).map(Ok)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session.close();
        self.poll_drain(cx).map(Ok)
    }

    fn abort(&mut self) {}
}
