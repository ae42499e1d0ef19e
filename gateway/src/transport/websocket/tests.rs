//! A real client against a WebSocket, as a connection drives it.

use std::{
    future::{Future, poll_fn},
    time::Duration,
};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    net::TcpListener,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Message,
        protocol::{CloseFrame, Role},
    },
};

use super::*;

/// Frames as bytes, from any client.
mod frames;
/// Requests, good and bad.
mod upgrade;

const MAX: usize = 64 * 1024;

impl Abort for DuplexStream {
    fn abort(&mut self) {}
}

/// Nothing here takes long, unless it hangs.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.unwrap()
}

/// A WebSocket after its upgrade, and the other end.
fn open(buffer: usize) -> (WebSocket<DuplexStream>, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(buffer);
    (WebSocket::new(ours, MAX), theirs)
}

async fn client(io: DuplexStream) -> WebSocketStream<DuplexStream> {
    WebSocketStream::from_raw_socket(io, Role::Client, None).await
}

/// The next message, or the end.
async fn receive(socket: &mut impl Socket) -> io::Result<Option<Vec<u8>>> {
    Ok(count(socket).await?.0)
}

/// Also the bytes before it that were no message's.
async fn count(socket: &mut impl Socket) -> io::Result<(Option<Vec<u8>>, usize)> {
    let mut buffer = vec![0; MAX];
    let mut into = ReadBuf::new(&mut buffer);
    let mut overhead = 0;
    loop {
        match soon(poll_fn(|cx| socket.poll_receive(cx, &mut into))).await? {
            Received::Part(bytes) => overhead += bytes,
            Received::Data => return Ok((Some(into.filled().to_vec()), overhead)),
            _ => return Ok((None, overhead)),
        }
    }
}

async fn send(socket: &mut impl Socket, bytes: &[u8], size: usize) -> io::Result<usize> {
    let batch = Batch { bytes, size };
    soon(poll_fn(|cx| socket.poll_send(cx, batch))).await
}

async fn flush(socket: &mut impl Socket) {
    soon(poll_fn(|cx| socket.poll_flush(cx))).await.unwrap();
}

async fn shut(socket: &mut impl Socket) {
    soon(poll_fn(|cx| socket.poll_shutdown(cx))).await.unwrap();
}

