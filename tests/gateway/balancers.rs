//! The PROXY protocol in front of every transport that has it: whom a balancer speaks for is who counts.

use std::time::Duration;

use exproto_tests::{Carrier, Device, Event, within};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::setting::{Setting, series};

const CARRIERS: [Carrier; 5] = [
    Carrier::Tcp,
    Carrier::Tls,
    Carrier::Psk,
    Carrier::Ws,
    Carrier::Wss,
];

/// The device that the headers name.
const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n";

/// The same in version 2, with additions.
fn v2(tlvs: &[(u8, &[u8])]) -> Vec<u8> {
    let mut body = vec![192, 0, 2, 7, 198, 51, 100, 1];
    body.extend(40000_u16.to_be_bytes());
    body.extend(443_u16.to_be_bytes());
    for (kind, value) in tlvs {
        body.push(*kind);
        body.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        body.extend(*value);
    }
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
    header.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    header.extend(body);
    header
}

async fn behind_a_balancer(carrier: Carrier, adapt: impl FnOnce(&mut config::Config)) -> Setting {
    Setting::new(carrier, |config| {
        let proxy = &mut config.listeners[0].proxy_protocol;
        proxy.enabled = true;
        proxy.trusted = vec!["127.0.0.0/8".parse().unwrap()];
        adapt(config);
    })
    .await
}

/// A connection on which the balancer has said that much.
async fn balancer(setting: &Setting, header: &[u8]) -> TcpStream {
    let address = setting.gateway.device_address();
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(header).await.unwrap();
    socket
}

async fn through(setting: &Setting, header: &[u8]) -> anyhow::Result<Device> {
    let socket = balancer(setting, header).await;
    let connecting = setting
        .carrier
        .connect_over(socket, &setting.credentials, None);
    within("a handshake", connecting).await
}

#[tokio::test]
async fn the_handler_sees_the_device_and_what_the_balancer_told() {
    let ssl = [
        &[0x07, 0, 0, 0, 0][..],
        &[0x21, 0, 7],
        b"TLSv1.3",
        &[0x22, 0, 8],
        b"device-7",
    ]
    .concat();
    let told = v2(&[(0x01, b"h2"), (0x02, b"gateway.test"), (0x20, &ssl)]);
    for carrier in CARRIERS {
        for header in [V1, &told] {
            let setting = behind_a_balancer(carrier, |_| {}).await;
            let mut device = through(&setting, header).await.unwrap();
            device.send("hello").await;
            let created = setting.handler.next().await;
            let Event::Created(info) = &created.event else {
                panic!("not OnSocketCreated first");
            };
            let (peer, own) = (
                info.peername.clone().unwrap(),
                info.sockname.clone().unwrap(),
            );
            assert_eq!((&*peer.host, peer.port), ("192.0.2.7", 40000));
            assert_eq!((&*own.host, own.port), ("198.51.100.1", 443));
            assert_eq!(
                created.header("exproto-proxy-address"),
                device.address().to_string()
            );
            if header != V1 {
                assert_eq!(created.header("exproto-proxy-alpn"), "h2");
                assert_eq!(created.header("exproto-proxy-authority"), "gateway.test");
                assert_eq!(created.header("exproto-proxy-ssl-version"), "TLSv1.3");
                assert_eq!(created.header("exproto-proxy-ssl-cn"), "device-7");
                assert_eq!(created.header("exproto-proxy-ssl-verified"), "true");
            }
            assert_eq!(setting.handler.received(5).await, b"hello");
        }
    }
}

