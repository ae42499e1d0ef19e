//! Listeners: let devices in, within limits, and start a connection for each.

/// TCP sockets: bind, accept, options.
pub mod tcp;
/// What stands between a TCP socket and its first byte.
mod handshake;
/// The PROXY protocol.
pub mod proxy;
/// UDP sockets and their workers.
pub mod udp;
/// DTLS sessions over them.
mod dtls;
/// DTLS 1.3 sessions over them.
#[cfg(feature = "dtls13")]
mod dtls13;
/// What a listener shows and wants in its handshakes.
mod security;
/// A listener's sockets, whatever its transport.
mod sockets;

use std::{
    fmt::Display,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use arc_swap::{ArcSwap, Guard};
use tokio_util::task::TaskTracker;

pub use self::{
    security::{Security, files},
    sockets::Sockets,
};
use crate::{
    admission::Refusal,
    conn_id::ConnIds,
    connection::{CloseReason, Connection, Settings},
    registry::Registry,
    transport::{ConnInfo, Socket},
};

/// What a listener needs for each new device. A reload replaces its parts; its sockets are served elsewhere.
pub struct Listener {
    config: ArcSwap<config::Listener>,
    security: ArcSwap<Security>,
    settings: Arc<Settings>,
    connections: Connections,
    /// No connection is to begin any more.
    ended: AtomicBool,
}

/// Where new connections go.
#[derive(Clone)]
pub struct Connections {
    /// Their names.
    pub ids: Arc<ConnIds>,
    /// The table of those that take calls.
    pub registry: Registry,
    /// The tasks of those that have not ended.
    pub tasks: TaskTracker,
}

impl Connections {
    /// None yet.
    #[must_use]
    pub fn new(ids: &Arc<ConnIds>, registry: &Registry) -> Self {
        Self {
            ids: ids.clone(),
            registry: registry.clone(),
            tasks: TaskTracker::new(),
        }
    }
}

impl Listener {
    /// A listener that nothing serves yet.
    #[must_use]
    pub fn new(
        config: config::Listener,
        security: Security,
        settings: Arc<Settings>,
        connections: Connections,
    ) -> Arc<Self> {
        Arc::new(Self {
            config: ArcSwap::from_pointee(config),
            security: ArcSwap::from_pointee(security),
            settings,
            connections,
            ended: AtomicBool::new(false),
        })
    }

    /// From now on whoever comes through a handshake that was under way is told to leave.
    pub fn end(&self) {
        self.ended.store(true, SeqCst);
    }

    /// The listener's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.listener
    }

    /// The configuration as of the last reload.
    pub fn config(&self) -> Guard<Arc<config::Listener>> {
        self.config.load()
    }

    /// Replaces the configuration for devices that come later.
    pub fn configure(&self, config: config::Listener) {
        self.config.store(Arc::new(config));
    }

    /// Certificates and keys as they were last read.
    pub fn security(&self) -> Guard<Arc<Security>> {
        self.security.load()
    }

    /// Replaces certificates and keys for handshakes that come later.
    pub fn secure(&self, security: Security) {
        self.security.store(Arc::new(security));
    }

    /// What its connections share.
    #[must_use]
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// Counts a device that was turned away.
    fn refused(&self, device: SocketAddr, refusal: Refusal) {
        self.settings.counts.refused(refusal);
        tracing::debug!(listener = self.name(), %device, %refusal, "refused");
    }

    /// Counts a device that failed in its handshakes, and bans it where it failed too often.
    fn failed(&self, device: SocketAddr, reason: &'static str, detail: &dyn Display) {
        self.failed_unproven(device, reason, detail);
        if self.settings.gate.failed(device.ip()) {
            tracing::info!(listener = self.name(), %device, "banned after repeated failures");
        }
    }

    /// Counts a device that failed before it had shown that it is at its address: whoever wrote that address there
    /// must not get it banned.
    fn failed_unproven(&self, device: SocketAddr, reason: &'static str, detail: &dyn Display) {
        self.settings.counts.handshake_failed(reason);
        tracing::debug!(listener = self.name(), %device, reason, %detail, "handshake failed");
    }

    /// Counts a balancer that did not say whom it speaks for; it is never banned for that.
    fn balancer_failed(&self, balancer: SocketAddr, reason: &'static str, detail: &str) {
        self.settings.counts.handshake_failed(reason);
        tracing::debug!(listener = self.name(), %balancer, reason, detail, "no PROXY header");
    }

    /// Begins the connection of a device, in a task of its own.
    fn open(&self, socket: Box<dyn Socket>, info: ConnInfo, place: impl Send + 'static) {
        let serve = self.serve(socket, info, place);
        self.connections.tasks.spawn(serve);
    }

    /// The whole life of a connection; it takes calls from now on, and its place is given back in the end.
    fn serve<Place: Send + 'static>(
        &self,
        socket: Box<dyn Socket>,
        info: ConnInfo,
        place: Place,
    ) -> impl Future<Output = ()> + Send + use<Place> {
        let open = self.settings.counts.accepted();
        let (id, sequence) = self.connections.ids.mint();
        let settings = self.settings.clone();
        let device = info.bannable();
        let by_bytes = !socket.keeps_boundaries();
        let mirrored = settings.mirrored.as_ref();
        let chosen = mirrored.and_then(|mirrored| mirrored.mirror.choose(&id, by_bytes));
        let pair = chosen.as_ref().map(|chosen| chosen.pair.clone());
        let (handle, connection) =
            Connection::new(id, sequence, info, settings.clone(), socket, pair);
        if let (Some(mirrored), Some(chosen)) = (mirrored, chosen) {
            let settings = mirrored.settings.clone();
            let ids = &self.connections.ids;
            mirrored.mirror.follow(&connection, chosen, ids, settings);
        }
        let registration = self.connections.registry.register(sequence, handle.clone());
        // Whoever was to be closed while this device shook hands did not find it in the registry.
        if self.settings.gate.bans().covers(device, None).is_some() {
            handle.end(CloseReason::Banned);
        } else if self.ended.load(SeqCst) {
            handle.end(CloseReason::Draining);
        }
        async move {
            connection.run(Box::new(registration)).await;
            drop((place, open));
        }
    }
}
