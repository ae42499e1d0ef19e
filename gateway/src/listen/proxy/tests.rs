use std::{future::Future, time::Duration};

use ppp::v2::{Builder, Command, Protocol, Type, Version};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::timeout,
};

use super::*;

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let balancer = TcpStream::connect(listener.local_addr().unwrap());
    let (balancer, accepted) = tokio::join!(balancer, listener.accept());
    let balancer = balancer.unwrap();
    balancer.set_nodelay(true).unwrap();
    (balancer, accepted.unwrap().0)
}

/// Nothing here takes long, unless it hangs.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.unwrap()
}

/// The header of what a balancer sends in one go, and what is left in the socket.
async fn sent(bytes: &[u8]) -> (Result<Header, Error>, Vec<u8>) {
    let (mut balancer, mut socket) = pair().await;
    balancer.write_all(bytes).await.unwrap();
    balancer.shutdown().await.unwrap();
    let header = soon(read(&socket)).await;
    let mut rest = Vec::new();
    // It may fail where the header did already.
    let _ = soon(socket.read_to_end(&mut rest)).await;
    (header, rest)
}

async fn refused(bytes: &[u8]) -> &'static str {
    sent(bytes).await.0.unwrap_err().reason()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn v2_header(command: Command, tlvs: &[(u8, &[u8])]) -> Vec<u8> {
    let from: SocketAddr = "192.0.2.7:4711".parse().unwrap();
    let to: SocketAddr = "198.51.100.1:7993".parse().unwrap();
    let mut builder = Builder::with_addresses(Version::Two | command, Protocol::Stream, (from, to));
    for (kind, value) in tlvs {
        builder = builder.write_tlv(*kind, value).unwrap();
    }
    builder.build().unwrap()
}

fn tlv(kind: Type, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind as u8], &length[..], value].concat()
}

fn described(header: &Header) -> Vec<(String, String)> {
    let mut details = Details::default();
    header.describe("[::ffff:10.0.0.1]:55555".parse().unwrap(), &mut details);
    let headers = details.headers().unwrap().iter();
    headers
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect()
}

