//! Many UDP devices behind one socket: each has an address of its own in 127.0.0.0/8, all of which is this machine.

use std::{
    collections::HashSet,
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::Range,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::{io::Interest, net::UdpSocket, time};

/// The first device's address.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 0);
/// How many wait for their echo at the same time.
const AT_ONCE: usize = 128;
/// After so long without any echo those that are missing are lost, and sent again.
const LOST: Duration = Duration::from_millis(500);
/// After this long without any a run has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// Larger than what any device sends.
const BUFFER: usize = 64 * 1024;

/// UDP devices, known by their numbers.
pub(crate) struct Swarm {
    socket: UdpSocket,
    state: UdpSocketState,
    gateway: SocketAddr,
    payload: Vec<u8>,
}

impl Swarm {
    /// Of devices that talk to `gateway`, each with `length` bytes at a time.
    pub(crate) async fn new(gateway: SocketAddr, length: usize) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        Ok(Self {
            socket,
            state,
            gateway,
            payload: (0_u8..=250).cycle().take(length).collect(),
        })
    }

    /// Lets each of these devices send its payload, and waits until all have it back.
    pub(crate) async fn greet(&self, devices: Range<u32>) -> Result<()> {
        let mut buffers = Buffers::new();
        let mut waiting = HashSet::new();
        let mut next = devices.start;
        let mut heard = Instant::now();
        loop {
            while next < devices.end && waiting.len() < AT_ONCE {
                waiting.insert(next);
                self.send(next).await?;
                next += 1;
            }
            if waiting.is_empty() {
                return Ok(());
            }
            let received = time::timeout(LOST, self.receive(&mut buffers, &mut waiting)).await;
            if let Ok(received) = received {
                received?;
                heard = Instant::now();
            } else {
                ensure!(
                    heard.elapsed() < PATIENCE,
                    "an echo did not arrive within {PATIENCE:?}"
                );
                for device in &waiting {
                    self.send(*device).await?;
                }
            }
        }
    }

    async fn send(&self, device: u32) -> Result<()> {
        let transmit = Transmit {
            destination: self.gateway,
            ecn: None,
            contents: &self.payload,
            segment_size: None,
            src_ip: Some(address(device)),
        };
        let sent = self.socket.async_io(Interest::WRITABLE, || {
            let socket = UdpSockRef::from(&self.socket);
            self.state.try_send(socket, &transmit)
        });
        sent.await.context("cannot send a payload")
    }

    async fn receive(&self, buffers: &mut Buffers, waiting: &mut HashSet<u32>) -> Result<()> {
        let received = self.socket.async_io(Interest::READABLE, || {
            buffers.receive(&self.socket, &self.state)
        });
        let count = received.await.context("cannot receive an echo")?;
        for (to, echo) in buffers.each(count) {
            ensure!(echo == self.payload, "what came back is not what was sent");
            waiting.remove(&number(to).context("an echo came to no device")?);
        }
        Ok(())
    }
}

/// Where the kernel puts several datagrams at once.
struct Buffers {
    memory: Vec<u8>,
    metas: [RecvMeta; BATCH_SIZE],
}

impl Buffers {
    fn new() -> Self {
        Self {
            memory: vec![0; BUFFER * BATCH_SIZE],
            metas: [RecvMeta::default(); BATCH_SIZE],
        }
    }

    fn receive(&mut self, socket: &UdpSocket, state: &UdpSocketState) -> io::Result<usize> {
        let mut chunks = self.memory.chunks_mut(BUFFER);
        let mut slices: [IoSliceMut; BATCH_SIZE] = std::array::from_fn(|_| {
            IoSliceMut::new(chunks.next().expect("there is one for each slice"))
        });
        state.recv(UdpSockRef::from(socket), &mut slices, &mut self.metas)
    }

    fn each(&self, count: usize) -> impl Iterator<Item = (Option<IpAddr>, &[u8])> {
        let filled = self.metas[..count].iter().zip(self.memory.chunks(BUFFER));
        filled.flat_map(|(meta, chunk)| {
            let datagrams = chunk[..meta.len].chunks(meta.stride.max(1));
            datagrams.map(|datagram| (meta.dst_ip, datagram))
        })
    }
}

fn address(device: u32) -> IpAddr {
    Ipv4Addr::from_bits(FIRST.to_bits() + device).into()
}

fn number(address: Option<IpAddr>) -> Option<u32> {
    match address?.to_canonical() {
        IpAddr::V4(address) => address.to_bits().checked_sub(FIRST.to_bits()),
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_device_has_an_address_of_its_own() {
        assert_eq!(address(0), IpAddr::from([127, 1, 0, 0]));
        assert_eq!(address(100_000), IpAddr::from([127, 2, 134, 160]));
        assert_eq!(number(Some(address(100_000))), Some(100_000));
        assert_eq!(number(Some([127, 0, 0, 1].into())), None);
    }
}
