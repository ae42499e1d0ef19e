//! DTLS 1.3, beside what holds on every transport: its own limits, and devices that mean harm. The devices are dimpl's.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use exproto_gateway::Gateway;
use exproto_tests::{Carrier, Credentials, Event, TestHandler, until};
use proto::exproto::ResultCode;

use crate::{
    calls::{Calls, ok, refused},
    hostile::{RESPECTED, gateway, hello, spoof},
    setting::series,
};

const DTLS: Carrier = Carrier::Dtls13;

#[tokio::test]
async fn the_handler_learns_the_version_the_name_and_the_protocol() {
    let handler = TestHandler::start();
    let (gateway, _) = gateway(DTLS, &handler, |config| {
        config.listeners[0].tls.alpn = vec!["coap".into(), "x-meter".into()];
    })
    .await;
    // dimpl asks for neither.
    let asks = dimpl13::Config::builder()
        .server_name("gateway.test")
        .alpn_protocols(&[b"x-meter"]);
    let options = tokio_dtls::ConfigOptions {
        dtls_config: Some(Arc::new(asks.build().unwrap())),
        ..Default::default()
    };
    let address = gateway.device_address().to_string();
    let device = tokio_dtls::DtlsConnection::connect_with(&address, |_| true, options).await;
    let created = handler.next().await;
    assert_eq!(created.header("exproto-tls-version"), "DTLSv1.3");
    assert_eq!(created.header("exproto-tls-sni"), "gateway.test");
    assert_eq!(created.header("exproto-tls-alpn"), "x-meter");
    device.unwrap().close().await.unwrap();
    assert_eq!(handler.closed().await, "ssl_closed");
}

#[tokio::test]
async fn forged_hellos_are_capped_and_disturb_nobody() {
    const MOST: u32 = 10;
    let handler = TestHandler::start();
    let (gateway, credentials) = gateway(DTLS, &handler, |config| {
        config.listeners[0].limits.max_connections = MOST.try_into().unwrap();
    })
    .await;
    let hello = hello(DTLS, &credentials).await;
    let address = gateway.device_address();
    let mut device = DTLS.connect(address, &credentials).await;
    device.send("x").await;
    let conn = handler.created().await;
    handler.received(1).await;
    for host in 1..=200 {
        spoof(address, Ipv4Addr::new(127, 9, 13, host), &hello);
    }
    let refusals = series("exproto_connections_refused_total", "max_connections");
    // One place is the device's.
    gateway.counts(&refusals, 200 - u64::from(MOST) + 1).await;
    let mut calls = Calls::new(&gateway, &conn);
    ok(&calls.send("still").await);
    assert_eq!(device.read(5).await, b"still");
    device.send("here").await;
    assert_eq!(handler.received(4).await, b"here");
    assert_eq!(gateway.metric(RESPECTED).await, 1);
}

#[tokio::test]
async fn forged_hellos_take_few_places_of_others() {
    let handler = TestHandler::start();
    let (gateway, credentials) = gateway(DTLS, &handler, |config| {
        config.listeners[0].dtls.max_handshakes = 5;
        config.listeners[0].handshake_timeout = Duration::from_millis(500);
        config.listeners[0].limits.max_connections = 50.try_into().unwrap();
    })
    .await;
    let hello = hello(DTLS, &credentials).await;
    for host in 1..=100 {
        spoof(
            gateway.device_address(),
            Ipv4Addr::new(127, 9, 13, host),
            &hello,
        );
    }
    let refused = series("exproto_connections_refused_total", "max_handshakes");
    gateway.counts(&refused, 95).await;
    // Once these are over, devices come in again.
    DTLS.connect(gateway.device_address(), &credentials).await;
    handler.created().await;
}

