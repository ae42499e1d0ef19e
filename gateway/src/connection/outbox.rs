//! Bytes that Send accepted and the socket has not yet taken.
//!
//! Bounded by permits: whoever sends takes them first, and they come back as the socket takes bytes. Nothing is held
//! while it is empty.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::{io::AsyncWrite, sync::Semaphore};

/// Bytes on their way to the device.
pub(super) struct Outbox {
    bytes: BytesMut,
    limit: usize,
    /// Permits that belong to the bytes in here.
    held: usize,
    /// A write is not done until it was flushed: TLS keeps records back.
    unflushed: bool,
    /// Since when the socket has taken nothing although bytes wait.
    stalled: Option<Instant>,
    abandoned: bool,
}

impl Outbox {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            bytes: BytesMut::new(),
            limit,
            held: 0,
            unflushed: false,
            stalled: None,
            abandoned: false,
        }
    }

    /// Permits that a Send of `length` bytes takes. One that is larger than the whole outbox takes all of it.
    pub(super) fn permits(limit: usize, length: usize) -> u32 {
        u32::try_from(length.min(limit)).expect("the configuration keeps the limit below 4 GiB")
    }

    /// Appends what a Send brought, with the permits it took. Once abandoned, gives them back at once.
    pub(super) fn push(&mut self, bytes: &Bytes, room: &Semaphore) {
        let permits = bytes.len().min(self.limit);
        if self.abandoned {
            room.add_permits(permits);
        } else {
            self.held += permits;
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// The socket takes nothing any more: what waits and what comes is dropped.
    pub(super) fn abandon(&mut self, room: &Semaphore) {
        room.add_permits(std::mem::take(&mut self.held));
        self.bytes = BytesMut::new();
        self.unflushed = false;
        self.stalled = None;
        self.abandoned = true;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.unflushed
    }

    /// Since when the socket takes nothing.
    pub(super) fn stalled_since(&self) -> Option<Instant> {
        self.stalled
    }

    /// Writes and flushes as much as the socket takes now, gives the permits back to `room` and counts the bytes.
    /// Ready once nothing waits any more, or when the socket failed. Cancel safe: what was done is kept in `self`.
    pub(super) fn poll_drive(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        room: &Semaphore,
        written: &mut u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.bytes.is_empty() {
            match Pin::new(&mut *io).poll_write(cx, &self.bytes) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    self.bytes.advance(count);
                    self.unflushed = true;
                    self.stalled = None;
                    *written += count as u64;
                    let still = self.bytes.len().min(self.limit);
                    if still < self.held {
                        room.add_permits(self.held - still);
                        self.held = still;
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.stalled.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
            }
        }
        if self.unflushed {
            match Pin::new(io).poll_flush(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.stalled.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
            }
            self.unflushed = false;
            self.stalled = None;
            self.bytes = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn a_send_larger_than_the_outbox_takes_all_of_it_and_gives_it_all_back() {
        let limit = 100;
        let room = Semaphore::new(limit);
        let mut outbox = Outbox::new(limit);
        let big = Bytes::from(vec![7; 1000]);
        room.acquire_many(Outbox::permits(limit, big.len()))
            .await
            .unwrap()
            .forget();
        outbox.push(&big, &room);
        assert_eq!(room.available_permits(), 0);
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        let reader = tokio::spawn(async move {
            let mut all = Vec::new();
            theirs.read_to_end(&mut all).await.unwrap();
            all
        });
        let mut written = 0;
        poll_fn(|cx| outbox.poll_drive(&mut ours, &room, &mut written, cx))
            .await
            .unwrap();
        drop(ours);
        assert_eq!(reader.await.unwrap(), big);
        assert_eq!(written, 1000);
        assert_eq!(room.available_permits(), limit);
        assert!(outbox.is_empty());
    }

    #[tokio::test]
    async fn what_a_dead_socket_did_not_take_gives_its_room_back() {
        let room = Semaphore::new(100);
        let mut outbox = Outbox::new(100);
        room.acquire_many(50).await.unwrap().forget();
        outbox.push(&Bytes::from(vec![7; 50]), &room);
        outbox.abandon(&room);
        room.acquire_many(20).await.unwrap().forget();
        outbox.push(&Bytes::from(vec![7; 20]), &room);
        assert!(outbox.is_empty());
        assert_eq!(room.available_permits(), 100);
    }

    #[tokio::test]
    async fn a_socket_that_takes_nothing_is_noticed() {
        let room = Semaphore::new(100);
        let mut outbox = Outbox::new(100);
        room.acquire_many(50).await.unwrap().forget();
        outbox.push(&Bytes::from(vec![7; 50]), &room);
        let (mut ours, _theirs) = tokio::io::duplex(10);
        let mut written = 0;
        let step = poll_fn(|cx| {
            Poll::Ready(
                outbox
                    .poll_drive(&mut ours, &room, &mut written, cx)
                    .is_pending(),
            )
        });
        assert!(step.await);
        assert!(outbox.stalled_since().is_some());
        assert_eq!(room.available_permits(), 60);
    }
}
