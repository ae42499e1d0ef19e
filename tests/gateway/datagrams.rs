//! Addresses of UDP: answers leave from where the device has sent to, on every kind of address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use exproto_tests::{Carrier, Event, TestGateway, TestHandler, within};
use tokio::net::UdpSocket;

use crate::calls::{Calls, ok};

/// A gateway on that address, and its port.
async fn bound(handler: &TestHandler, carrier: Carrier, to: IpAddr) -> (TestGateway, u16) {
    let mut config = carrier.config(&[handler], &exproto_tests::Credentials::default());
    config.listeners[0].bind = SocketAddr::new(to, 0).into();
    let gateway = TestGateway::with(config).await;
    let port = gateway.device_address().port();
    (gateway, port)
}

/// A device on `from` that sends to `to`, of which the handler sees `shown`.
async fn talk(
    gateway: &TestGateway,
    handler: &TestHandler,
    from: IpAddr,
    to: SocketAddr,
    shown: IpAddr,
) {
    let device = UdpSocket::bind((from, 0)).await.unwrap();
    device.send_to(b"hello", to).await.unwrap();
    let created = handler.next().await;
    let Event::Created(info) = &created.event else {
        panic!("not OnSocketCreated first");
    };
    let (peer, own) = (
        info.peername.clone().unwrap(),
        info.sockname.clone().unwrap(),
    );
    assert_eq!(peer.host, from.to_string());
    assert_eq!(
        (own.host, own.port),
        (shown.to_string(), u32::from(to.port()))
    );
    assert_eq!(handler.received(5).await, b"hello");
    let mut calls = Calls::new(gateway, &created.conn);
    // Several at once may leave as one batch.
    for size in [4, 700, 700, 700, 3000] {
        ok(&calls.send(vec![b'x'; size]).await);
    }
    let mut buffer = vec![0; 65536];
    for size in [4, 700, 700, 700, 3000] {
        let answer = within("an answer", device.recv_from(&mut buffer)).await;
        // A device behind NAT or a firewall gets it from nowhere else.
        assert_eq!(answer.unwrap(), (size, to));
    }
}

#[tokio::test]
async fn answers_leave_from_the_address_that_was_sent_to() {
    let v4 = |last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
    let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let handler = TestHandler::start();
    let (gateway, port) = bound(&handler, Carrier::Udp, Ipv4Addr::UNSPECIFIED.into()).await;
    for to in [v4(1), v4(5), v4(77)] {
        talk(&gateway, &handler, v4(9), (to, port).into(), to).await;
    }
    let handler = TestHandler::start();
    let (gateway, port) = bound(&handler, Carrier::Udp, Ipv6Addr::UNSPECIFIED.into()).await;
    for (from, to) in [(v6, v6), (v4(9), v4(1)), (v4(9), v4(5))] {
        talk(&gateway, &handler, from, (to, port).into(), to).await;
    }
    let handler = TestHandler::start();
    let (gateway, port) = bound(&handler, Carrier::Udp, v6).await;
    talk(&gateway, &handler, v6, (v6, port).into(), v6).await;
}

#[tokio::test]
async fn one_device_that_sends_to_two_addresses_is_two_connections() {
    let handler = TestHandler::start();
    let (_gateway, port) = bound(&handler, Carrier::Udp, Ipv4Addr::UNSPECIFIED.into()).await;
    let device = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    for to in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)] {
        device.send_to(b"x", (to, port)).await.unwrap();
        handler.created().await;
        handler.received(1).await;
    }
}

#[tokio::test]
async fn dtls_works_on_every_kind_of_address() {
    let credentials = exproto_tests::Credentials::default();
    for (bind, to) in [
        (
            IpAddr::from(Ipv4Addr::UNSPECIFIED),
            IpAddr::from(Ipv4Addr::new(127, 0, 0, 5)),
        ),
        (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into()),
        (
            Ipv6Addr::UNSPECIFIED.into(),
            Ipv4Addr::new(127, 0, 0, 5).into(),
        ),
    ] {
        let handler = TestHandler::start();
        let mut config = Carrier::Dtls.config(&[&handler], &credentials);
        config.listeners[0].bind = SocketAddr::new(bind, 0).into();
        let gateway = TestGateway::with(config).await;
        let to = SocketAddr::new(to, gateway.device_address().port());
        let from = if to.is_ipv4() {
            SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
        } else {
            (Ipv6Addr::LOCALHOST, 0).into()
        };
        let mut device = Carrier::Dtls.connect_from(from, to, &credentials).await;
        device.send("hello").await;
        let conn = handler.created().await;
        assert_eq!(handler.received(5).await, b"hello");
        ok(&Calls::new(&gateway, &conn).send("world").await);
        assert_eq!(device.read(5).await, b"world");
    }
}

/// A datagram whose sender claims port 0: nobody can be answered there. It takes a raw socket, which is root's.
#[tokio::test]
async fn a_datagram_from_port_zero_is_dropped() {
    let handler = TestHandler::start();
    let (gateway, port) = bound(&handler, Carrier::Udp, Ipv4Addr::LOCALHOST.into()).await;
    let raw = socket2::Socket::new(
        socket2::Domain::IPV4,
        socket2::Type::RAW,
        Some(socket2::Protocol::UDP),
    );
    let raw = match raw {
        Ok(raw) => raw,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            eprintln!("left out: only root has raw sockets");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    // From port 0, to the listener's, 9 bytes in all, without a checksum.
    let [high, low] = port.to_be_bytes();
    let datagram = [0, 0, high, low, 0, 9, 0, 0, b'x'];
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    raw.send_to(&datagram, &to.into()).unwrap();
    let dropped = crate::setting::series("exproto_datagrams_dropped_total", "port_zero");
    gateway.counts(&dropped, 1).await;
    assert!(handler.try_next().is_none());
}