async fn closed_with(client: &mut WebSocketStream<DuplexStream>) -> CloseCode {
    match soon(client.next()).await {
        Some(Ok(Message::Close(Some(frame)))) => frame.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_binary_message_is_one_receive() {
    let (mut socket, theirs) = open(1 << 20);
    let mut client = client(theirs).await;
    assert!(socket.keeps_boundaries());
    for size in [0, 1, 125, 126, MAX - 1, MAX] {
        client.feed(Message::binary(vec![7; size])).await.unwrap();
    }
    client.flush().await.unwrap();
    for size in [0, 1, 125, 126, MAX - 1, MAX] {
        let message = receive(&mut socket).await.unwrap().unwrap();
        assert!(message == vec![7; size], "{size}: {}", message.len());
    }
}

#[tokio::test]
async fn each_message_of_a_batch_is_one_binary_message() {
    let (mut socket, theirs) = open(1 << 20);
    let mut client = client(theirs).await;
    let bytes = b"aaabbbcc";
    let mut sent = 0;
    while sent < bytes.len() {
        sent += send(&mut socket, &bytes[sent..], 3).await.unwrap();
    }
    assert_eq!(send(&mut socket, b"", 0).await.unwrap(), 0);
    flush(&mut socket).await;
    for expected in ["aaa", "bbb", "cc", ""] {
        let message = soon(client.next()).await.unwrap().unwrap();
        assert_eq!(message, Message::binary(expected));
    }
}

#[tokio::test]
async fn a_device_that_does_not_read_stops_the_sending() {
    let (mut socket, theirs) = open(1024);
    let mut taken = 0;
    let message = [1; 1000];
    loop {
        let batch = Batch {
            bytes: &message,
            size: message.len(),
        };
        let took = poll_fn(|cx| Poll::Ready(socket.poll_send(cx, batch))).await;
        match took {
            Poll::Ready(took) => taken += took.unwrap(),
            Poll::Pending => break,
        }
        assert!(taken < 64 * 1024, "it takes without end");
    }
    let mut client = client(theirs).await;
    let reading = async {
        let mut read = 0;
        while read < taken {
            read += client.next().await.unwrap().unwrap().len();
        }
        read
    };
    let ((), read) = soon(async { tokio::join!(flush(&mut socket), reading) }).await;
    assert_eq!(read, taken);
}

#[tokio::test]
async fn a_ping_is_answered_by_receiving_alone() {
    let (mut socket, theirs) = open(4096);
    let mut client = client(theirs).await;
    client.send(Message::Ping("hi".into())).await.unwrap();
    client.send(Message::Pong("ignored".into())).await.unwrap();
    let answer = async {
        let answer = client.next().await.unwrap().unwrap();
        client.send(Message::binary("after")).await.unwrap();
        answer
    };
    let (message, answer) = soon(async { tokio::join!(receive(&mut socket), answer) }).await;
    assert_eq!(answer, Message::Pong("hi".into()));
    assert_eq!(message.unwrap().unwrap(), b"after");
}

#[tokio::test]
async fn what_is_no_message_is_told_as_bytes_once() {
    let (mut socket, mut theirs) = open(1 << 20);
    // Twice a ping, then a message in three frames of which one is empty.
    let ping = b"\x89\x82\0\0\0\0hi";
    let message: [&[u8]; 3] = [
        b"\x02\x83\0\0\0\0abc",
        b"\x00\x80\0\0\0\0",
        b"\x80\x83\0\0\0\0def",
    ];
    let mut overhead = 0;
    for part in [&ping[..], ping].into_iter().chain(message) {
        theirs.write_all(part).await.unwrap();
        // Each is read by itself.
        let mut buffer = vec![0; MAX];
        let mut into = ReadBuf::new(&mut buffer);
        match soon(poll_fn(|cx| socket.poll_receive(cx, &mut into))).await {
            Ok(Received::Part(bytes)) => overhead += bytes,
            Ok(Received::Data) => assert_eq!(into.filled(), b"abcdef"),
            other => panic!("{other:?}"),
        }
    }
    // With the next message what was left is told.
    theirs.write_all(ping).await.unwrap();
    theirs.write_all(b"\x82\x81\0\0\0\0x").await.unwrap();
    let (message, rest) = count(&mut socket).await.unwrap();
    assert_eq!(message.unwrap(), b"x");
    theirs.write_all(ping).await.unwrap();
    drop(theirs);
    let (end, last) = count(&mut socket).await.unwrap();
    assert!(end.is_none());
    // All the pings, and the headers of all frames.
    assert_eq!(overhead + rest + last, 4 * 8 + 4 * 6);
}

#[tokio::test]
async fn pings_of_a_device_that_does_not_read_cost_no_memory() {
    let (mut socket, theirs) = open(256);
    let (mut theirs_read, mut theirs_write) = tokio::io::split(theirs);
    let pings = async {
        for count in 0..10_000_u32 {
            let mut ping = vec![0x89, 0x84, 0, 0, 0, 0];
            ping.extend(count.to_be_bytes());
            theirs_write.write_all(&ping).await.unwrap();
        }
        theirs_write.shutdown().await.unwrap();
    };
    let (end, ()) = soon(async { tokio::join!(receive(&mut socket), pings) }).await;
    assert_eq!(end.unwrap(), None);
    assert!(socket.outbox.waits() < 512, "{}", socket.outbox.waits());
    // The last one is answered as soon as there is room.
    let reading = async {
        let mut all = Vec::new();
        while !all.ends_with(&[0x8a, 4, 0, 0, 0x27, 0x0f]) {
            theirs_read.read_buf(&mut all).await.unwrap();
        }
    };
    soon(async { tokio::join!(flush(&mut socket), reading) }).await;
}

#[tokio::test]
async fn a_goodbye_is_answered_and_ends_the_socket() {
    for code in [Some(CloseCode::Away), None] {
        let (mut socket, theirs) = open(4096);
        let mut client = client(theirs).await;
        let frame = code.map(|code| CloseFrame {
            code,
            reason: "bye".into(),
        });
        client.send(Message::binary("last")).await.unwrap();
        client.send(Message::Close(frame)).await.unwrap();
        assert_eq!(receive(&mut socket).await.unwrap().unwrap(), b"last");
        assert_eq!(receive(&mut socket).await.unwrap(), None);
        assert_eq!(receive(&mut socket).await.unwrap(), None);
        let answer = soon(client.next()).await.unwrap().unwrap();
        match answer {
            Message::Close(frame) => assert_eq!(frame.map(|frame| frame.code), code),
            other => panic!("{other:?}"),
        }
        let error = send(&mut socket, b"late", 4).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        shut(&mut socket).await;
        assert!(soon(client.next()).await.is_none());
    }
}

#[tokio::test]
async fn an_end_without_goodbye_is_an_end() {
    for half in [&b""[..], b"\x82", b"\x82\x85\0\0\0\0abc"] {
        let (mut socket, mut theirs) = open(4096);
        theirs.write_all(half).await.unwrap();
        drop(theirs);
        assert_eq!(receive(&mut socket).await.unwrap(), None);
    }
}

#[tokio::test]
async fn after_an_end_without_goodbye_a_device_may_still_be_sent_to() {
    let (mut socket, mut theirs) = open(4096);
    theirs.shutdown().await.unwrap();
    assert_eq!(receive(&mut socket).await.unwrap(), None);
    send(&mut socket, b"more", 4).await.unwrap();
    flush(&mut socket).await;
    let mut frame = [0; 6];
    soon(theirs.read_exact(&mut frame)).await.unwrap();
    assert_eq!(&frame, b"\x82\x04more");
}

#[tokio::test]
async fn goodbye_follows_what_was_sent_and_waits_for_no_answer() {
    let (mut socket, theirs) = open(4096);
    let mut client = client(theirs).await;
    send(&mut socket, b"last", 4).await.unwrap();
    shut(&mut socket).await;
    let message = soon(client.next()).await.unwrap().unwrap();
    assert_eq!(message, Message::binary("last"));
    assert_eq!(closed_with(&mut client).await, CloseCode::Normal);
    // The client answers by itself and leaves, which is what the lingering connection waits for.
    assert!(soon(client.next()).await.is_none());
    drop(client);
    assert_eq!(receive(&mut socket).await.unwrap(), None);
}

#[tokio::test]
async fn text_is_refused_with_1003() {
    let (mut socket, theirs) = open(4096);
    let mut client = client(theirs).await;
    client.send(Message::binary("before")).await.unwrap();
    client.send(Message::text("hello")).await.unwrap();
    client.send(Message::binary("after")).await.unwrap();
    assert_eq!(receive(&mut socket).await.unwrap().unwrap(), b"before");
    let error = receive(&mut socket).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("text"), "{error}");
    // Nobody flushes or shuts: the device is told all the same.
    assert_eq!(closed_with(&mut client).await, CloseCode::Unsupported);
    // What it sent in the meantime is dropped, until it has left.
    drop(client);
    assert_eq!(receive(&mut socket).await.unwrap(), None);
}

#[tokio::test]
async fn a_message_too_large_is_refused_with_1009_before_it_has_come() {
    for fragments in [1, 3] {
        let (mut socket, theirs) = open(1 << 20);
        let (their_read, mut their_write) = tokio::io::split(theirs);
        let part = if fragments == 1 { MAX + 1 } else { MAX / 2 };
        for index in 0..fragments {
            let first = if index == 0 { 0x02 } else { 0x00 };
            let mut frame = vec![first, 0xff];
            frame.extend((part as u64).to_be_bytes());
            frame.extend([0; 4]);
            // Of the last only the header.
            if index + 1 < fragments {
                frame.extend(vec![1; part]);
            }
            their_write.write_all(&frame).await.unwrap();
        }
        let error = receive(&mut socket).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let client = tokio::io::join(their_read, their_write);
        let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
        match soon(client.next()).await {
            Some(Ok(Message::Close(Some(frame)))) => assert_eq!(frame.code, CloseCode::Size),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_idle_socket_holds_no_buffers() {
    let (mut socket, theirs) = open(1 << 20);
    let mut client = client(theirs).await;
    client.send(Message::binary(vec![1; MAX])).await.unwrap();
    client.send(Message::Ping("hi".into())).await.unwrap();
    client.send(Message::binary("x")).await.unwrap();
    receive(&mut socket).await.unwrap().unwrap();
    receive(&mut socket).await.unwrap().unwrap();
    send(&mut socket, &vec![1; MAX], MAX).await.unwrap();
    flush(&mut socket).await;
    assert_eq!(socket.inbox.holds(), 0);
    assert_eq!(socket.outbox.holds(), 0);
    assert!(size_of::<WebSocket<TcpStream>>() <= 256);
}

#[tokio::test]
async fn an_aborted_socket_leaves_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let device = TcpStream::connect(listener.local_addr().unwrap());
    let (device, accepted) = tokio::join!(device, listener.accept());
    let mut socket = WebSocket::new(accepted.unwrap().0, MAX);
    // More than the device reads.
    let bytes = vec![0; MAX];
    loop {
        let batch = Batch {
            bytes: &bytes,
            size: MAX,
        };
        let took = poll_fn(|cx| {
            let took = socket.poll_send(cx, batch);
            let _ = socket.poll_flush(cx);
            Poll::Ready(took)
        });
        if took.await.is_pending() {
            break;
        }
    }
    socket.abort();
    drop(socket);
    let mut device = device.unwrap();
    let mut all = Vec::new();
    let error = soon(device.read_to_end(&mut all)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}