#[tokio::test]
async fn what_is_forged_in_a_devices_name_ends_no_session() {
    let handler = TestHandler::start();
    let (gateway, credentials) = gateway(DTLS, &handler, |_| {}).await;
    let hello = hello(DTLS, &credentials).await;
    let mut device = DTLS.connect(gateway.device_address(), &credentials).await;
    device.send("x").await;
    handler.created().await;
    handler.received(1).await;
    let mut later = hello.clone();
    // The same message under a number that is still to come.
    later[18] = 9;
    let alert = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
    let encrypted = [&[0x2e, 0, 77, 0, 30][..], &[7; 30]].concat();
    let garbage: [&[u8]; 7] = [
        &hello,
        &later,
        &alert,
        &encrypted,
        &encrypted[..9],
        &[0x3f],
        &[],
    ];
    for datagram in garbage {
        device.send_raw(datagram).await;
    }
    let dropped = series("exproto_datagrams_dropped_total", "no_session");
    gateway.counts(&dropped, 4).await;
    device.send("still here").await;
    assert_eq!(handler.received(10).await, b"still here");
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_ended() {
    let handler = TestHandler::start();
    let (gateway, credentials) = gateway(DTLS, &handler, |config| {
        config.listeners[0].handshake_timeout = Duration::from_millis(300);
    })
    .await;
    let hello = hello(DTLS, &credentials).await;
    spoof(
        gateway.device_address(),
        Ipv4Addr::new(127, 9, 13, 1),
        &hello,
    );
    let failed = series("exproto_handshakes_failed_total", "timeout");
    gateway.counts(&failed, 1).await;
    assert!(handler.try_next().is_none());
    // Its place is free again, for the same address too.
    DTLS.connect(gateway.device_address(), &credentials).await;
    handler.created().await;
}

#[tokio::test]
async fn a_forger_gets_nobody_banned() {
    let handler = TestHandler::start();
    let (gateway, credentials) = gateway(DTLS, &handler, |config| {
        config.listeners[0].handshake_timeout = Duration::from_millis(300);
        config.bans.failure_rate = Some(config::Rate {
            amount: 1,
            period: Duration::from_secs(3600),
        });
    })
    .await;
    let hello = hello(DTLS, &credentials).await;
    let address = gateway.device_address();
    let failed = series("exproto_handshakes_failed_total", "timeout");
    for round in 1..=5 {
        spoof(address, Ipv4Addr::LOCALHOST, &hello);
        gateway.counts(&failed, round).await;
    }
    // Whose address that is can still connect.
    DTLS.connect(address, &credentials).await;
    handler.created().await;
}

#[tokio::test]
async fn a_device_that_speaks_another_version_is_not_let_in() {
    let handler = TestHandler::start();
    let (gateway, credentials) = gateway(DTLS, &handler, |config| {
        config.listeners[0].handshake_timeout = Duration::from_millis(500);
    })
    .await;
    let address = gateway.device_address();
    let device =
        tokio::spawn(async move { Carrier::Dtls.try_connect(address, &credentials, None).await });
    let failed = series("exproto_handshakes_failed_total", "other");
    let late = series("exproto_handshakes_failed_total", "timeout");
    until("a handshake that failed", async || {
        gateway.metric(&failed).await + gateway.metric(&late).await > 0
    })
    .await;
    device.abort();
    assert_eq!(gateway.metric(RESPECTED).await, 0);
    assert!(handler.try_next().is_none());
}

#[tokio::test]
async fn what_does_not_fit_is_dropped_and_counted() {
    let handler = TestHandler::start();
    let (gateway, credentials) = gateway(DTLS, &handler, |_| {}).await;
    let mut device = DTLS.connect(gateway.device_address(), &credentials).await;
    device.send("x").await;
    let conn = handler.created().await;
    handler.received(1).await;
    // From the device up to 4 KiB in a datagram.
    device.send(vec![7; 5000]).await;
    device.send(vec![8; 3900]).await;
    let Event::Received(bytes) = handler.next().await.event else {
        panic!("not OnReceivedBytes");
    };
    assert_eq!(bytes, vec![8; 3900]);
    let dropped = series("exproto_datagrams_dropped_total", "too_large");
    assert_eq!(gateway.metric(&dropped).await, 1);
    // To the device a record at most.
    let mut calls = Calls::new(&gateway, &conn);
    let answer = calls.send(vec![9; 16 * 1024 + 1]).await;
    refused(&answer, ResultCode::ParamsTypeError, "16384 or fewer");
    ok(&calls.send(vec![9; 16 * 1024]).await);
    assert_eq!(device.read(16 * 1024).await, vec![9; 16 * 1024]);
    gateway.reconfigure(|config| {
        config.listeners[0].udp.max_datagram = config::ByteSize::kib(1);
    });
    let answer = calls.send(vec![9; 1025]).await;
    refused(&answer, ResultCode::ParamsTypeError, "1024 or fewer");
}

#[tokio::test]
async fn a_changed_certificate_is_shown_to_new_devices_and_old_ones_stay() {
    let handler = TestHandler::start();
    let (gateway, old) = gateway(DTLS, &handler, |_| {}).await;
    let mut before = DTLS.connect(gateway.device_address(), &old).await;
    before.send("x").await;
    handler.created().await;
    handler.received(1).await;
    let new = Credentials::default();
    gateway.reconfigure(|config| {
        config.listeners[0].tls.certificates = vec![config::Certificate {
            chain: new.server.chain.clone(),
            key: new.server.key.clone(),
        }];
    });
    // Connecting compares what is shown.
    let mut after = DTLS.connect(gateway.device_address(), &new).await;
    after.send("after").await;
    handler.created().await;
    assert_eq!(handler.received(5).await, b"after");
    before.send("before").await;
    assert_eq!(handler.received(6).await, b"before");
}

#[tokio::test]
async fn a_key_of_rsa_is_refused_by_name() {
    let handler = TestHandler::start();
    let credentials = Credentials::default();
    let mut config = DTLS.config(&[&handler], &credentials);
    let files = credentials.pki.rsa_server("gateway.test");
    config.listeners[0].tls.certificates = vec![config::Certificate {
        chain: files.chain,
        key: files.key.clone(),
    }];
    let error = Gateway::bind(config).err().expect("it cannot start");
    let text = format!("{:#}", anyhow::Error::from(error));
    assert!(text.contains(files.key.to_str().unwrap()), "{text}");
    assert!(text.contains("ECDSA P-256 and P-384 alone"), "{text}");
}
