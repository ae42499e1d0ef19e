//! Devices that mean harm, or know no better: nothing of theirs reaches the handler, and others do not notice.

use std::{
    io::IoSlice,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    time::Duration,
};

use exproto_tests::{Carrier, Credentials, Device, Event, TestGateway, TestHandler, until, within};
use proto::exproto::ResultCode;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UdpSocket;

use crate::{
    calls::{Calls, ok, refused},
    setting::series,
};

pub(crate) const RESPECTED: &str = "exproto_connections_accepted_total{listener=\"tcp\"}";

pub(crate) async fn gateway(
    carrier: Carrier,
    handler: &TestHandler,
    adapt: impl FnOnce(&mut config::Config),
) -> (TestGateway, Credentials) {
    let credentials = Credentials::default();
    let mut config = carrier.config(&[handler], &credentials);
    adapt(&mut config);
    (TestGateway::with(config).await, credentials)
}

#[tokio::test]
async fn garbage_in_place_of_a_handshake_is_told_apart() {
    for (carrier, reason) in [
        (Carrier::Tls, "not_tls"),
        (Carrier::Psk, "not_tls"),
        (Carrier::Wss, "not_tls"),
        (Carrier::Ws, "malformed"),
    ] {
        let handler = TestHandler::start();
        let (gateway, _) = gateway(carrier, &handler, |_| {}).await;
        let mut device = Device::connect(gateway.device_address()).await;
        device
            .send("\u{1}\u{2}\u{3} this is no handshake\r\n\r\n".repeat(20))
            .await;
        device.closed().await;
        gateway
            .counts(&series("exproto_handshakes_failed_total", reason), 1)
            .await;
        assert_eq!(gateway.metric(RESPECTED).await, 0, "{carrier:?}");
        assert!(handler.try_next().is_none());
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_ended() {
    for carrier in [Carrier::Tls, Carrier::Psk, Carrier::Ws, Carrier::Wss] {
        let handler = TestHandler::start();
        let (gateway, _) = gateway(carrier, &handler, |config| {
            config.listeners[0].handshake_timeout = Duration::from_millis(300);
        })
        .await;
        let mut device = Device::connect(gateway.device_address()).await;
        // The beginning of a TLS record, and of an HTTP request.
        device
            .send(if carrier == Carrier::Ws {
                &b"GET / HT"[..]
            } else {
                &[22, 3, 1, 2]
            })
            .await;
        device.closed().await;
        gateway
            .counts(&series("exproto_handshakes_failed_total", "timeout"), 1)
            .await;
        assert!(handler.try_next().is_none());
    }
}

#[tokio::test]
async fn a_drain_does_not_wait_for_handshakes() {
    let handler = TestHandler::start();
    let (gateway, _) = gateway(Carrier::Tls, &handler, |config| {
        config.listeners[0].handshake_timeout = Duration::from_secs(3600);
    })
    .await;
    let mut device = Device::connect(gateway.device_address()).await;
    device.send([22, 3, 1, 2]).await;
    gateway.stop().await;
}

#[tokio::test]
async fn datagrams_that_are_no_dtls_are_dropped() {
    let handler = TestHandler::start();
    let (gateway, credentials) = gateway(Carrier::Dtls, &handler, |_| {}).await;
    let mut device = Carrier::Dtls
        .connect(gateway.device_address(), &credentials)
        .await;
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    stranger.connect(gateway.device_address()).await.unwrap();
    for length in [0, 1, 13, 60, 500, 1400] {
        for first in [0, 20, 22, 23, 255] {
            stranger.send(&vec![first; length]).await.unwrap();
        }
    }
    gateway
        .counts(&series("exproto_datagrams_dropped_total", "no_session"), 30)
        .await;
    device.send("still here").await;
    handler.created().await;
    assert_eq!(handler.received(10).await, b"still here");
    assert_eq!(gateway.metric(RESPECTED).await, 1);
}

/// The first hello of a device.
pub(crate) async fn hello(carrier: Carrier, credentials: &Credentials) -> Vec<u8> {
    let listener = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let credentials = credentials.clone();
    let device = tokio::spawn(async move {
        let _ = carrier.try_connect(address, &credentials, None).await;
    });
    let mut hello = vec![0; 2000];
    let length = within("a hello", listener.recv(&mut hello)).await.unwrap();
    device.abort();
    hello.truncate(length);
    hello
}

#[tokio::test]
async fn a_flood_of_hellos_leaves_nothing_and_is_not_amplified() {
    let handler = TestHandler::start();
    let (gateway, credentials) = gateway(Carrier::Dtls, &handler, |_| {}).await;
    let hello = hello(Carrier::Dtls, &credentials).await;
    let mut sent = 0;
    for part in 0..20 {
        for host in 1..=100 {
            spoof(
                gateway.device_address(),
                Ipv4Addr::new(127, 9, part, host),
                &hello,
            );
            sent += 1;
        }
        gateway
            .counts("exproto_dtls_hellos_answered_total{listener=\"tcp\"}", sent)
            .await;
    }
    assert_eq!(gateway.metric(RESPECTED).await, 0);
    assert_eq!(
        gateway
            .metric("exproto_connections{listener=\"tcp\"}")
            .await,
        0
    );

    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    stranger
        .send_to(&hello, gateway.device_address())
        .await
        .unwrap();
    let mut answer = vec![0; 2000];
    let length = within("a cookie", stranger.recv(&mut answer))
        .await
        .unwrap();
    assert!(length < hello.len(), "{length} for {}", hello.len());
}

#[tokio::test]
async fn a_device_that_has_restarted_begins_anew() {
    let handler = TestHandler::start();
    let (gateway, credentials) = gateway(Carrier::Dtls, &handler, |_| {}).await;
    let address = gateway.device_address();
    let from = {
        let mut before = Carrier::Dtls.connect(address, &credentials).await;
        before.send("before").await;
        handler.created().await;
        handler.received(6).await;
        before.address()
    };
    // It said no goodbye, and has its port again.
    let restarted = Carrier::Dtls.connect_from(from, address, &credentials);
    let mut after = restarted.await;
    after.send("after").await;
    // What becomes of the old one and of the new one is told in any order.
    let (mut closed, mut received) = (String::new(), Vec::new());
    while closed.is_empty() || received.is_empty() {
        match handler.next().await.event {
            Event::Closed(reason) => closed = reason,
            Event::Received(bytes) => received = bytes.to_vec(),
            event => assert!(matches!(event, Event::Created(_)), "{event:?}"),
        }
    }
    assert_eq!(closed, "superseded");
    assert_eq!(received, b"after");
}

#[tokio::test]
async fn a_forged_hello_does_not_end_a_session() {
    let handler = TestHandler::start();
    let (gateway, credentials) = gateway(Carrier::Dtls, &handler, |_| {}).await;
    let hello = hello(Carrier::Dtls, &credentials).await;
    let mut device = Carrier::Dtls
        .connect(gateway.device_address(), &credentials)
        .await;
    device.send("x").await;
    handler.created().await;
    handler.received(1).await;
    let answered = "exproto_dtls_hellos_answered_total{listener=\"tcp\"}";
    let before = gateway.metric(answered).await;
    // From the device's own address, by somebody who sees no answers.
    device.send_raw(&hello).await;
    gateway.counts(answered, before + 1).await;
    device.send("still here").await;
    assert_eq!(handler.received(10).await, b"still here");
}

/// Sends from an address that nobody here has otherwise. All of 127.0.0.0/8 is this machine's.
pub(crate) fn spoof(to: SocketAddr, from: Ipv4Addr, datagram: &[u8]) {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.bind(&SocketAddrV4::new(from, 0).into()).unwrap();
    let parts = [IoSlice::new(datagram)];
    socket
        .send_to_vectored(&parts, &SockAddr::from(to))
        .unwrap();
}

#[tokio::test]
async fn a_hundred_thousand_forged_peers_disturb_nobody() {
    const TABLE: u32 = 500;
    let handler = TestHandler::start();
    let (gateway, credentials) = gateway(Carrier::Udp, &handler, |config| {
        config.listeners[0].limits.max_connections = TABLE.try_into().unwrap();
    })
    .await;
    let address = gateway.device_address();
    let mut device = Carrier::Udp.connect(address, &credentials).await;
    device.send("x").await;
    let conn = handler.created().await;
    handler.received(1).await;
    let mut calls = Calls::new(&gateway, &conn);
    let flood = tokio::task::spawn_blocking(move || {
        for number in 0..100_000_u32 {
            let [_, high, middle, low] = number.to_be_bytes();
            spoof(
                address,
                Ipv4Addr::new(127, 10 + high, middle, low),
                b"forged",
            );
        }
    });
    let refusals = series("exproto_connections_refused_total", "max_connections");
    gateway.counts(&refusals, 1).await;
    // Full, and the device that was there before is served as ever, in both directions. What it sends may be lost in
    // the kernel, as the flood is larger than the socket's buffer; so it repeats.
    let mut rounds = 0_u32;
    while !flood.is_finished() || rounds < 20 {
        rounds += 1;
        let byte = rounds.to_be_bytes()[3];
        ok(&calls.send(vec![byte]).await);
        assert_eq!(device.read(1).await, [byte]);
        device.send([byte]).await;
    }
    within("the flood to end", flood).await.unwrap();
    device.send("after the flood").await;
    within("the device to be heard", async {
        loop {
            match handler.next().await.event {
                Event::Received(bytes) if bytes == "after the flood" => break,
                Event::Closed(reason) => panic!("{reason}"),
                _ => {}
            }
        }
    })
    .await;
    assert!(
        gateway
            .metric("exproto_connections{listener=\"tcp\"}")
            .await
            <= u64::from(TABLE)
    );
    assert!(gateway.metric(RESPECTED).await <= u64::from(TABLE));
    assert!(gateway.metric(&refusals).await > 1000);
}

#[tokio::test]
async fn a_datagram_that_is_too_large_is_dropped() {
    for carrier in [Carrier::Udp, Carrier::Dtls] {
        let handler = TestHandler::start();
        let (gateway, credentials) = gateway(carrier, &handler, |config| {
            config.listeners[0].udp.max_datagram = config::ByteSize::kib(1);
        })
        .await;
        let mut device = carrier
            .connect(gateway.device_address(), &credentials)
            .await;
        device.send("x").await;
        let conn = handler.created().await;
        handler.received(1).await;
        device.send(vec![7; 1025]).await;
        device.send(vec![8; 1024]).await;
        let Event::Received(bytes) = handler.next().await.event else {
            panic!("not OnReceivedBytes");
        };
        assert_eq!(bytes, vec![8; 1024]);
        let dropped = series("exproto_datagrams_dropped_total", "too_large");
        assert_eq!(gateway.metric(&dropped).await, 1);
        let mut calls = Calls::new(&gateway, &conn);
        let answer = calls.send(vec![9; 1025]).await;
        refused(&answer, ResultCode::ParamsTypeError, "1024 or fewer");
        ok(&calls.send(vec![9; 1024]).await);
        assert_eq!(device.read(1024).await, vec![9; 1024]);
    }
}

#[tokio::test]
async fn a_cookie_and_then_silence_is_ended() {
    let handler = TestHandler::start();
    let (gateway, credentials) = gateway(Carrier::Dtls, &handler, |config| {
        config.listeners[0].handshake_timeout = Duration::from_millis(300);
    })
    .await;
    // Over a wire that loses all but the first answer, which has the cookie.
    let front = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let back = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    back.connect(gateway.device_address()).await.unwrap();
    let address = front.local_addr().unwrap();
    let device = tokio::spawn(async move {
        let _ = Carrier::Dtls.try_connect(address, &credentials, None).await;
    });
    let mut datagram = vec![0; 2000];
    let (length, from) = within("a hello", front.recv_from(&mut datagram))
        .await
        .unwrap();
    back.send(&datagram[..length]).await.unwrap();
    let length = within("a cookie", back.recv(&mut datagram)).await.unwrap();
    front.send_to(&datagram[..length], from).await.unwrap();
    let length = within("the cookie back", front.recv(&mut datagram))
        .await
        .unwrap();
    back.send(&datagram[..length]).await.unwrap();
    gateway
        .counts(&series("exproto_handshakes_failed_total", "timeout"), 1)
        .await;
    device.abort();
    assert!(handler.try_next().is_none());
}

#[tokio::test]
async fn devices_show_certificates_on_every_secure_transport() {
    for carrier in [Carrier::Tls, Carrier::Wss, Carrier::Dtls] {
        let handler = TestHandler::start();
        let credentials = Credentials::default();
        let mut config = carrier.config(&[&handler], &credentials);
        config.listeners[0].tls.verify = config::Verify::Required;
        config.listeners[0].tls.ca_file = Some(credentials.pki.ca_file());
        let gateway = TestGateway::with(config).await;
        let address = gateway.device_address();
        let (good, old) = (
            credentials.pki.client("device-7"),
            credentials.pki.expired_client("device-8"),
        );
        let elsewhere = exproto_tests::Pki::new();
        let stranger = elsewhere.client("device-9");
        let failed = "exproto_handshakes_failed_total{listener=\"tcp\"";
        for (failures, bad) in (1..).zip([None, Some(&old), Some(&stranger)]) {
            // With TLS 1.3 a device is through before it hears that it is refused.
            let attempt = carrier.try_connect(address, &credentials, bad).await;
            if let Ok(mut device) = attempt {
                let _ = device.try_send(b"x").await;
                device.closed().await;
            }
            until(
                &format!("{carrier:?}: failure {failures} to be counted"),
                async || {
                    let all = gateway.http("/metrics").await;
                    let counts = all.lines().filter(|line| line.starts_with(failed));
                    counts
                        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
                        .sum::<u64>()
                        >= failures
                },
            )
            .await;
        }
        assert!(handler.try_next().is_none());
        let device = carrier
            .try_connect(address, &credentials, Some(&good))
            .await;
        let created = handler.next().await;
        let Event::Created(info) = &created.event else {
            panic!("not OnSocketCreated first");
        };
        assert_eq!(info.peercert.as_ref().unwrap().cn, "device-7");
        drop(device);
    }
}

#[tokio::test]
async fn a_device_that_has_restarted_is_not_kept_out_by_itself() {
    let handler = TestHandler::start();
    let (gateway, credentials) = gateway(Carrier::Dtls, &handler, |config| {
        config.listeners[0].limits.max_connections_per_ip = Some(1.try_into().unwrap());
        config.limits.max_connections = 1.try_into().unwrap();
    })
    .await;
    let address = gateway.device_address();
    let mut from = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    for round in 0..5 {
        let mut device = Carrier::Dtls
            .connect_from(from, address, &credentials)
            .await;
        device.send("hello").await;
        from = device.address();
        let mut seen = (false, round == 0);
        while seen != (true, true) {
            match handler.next().await.event {
                Event::Received(bytes) => seen.0 = bytes == "hello",
                Event::Closed(reason) => seen.1 = reason == "superseded",
                _ => {}
            }
        }
    }
}
