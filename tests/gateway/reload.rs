//! A new configuration for a gateway that runs: what did not change is not touched.

use std::{fs, net::SocketAddr};

use config::{Config, Listener};
use exproto_tests::{
    Carrier, Credentials, Device, TestGateway, TestHandler, carrier::SERVER, free_address,
    pki::Files, until,
};

use crate::calls::connect;

fn listener(config: &Config, name: &str, bind: SocketAddr) -> Listener {
    Listener {
        name: name.parse().unwrap(),
        bind: bind.into(),
        ..config.listeners[0].clone()
    }
}

#[tokio::test]
async fn a_listener_comes_and_goes_and_others_stay() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (mut device, _) = connect(&gateway, &handler).await;
    let extra = free_address();
    gateway.reconfigure(|config| config.listeners.push(listener(config, "extra", extra)));
    let mut second = Device::connect(extra).await;
    second.send("x").await;
    let created = handler.next().await;
    assert_eq!(created.header("exproto-listener"), "extra");
    handler.received(1).await;
    gateway.reconfigure(|config| drop(config.listeners.pop()));
    second.closed().await;
    assert_eq!(handler.closed().await, "draining");
    until("the port to be given back", async || {
        tokio::net::TcpListener::bind(extra).await.is_ok()
    })
    .await;
    device.send("still here").await;
    assert_eq!(handler.received(10).await, b"still here");
}

#[tokio::test]
async fn a_listener_that_moves_keeps_its_connections() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let before = gateway.device_address();
    let (mut device, _) = connect(&gateway, &handler).await;
    let after = free_address();
    gateway.reconfigure(|config| config.listeners[0].bind = after.into());
    let mut second = Device::connect(after).await;
    second.send("x").await;
    handler.created().await;
    handler.received(1).await;
    until("the old port to be given back", async || {
        tokio::net::TcpStream::connect(before).await.is_err()
    })
    .await;
    device.send("still here").await;
    assert_eq!(handler.received(10).await, b"still here");
}

#[tokio::test]
async fn a_port_becomes_tls_and_plain_connections_stay() {
    let handler = TestHandler::start();
    let credentials = Credentials::default();
    let gateway = TestGateway::with(Carrier::Tcp.config(&[&handler], &credentials)).await;
    let (mut plain, _) = connect(&gateway, &handler).await;
    let secure = Carrier::Tls.config(&[&handler], &credentials);
    gateway.reconfigure(|config| {
        config.listeners[0].transport = config::Transport::Tls;
        config.listeners[0].tls = secure.listeners[0].tls.clone();
    });
    let address = gateway.device_address();
    let mut device = Carrier::Tls.connect(address, &credentials).await;
    device.send("x").await;
    let created = handler.next().await;
    assert_eq!(created.header("exproto-transport"), "tls");
    handler.received(1).await;
    plain.send("still here").await;
    assert_eq!(handler.received(10).await, b"still here");
}

#[tokio::test]
async fn a_configuration_that_cannot_be_had_changes_nothing() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let extra = free_address();
    let mut config = (*gateway.reloader().config()).clone();
    config.listeners.push(listener(&config, "extra", extra));
    let impossible = listener(&config, "impossible", taken.local_addr().unwrap());
    config.listeners.push(impossible);
    config.listeners[0].limits.max_connections = 1.try_into().unwrap();
    let error = gateway.reloader().reload(config).unwrap_err().to_string();
    assert!(error.contains("listener \"impossible\""), "{error}");
    assert!(tokio::net::TcpStream::connect(extra).await.is_err());
    let (_first, _) = connect(&gateway, &handler).await;
    let (_second, _) = connect(&gateway, &handler).await;
    let refused = "exproto_reloads_total{outcome=\"refused\",what=\"configuration\"}";
    assert_eq!(gateway.metric(refused).await, 1);
}

#[tokio::test]
async fn what_needs_a_restart_is_named() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let mut config = (*gateway.reloader().config()).clone();
    config.handler.deadline *= 2;
    config.adapter.max_concurrent_calls = 7;
    config.connection.max_subscriptions = 7;
    let reloaded = gateway.reloader().reload(config).unwrap();
    assert_eq!(reloaded.needs_restart, ["handler", "adapter"]);
    assert_eq!(gateway.reloader().config().connection.max_subscriptions, 7);
    assert_ne!(gateway.reloader().config().adapter.max_concurrent_calls, 7);
}

#[tokio::test]
async fn other_workers_need_a_restart() {
    let handler = TestHandler::start();
    let config = Carrier::Udp.config(&[&handler], &Credentials::default());
    let gateway = TestGateway::with(config.clone()).await;
    let mut resized = config;
    resized.listeners[0].udp.workers = Some(3.try_into().unwrap());
    let reloaded = gateway.reloader().reload(resized.clone()).unwrap();
    assert_eq!(reloaded.needs_restart, ["listeners.udp.workers"]);
    // Elsewhere its sockets are new ones.
    resized.listeners[0].bind = free_address().into();
    resized.listeners[0].udp.workers = Some(2.try_into().unwrap());
    let reloaded = gateway.reloader().reload(resized).unwrap();
    assert_eq!(reloaded.needs_restart, [""; 0]);
}

