//! Frames as bytes, from any client.

use proptest::prelude::*;
use tokio_tungstenite::tungstenite::{
    self, Error,
    error::ProtocolError,
    protocol::frame::{
        Frame, FrameHeader,
        coding::{Control, Data, OpCode},
    },
};

use super::*;

/// A client's frame.
fn frame(opcode: OpCode, is_final: bool, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader {
        is_final,
        opcode,
        mask: Some([0x11, 0x22, 0x33, 0x44]),
        ..FrameHeader::default()
    };
    let mut bytes = Vec::new();
    Frame::from_payload(header, payload.to_vec().into())
        .format(&mut bytes)
        .unwrap();
    bytes
}

/// What a client is answered that sends these bytes and no more, and how its socket ended.
async fn answered(bytes: &[u8]) -> (Vec<u8>, Option<io::ErrorKind>) {
    let (mut socket, mut theirs) = open(1 << 20);
    theirs.write_all(bytes).await.unwrap();
    theirs.shutdown().await.unwrap();
    let error = loop {
        match receive(&mut socket).await {
            Ok(Some(_)) => {}
            Ok(None) => break None,
            Err(error) => break Some(error.kind()),
        }
    };
    drop(socket);
    let mut answer = Vec::new();
    soon(theirs.read_to_end(&mut answer)).await.unwrap();
    (answer, error)
}

#[tokio::test]
async fn broken_rules_are_told_with_1002() {
    let binary = OpCode::Data(Data::Binary);
    let ping = OpCode::Control(Control::Ping);
    let cases = [
        ("no mask", b"\x82\x01a".to_vec()),
        ("extension", b"\xc2\x80\0\0\0\0".to_vec()),
        ("unknown data", b"\x83\x80\0\0\0\0".to_vec()),
        ("unknown control", b"\x8b\x80\0\0\0\0".to_vec()),
        ("long ping", frame(ping, true, &[0; 126])),
        ("ping in pieces", frame(ping, false, b"a")),
        (
            "no beginning",
            frame(OpCode::Data(Data::Continue), true, b"a"),
        ),
        (
            "no end",
            [frame(binary, false, b"a"), frame(binary, true, b"b")].concat(),
        ),
    ];
    for (what, bytes) in cases {
        let (answer, error) = answered(&bytes).await;
        assert_eq!(error, Some(io::ErrorKind::InvalidData), "{what}");
        assert_eq!(answer[0], 0x88, "{what}");
        assert_eq!(answer[2..4], 1002_u16.to_be_bytes(), "{what}");
    }
}

#[tokio::test]
async fn a_strange_goodbye_is_answered_with_what_is_wrong() {
    let close = |payload: &[u8]| frame(OpCode::Control(Control::Close), true, payload);
    for (payload, code) in [
        (&b"\x03"[..], 1002_u16),
        (&999_u16.to_be_bytes(), 1002),
        (&1005_u16.to_be_bytes(), 1002),
        (b"\x03\xe8\xff\xff", 1007),
        (b"\x03\xe8bye", 1000),
        (&4711_u16.to_be_bytes(), 4711),
    ] {
        let (answer, error) = answered(&close(payload)).await;
        assert_eq!(error, None);
        assert_eq!(answer, [&[0x88, 2], &code.to_be_bytes()[..]].concat());
    }
}

#[tokio::test]
async fn nothing_is_said_after_a_goodbye() {
    let ping = frame(OpCode::Control(Control::Ping), true, b"p");
    let close = frame(OpCode::Control(Control::Close), true, b"");
    let (answer, _) = answered(&[&close[..], &ping, &close].concat()).await;
    assert_eq!(answer, b"\x88\0");
}

#[tokio::test]
async fn control_frames_may_come_within_a_message() {
    let (mut socket, mut theirs) = open(4096);
    let bytes = [
        frame(OpCode::Data(Data::Binary), false, b"one "),
        frame(OpCode::Control(Control::Ping), true, b"p"),
        frame(OpCode::Data(Data::Continue), false, b""),
        frame(OpCode::Control(Control::Pong), true, b"q"),
        frame(OpCode::Data(Data::Continue), true, b"message"),
    ]
    .concat();
    theirs.write_all(&bytes).await.unwrap();
    let message = receive(&mut socket).await.unwrap().unwrap();
    assert_eq!(message, b"one message");
    let mut pong = [0; 3];
    soon(theirs.read_exact(&mut pong)).await.unwrap();
    assert_eq!(&pong, b"\x8a\x01p");
}

