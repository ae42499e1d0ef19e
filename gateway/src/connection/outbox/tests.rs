use std::future::poll_fn;

use tokio::io::ReadBuf;

use super::*;
use crate::transport::Received;

/// A socket that takes so many bytes or messages, and keeps what it took.
struct Taker {
    places: usize,
    keeps_boundaries: bool,
    took: Vec<Vec<u8>>,
}

impl Taker {
    fn stream(places: usize) -> Self {
        Self {
            places,
            keeps_boundaries: false,
            took: Vec::new(),
        }
    }

    fn messages(places: usize) -> Self {
        Self {
            keeps_boundaries: true,
            ..Self::stream(places)
        }
    }
}

impl Socket for Taker {
    fn keeps_boundaries(&self) -> bool {
        self.keeps_boundaries
    }

    fn poll_receive(
        &mut self,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Received>> {
        Poll::Pending
    }

    fn poll_send(&mut self, _: &mut Context<'_>, batch: Batch<'_>) -> Poll<io::Result<usize>> {
        if self.places == 0 {
            return Poll::Pending;
        }
        if !self.keeps_boundaries {
            let count = batch.bytes.len().min(self.places);
            self.places -= count;
            self.took.push(batch.bytes[..count].to_vec());
            return Poll::Ready(Ok(count));
        }
        let mut count = 0;
        if batch.bytes.is_empty() {
            self.places -= 1;
            self.took.push(Vec::new());
        }
        for message in batch.bytes.chunks(batch.size.max(1)).take(self.places) {
            self.places -= 1;
            count += message.len();
            self.took.push(message.to_vec());
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn abort(&mut self) {}
}

/// Sends each part, with the permits that it takes.
async fn send(outbox: &mut Outbox, room: &Semaphore, parts: &[usize]) {
    for (number, length) in parts.iter().enumerate() {
        let bytes = Bytes::from(vec![u8::try_from(number).unwrap(); *length]);
        let permits = Outbox::permits(outbox.limit, outbox.keeps_boundaries, *length);
        room.acquire_many(permits).await.unwrap().forget();
        outbox.push(&bytes, room);
    }
}

/// Steps until the socket takes no more.
async fn drive(outbox: &mut Outbox, socket: &mut Taker, room: &Semaphore) -> Written {
    let mut all = Written::default();
    while !outbox.is_empty() {
        let step = poll_fn(|cx| Poll::Ready(outbox.poll_step(socket, room, None, cx))).await;
        let Poll::Ready(step) = step else { break };
        let step = step.unwrap();
        all.bytes += step.bytes;
        all.messages += step.messages;
    }
    all
}

#[tokio::test]
async fn a_send_larger_than_the_outbox_takes_all_of_it_and_gives_it_all_back() {
    let room = Semaphore::new(100);
    let mut outbox = Outbox::new(100, false);
    send(&mut outbox, &room, &[1000]).await;
    assert_eq!(room.available_permits(), 0);
    let mut socket = Taker::stream(usize::MAX);
    let written = drive(&mut outbox, &mut socket, &room).await;
    assert_eq!((written.bytes, written.messages), (1000, 1));
    assert_eq!(room.available_permits(), 100);
    assert!(outbox.is_empty());
}

#[tokio::test]
async fn messages_stay_what_they_are() {
    for places in 1..8 {
        let room = Semaphore::new(10_000);
        let mut outbox = Outbox::new(10_000, true);
        let lengths = [5, 5, 5, 3, 0, 0, 7, 9, 9, 1, 0];
        send(&mut outbox, &room, &lengths).await;
        let mut socket = Taker::messages(0);
        while !outbox.is_empty() {
            socket.places = places;
            drive(&mut outbox, &mut socket, &room).await;
        }
        let took: Vec<usize> = socket.took.iter().map(Vec::len).collect();
        assert_eq!(took, lengths);
        assert_eq!(room.available_permits(), 10_000);
    }
}

#[tokio::test]
async fn one_message_at_a_time_is_taken_where_a_rate_counts_them() {
    let room = Semaphore::new(1000);
    let mut outbox = Outbox::new(1000, false);
    send(&mut outbox, &room, &[5, 3]).await;
    let mut socket = Taker::stream(usize::MAX);
    let mut steps = Vec::new();
    for most in [4, 100, 100] {
        let step = poll_fn(|cx| outbox.poll_step(&mut socket, &room, Some(most), cx)).await;
        let step = step.unwrap();
        steps.push((step.bytes, step.messages));
    }
    assert_eq!(steps, [(4, 0), (1, 1), (3, 1)]);
}

#[tokio::test]
async fn what_a_dead_socket_did_not_take_gives_its_room_back() {
    let room = Semaphore::new(100);
    let mut outbox = Outbox::new(100, false);
    send(&mut outbox, &room, &[50]).await;
    outbox.abandon(&room);
    send(&mut outbox, &room, &[20]).await;
    assert!(outbox.is_empty());
    assert_eq!(room.available_permits(), 100);
}

#[tokio::test]
async fn a_socket_that_takes_nothing_is_noticed() {
    let room = Semaphore::new(100);
    let mut outbox = Outbox::new(100, false);
    send(&mut outbox, &room, &[50]).await;
    let mut socket = Taker::stream(10);
    drive(&mut outbox, &mut socket, &room).await;
    assert!(outbox.stalled_since().is_some());
    assert_eq!(room.available_permits(), 60);
}