#[tokio::test]
async fn changed_certificates_are_taken_and_bad_ones_are_not() {
    for carrier in [Carrier::Tls, Carrier::Wss, Carrier::Dtls] {
        let handler = TestHandler::start();
        let credentials = Credentials::default();
        let gateway = TestGateway::with(carrier.config(&[&handler], &credentials)).await;
        let address = gateway.device_address();
        let mut device = carrier.connect(address, &credentials).await;
        device.send("x").await;
        handler.created().await;
        handler.received(1).await;

        // A key that is not the certificate's.
        let other = credentials.pki.server(SERVER);
        let good = fs::read(&credentials.server.key).unwrap();
        fs::write(&credentials.server.key, fs::read(&other.key).unwrap()).unwrap();
        let refused = "exproto_reloads_total{outcome=\"refused\",what=\"certificates\"}";
        gateway.counts(refused, 1).await;
        let mut second = carrier.connect(address, &credentials).await;
        second.send("y").await;
        handler.created().await;
        handler.received(1).await;

        // A certificate of another authority: devices see that it is a new one.
        fs::write(&credentials.server.key, good).unwrap();
        let stranger = Credentials::default();
        fs::write(
            &credentials.server.chain,
            fs::read(&stranger.server.chain).unwrap(),
        )
        .unwrap();
        fs::write(
            &credentials.server.key,
            fs::read(&stranger.server.key).unwrap(),
        )
        .unwrap();
        until("the new certificate to be shown", async || {
            let shown = carrier.try_connect(address, &stranger, None);
            tokio::time::timeout(std::time::Duration::from_secs(5), shown)
                .await
                .is_ok_and(|shown| shown.is_ok())
        })
        .await;
        device.send("still here").await;
        assert!(
            within_received(&handler, b"still here").await,
            "the open connection was disturbed"
        );
    }
}

/// Waits until connecting comes out like that, and nobody else was disturbed.
async fn becomes(
    carrier: Carrier,
    gateway: &TestGateway,
    credentials: &Credentials,
    certificate: Option<&Files>,
    welcome: bool,
) {
    until("a changed file to be in use", async || {
        let address = gateway.device_address();
        let attempt = async {
            let mut device = carrier
                .try_connect(address, credentials, certificate)
                .await?;
            // With TLS 1.3 a device is through before it hears that it is refused.
            let _ = device.try_send(b"x").await;
            device.finish_and_read().await?;
            anyhow::Ok(())
        };
        let second = std::time::Duration::from_secs(1);
        let attempt = tokio::time::timeout(second, attempt).await;
        attempt.is_ok_and(|outcome| outcome.is_ok()) == welcome
    })
    .await;
}

#[tokio::test]
async fn changed_shared_keys_are_taken_and_bad_files_are_not() {
    for carrier in [Carrier::Psk, Carrier::DtlsPsk] {
        let handler = TestHandler::start();
        let credentials = Credentials::default();
        let config = carrier.config(&[&handler], &credentials);
        let file = config.listeners[0].psk.file.clone().unwrap();
        let good = fs::read(&file).unwrap();
        let gateway = TestGateway::with(config).await;
        let mut device = carrier
            .connect(gateway.device_address(), &credentials)
            .await;
        device.send("x").await;
        handler.created().await;
        handler.received(1).await;
        // Half a line: what was read before stays.
        fs::write(&file, "device-7:61").unwrap();
        fs::write(&file, "device-7").unwrap();
        let refused = "exproto_reloads_total{outcome=\"refused\",what=\"certificates\"}";
        gateway.counts(refused, 1).await;
        // The device is out, and in again; its open connection stays.
        fs::write(&file, "device-8:00112233\n").unwrap();
        becomes(carrier, &gateway, &credentials, None, false).await;
        fs::write(&file, good).unwrap();
        becomes(carrier, &gateway, &credentials, None, true).await;
        device.send("still here").await;
        assert!(within_received(&handler, b"still here").await);
    }
}