#[tokio::test]
async fn a_line_tells_the_device_and_what_follows_is_left() {
    let (header, rest) = sent(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 7993\r\n\n\r\nhello").await;
    let header = header.unwrap();
    assert_eq!(header.source, Some(address("192.0.2.7:4711")));
    assert_eq!(header.destination, Some(address("198.51.100.1:7993")));
    assert_eq!(rest, b"\n\r\nhello");

    let (header, rest) = sent(b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 7993\r\nhello").await;
    assert_eq!(header.unwrap().source, Some(address("[2001:db8::7]:4711")));
    assert_eq!(rest, b"hello");
}

#[tokio::test]
async fn the_shortest_line_takes_no_byte_of_what_follows() {
    let (header, rest) = sent(b"PROXY UNKNOWN\r\nhello").await;
    assert_eq!(header.unwrap(), Header::default());
    assert_eq!(rest, b"hello");
}

#[tokio::test]
async fn the_longest_line_is_taken_and_a_longer_one_is_not() {
    let line = |blanks: usize| format!("PROXY UNKNOWN{}\r\nhello", " ".repeat(blanks));
    let (header, rest) = sent(line(107 - 15).as_bytes()).await;
    assert_eq!(header.unwrap(), Header::default());
    assert_eq!(rest, b"hello");
    assert_eq!(refused(line(108 - 15).as_bytes()).await, "too_long");
}

#[tokio::test]
async fn a_binary_header_tells_the_device_and_what_follows_is_left() {
    let mut bytes = v2_header(Command::Proxy, &[]);
    bytes.extend(b"hello");
    let (header, rest) = sent(&bytes).await;
    let header = header.unwrap();
    assert_eq!(header.source, Some(address("192.0.2.7:4711")));
    assert_eq!(header.destination, Some(address("198.51.100.1:7993")));
    assert_eq!(header.tlvs, Tlvs::default());
    assert_eq!(rest, b"hello");
}

#[tokio::test]
async fn a_binary_header_of_ipv6_tells_the_device() {
    let from: SocketAddr = "[2001:db8::7]:4711".parse().unwrap();
    let to: SocketAddr = "[2001:db8::1]:7993".parse().unwrap();
    let version = Version::Two | Command::Proxy;
    let builder = Builder::with_addresses(version, Protocol::Stream, (from, to));
    let (header, _) = sent(&builder.build().unwrap()).await;
    assert_eq!(header.unwrap().source, Some(from));
}

#[tokio::test]
async fn a_balancer_may_speak_for_itself() {
    // With addresses, without, and with a family that means nothing then.
    let with = v2_header(Command::Local, &[(Type::NoOp as u8, b"xyz")]);
    let without = [SIGNATURE, &[0x20, 0x00, 0, 0]].concat();
    let strange = [SIGNATURE, &[0x20, 0xff, 0, 1, 9]].concat();
    for mut bytes in [with, without, strange] {
        bytes.extend(b"hello");
        let (header, rest) = sent(&bytes).await;
        assert_eq!(header.unwrap(), Header::default());
        assert_eq!(rest, b"hello");
    }
}

const SIGNATURE: &[u8] = v2::SIGNATURE;

#[tokio::test]
async fn other_families_leave_the_device_unknown() {
    let unix = [&[0x21, 0x31, 0, 216][..], &[b'/'; 216]].concat();
    let datagrams = [&[0x21, 0x12, 0, 12][..], &[1; 12]].concat();
    let unspecified = vec![0x21, 0x00, 0, 3, 1, 2, 3];
    for rest in [unix, datagrams, unspecified] {
        let (header, rest) = sent(&[SIGNATURE, &rest, b"hello"].concat()).await;
        let header = header.unwrap();
        assert_eq!((header.source, header.destination), (None, None));
        assert_eq!(rest, b"hello");
    }
}

#[tokio::test]
async fn what_a_balancer_tells_beside_addresses_becomes_metadata() {
    let mut ssl = vec![0x03, 0, 0, 0, 0];
    ssl.extend(tlv(Type::SSLVersion, b"TLSv1.3"));
    ssl.extend(tlv(Type::SSLCommonName, "gerät".as_bytes()));
    let bytes = v2_header(
        Command::Proxy,
        &[
            (Type::ALPN as u8, b"mqtt"),
            (Type::Authority as u8, b"devices.example.net"),
            (Type::UniqueId as u8, &[0, 1, 2]),
            (Type::SSL as u8, &ssl),
            (0xea, b"a cloud's own"),
        ],
    );
    let header = sent(&bytes).await.0.unwrap();
    let told = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        described(&header),
        [
            told("exproto-proxy-address", "10.0.0.1:55555"),
            told("exproto-proxy-alpn", "mqtt"),
            told("exproto-proxy-authority", "devices.example.net"),
            told("exproto-proxy-unique-id-bin", "AAEC"),
            told("exproto-proxy-ssl-version", "TLSv1.3"),
            told("exproto-proxy-ssl-cn-bin", "Z2Vyw6R0"),
            told("exproto-proxy-ssl-verified", "true"),
        ]
    );
}

#[tokio::test]
async fn a_certificate_is_verified_only_if_it_was_shown_and_found_good() {
    let cases: [(&[u8], Option<bool>); 4] = [
        (&[0x01, 0, 0, 0, 0], None),
        (&[0x03, 0, 0, 0, 1], Some(false)),
        (&[0x05, 0, 0, 0, 0], Some(true)),
        (&[0x07, 1, 0, 0, 0], Some(false)),
    ];
    for (ssl, verified) in cases {
        let bytes = v2_header(Command::Proxy, &[(Type::SSL as u8, ssl)]);
        let header = sent(&bytes).await.0.unwrap();
        assert_eq!(header.tlvs.ssl.unwrap().verified, verified, "{ssl:?}");
    }
    let bytes = v2_header(Command::Proxy, &[(Type::SSL as u8, &[0; 5])]);
    assert_eq!(sent(&bytes).await.0.unwrap().tlvs.ssl, None);
}

#[tokio::test]
async fn a_checksum_must_be_right() {
    let mut bytes = v2_header(
        Command::Proxy,
        &[(Type::CRC32C as u8, &[0; 4]), (Type::NoOp as u8, b"pad")],
    );
    let sum = !bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ if sum & 1 == 1 { 0x82f6_3b78 } else { 0 }
        })
    });
    let place = 16 + 12 + 3;
    bytes[place..place + 4].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(
        sent(&bytes).await.0.unwrap().source,
        Some(address("192.0.2.7:4711"))
    );
    bytes[20] ^= 1;
    assert_eq!(refused(&bytes).await, "malformed");
    let short = v2_header(Command::Proxy, &[(Type::CRC32C as u8, &[0; 3])]);
    assert_eq!(refused(&short).await, "malformed");
}

