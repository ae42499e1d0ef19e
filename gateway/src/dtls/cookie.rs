//! Cookies of DTLS: a device shows that it receives what is sent to its address before anything is kept for it.
//! They are stateless, computed from what the device repeats and a secret that changes.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use openssl::memcmp;
use parking_lot::RwLock;
use ring::{
    hmac::{Context, HMAC_SHA256, Key, Tag},
    rand::SystemRandom,
};

use super::Hello;

/// How long a secret makes cookies. It is good for as long again, so a cookie lives for one to two minutes.
pub const ROTATION: Duration = Duration::from_secs(60);

/// What makes and checks cookies. All workers of a listener share one.
pub struct Cookies(RwLock<Secrets>);

struct Secrets {
    current: Key,
    previous: Key,
    since: Instant,
}

impl Default for Cookies {
    fn default() -> Self {
        Self::new()
    }
}

impl Cookies {
    /// With secrets that nobody else has: a cookie of one pod says nothing to another.
    #[must_use]
    pub fn new() -> Self {
        Self(RwLock::new(Secrets {
            current: secret(),
            previous: secret(),
            since: Instant::now(),
        }))
    }

    /// The answer to a hello that brings no good cookie. It is not longer than the hello was.
    #[must_use]
    pub fn hello_verify_request(&self, peer: SocketAddr, hello: &Hello) -> Vec<u8> {
        self.request_at(Instant::now(), peer, hello)
    }

    /// Whether the hello brings back a cookie that was sent to this address for this handshake.
    #[must_use]
    pub fn verify(&self, peer: SocketAddr, hello: &Hello) -> bool {
        self.verify_at(Instant::now(), peer, hello)
    }

    pub(super) fn request_at(&self, now: Instant, peer: SocketAddr, hello: &Hello) -> Vec<u8> {
        self.rotate(now);
        let cookie = sign(&self.0.read().current, peer, hello);
        let cookie = cookie.as_ref().try_into();
        hello.verify_request(cookie.expect("HMAC-SHA256 has 32 bytes"))
    }

    pub(super) fn verify_at(&self, now: Instant, peer: SocketAddr, hello: &Hello) -> bool {
        let shown = hello.cookie();
        if shown.len() != 32 {
            return false;
        }
        self.rotate(now);
        let secrets = self.0.read();
        [&secrets.current, &secrets.previous]
            .into_iter()
            .any(|key| memcmp::eq(sign(key, peer, hello).as_ref(), shown))
    }

    fn rotate(&self, now: Instant) {
        let is_old = |secrets: &Secrets| now.saturating_duration_since(secrets.since) >= ROTATION;
        if !is_old(&self.0.read()) {
            return;
        }
        let mut secrets = self.0.write();
        // Another worker may have been here.
        if is_old(&secrets) {
            let age = now.saturating_duration_since(secrets.since);
            let last = std::mem::replace(&mut secrets.current, secret());
            // After a long silence nothing that was sent is still good.
            secrets.previous = if age < 2 * ROTATION { last } else { secret() };
            secrets.since = now;
        }
    }
}

fn secret() -> Key {
    Key::generate(HMAC_SHA256, &SystemRandom::new()).expect("the system has random bytes")
}

fn sign(key: &Key, peer: SocketAddr, hello: &Hello) -> Tag {
    let mut context = Context::with_key(key);
    // One length for all addresses; an IPv4 device has one address, on whatever socket it comes.
    let ip = match peer.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    context.update(&ip.octets());
    context.update(&peer.port().to_be_bytes());
    for part in hello.lasting() {
        context.update(part);
    }
    context.sign()
}