/// Messages, each as a list of fragments; and where the bytes are cut on their way.
fn traffic() -> impl Strategy<Value = (Vec<Vec<Vec<u8>>>, Vec<usize>)> {
    let fragment = prop::collection::vec(any::<u8>(), 0..300);
    let message = prop::collection::vec(fragment, 1..5);
    let messages = prop::collection::vec(message, 0..8);
    (messages, prop::collection::vec(1_usize..700, 1..20))
}

/// Frames of any kind and order: opcode, whether final, rarely 0, payload.
fn frames() -> impl Strategy<Value = Vec<(u8, bool, u8, Vec<u8>)>> {
    let payload = prop::collection::vec(any::<u8>(), 0..130);
    prop::collection::vec((0_u8..16, any::<bool>(), 0_u8..8, payload), 0..6)
}

proptest! {
    #[test]
    fn messages_arrive_whole_however_they_are_cut((messages, cuts) in traffic()) {
        let mut bytes = Vec::new();
        for message in &messages {
            for (index, fragment) in message.iter().enumerate() {
                let data = if index == 0 { Data::Binary } else { Data::Continue };
                let last = index + 1 == message.len();
                bytes.extend(frame(OpCode::Data(data), last, fragment));
            }
        }
        let mut inbox = Inbox::new(MAX);
        let mut found = Vec::new();
        let mut buffer = vec![0; MAX];
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            inbox.extend(now);
            loop {
                let mut into = ReadBuf::new(&mut buffer);
                match inbox.next(&mut into).unwrap() {
                    Some(Found::Message) => found.push(into.filled().to_vec()),
                    Some(other) => panic!("{other:?}"),
                    None => break,
                }
            }
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        let sent: Vec<_> = messages.iter().map(|message| message.concat()).collect();
        prop_assert_eq!(found, sent);
        prop_assert_eq!(inbox.holds(), 0);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..2000), small: bool) {
        let mut inbox = Inbox::new(MAX);
        let mut buffer = vec![0; if small { 16 } else { MAX }];
        inbox.extend(&bytes);
        loop {
            let mut into = ReadBuf::new(&mut buffer);
            if !matches!(inbox.next(&mut into), Ok(Some(_))) {
                break;
            }
        }
    }

    /// Whatever tungstenite's server takes, is taken; and the other way round, with what is refused on purpose left out.
    #[test]
    fn tungstenite_agrees(frames in frames()) {
        let mut bytes = Vec::new();
        for (opcode, is_final, rare, payload) in &frames {
            let opcode = if opcode % 3 == 0 { 2 } else { *opcode };
            if opcode == 1 {
                continue;
            }
            let mut next = frame(OpCode::from(opcode), *is_final, payload);
            if *rare == 0 {
                next[0] |= 0x40;
            }
            bytes.extend(next);
        }
        let mut ours = Vec::new();
        let mut inbox = Inbox::new(MAX);
        let mut buffer = vec![0; MAX];
        inbox.extend(&bytes);
        let well = loop {
            let mut into = ReadBuf::new(&mut buffer);
            match inbox.next(&mut into) {
                Ok(Some(Found::Message)) => ours.push(into.filled().to_vec()),
                Ok(Some(Found::Ping(_))) => {}
                Ok(Some(Found::Close(_)) | None) => break true,
                Err(_) => break false,
            }
        };
        let mut theirs = Vec::new();
        let io = Canned(std::io::Cursor::new(bytes));
        let mut server = tungstenite::WebSocket::from_raw_socket(io, Role::Server, None);
        let fine = loop {
            match server.read() {
                Ok(Message::Binary(message)) => theirs.push(message.to_vec()),
                Ok(Message::Close(_)) => break true,
                Ok(_) => {}
                Err(error) => break harmless(&error),
            }
        };
        prop_assert_eq!(ours, theirs);
        prop_assert_eq!(well, fine);
    }
}

/// The bytes end, or a goodbye cannot be read, which is answered here.
fn harmless(error: &Error) -> bool {
    matches!(
        error,
        Error::Protocol(
            ProtocolError::ResetWithoutClosingHandshake | ProtocolError::InvalidCloseSequence
        ) | Error::Utf8(_)
    )
}

/// Bytes to be read; what is written is lost.
struct Canned(std::io::Cursor<Vec<u8>>);

impl std::io::Read for Canned {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        std::io::Read::read(&mut self.0, into)
    }
}

impl std::io::Write for Canned {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
