//! What a handler gets, frame by frame: all messages of a connection in order, on one HTTP/2 connection.

use std::{io, net::SocketAddr};

use config::HandlerService;
use exproto_tests::{TestGateway, TestHandler, gateway::config, within};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::refusals::{
    ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PING, SETTINGS, answer, frame, holds,
};

/// A frame of a stream.
struct Frame {
    connection: SocketAddr,
    kind: u8,
    ends: bool,
    stream: u32,
    payload: Vec<u8>,
}

/// Answers each stream once it has ended, and tells what came before.
async fn serve(mut socket: TcpStream, frames: mpsc::Sender<Frame>) -> io::Result<()> {
    let connection = socket.peer_addr()?;
    socket.read_exact(&mut [0; 24]).await?;
    frame(&mut socket, SETTINGS, 0, 0, &[]).await?;
    loop {
        let mut head = [0; 9];
        socket.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let (kind, ends) = (head[3], head[4] & END_STREAM != 0);
        let mut payload = vec![0; length as usize];
        socket.read_exact(&mut payload).await?;
        match kind {
            SETTINGS if head[4] & ACK == 0 => frame(&mut socket, SETTINGS, ACK, 0, &[]).await?,
            PING if head[4] & ACK == 0 => frame(&mut socket, PING, ACK, 0, &payload).await?,
            DATA | HEADERS => {
                let told = Frame {
                    connection,
                    kind,
                    ends,
                    stream,
                    payload,
                };
                frames.send(told).await.map_err(io::Error::other)?;
                if ends {
                    let flags = END_HEADERS | END_STREAM;
                    frame(&mut socket, HEADERS, flags, stream, &answer("0")).await?;
                }
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn all_messages_of_a_connection_are_written_in_order_on_one_http2_connection() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config(&[&TestHandler::absent()]);
    config.handler.service = HandlerService::ConnectionHandler;
    config.handler.addresses = vec![socket.local_addr().unwrap().to_string().parse().unwrap()];
    config.handler.health.enabled = false;
    let (sender, mut frames) = mpsc::channel(1000);
    tokio::spawn(async move {
        while let Ok((socket, _)) = socket.accept().await {
            tokio::spawn(serve(socket, sender.clone()));
        }
    });
    let gateway = TestGateway::with(config).await;
    let mut device = gateway.device().await;
    device.send("precious").await;
    drop(device);
    let mut next = async || within("a frame", frames.recv()).await.unwrap();
    let mut lanes = Vec::new();
    let mut streams = Vec::new();
    // The one that is opened first is that of OnSocketCreated, and its message is out before the next is opened.
    for text in ["127.0.0.1", "precious", "tcp_closed"] {
        let (head, message) = (next().await, next().await);
        assert_eq!((head.kind, message.kind), (HEADERS, DATA), "{text}");
        assert_eq!(head.stream, message.stream);
        assert!(!head.ends && !message.ends);
        assert!(holds(&message.payload, text), "{:?}", message.payload);
        lanes.extend([head.connection, message.connection]);
        streams.push(head.stream);
    }
    for stream in &streams {
        let end = next().await;
        assert!(end.kind == DATA && end.ends && end.payload.is_empty());
        assert_eq!(end.stream, *stream);
    }
    lanes.dedup();
    assert_eq!(lanes.len(), 1, "one HTTP/2 connection carries them all");
    assert_eq!(streams, [1, 3, 5]);
}
