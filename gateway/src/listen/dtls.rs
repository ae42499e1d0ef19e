//! DTLS over a UDP listener: hellos are answered with a cookie and forgotten; a device that brings the cookie back
//! gets a session, and once its handshake is done a connection.

use std::{fmt::Display, future::poll_fn, net::SocketAddr, time::Instant};

use tokio::time::timeout;

use super::{Listener, udp::Worker};
use crate::{
    dtls::{self, Context, Cookies, Hello, Refusal, Session, SessionError},
    metrics::Dropped,
    tls::{self, certificate},
    transport::{
        Batch, ConnInfo, Details, Socket, Transport,
        dtls::DtlsSocket,
        udp::{Ends, Peer, PeerSocket, Place, Superseded},
    },
};

/// What a DTLS listener shows and wants.
pub struct Server {
    context: Context,
    cookies: Cookies,
    mtu: u32,
}

impl Server {
    /// Reads certificates and keys.
    pub fn load(listener: &config::Listener) -> Result<Self, tls::Error> {
        Ok(Self {
            context: Context::load(listener)?,
            cookies: Cookies::new(),
            mtu: listener.dtls.mtu,
        })
    }
}

/// Whether a datagram is for the session that the peer has: all are but the hello of a new one.
pub(super) fn belongs_to(peer: Option<&Peer>, datagram: &[u8]) -> bool {
    let Some(peer) = peer else { return false };
    if !dtls::hello::looks_like_hello(datagram) {
        return true;
    }
    Hello::parse(datagram).is_none_or(|hello| peer.knows(&hello.random()))
}

impl Worker {
    /// A datagram that belongs to no session: it begins one, or is answered with a cookie, or is nothing.
    pub(super) fn hello(&self, server: &Server, ends: Ends, datagram: &[u8], now: Instant) {
        let counts = &self.listener.settings().counts;
        let Some(hello) = Hello::parse(datagram) else {
            counts.dropped(Dropped::NoSession);
            return;
        };
        if server.cookies.verify(ends.device, &hello) {
            self.accept(server, ends, &hello, datagram, now);
            return;
        }
        counts.hello_answered();
        let answer = server.cookies.hello_verify_request(ends.device, &hello);
        // The device will ask again.
        let _ = self.port.try_send(ends, &answer, answer.len());
    }

    fn accept(
        &self,
        server: &Server,
        ends: Ends,
        hello: &Hello<'_>,
        datagram: &[u8],
        now: Instant,
    ) {
        // The device has shown that it is there: what it had before is over (RFC 6347, section 4.2.8), and takes no place
        // from it.
        let mut hellos = vec![hello.random()];
        if let Some(before) = self.peers.get(&ends) {
            hellos.extend(before.hello());
            before.supersede();
        }
        let Some((info, admitted)) = self.admit(ends, Transport::Dtls) else {
            return;
        };
        let peer = self.enlist(ends, hellos, admitted);
        let limit = self.listener.settings().tuning().limits.inbound_limit;
        peer.deliver(datagram, limit.bytes(), now);
        let max_message = self.listener.config().udp.max_datagram.bytes();
        let place = peer.place();
        // A session costs a signature, which is too much for the worker.
        let handshake = handshake(server.context.clone(), server.mtu, peer, max_message);
        self.welcome(info, place, Listener::failed, handshake);
    }

    /// Waits for the handshake, within its time, and serves the connection that comes of it, in a task of its own.
    /// `failed` is told of a device that does not get through.
    pub(super) fn welcome(
        &self,
        mut info: ConnInfo,
        place: Place,
        failed: fn(&Listener, SocketAddr, &'static str, &dyn Display),
        handshake: impl Future<Output = Result<Shaken, Failed>> + Send + 'static,
    ) {
        let (listener, stop) = (self.listener.clone(), self.stop.clone());
        let connect = async move {
            let limit = listener.config().handshake_timeout;
            let handshake = timeout(limit, Box::pin(handshake));
            match stop.run_until_cancelled(handshake).await {
                // The pod ends: whoever is not through yet was never there.
                None => {}
                Some(Ok(Ok((socket, details)))) => {
                    info.details = details;
                    listener.serve(socket, info, place).await;
                }
                Some(Ok(Err(Failed::Device { reason, detail }))) => {
                    failed(&listener, info.device, reason, &detail);
                }
                Some(Ok(Err(Failed::Superseded))) => {
                    listener.failed_unproven(info.device, "closed", &Superseded);
                }
                Some(Ok(Err(Failed::Gateway(detail)))) => {
                    listener.settings().counts.handshake_failed("other");
                    tracing::error!(listener = listener.name(), detail, "cannot serve a device");
                }
                Some(Err(_)) => {
                    failed(
                        &listener,
                        info.device,
                        "timeout",
                        &"handshake_timeout is over",
                    );
                }
            }
        };
        self.listener.connections.tasks.spawn(connect);
    }
}

/// A device that is through, and what it told.
pub(super) type Shaken = (Box<dyn Socket>, Details);

/// Why a device did not get through.
pub(super) enum Failed {
    /// It is the device's doing: a word out of a closed set, and the details.
    Device {
        reason: &'static str,
        detail: String,
    },
    /// It has begun anew.
    Superseded,
    /// It is ours.
    Gateway(String),
}

/// `peer` has the hello that brought its cookie back.
async fn handshake(
    context: Context,
    mtu: u32,
    mut peer: PeerSocket,
    max_message: usize,
) -> Result<Shaken, Failed> {
    let failed = |error: &SessionError| match error {
        SessionError::Superseded => Failed::Superseded,
        SessionError::NotSetUp(_) => Failed::Gateway(error.to_string()),
        error => Failed::Device {
            reason: error.reason(),
            detail: error.to_string(),
        },
    };
    let datagram = poll_fn(|cx| peer.poll_datagram(cx)).await;
    let datagram = datagram.map_err(|_| Failed::Superseded)?;
    let hello = Hello::parse(&datagram).ok_or_else(|| failed(&SessionError::NotDtls))?;
    let session = match Session::accept(&context, &hello, mtu) {
        Ok(session) => session,
        Err(Refusal { error, outgoing }) => {
            for bytes in &outgoing {
                let size = bytes.len();
                let _ = poll_fn(|cx| peer.poll_datagrams(cx, Batch { bytes, size })).await;
            }
            return Err(failed(&error));
        }
    };
    let mut socket = DtlsSocket::new(peer, Box::new(session), max_message);
    if let Err(error) = poll_fn(|cx| socket.poll_handshake(cx)).await {
        // The alert that says why.
        poll_fn(|cx| socket.poll_last_words(cx)).await;
        return Err(failed(&error));
    }
    let mut details = socket.session().details();
    if let Some(der) = socket.session().peer_certificate_der() {
        certificate::describe(&der, &mut details);
    }
    Ok((Box::new(socket), details))
}
