//! A device, which is a client of OpenSSL, and a gateway, back to back in memory.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use config::Listener;

use self::device::Device;
use super::*;

mod device;
mod files;

mod cookies;
mod hellos;
mod hostile;
mod identities;
mod sessions;

/// The device, the gateway, and the network between them.
struct Link {
    device: Device,
    peer: SocketAddr,
    cookies: Cookies,
    context: Context,
    session: Option<Session>,
    /// What the gateway has got from the device.
    received: Vec<Vec<u8>>,
    last: Option<Progress>,
    error: Option<SessionError>,
    /// Datagrams so far, both ways.
    sent: usize,
    /// The length of the longest of the gateway's datagrams.
    longest: usize,
    /// Which datagrams are lost: one of three, if at all. In step with flights, the same would be lost for ever.
    losses: Option<fastrand::Rng>,
}

impl Link {
    fn new(context: Context, device: Device) -> Self {
        Self {
            device,
            peer: "192.0.2.7:40000".parse().unwrap(),
            cookies: Cookies::new(),
            context,
            session: None,
            received: Vec::new(),
            last: None,
            error: None,
            sent: 0,
            longest: 0,
            losses: None,
        }
    }

    /// With the handshake done.
    fn established(context: Context, device: Device) -> Self {
        let mut link = Self::new(context, device);
        link.pump();
        assert!(link.is_up(), "{:?} {:?}", link.error, link.device.error);
        link
    }

    fn is_up(&self) -> bool {
        self.device.up && matches!(self.last, Some(Progress::Established))
    }

    fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("a session")
    }

    fn is_lost(&mut self) -> bool {
        self.sent += 1;
        let losses = self.losses.as_mut();
        losses.is_some_and(|losses| losses.u8(..3) == 0)
    }

    /// Until neither end has anything to say.
    fn pump(&mut self) {
        self.device.drive();
        loop {
            let mut quiet = true;
            while let Some(datagram) = self.device.take() {
                quiet = false;
                if !self.is_lost() {
                    self.arrive(&datagram);
                }
            }
            while let Some(datagram) = self.session.as_mut().and_then(Session::take_outgoing) {
                quiet = false;
                self.answer(&datagram);
            }
            if quiet {
                return;
            }
        }
    }

    fn answer(&mut self, datagram: &[u8]) {
        self.longest = self.longest.max(datagram.len());
        if !self.is_lost() {
            self.device.give(datagram);
        }
    }

    /// A datagram reaches the gateway.
    fn arrive(&mut self, datagram: &[u8]) {
        let Some(session) = &mut self.session else {
            return self.first(datagram);
        };
        let received = &mut self.received;
        let progress = session.receive(datagram, &mut |plain| received.push(plain.to_vec()));
        match progress {
            Ok(progress) => self.last = Some(progress),
            Err(error) => self.error = Some(error),
        }
    }

    /// A datagram of an address without a session.
    fn first(&mut self, datagram: &[u8]) {
        let Some(hello) = Hello::parse(datagram) else {
            return;
        };
        if !self.cookies.verify(self.peer, &hello) {
            let answer = self.cookies.hello_verify_request(self.peer, &hello);
            return self.answer(&answer);
        }
        match Session::accept(&self.context, &hello, 1200) {
            Ok(session) => self.session = Some(session),
            Err(refusal) => {
                self.error = Some(refusal.error);
                for datagram in refusal.outgoing {
                    self.answer(&datagram);
                }
            }
        }
    }

    /// Goes on through losses, at the pace of both ends' timers.
    fn pump_until(&mut self, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            self.pump();
            if done(self) {
                return;
            }
            assert!(Instant::now() < deadline, "not done in time");
            let timers = [
                self.device.timeout(),
                self.session.as_ref().and_then(Session::timeout),
            ];
            let next = timers.into_iter().flatten().min();
            thread::park_timeout(next.unwrap_or(Duration::from_millis(100)));
            if let Some(session) = &mut self.session {
                session.on_timeout().unwrap();
            }
            self.device.on_timeout();
        }
    }
}

/// With the certificates that are given and nothing else.
fn listener(certificates: impl IntoIterator<Item = config::Certificate>) -> Listener {
    let mut listener = Listener::default();
    listener.tls.certificates = certificates.into_iter().collect();
    listener
}

fn context(listener: &Listener) -> Context {
    Context::load(listener).unwrap()
}
