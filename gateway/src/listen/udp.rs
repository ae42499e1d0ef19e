//! UDP listeners: several sockets on one address, each with a worker that hands datagrams to their peers and begins a
//! connection with the first one of a device.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use tokio::{
    task::yield_now,
    time::{Duration, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{Listener, Security, dtls};
use crate::{
    admission::{Admitted, Flow},
    metrics::Dropped,
    transport::{
        ConnInfo, Transport,
        udp::{
            Delivery, Ends, Peer, PeerSocket, Peers,
            port::{Datagrams, Port},
        },
    },
};

/// So many datagrams are handed out before others get their turn.
const TURN: usize = 256;
/// The pause after a failure of the socket: trying at once would fail as well.
const OUT_OF_RESOURCES: Duration = Duration::from_millis(100);

/// One worker: hands out what comes to its port, until `stop`.
pub(super) async fn serve(
    listener: Arc<Listener>,
    port: Arc<Port>,
    peers: Peers,
    stop: CancellationToken,
) {
    let worker = Worker {
        listener,
        port,
        peers,
        stop: stop.clone(),
    };
    stop.run_until_cancelled(worker.run()).await;
}

pub(super) struct Worker {
    pub(super) listener: Arc<Listener>,
    pub(super) port: Arc<Port>,
    pub(super) peers: Peers,
    pub(super) stop: CancellationToken,
}

impl Worker {
    async fn run(&self) {
        let mut datagrams = Datagrams::new();
        let mut since_others = 0;
        loop {
            match datagrams.receive(&self.port).await {
                Ok(count) => {
                    since_others += self.hand_out(datagrams.each(count));
                    // A socket that is never empty would keep the thread for itself.
                    if since_others >= TURN {
                        since_others = 0;
                        yield_now().await;
                    }
                }
                Err(error) => {
                    let listener = self.listener.name();
                    tracing::error!(listener, %error, "cannot read from the UDP socket");
                    sleep(OUT_OF_RESOURCES).await;
                }
            }
        }
    }

    /// Tells how many there were.
    fn hand_out<'a>(&self, datagrams: impl Iterator<Item = (Ends, &'a [u8])>) -> usize {
        let counts = &self.listener.settings().counts;
        let limit = self.listener.settings().tuning().limits.inbound_limit;
        let security = self.listener.security();
        let max_datagram = match &**security {
            // What a datagram carries shows when it is decrypted.
            Security::Dtls(_) => usize::MAX,
            #[cfg(feature = "dtls13")]
            Security::Dtls13(_) => crate::dtls13::LARGEST,
            _ => self.listener.config().udp.max_datagram.bytes(),
        };
        let now = Instant::now();
        let mut count = 0;
        for (ends, datagram) in datagrams {
            count += 1;
            let local = self.port.local(ends);
            if let Err(why) = check(ends.device, local, datagram.len(), max_datagram) {
                counts.dropped(why);
                continue;
            }
            let peer = self.peers.get(&ends);
            match &**security {
                Security::Dtls(server) if !dtls::belongs_to(peer.as_deref(), datagram) => {
                    self.hello(server, ends, datagram, now);
                    continue;
                }
                #[cfg(feature = "dtls13")]
                Security::Dtls13(context) if !dtls::belongs_to(peer.as_deref(), datagram) => {
                    self.hello13(context, peer.is_some(), ends, datagram, now);
                    continue;
                }
                _ => {}
            }
            let delivery = peer.map_or(Delivery::Gone, |peer| {
                peer.deliver(datagram, limit.bytes(), counts, now)
            });
            if delivery == Delivery::Gone && matches!(**security, Security::None) {
                self.begin(ends, datagram, limit.bytes(), now);
            }
        }
        count
    }

    /// The first datagram of a device: it is a connection from now on, if it is let in.
    fn begin(&self, ends: Ends, datagram: &[u8], limit: usize, now: Instant) {
        let Some((info, admitted)) = self.admit(ends, Transport::Udp) else {
            return;
        };
        let socket = self.enlist(ends, Vec::new(), admitted);
        socket.deliver(datagram, limit, now);
        let place = socket.place();
        self.listener.open(Box::new(socket), info, place);
    }

    /// Lets a device in, or counts that it was turned away.
    pub(super) fn admit(&self, ends: Ends, transport: Transport) -> Option<(ConnInfo, Admitted)> {
        let info = ConnInfo::new(transport, ends.device, self.port.local(ends));
        match self.listener.settings().gate.admit(info.device.ip()) {
            Ok(admitted) => Some((info, admitted)),
            Err(refusal) => {
                self.listener.refused(info.device, refusal);
                None
            }
        }
    }

    /// Puts a device that was let in into the table, in the place of any session that it has. `hellos` as
    /// [`Peer::new`] has them.
    pub(super) fn enlist(
        &self,
        ends: Ends,
        hellos: Vec<[u8; 32]>,
        admitted: Admitted,
    ) -> PeerSocket {
        let settings = self.listener.settings();
        let flow = Flow::new(&settings.gate);
        let peer = Peer::new(ends, self.port.clone(), flow, hellos, admitted);
        self.peers.insert(&peer);
        PeerSocket::new(peer, self.peers.clone(), settings.counts.clone())
    }
}

/// Whether a datagram of so many bytes may be anybody's, before it is known whose.
fn check(device: SocketAddr, local: SocketAddr, length: usize, most: usize) -> Result<(), Dropped> {
    if length > most {
        return Err(Dropped::TooLarge);
    }
    if device.port() == 0 {
        return Err(Dropped::PortZero);
    }
    // Forged to look as if it came from here: an echo would talk to itself for ever.
    let canonical =
        |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    if canonical(device) == canonical(local) {
        return Err(Dropped::OwnAddress);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_devices_is_dropped_by_its_reason() {
        let local = "192.0.2.1:7993";
        for (device, local, length, outcome) in [
            ("192.0.2.7:40000", local, 10, Ok(())),
            ("192.0.2.1:40000", local, 10, Ok(())),
            ("192.0.2.7:7993", local, 10, Ok(())),
            ("192.0.2.7:40000", local, 11, Err(Dropped::TooLarge)),
            ("192.0.2.7:0", local, 1, Err(Dropped::PortZero)),
            (local, local, 1, Err(Dropped::OwnAddress)),
            (
                "[::ffff:192.0.2.1]:7993",
                local,
                1,
                Err(Dropped::OwnAddress),
            ),
            (
                "[2001:db8::1]:1",
                "[2001:db8::1]:1",
                1,
                Err(Dropped::OwnAddress),
            ),
        ] {
            let (device, local) = (device.parse().unwrap(), local.parse().unwrap());
            assert_eq!(
                check(device, local, length, 10),
                outcome,
                "{device} {local}"
            );
        }
    }
}
