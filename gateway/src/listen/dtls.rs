//! DTLS over a UDP listener: hellos are answered with a cookie and forgotten; a device that brings the cookie back
//! gets a session, and once its handshake is done a connection.

use std::{future::poll_fn, sync::Arc};

use tokio::time::timeout;

use super::{SecurityError, udp::Worker};
use crate::{
    admission::Admitted,
    dtls::{self, Context, Cookies, Hello, PskLookup, Refusal, Session},
    metrics::Dropped,
    tls::{certificate, psk::PskStore},
    transport::{
        ConnInfo, Details, Socket, Transport,
        dtls::DtlsSocket,
        udp::{Ends, Peer},
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
    pub fn load(listener: &config::Listener) -> Result<Self, SecurityError> {
        let psk = match &listener.psk.file {
            None => None,
            Some(file) => {
                let store = PskStore::load(file)?;
                let find = move |identity: &[u8]| store.key(identity).map(<[u8]>::to_vec);
                Some(Arc::new(find) as PskLookup)
            }
        };
        Ok(Self {
            context: Context::load(listener, psk)?,
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
    let same = |hello: Hello<'_>| peer.hello().is_none_or(|own| *own == hello.random());
    Hello::parse(datagram).is_none_or(same)
}

impl Worker {
    /// A datagram that belongs to no session: it begins one, or is answered with a cookie, or is nothing.
    pub(super) fn hello(&self, server: &Server, ends: Ends, datagram: &[u8]) {
        let counts = &self.listener.settings().counts;
        let Some(hello) = Hello::parse(datagram) else {
            counts.dropped(Dropped::NoSession);
            return;
        };
        if server.cookies.verify(ends.device, &hello) {
            self.accept(server, ends, &hello);
            return;
        }
        counts.hello_answered();
        let answer = server.cookies.hello_verify_request(ends.device, &hello);
        // The device will ask again.
        let _ = self.port.try_send(ends, &answer, answer.len());
    }

    fn accept(&self, server: &Server, ends: Ends, hello: &Hello<'_>) {
        let Some((info, admitted)) = self.admit(ends, Transport::Dtls) else {
            return;
        };
        let session = match Session::accept(&server.context, hello, server.mtu) {
            Ok(session) => session,
            Err(Refusal { error, outgoing }) => {
                for alert in outgoing {
                    let _ = self.port.try_send(ends, &alert, alert.len());
                }
                self.listener.failed(info.device, error.reason(), &error);
                return;
            }
        };
        // The device has shown that it is there: what it had before is over (RFC 6347, section 4.2.8).
        let socket = self.enlist(ends, Some(hello.random()));
        let max_message = self.listener.config().udp.max_datagram.bytes();
        let socket = DtlsSocket::new(socket, Box::new(session), max_message);
        self.welcome(info, admitted, handshake(socket));
    }

    /// Waits for the handshake, within its time, and serves the connection that comes of it, in a task of its own.
    pub(super) fn welcome(
        &self,
        mut info: ConnInfo,
        admitted: Admitted,
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
                    listener.serve(socket, info, admitted).await;
                }
                Some(Ok(Err(Failed::Device { reason, detail }))) => {
                    listener.failed(info.device, reason, &detail);
                }
                #[cfg(feature = "dtls13")]
                Some(Ok(Err(Failed::Gateway(detail)))) => {
                    listener.settings().counts.handshake_failed("other");
                    tracing::error!(listener = listener.name(), detail, "cannot serve a device");
                }
                Some(Err(_)) => {
                    listener.failed(info.device, "timeout", &"handshake_timeout is over");
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
    /// It is ours.
    #[cfg(feature = "dtls13")]
    Gateway(String),
}

async fn handshake(mut socket: DtlsSocket) -> Result<Shaken, Failed> {
    if let Err(error) = poll_fn(|cx| socket.poll_handshake(cx)).await {
        // The alert that says why.
        poll_fn(|cx| socket.poll_last_words(cx)).await;
        return Err(Failed::Device {
            reason: error.reason(),
            detail: error.to_string(),
        });
    }
    let mut details = socket.session().details();
    if let Some(der) = socket.session().peer_certificate_der() {
        certificate::describe(&der, &mut details);
    }
    Ok((Box::new(socket), details))
}
