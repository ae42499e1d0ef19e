//! A UDP peer as a socket: its datagrams wait in a queue that the listener's worker fills, and leave by the worker's
//! port.

use std::{
    collections::VecDeque,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use dashmap::{DashMap, Entry};
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::{io::ReadBuf, task::coop::poll_proceed};

/// The sockets that peers share.
pub mod port;

use self::port::Port;
use super::{Batch, Received, Socket};
use crate::{
    admission::{Admitted, Direction, Flow},
    metrics::{Dropped, ListenerMetrics},
};

/// What a waiting datagram takes besides its bytes.
const DATAGRAM: usize = 64;

/// The two ends of a peer: whoever sends to two addresses of this machine is two peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ends {
    /// The device's address, as the socket has it.
    pub device: SocketAddr,
    /// The address of this machine that it sends to, where the socket does not say that already.
    pub local: Option<IpAddr>,
}

/// The peers of one listener, on all its sockets. Clones are the same.
#[derive(Clone, Default)]
pub struct Peers(Arc<DashMap<Ends, Arc<Peer>>>);

/// One peer.
pub struct Peer {
    ends: Ends,
    port: Arc<Port>,
    queue: Mutex<Queue>,
    waker: AtomicWaker,
    flow: Flow,
    /// The random of the hello that began its DTLS session, and of the one before.
    hellos: Box<[[u8; 32]]>,
    /// Its place among the connections.
    admitted: Mutex<Option<Admitted>>,
}

/// A peer's place among the connections, until it is dropped.
pub struct Place(Arc<Peer>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Another session of the same device has taken the place of this one.
#[derive(Debug, thiserror::Error)]
#[error("the device has begun a new session")]
pub struct Superseded;

#[derive(Default)]
struct Queue {
    datagrams: VecDeque<Bytes>,
    bytes: usize,
    /// The socket is gone.
    closed: bool,
    superseded: bool,
}

/// What became of a datagram for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It waits for the peer's task, or was counted as dropped.
    Done,
    /// The peer is gone.
    Gone,
}

impl Peers {
    /// The peer with these ends.
    #[must_use]
    pub fn get(&self, ends: &Ends) -> Option<Arc<Peer>> {
        self.0.get(ends).map(|entry| entry.value().clone())
    }

    /// Puts a peer in, in the place of any before it.
    pub fn insert(&self, peer: &Arc<Peer>) {
        if let Some(before) = self.0.insert(peer.ends, peer.clone()) {
            before.supersede();
        }
    }

    fn remove(&self, peer: &Arc<Peer>) {
        if let Entry::Occupied(entry) = self.0.entry(peer.ends)
            && Arc::ptr_eq(entry.get(), peer)
        {
            entry.remove();
        }
    }
}

impl Peer {
    /// A peer that nothing has come from yet. `hellos` are the random of its DTLS hello, and of the one before.
    #[must_use]
    pub fn new(
        ends: Ends,
        port: Arc<Port>,
        flow: Flow,
        hellos: Vec<[u8; 32]>,
        admitted: Admitted,
    ) -> Arc<Self> {
        Arc::new(Self {
            ends,
            port,
            queue: Mutex::default(),
            waker: AtomicWaker::new(),
            flow,
            hellos: hellos.into(),
            admitted: Mutex::new(Some(admitted)),
        })
    }

    /// The device has begun anew: this peer ends, and its place is free at once.
    pub fn supersede(&self) {
        self.queue.lock().superseded = true;
        self.waker.wake();
        self.leave();
    }

    fn leave(&self) {
        // Dropped outside of the lock.
        let admitted = self.admitted.lock().take();
        drop(admitted);
    }

    /// Whether a hello with this random began its DTLS session, or the one before: then it is a late copy. So is any
    /// where it is not known which one began it.
    #[must_use]
    pub fn knows(&self, hello: &[u8; 32]) -> bool {
        self.hellos.is_empty() || self.hellos.contains(hello)
    }

    /// The random of the hello that began its DTLS session, where it is known.
    #[must_use]
    pub fn hello(&self) -> Option<&[u8; 32]> {
        self.hellos.first()
    }

    /// Hands a datagram over, unless a rate or `limit`, the bytes that may wait, is exceeded.
    pub fn deliver(
        &self,
        datagram: &[u8],
        limit: usize,
        counts: &ListenerMetrics,
        now: Instant,
    ) -> Delivery {
        if !self.flow.is_unlimited() && !self.flow.try_pass(Direction::In, datagram.len(), now) {
            counts.dropped(Dropped::RateIn);
            return Delivery::Done;
        }
        let mut queue = self.queue.lock();
        if queue.closed {
            return Delivery::Gone;
        }
        let bytes = queue.bytes + datagram.len() + DATAGRAM;
        if bytes > limit && !queue.datagrams.is_empty() {
            counts.dropped(Dropped::QueueFull);
            return Delivery::Done;
        }
        queue.bytes = bytes;
        queue.datagrams.push_back(Bytes::copy_from_slice(datagram));
        drop(queue);
        self.waker.wake();
        Delivery::Done
    }
}

/// A peer's datagrams as a socket. Dropped, it takes the peer out of the table.
pub struct PeerSocket {
    out: Outward,
    peers: Peers,
}

