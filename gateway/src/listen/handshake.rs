//! What stands between a TCP socket and its first byte: the PROXY protocol, then TLS, then WebSocket, each where the
//! listener says so, and all of it within `handshake_timeout`.

use std::{fmt::Display, net::SocketAddr, sync::Arc};

use tokio::{net::TcpStream, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{Listener, Security, proxy};
use crate::{
    admission::{Admitted, Refusal, Unidentified},
    transport::{ConnInfo, Details, Socket, stream::Stream, websocket},
};

/// A device that has connected and said nothing yet.
pub(super) struct Newcomer {
    pub(super) listener: Arc<Listener>,
    pub(super) config: Arc<config::Listener>,
    pub(super) socket: TcpStream,
    pub(super) device: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) place: Place,
}

/// A newcomer's place within the limits.
pub(super) enum Place {
    /// Whose it is is known.
    Known(Admitted),
    /// The balancer will tell.
    Unknown(Unidentified),
}

/// A device that is through.
struct Through {
    socket: Box<dyn Socket>,
    info: ConnInfo,
    admitted: Admitted,
}

/// Why a device did not get through.
enum Failed {
    /// A limit or rule turned it away.
    Refused(SocketAddr, Refusal),
    /// A handshake failed, for a reason out of a closed set.
    Handshake {
        reason: &'static str,
        detail: String,
    },
}

/// Takes a device through its handshakes, and serves it. Nothing is kept of them for the life of the connection.
pub(super) async fn run(newcomer: Newcomer, stop: CancellationToken) {
    let listener = newcomer.listener.clone();
    let peer = newcomer.device;
    let limit = newcomer.config.handshake_timeout;
    // Who is to blame for a failure; not a balancer that has not told yet, or speaks for itself.
    let mut device = match newcomer.place {
        Place::Known(_) => Some(peer),
        Place::Unknown(_) => None,
    };
    let handshakes = timeout(limit, Box::pin(newcomer.handshakes(&mut device)));
    match stop.run_until_cancelled(handshakes).await {
        // The pod ends: whoever is not through yet was never there.
        None => {}
        Some(Ok(Ok(through))) => {
            let Through {
                socket,
                info,
                admitted,
            } = through;
            listener.serve(socket, info, admitted).await;
        }
        Some(Ok(Err(Failed::Refused(device, refusal)))) => listener.refused(device, refusal),
        Some(failed) => {
            let (reason, detail) = match failed {
                Ok(Err(Failed::Handshake { reason, detail })) => (reason, detail),
                _ => ("timeout", "handshake_timeout is over".to_owned()),
            };
            match device {
                Some(device) => listener.failed(device, reason, &detail),
                None => listener.balancer_failed(peer, reason, &detail),
            }
        }
    }
}

impl Newcomer {
    /// Tells `known` of the device as soon as it is known.
    async fn handshakes(self, known: &mut Option<SocketAddr>) -> Result<Through, Failed> {
        let Self {
            listener,
            config,
            socket,
            mut device,
            mut local,
            place,
        } = self;
        let mut details = Details::default();
        let admitted = match place {
            Place::Known(admitted) => admitted,
            Place::Unknown(unidentified) => {
                let header = proxy_header(&socket, &config.proxy_protocol).await?;
                header.describe(device, &mut details);
                *known = header.source;
                if let Some(source) = header.source {
                    device = source;
                    local = header.destination.unwrap_or(local);
                    let ip = source.ip().to_canonical();
                    let refused = |refusal| Failed::Refused(source, refusal);
                    unidentified.identify(ip).map_err(refused)?
                } else {
                    unidentified.without_device()
                }
            }
        };
        let socket = secure(&listener, &config, socket, &mut details).await?;
        let mut info = ConnInfo::new(config.transport, device, local);
        info.is_balancer = known.is_none();
        info.details = details;
        Ok(Through {
            socket,
            info,
            admitted,
        })
    }
}

async fn proxy_header(
    socket: &TcpStream,
    config: &config::ProxyProtocol,
) -> Result<proxy::Header, Failed> {
    let failed = |reason, detail| Failed::Handshake { reason, detail };
    match timeout(config.timeout, proxy::read(socket)).await {
        Ok(Ok(header)) => Ok(header),
        Ok(Err(error)) => Err(failed(error.reason(), error.to_string())),
        Err(_) => Err(failed(
            "proxy_timeout",
            "the balancer sent no PROXY header in time".to_owned(),
        )),
    }
}

/// TLS and WebSocket, where the transport has them.
async fn secure(
    listener: &Listener,
    config: &config::Listener,
    socket: TcpStream,
    details: &mut Details,
) -> Result<Box<dyn Socket>, Failed> {
    let failed = |reason: &'static str, detail: &dyn Display| Failed::Handshake {
        reason,
        detail: detail.to_string(),
    };
    let security = listener.security().clone();
    match &*security {
        Security::Tls(secured) => {
            let secured = secured.accept(socket).await;
            let (tls, told) = secured.map_err(|error| failed(error.reason().as_str(), &error))?;
            details.merge(told);
            if config.transport.is_websocket() {
                let opened = websocket::accept(tls, &config.websocket).await;
                let (websocket, told) = opened.map_err(|error| failed(error.reason(), &error))?;
                details.merge(told);
                return Ok(Box::new(websocket));
            }
            Ok(Box::new(Stream(tls)))
        }
        Security::None if config.transport.is_websocket() => {
            let opened = websocket::accept(socket, &config.websocket).await;
            let (websocket, told) = opened.map_err(|error| failed(error.reason(), &error))?;
            details.merge(told);
            Ok(Box::new(websocket))
        }
        _ => Ok(Box::new(Stream(socket))),
    }
}