#[tokio::test]
async fn a_changed_revocation_list_is_taken() {
    for carrier in [Carrier::Tls, Carrier::Wss, Carrier::Dtls] {
        let handler = TestHandler::start();
        let credentials = Credentials::default();
        let pki = &credentials.pki;
        let (other, own) = (pki.client("other"), pki.client("device-7"));
        let list = pki.folder().join("list.crl");
        fs::copy(pki.crl(&[&other]), &list).unwrap();
        let mut config = carrier.config(&[&handler], &credentials);
        let tls = &mut config.listeners[0].tls;
        tls.verify = config::Verify::Required;
        tls.ca_file = Some(pki.ca_file());
        tls.crl_file = Some(list.clone());
        let gateway = TestGateway::with(config).await;
        let address = gateway.device_address();
        let device = carrier.try_connect(address, &credentials, Some(&own)).await;
        let mut device = device.unwrap();
        device.send("x").await;
        handler.created().await;
        handler.received(1).await;
        // An overdue list would refuse everybody: it is not taken.
        fs::copy(pki.expired_crl(&[&other]), &list).unwrap();
        let refused = "exproto_reloads_total{outcome=\"refused\",what=\"certificates\"}";
        gateway.counts(refused, 1).await;
        becomes(carrier, &gateway, &credentials, Some(&own), true).await;
        fs::copy(pki.crl(&[&other, &own]), &list).unwrap();
        becomes(carrier, &gateway, &credentials, Some(&own), false).await;
        fs::copy(pki.crl(&[&other]), &list).unwrap();
        becomes(carrier, &gateway, &credentials, Some(&own), true).await;
        device.send("still here").await;
        assert!(within_received(&handler, b"still here").await);
    }
}

#[tokio::test]
async fn devices_of_datagrams_are_told_to_leave_when_their_listener_moves() {
    for carrier in [Carrier::Udp, Carrier::Dtls] {
        let handler = TestHandler::start();
        let credentials = Credentials::default();
        let gateway = TestGateway::with(carrier.config(&[&handler], &credentials)).await;
        let mut device = carrier
            .connect(gateway.device_address(), &credentials)
            .await;
        device.send("x").await;
        handler.created().await;
        handler.received(1).await;
        let after = free_address();
        gateway.reconfigure(|config| config.listeners[0].bind = after.into());
        assert_eq!(handler.closed().await, "draining");
        let mut again = carrier.connect(after, &credentials).await;
        again.send("y").await;
        handler.created().await;
        assert_eq!(handler.received(1).await, b"y");
    }
}

#[tokio::test]
async fn a_listener_with_another_name_is_another_one_on_the_same_socket() {
    for carrier in [Carrier::Tcp, Carrier::Udp] {
        let handler = TestHandler::start();
        let credentials = Credentials::default();
        let mut config = carrier.config(&[&handler], &credentials);
        config.listeners[0].bind = free_address().into();
        let gateway = TestGateway::with(config).await;
        let mut device = carrier
            .connect(gateway.device_address(), &credentials)
            .await;
        device.send("x").await;
        handler.created().await;
        handler.received(1).await;
        gateway.reconfigure(|config| config.listeners[0].name = "other".parse().unwrap());
        assert_eq!(handler.closed().await, "draining");
        let mut device = carrier
            .connect(gateway.device_address(), &credentials)
            .await;
        device.send("y").await;
        let created = handler.next().await;
        assert_eq!(created.header("exproto-listener"), "other");
        assert_eq!(handler.received(1).await, b"y");
    }
}

#[tokio::test]
async fn a_port_becomes_dtls_and_peers_of_before_are_not_in_the_way() {
    let handler = TestHandler::start();
    let credentials = Credentials::default();
    let gateway = TestGateway::with(Carrier::Udp.config(&[&handler], &credentials)).await;
    let address = gateway.device_address();
    let mut plain = Carrier::Udp.connect(address, &credentials).await;
    plain.send("x").await;
    handler.created().await;
    handler.received(1).await;
    let from = plain.address();
    // Its end waits for a handler that takes its time.
    handler.hold(true);
    plain.send("y").await;
    let mut last = handler.next().await;
    let secure = Carrier::Dtls.config(&[&handler], &credentials);
    gateway.reconfigure(|config| {
        config.listeners[0].transport = config::Transport::Dtls;
        config.listeners[0].tls = secure.listeners[0].tls.clone();
    });
    drop(plain);
    let _device = Carrier::Dtls
        .connect_from(from, address, &credentials)
        .await;
    handler.hold(false);
    last.answer(Ok(()));
}

#[tokio::test]
async fn an_unchanged_socket_is_never_bound_again() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let address = gateway.device_address();
    let connecting = tokio::spawn(async move {
        // A socket that is closed and bound again refuses or resets some of these.
        for _ in 0..300 {
            let mut device = Device::connect(address).await;
            device.send("x").await;
            device.finish().await;
            device.read_to_end().await;
        }
    });
    let mut reloads = 0_u32;
    while !connecting.is_finished() || reloads < 20 {
        reloads += 1;
        gateway.reconfigure(|config| {
            config.listeners[0].tcp.backlog = 1000 + reloads;
            config.listeners[0].limits.max_connections = (1000 + reloads).try_into().unwrap();
        });
        tokio::task::yield_now().await;
    }
    connecting.await.unwrap();
}

/// Whether these bytes come, whatever else does.
async fn within_received(handler: &TestHandler, wanted: &[u8]) -> bool {
    loop {
        let callback = handler.next().await;
        match callback.event {
            exproto_tests::Event::Received(bytes) if bytes == wanted => return true,
            exproto_tests::Event::Closed(reason) if reason != "ssl_closed" => return false,
            _ => {}
        }
    }
}