#[tokio::test]
async fn rules_bans_and_limits_are_those_of_the_device() {
    for carrier in CARRIERS {
        let setting = behind_a_balancer(carrier, |config| {
            config.listeners[0].limits.max_connections_per_ip = Some(1.try_into().unwrap());
        })
        .await;
        let refusals = |reason| series("exproto_connections_refused_total", reason);
        let mut device = through(&setting, V1).await.unwrap();
        device.send("x").await;
        setting.handler.created().await;
        setting.handler.received(1).await;
        // A second one of the same device, and one of another.
        let mut second = Device::new(balancer(&setting, V1).await);
        second.closed().await;
        setting
            .gateway
            .counts(&refusals("max_connections_per_ip"), 1)
            .await;
        let other = b"PROXY TCP4 192.0.2.8 198.51.100.1 40000 443\r\n";
        let mut third = through(&setting, other).await.unwrap();
        third.send("y").await;
        setting.handler.created().await;
        setting.handler.received(1).await;
        // The ban closes that device alone.
        setting.gateway.reconfigure(|config| {
            config.bans.list = vec![config::Ban {
                who: "192.0.2.7".parse().unwrap(),
                until: None,
                reason: String::new(),
            }];
            let rules = ["deny 192.0.2.9", "allow all"];
            config.listeners[0].limits.access = rules.map(|rule| rule.parse().unwrap()).to_vec();
        });
        assert_eq!(setting.handler.closed().await, "banned");
        device.closed().await;
        Device::new(balancer(&setting, V1).await).closed().await;
        setting.gateway.counts(&refusals("banned"), 1).await;
        let denied = b"PROXY TCP4 192.0.2.9 198.51.100.1 40000 443\r\n";
        Device::new(balancer(&setting, denied).await).closed().await;
        setting.gateway.counts(&refusals("access"), 1).await;
        third.send("still here").await;
        assert_eq!(setting.handler.received(10).await, b"still here");
    }
}

#[tokio::test]
async fn a_balancer_that_speaks_for_itself_is_no_device() {
    let setting = behind_a_balancer(Carrier::Tcp, |config| {
        config.bans.list = vec![config::Ban {
            who: "127.0.0.1".parse().unwrap(),
            until: None,
            reason: String::new(),
        }];
    })
    .await;
    // LOCAL: a health check. The ban of its address would keep devices out that have it.
    let mut device = through(&setting, b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0")
        .await
        .unwrap();
    device.send("x").await;
    setting.handler.created().await;
    assert_eq!(setting.handler.received(1).await, b"x");
    setting.gateway.reconfigure(|config| {
        config.bans.list[0].who = "127.0.0.0/8".parse().unwrap();
    });
    device.send("still here").await;
    assert_eq!(setting.handler.received(10).await, b"still here");
}

#[tokio::test]
async fn whoever_stalls_behind_a_balancer_is_banned_and_the_balancer_is_not() {
    let setting = behind_a_balancer(Carrier::Tls, |config| {
        config.listeners[0].handshake_timeout = Duration::from_millis(200);
        config.bans.failure_rate = Some(config::Rate {
            amount: 2,
            period: Duration::from_secs(3600),
        });
    })
    .await;
    let banned = series("exproto_connections_refused_total", "banned");
    let mut tries = 0;
    while setting.gateway.metric(&banned).await == 0 {
        Device::new(balancer(&setting, V1).await).closed().await;
        tries += 1;
        assert!(tries < 20, "never banned");
    }
    // Half a header, and none: that is the balancer's doing.
    setting.gateway.reconfigure(|config| {
        config.listeners[0].proxy_protocol.timeout = Duration::from_millis(100);
    });
    for _ in 0..5 {
        Device::new(balancer(&setting, &V1[..20]).await)
            .closed()
            .await;
        Device::new(balancer(&setting, b"hello there").await)
            .closed()
            .await;
    }
    let failed = |reason| series("exproto_handshakes_failed_total", reason);
    setting.gateway.counts(&failed("proxy_timeout"), 5).await;
    setting.gateway.counts(&failed("not_proxy"), 5).await;
    let other = b"PROXY TCP4 192.0.2.8 198.51.100.1 40000 443\r\n";
    through(&setting, other).await.unwrap();
    setting.handler.created().await;
}

#[tokio::test]
async fn others_are_refused_or_served_as_the_configuration_says() {
    for carrier in CARRIERS {
        let setting = behind_a_balancer(carrier, |config| {
            config.listeners[0].proxy_protocol.trusted = vec!["10.0.0.0/8".parse().unwrap()];
        })
        .await;
        Device::new(balancer(&setting, V1).await).closed().await;
        let untrusted = series("exproto_connections_refused_total", "untrusted");
        setting.gateway.counts(&untrusted, 1).await;
        setting.gateway.reconfigure(|config| {
            config.listeners[0].proxy_protocol.others = config::Others::Serve;
        });
        let (_device, _) = setting.known().await;
    }
}
