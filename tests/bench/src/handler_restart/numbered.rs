//! A device that numbers what it sends, and looks for each number in what comes back.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    time::timeout,
};

/// Bytes of a block: its number, again and again, so that a block that is put together wrongly is seen.
const BLOCK: usize = 64;
/// Blocks that are sent ahead of what has come back.
pub(super) const IN_FLIGHT: u64 = 8;
/// For how long what is missing is waited for in the end.
const LAST: Duration = Duration::from_secs(10);

/// A connection to the gateway.
pub(super) struct Numbered {
    socket: TcpStream,
}

/// What a device has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Blocks that came back as they should.
    pub(super) blocks: u64,
    /// Connections that were closed.
    pub(super) closed: u64,
    /// Blocks that never came back.
    pub(super) lost: u64,
    /// Blocks that came back more than once.
    pub(super) duplicated: u64,
    /// Blocks that came back behind later ones, or are none.
    pub(super) reordered: u64,
}

impl Found {
    pub(super) fn add(&mut self, other: &Self) {
        self.blocks += other.blocks;
        self.closed += other.closed;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
    }

    pub(super) fn is_perfect(&self) -> bool {
        let Self { blocks, .. } = *self;
        blocks > 0
            && *self
                == Self {
                    blocks,
                    ..Self::default()
                }
    }
}

impl Numbered {
    pub(super) async fn open(to: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(to).await?;
        socket.set_nodelay(true)?;
        Ok(Self { socket })
    }

    /// Sends and receives until it is told to stop, and then receives what is missing. `echoed` is the last number that
    /// came back, or the highest there is where the connection was closed.
    pub(super) async fn run(
        mut self,
        echoed: Arc<AtomicU64>,
        stop: watch::Receiver<bool>,
    ) -> Found {
        let mut reading = Reading::default();
        let mut sent = 0;
        let mut buffer = [0; 16 * BLOCK];
        loop {
            let stopped = *stop.borrow();
            while !stopped && sent < reading.next - 1 + IN_FLIGHT {
                sent += 1;
                if self.socket.write_all(&block(sent)).await.is_err() {
                    return reading.closed(&echoed, sent);
                }
            }
            if stopped && reading.next > sent {
                return reading.ended(sent);
            }
            match timeout(LAST, self.socket.read(&mut buffer)).await {
                Ok(Ok(length)) if length > 0 => reading.take(&buffer[..length]),
                Ok(_) => return reading.closed(&echoed, sent),
                Err(_) if stopped => return reading.ended(sent),
                // The handler may take its time.
                Err(_) => {}
            }
            echoed.store(reading.next - 1, Ordering::Relaxed);
        }
    }
}

/// What has come back.
struct Reading {
    rest: Vec<u8>,
    /// The number that is expected next.
    next: u64,
    /// Numbers before that which were passed over.
    missing: HashSet<u64>,
    found: Found,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            rest: Vec::new(),
            next: 1,
            missing: HashSet::new(),
            found: Found::default(),
        }
    }
}

impl Reading {
    fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let whole = self.rest.len() / BLOCK * BLOCK;
        let blocks: Vec<u8> = self.rest.drain(..whole).collect();
        for bytes in blocks.chunks(BLOCK) {
            match number(bytes) {
                Some(number) if number == self.next => {
                    self.found.blocks += 1;
                    self.next += 1;
                }
                Some(number) if number > self.next => {
                    self.missing.extend(self.next..number);
                    self.next = number + 1;
                }
                Some(number) if self.missing.remove(&number) => self.found.reordered += 1,
                Some(_) => self.found.duplicated += 1,
                None => self.found.reordered += 1,
            }
        }
    }

    fn ended(mut self, sent: u64) -> Found {
        self.found.lost = self.missing.len() as u64 + (sent + 1 - self.next);
        self.found
    }

    fn closed(self, echoed: &AtomicU64, sent: u64) -> Found {
        echoed.store(u64::MAX, Ordering::Relaxed);
        let mut found = self.ended(sent);
        found.closed = 1;
        found
    }
}

fn block(number: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    for place in block.chunks_mut(8) {
        place.copy_from_slice(&number.to_be_bytes());
    }
    block
}

fn number(bytes: &[u8]) -> Option<u64> {
    let mut places = bytes.chunks(8);
    let first = places.next()?;
    let number = u64::from_be_bytes(first.try_into().ok()?);
    places.all(|place| place == first).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(numbers: &[u64], sent: u64) -> Found {
        let mut reading = Reading::default();
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| block(*number)).collect();
        // However it is cut.
        for part in bytes.chunks(7) {
            reading.take(part);
        }
        reading.ended(sent)
    }

    #[test]
    fn what_comes_back_as_it_was_sent_is_perfect() {
        assert!(found(&[1, 2, 3, 4], 4).is_perfect());
    }

    #[test]
    fn each_thing_that_goes_wrong_is_seen() {
        assert_eq!(found(&[1, 3], 3).lost, 1);
        assert_eq!(found(&[1, 2], 3).lost, 1);
        assert_eq!(found(&[1, 2, 2, 3], 3).duplicated, 1);
        assert_eq!(found(&[1, 3, 2, 4], 4).reordered, 1);
        assert_eq!(found(&[1, 3, 2, 4], 4).lost, 0);
        assert!(!found(&[], 0).is_perfect());
    }

    #[test]
    fn a_block_put_together_wrongly_is_none() {
        let mut bytes = block(1);
        bytes[BLOCK - 1] = 2;
        assert_eq!(number(&bytes), None);
    }
}