/// A peer's way out.
pub struct Outward {
    peer: Arc<Peer>,
    counts: Arc<ListenerMetrics>,
    /// The rates have let the next datagram pass, and the port has not taken it yet.
    paid: bool,
    /// Made only while the port takes nothing.
    writable: Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send>>>,
}

impl PeerSocket {
    /// The socket of a peer that stands in the table.
    #[must_use]
    pub fn new(peer: Arc<Peer>, peers: Peers, counts: Arc<ListenerMetrics>) -> Self {
        Self {
            out: Outward::new(peer, counts),
            peers,
        }
    }

    /// The way out, for a task of its own.
    #[must_use]
    pub fn outward(&self) -> Outward {
        Outward::new(self.out.peer.clone(), self.out.counts.clone())
    }

    /// The peer's place, which outlives the socket.
    #[must_use]
    pub fn place(&self) -> Place {
        Place(self.out.peer.clone())
    }

    /// Hands a datagram over, as [`Peer::deliver`] does.
    pub fn deliver(&self, datagram: &[u8], limit: usize, now: Instant) {
        let peer = &self.out.peer;
        peer.deliver(datagram, limit, &self.out.counts, now);
    }

    /// Counts a message that was thrown away.
    pub fn dropped(&self, why: Dropped) {
        self.out.counts.dropped(why);
    }

    /// The next datagram that waits; fails once another peer has taken the place of this one.
    pub fn poll_datagram(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let peer = &self.out.peer;
        // However fast they come, others get their turn.
        let turn = ready!(poll_proceed(cx));
        peer.waker.register(cx.waker());
        let mut queue = peer.queue.lock();
        let Some(datagram) = queue.datagrams.pop_front() else {
            return if queue.superseded {
                Poll::Ready(Err(io::Error::other(Superseded)))
            } else {
                Poll::Pending
            };
        };
        turn.made_progress();
        queue.bytes -= datagram.len() + DATAGRAM;
        if queue.datagrams.is_empty() {
            // A quiet peer holds nothing.
            queue.datagrams = VecDeque::new();
        }
        Poll::Ready(Ok(datagram))
    }

    /// Sends datagrams, as [`Outward::poll_datagrams`] does.
    pub fn poll_datagrams(
        &mut self,
        cx: &mut Context<'_>,
        batch: Batch<'_>,
    ) -> Poll<io::Result<usize>> {
        self.out.poll_datagrams(cx, batch)
    }
}

impl Outward {
    fn new(peer: Arc<Peer>, counts: Arc<ListenerMetrics>) -> Self {
        Self {
            peer,
            counts,
            paid: false,
            writable: None,
        }
    }

    /// Sends one or more datagrams of `batch.size` bytes each; the last may be shorter. Tells how many bytes left or
    /// were thrown away. Ready as soon as the port takes them; what it refuses is counted and forgotten.
    pub fn poll_datagrams(
        &mut self,
        cx: &mut Context<'_>,
        batch: Batch<'_>,
    ) -> Poll<io::Result<usize>> {
        let first = &batch.bytes[..batch.size];
        let mut bytes = batch.bytes;
        if !self.peer.flow.is_unlimited() {
            bytes = first;
            let now = Instant::now();
            self.paid = self.paid || self.peer.flow.try_pass(Direction::Out, bytes.len(), now);
            if !self.paid {
                self.counts.dropped(Dropped::RateOut);
                return Poll::Ready(Ok(bytes.len()));
            }
        }
        let most = batch.size * self.peer.port.most_segments(batch.size);
        bytes = &bytes[..bytes.len().min(most)];
        loop {
            match self.peer.port.try_send(self.peer.ends, bytes, batch.size) {
                Ok(()) => {
                    self.paid = false;
                    return Poll::Ready(Ok(bytes.len()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.poll_writable(cx))?;
                }
                // Not every system takes several at once.
                Err(_) if bytes.len() > batch.size => bytes = first,
                Err(error) => {
                    let device = self.peer.ends.device;
                    tracing::debug!(%device, %error, length = bytes.len(), "a datagram was not sent");
                    self.counts.dropped(Dropped::NotSent);
                    self.paid = false;
                    return Poll::Ready(Ok(bytes.len()));
                }
            }
        }
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let port = &self.peer.port;
        let writable = self.writable.get_or_insert_with(|| {
            let port = port.clone();
            Box::pin(async move { port.writable().await })
        });
        let ready = ready!(writable.as_mut().poll(cx));
        self.writable = None;
        Poll::Ready(ready)
    }
}

impl Drop for PeerSocket {
    fn drop(&mut self) {
        // Closed first: what comes from now on begins another connection.
        let mut queue = self.out.peer.queue.lock();
        queue.closed = true;
        queue.datagrams = VecDeque::new();
        drop(queue);
        self.peers.remove(&self.out.peer);
    }
}

impl Socket for PeerSocket {
    fn keeps_boundaries(&self) -> bool {
        true
    }

    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Received>> {
        self.poll_datagram(cx).map_ok(Received::Message)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, batch: Batch<'_>) -> Poll<io::Result<usize>> {
        self.poll_datagrams(cx, batch)
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn abort(&mut self) {}
}