#[tokio::test]
async fn a_header_may_come_byte_by_byte() {
    let line = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 7993\r\n".to_vec();
    for header in [
        line,
        v2_header(Command::Proxy, &[(Type::ALPN as u8, b"h2")]),
    ] {
        let (mut balancer, mut socket) = pair().await;
        let slowly = async {
            for byte in header.iter().chain(b"hello") {
                balancer.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
            balancer.shutdown().await.unwrap();
        };
        let (header, ()) = soon(async { tokio::join!(read(&socket), slowly) }).await;
        assert_eq!(header.unwrap().source, Some(address("192.0.2.7:4711")));
        let mut rest = String::new();
        soon(socket.read_to_string(&mut rest)).await.unwrap();
        assert_eq!(rest, "hello");
    }
}

#[tokio::test]
async fn half_a_header_waits_without_being_polled_again() {
    let line = b"PROXY TCP4 192.0.2.7 198".to_vec();
    let binary = v2_header(Command::Proxy, &[])[..20].to_vec();
    for half in [line, binary] {
        let (mut balancer, socket) = pair().await;
        balancer.write_all(&half).await.unwrap();
        let mut reading = counted(read(&socket));
        // Whatever is there is read until the first poll that brings nothing; then nobody asks again.
        let settled = timeout(Duration::from_millis(100), &mut reading).await;
        assert!(settled.is_err());
        assert!(reading.polls < 20, "{} polls", reading.polls);
        drop(balancer);
        assert_eq!(soon(reading).await.unwrap_err().reason(), "closed");
    }
}

struct Counted<F> {
    future: std::pin::Pin<Box<F>>,
    polls: usize,
}

fn counted<F: Future>(future: F) -> Counted<F> {
    Counted {
        future: Box::pin(future),
        polls: 0,
    }
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<F::Output> {
        self.polls += 1;
        self.future.as_mut().poll(cx)
    }
}

#[tokio::test]
async fn half_a_header_and_a_close_is_told_apart_from_garbage() {
    for start in [
        &b""[..],
        b"PRO",
        b"PROXY TCP4 192.0.2.7",
        b"\r\n\r\n\0\r\nQUIT\n!",
    ] {
        assert_eq!(refused(start).await, "closed", "{start:?}");
    }
    let whole = v2_header(Command::Proxy, &[]);
    assert_eq!(refused(&whole[..whole.len() - 1]).await, "closed");
}

#[tokio::test]
async fn what_is_no_header_is_known_by_its_first_bytes() {
    for garbage in [
        &b"x"[..],
        b"PROXX",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\r\n\r\nQUIT",
        b"\x16\x03\x01",
    ] {
        let (mut balancer, socket) = pair().await;
        balancer.write_all(garbage).await.unwrap();
        // The balancer has not closed: these bytes alone tell.
        assert_eq!(soon(read(&socket)).await.unwrap_err().reason(), "not_proxy");
    }
}

#[tokio::test]
async fn binary_headers_that_contradict_themselves_are_refused() {
    let rests: [&[u8]; 6] = [
        // Versions, commands, families and protocols that there are not.
        &[0x11, 0x11, 0, 0],
        &[0x22, 0x11, 0, 0],
        &[0x21, 0x41, 0, 0],
        &[0x21, 0x13, 0, 12, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
        // Too short for its family.
        &[0x21, 0x11, 0, 11, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
        // A length within that points beyond the end.
        &[
            0x21, 0x11, 0, 15, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4, 0, 1,
        ],
    ];
    for rest in rests {
        let bytes = [SIGNATURE, rest].concat();
        assert_eq!(refused(&bytes).await, "malformed", "{rest:?}");
    }
}

#[tokio::test]
async fn a_binary_header_may_have_4_kib_and_no_more() {
    let with = |length: u16| {
        let rest = vec![0; usize::from(length)];
        [SIGNATURE, &[0x20, 0], &length.to_be_bytes(), &rest].concat()
    };
    assert!(sent(&with(4096)).await.0.is_ok());
    assert_eq!(refused(&with(4097)).await, "too_long");
}
