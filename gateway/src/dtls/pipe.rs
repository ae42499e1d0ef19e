//! What OpenSSL reads from and writes to instead of a socket: one read is one datagram, and so is one write.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
};

use super::record::{self, Record};

/// The most datagrams that wait to be taken; further ones are lost, as on any network. The largest flight of a
/// handshake (64 KiB of certificates in datagrams of 256 bytes) has about as many.
const MOST: usize = 300;

/// What encrypted records have used up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    /// The number of the next record.
    pub(super) next: u64,
    /// The explicit nonce of the last record, for ciphers that have one. OpenSSL counts from a number of its own.
    pub(super) nonce: u64,
}

impl Sent {
    fn note(&mut self, record: &Record<'_>) {
        self.next = self.next.max(record.number + 1);
        if let Some(nonce) = record.payload.first_chunk() {
            self.nonce = u64::from_be_bytes(*nonce);
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Pipe {
    /// The datagram that came, until OpenSSL has read it.
    pub(super) incoming: Option<Vec<u8>>,
    /// What OpenSSL wrote.
    pub(super) outgoing: VecDeque<Vec<u8>>,
    /// What is added to the numbers of plaintext records on their way out.
    pub(super) shift: u64,
    /// What was used up by encrypted records.
    pub(super) sent: Sent,
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(datagram) = self.incoming.take() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        // What does not fit is cut off, as by a socket.
        let length = datagram.len().min(into.len());
        into[..length].copy_from_slice(&datagram[..length]);
        Ok(length)
    }
}

impl Write for Pipe {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        for record in record::all(datagram).filter(|record| record.epoch > 0) {
            self.sent.note(&record);
        }
        if self.outgoing.len() < MOST {
            let mut datagram = datagram.to_vec();
            if self.shift > 0 {
                record::renumber(&mut datagram, self.shift);
            }
            self.outgoing.push_back(datagram);
        }
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
