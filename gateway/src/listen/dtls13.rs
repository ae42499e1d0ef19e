//! DTLS 1.3 over a UDP listener: a device that says hello gets a session at once, if it is let in. Nothing has shown by
//! then that it is at its address, as the library answers hellos with state of its own.

use std::time::Instant;

use super::{
    Listener,
    dtls::{Failed, Shaken},
    udp::Worker,
};
use crate::{
    admission::Refusal,
    dtls::{Hello, hello::looks_like_hello},
    dtls13::{Context, Error},
    metrics::Dropped,
    transport::{
        Transport,
        dtls13::Dtls13Socket,
        udp::{Ends, PeerSocket},
    },
};

impl Worker {
    /// A datagram that belongs to no session: it begins one, or is nothing. The hello of another session from an
    /// address that has one is nothing as well, as anyone may have forged it.
    pub(super) fn hello13(
        &self,
        context: &Context,
        known: bool,
        ends: Ends,
        datagram: &[u8],
        now: Instant,
    ) {
        let settings = self.listener.settings();
        if known || !looks_like_hello(datagram) {
            settings.counts.dropped(Dropped::NoSession);
            return;
        }
        let Some(handshaking) = context.place() else {
            self.listener.refused(ends.device, Refusal::MaxHandshakes);
            return;
        };
        let Some((info, admitted)) = self.admit(ends, Transport::Dtls) else {
            return;
        };
        // That of a hello in fragments is not known yet.
        let hello = Hello::parse(datagram).map(|hello| hello.random());
        let peer = self.enlist(ends, hello.into_iter().collect(), admitted);
        let place = peer.place();
        let limit = settings.tuning().limits.inbound_limit;
        peer.deliver(datagram, limit.bytes(), now);
        let max_message = self.listener.config().udp.max_datagram.bytes();
        let context = context.clone();
        let handshake = async move {
            let shaken = handshake(context, peer, max_message).await;
            drop(handshaking);
            shaken
        };
        self.welcome(info, place, Listener::failed_unproven, handshake);
    }
}

async fn handshake(
    context: Context,
    peer: PeerSocket,
    max_message: usize,
) -> Result<Shaken, Failed> {
    match Dtls13Socket::accept(context, peer, max_message).await {
        Ok(socket) => {
            let details = socket.details();
            Ok((Box::new(socket), details))
        }
        Err(error @ Error::Tunnel(_)) => Err(Failed::Gateway(error.to_string())),
        Err(error) => Err(Failed::Device {
            reason: error.reason(),
            detail: error.to_string(),
        }),
    }
}
