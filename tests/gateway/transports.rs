//! What holds on every transport: one suite, a module for each.

use std::time::Duration;

use bytes::Bytes;
use exproto_tests::{Callback, Carrier, Event};
use proto::exproto::{ResultCode, SocketType};

use crate::{
    calls::{Calls, ok, refused},
    setting::{Setting, only, series},
};

/// Each test for each transport.
macro_rules! on_every_transport {
    ($(#[$meta:meta])* $tests:tt) => {
        on_every_transport! { @each $tests
            tcp = Tcp, tls = Tls, psk = Psk, ws = Ws, wss = Wss, udp = Udp, dtls = Dtls, dtls_psk = DtlsPsk }
        #[cfg(feature = "dtls13")]
        on_every_transport! { @module dtls13 Dtls13 $tests }
    };
    (@each $tests:tt $($module:ident = $carrier:ident),*) => {
        $(on_every_transport! { @module $module $carrier $tests })*
    };
    (@module $module:ident $carrier:ident { $($test:ident)* }) => {
        mod $module {
            use exproto_tests::Carrier;
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(Carrier::$carrier).await;
                }
            )*
        }
    };
}

on_every_transport! {{
    bytes_go_both_ways
    the_handler_learns_both_ends
    messages_keep_their_boundaries_and_streams_their_order
    an_empty_send_harms_nothing
    a_goodbye_has_its_reason
    silence_ends_the_connection
    the_keepalive_counts_bytes
    one_connection_too_many_is_refused
    one_connection_too_many_of_an_address_is_refused
    connections_that_come_too_fast_are_refused
    whoever_the_rules_keep_out_is_refused
    a_ban_closes_and_keeps_out_until_it_is_lifted
    bytes_in_above_the_rate_wait_or_are_dropped
    messages_out_above_the_rate_wait_or_are_dropped
    a_slow_handler_pauses_or_drops
    a_device_that_reads_late_gets_all_of_it
    a_device_that_reads_nothing_is_closed
    a_device_that_says_nothing_is_closed
    a_banned_clientid_is_closed_and_kept_out
    a_ban_finds_whoever_is_shaking_hands
    a_reload_keeps_open_connections
    a_drain_closes_with_its_reason
}}

async fn bytes_go_both_ways(carrier: Carrier) {
    let setting = Setting::new(carrier, |_| {}).await;
    let (mut device, mut calls) = setting.known().await;
    device.send("hello").await;
    assert_eq!(setting.handler.received(5).await, b"hello");
    ok(&calls.send("world").await);
    assert_eq!(device.read(5).await, b"world");
    ok(&calls.send("last words").await);
    ok(&calls.close().await);
    assert_eq!(device.read(10).await, b"last words");
    assert_eq!(setting.handler.closed().await, "normal");
    if carrier != Carrier::Udp {
        device.closed().await;
    }
}

async fn the_handler_learns_both_ends(carrier: Carrier) {
    let setting = Setting::new(carrier, |_| {}).await;
    let mut device = setting.device().await;
    device.send("x").await;
    let created: Callback = setting.handler.next().await;
    assert_eq!(
        created.header("exproto-transport"),
        match carrier {
            Carrier::Tcp => "tcp",
            Carrier::Tls | Carrier::Psk => "tls",
            Carrier::Ws => "ws",
            Carrier::Wss => "wss",
            Carrier::Udp => "udp",
            _ => "dtls",
        }
    );
    assert_eq!(
        created.header("exproto-psk-identity"),
        match carrier {
            Carrier::Psk | Carrier::DtlsPsk => exproto_tests::carrier::IDENTITY,
            _ => "",
        }
    );
    let Event::Created(info) = created.event else {
        panic!("not OnSocketCreated first");
    };
    let kind = match carrier {
        Carrier::Tcp | Carrier::Ws => SocketType::Tcp,
        Carrier::Tls | Carrier::Psk | Carrier::Wss => SocketType::Ssl,
        Carrier::Udp => SocketType::Udp,
        _ => SocketType::Dtls,
    };
    assert_eq!(info.socktype, i32::from(kind));
    let (peer, own) = (info.peername.unwrap(), info.sockname.unwrap());
    assert_eq!(peer.host, "127.0.0.1");
    assert_eq!(peer.port, u32::from(device.address().port()));
    assert_eq!(own.host, "127.0.0.1");
    let port = setting.gateway.device_address().port();
    assert_eq!(own.port, u32::from(port));
    assert!(info.peercert.is_none());
}

async fn messages_keep_their_boundaries_and_streams_their_order(carrier: Carrier) {
    let setting = Setting::new(carrier, |_| {}).await;
    let (mut device, mut calls) = setting.known().await;
    // DTLS has no empty messages.
    let first = u8::from(carrier != Carrier::Udp);
    let messages: Vec<Bytes> = (first..60)
        .map(|count| vec![count; usize::from(count) * 20].into())
        .collect();
    for message in &messages {
        device.send(message).await;
    }
    if carrier.keeps_boundaries() {
        for message in &messages {
            let Event::Received(bytes) = setting.handler.next().await.event else {
                panic!("not OnReceivedBytes");
            };
            assert_eq!(bytes, message);
        }
    } else {
        let all = messages.concat();
        assert_eq!(setting.handler.received(all.len()).await, all);
    }
    for message in &messages {
        ok(&calls.send(message.clone()).await);
    }
    if carrier.keeps_boundaries() {
        for message in &messages {
            assert_eq!(device.receive().await.unwrap().unwrap(), message);
        }
    } else {
        let all = messages.concat();
        assert_eq!(device.read(all.len()).await, all);
    }
}

async fn an_empty_send_harms_nothing(carrier: Carrier) {
    let setting = Setting::new(carrier, |_| {}).await;
    let (mut device, mut calls) = setting.known().await;
    ok(&calls.send("").await);
    ok(&calls.send("after").await);
    assert_eq!(device.read(5).await, b"after");
    device.send("still here").await;
    assert_eq!(setting.handler.received(10).await, b"still here");
}

async fn a_goodbye_has_its_reason(carrier: Carrier) {
    if carrier == Carrier::Udp {
        // It has none.
        return;
    }
    let setting = Setting::new(carrier, |_| {}).await;
    let (mut device, _) = setting.known().await;
    device.send("bye").await;
    device.finish().await;
    assert_eq!(setting.handler.received(3).await, b"bye");
    let reason = match carrier {
        Carrier::Tcp | Carrier::Ws => "tcp_closed",
        _ => "ssl_closed",
    };
    assert_eq!(setting.handler.closed().await, reason);
}

async fn silence_ends_the_connection(carrier: Carrier) {
    let setting = Setting::new(carrier, |config| {
        let second = Some(Duration::from_secs(1));
        config.listeners[0].idle_timeout = Some(config::IdleTimeout(second));
    })
    .await;
    let (_device, _) = setting.known().await;
    assert_eq!(setting.handler.closed().await, "idle_timeout");
}

async fn the_keepalive_counts_bytes(carrier: Carrier) {
    let setting = Setting::new(carrier, |_| {}).await;
    let (_device, mut calls) = setting.known().await;
    ok(&calls.start_timer(0, 1).await);
    assert_eq!(setting.handler.next().await.event, Event::TimedOut);
    assert_eq!(setting.handler.closed().await, "keepalive_timeout");
}

async fn one_connection_too_many_is_refused(carrier: Carrier) {
    for pod in [false, true] {
        let setting = Setting::new(carrier, |config| {
            let one = 1.try_into().unwrap();
            if pod {
                config.limits.max_connections = one;
            } else {
                config.listeners[0].limits.max_connections = one;
            }
        })
        .await;
        let (_device, mut calls) = setting.known().await;
        setting.refuses("max_connections").await;
        ok(&calls.close().await);
        assert_eq!(setting.handler.closed().await, "normal");
        setting
            .gateway
            .is("exproto_connections{listener=\"tcp\"}", 0)
            .await;
        setting.lets_in().await;
    }
}

async fn one_connection_too_many_of_an_address_is_refused(carrier: Carrier) {
    let setting = Setting::new(carrier, |config| {
        config.listeners[0].limits.max_connections_per_ip = Some(1.try_into().unwrap());
    })
    .await;
    let (_device, mut calls) = setting.known().await;
    setting.refuses("max_connections_per_ip").await;
    ok(&calls.close().await);
    assert_eq!(setting.handler.closed().await, "normal");
    setting
        .gateway
        .is("exproto_connections{listener=\"tcp\"}", 0)
        .await;
    setting.lets_in().await;
}

async fn connections_that_come_too_fast_are_refused(carrier: Carrier) {
    for per_ip in [false, true] {
        let setting = Setting::new(carrier, |config| {
            let limits = &mut config.listeners[0].limits;
            if per_ip {
                limits.connection_rate_per_ip = only(1);
            } else {
                limits.connection_rate = only(1);
            }
        })
        .await;
        let (_device, _) = setting.known().await;
        setting
            .refuses(if per_ip {
                "connection_rate_per_ip"
            } else {
                "connection_rate"
            })
            .await;
        setting.gateway.reconfigure(|config| {
            config.listeners[0].limits.connection_rate = None;
            config.listeners[0].limits.connection_rate_per_ip = None;
        });
        setting.lets_in().await;
    }
}

async fn whoever_the_rules_keep_out_is_refused(carrier: Carrier) {
    let setting = Setting::new(carrier, |config| {
        let rules = ["deny 10.0.0.0/8", "allow 127.0.0.2", "deny 127.0.0.0/8"];
        config.listeners[0].limits.access = rules.map(|rule| rule.parse().unwrap()).to_vec();
    })
    .await;
    setting.refuses("access").await;
    setting.gateway.reconfigure(|config| {
        let rules = ["allow 127.0.0.1", "deny all"];
        config.listeners[0].limits.access = rules.map(|rule| rule.parse().unwrap()).to_vec();
    });
    setting.lets_in().await;
}

async fn a_ban_closes_and_keeps_out_until_it_is_lifted(carrier: Carrier) {
    let setting = Setting::new(carrier, |_| {}).await;
    let (mut device, _) = setting.known().await;
    setting.gateway.reconfigure(|config| {
        config.bans.list = vec![config::Ban {
            who: "127.0.0.0/24".parse().unwrap(),
            until: None,
            reason: "it misbehaves".into(),
        }];
    });
    assert_eq!(setting.handler.closed().await, "banned");
    if carrier != Carrier::Udp {
        device.closed().await;
    }
    setting.refuses("banned").await;
    setting
        .gateway
        .reconfigure(|config| config.bans.list.clear());
    setting.lets_in().await;
}

async fn bytes_in_above_the_rate_wait_or_are_dropped(carrier: Carrier) {
    let setting = Setting::new(carrier, |config| {
        config.listeners[0].limits.traffic.bytes_in = only(4096);
    })
    .await;
    let (mut device, _) = setting.known().await;
    for _ in 0..20 {
        device.send(vec![7; 1000]).await;
    }
    if carrier.is_datagram() {
        let dropped = series("exproto_datagrams_dropped_total", "rate_in");
        setting.gateway.counts(&dropped, 1).await;
    } else {
        setting
            .gateway
            .counts("exproto_received_bytes_total{listener=\"tcp\"}", 4096)
            .await;
    }
    // Whatever came of it has come.
    setting.gateway.reconfigure(|config| {
        config.listeners[0].limits.traffic.bytes_in = None;
    });
    if carrier.is_datagram() {
        device.send("after").await;
        loop {
            let Event::Received(bytes) = setting.handler.next().await.event else {
                panic!("not OnReceivedBytes");
            };
            if bytes == "after" {
                break;
            }
            assert_eq!(bytes.len(), 1000);
        }
    } else {
        assert_eq!(setting.handler.received(20_000).await, vec![7; 20_000]);
    }
}

async fn messages_out_above_the_rate_wait_or_are_dropped(carrier: Carrier) {
    let setting = Setting::new(carrier, |config| {
        // The datagrams of a handshake count as well.
        let handshake = if carrier.is_datagram() { 20 } else { 0 };
        config.listeners[0]
            .limits
            .traffic_per_connection
            .messages_out = only(5 + handshake);
    })
    .await;
    let (mut device, mut calls) = setting.known().await;
    for number in 0..40_u8 {
        ok(&calls.send(vec![number]).await);
    }
    let mut got = device.read(5).await;
    assert_eq!(got, [0, 1, 2, 3, 4]);
    if carrier.is_datagram() {
        let dropped = series("exproto_datagrams_dropped_total", "rate_out");
        setting.gateway.counts(&dropped, 10).await;
        setting.gateway.reconfigure(|config| {
            config.listeners[0]
                .limits
                .traffic_per_connection
                .messages_out = None;
        });
        ok(&calls.send(vec![99]).await);
        while got.last() != Some(&99) {
            got.extend(device.read(1).await);
        }
        assert!(got.len() < 40);
    } else {
        setting.gateway.reconfigure(|config| {
            config.listeners[0]
                .limits
                .traffic_per_connection
                .messages_out = None;
        });
        got.extend(device.read(35).await);
        assert_eq!(got, (0..40).collect::<Vec<u8>>());
    }
}

async fn a_slow_handler_pauses_or_drops(carrier: Carrier) {
    let setting = Setting::new(carrier, |config| {
        config.connection.inbound_limit = config::ByteSize::kib(64);
    })
    .await;
    let (mut device, _) = setting.known().await;
    setting.handler.hold(true);
    device.send("first").await;
    let mut first = setting.handler.next().await;
    setting.handler.hold(false);
    for _ in 0..200 {
        device.send(vec![7; 1000]).await;
    }
    if carrier.is_datagram() {
        let dropped = series("exproto_datagrams_dropped_total", "queue_full");
        setting.gateway.counts(&dropped, 100).await;
        first.answer(Ok(()));
        // Those that had room arrive whole.
        let received = setting.handler.received(40_000).await;
        assert_eq!(received, vec![7; 40_000]);
    } else {
        first.answer(Ok(()));
        let received = setting.handler.received(200_000).await;
        assert_eq!(received, vec![7; 200_000]);
    }
}

async fn a_reload_keeps_open_connections(carrier: Carrier) {
    let setting = Setting::new(carrier, |_| {}).await;
    let (mut device, mut calls) = setting.known().await;
    setting.gateway.reconfigure(|config| {
        config.listeners[0].limits.max_connections = 7.try_into().unwrap();
        config.listeners[0].first_byte_timeout = None;
        config.connection.send_timeout = Duration::from_secs(3);
        config.listeners[0].tcp.backlog = 17;
        config.listeners[0].udp.receive_buffer = config::ByteSize::kib(128);
    });
    device.send("after").await;
    assert_eq!(setting.handler.received(5).await, b"after");
    ok(&calls.send("reload").await);
    assert_eq!(device.read(6).await, b"reload");
    setting.lets_in().await;
}

async fn a_drain_closes_with_its_reason(carrier: Carrier) {
    let setting = Setting::new(carrier, |_| {}).await;
    let (mut device, _) = setting.known().await;
    let stopping = setting.gateway.begin_stop();
    assert_eq!(setting.handler.closed().await, "draining");
    if carrier != Carrier::Udp {
        device.closed().await;
    }
    stopping.await.unwrap();
}

async fn a_device_that_reads_late_gets_all_of_it(carrier: Carrier) {
    const SENDS: u32 = 300;
    if carrier.is_datagram() {
        // What it does not read is lost, as datagrams may be.
        return;
    }
    let setting = Setting::new(carrier, |_| {}).await;
    let (mut device, mut calls) = setting.known().await;
    // Many times what the buffers of both kernels and the outbox hold, in pieces of all sizes.
    let piece = |number: u32| -> Vec<u8> {
        let size = 1 + (number as usize * 7919) % 60_000;
        let mut piece = vec![number.to_be_bytes()[3]; size];
        piece[0] = number.to_be_bytes()[2];
        piece
    };
    let sending = tokio::spawn(async move {
        for number in 0..SENDS {
            ok(&calls.send(piece(number)).await);
        }
    });
    let sent = "exproto_sent_bytes_total{listener=\"tcp\"}";
    setting.gateway.counts(sent, 64 * 1024).await;
    for number in 0..SENDS {
        let expected = piece(number);
        assert!(device.read(expected.len()).await == expected, "{number}");
    }
    sending.await.unwrap();
}

async fn a_device_that_reads_nothing_is_closed(carrier: Carrier) {
    if carrier.is_datagram() {
        return;
    }
    let setting = Setting::new(carrier, |config| {
        config.connection.send_timeout = Duration::from_millis(500);
    })
    .await;
    let (_device, mut calls) = setting.known().await;
    let flood = tokio::spawn(async move { while calls.try_send(vec![0; 1 << 20]).await {} });
    assert_eq!(setting.handler.closed().await, "slow_consumer");
    flood.await.unwrap();
}

async fn a_device_that_says_nothing_is_closed(carrier: Carrier) {
    if carrier == Carrier::Udp {
        // It is not there before it says something.
        return;
    }
    let setting = Setting::new(carrier, |config| {
        config.listeners[0].first_byte_timeout = Some(Duration::from_millis(300));
    })
    .await;
    let mut device = setting.device().await;
    setting.handler.created().await;
    assert_eq!(setting.handler.closed().await, "idle_timeout");
    device.closed().await;
}

async fn a_banned_clientid_is_closed_and_kept_out(carrier: Carrier) {
    let setting = Setting::new(carrier, |_| {}).await;
    let (_device, mut calls) = setting.known().await;
    ok(&calls.authenticate("thief").await);
    setting.gateway.reconfigure(|config| {
        config.bans.list = vec![config::Ban {
            who: "clientid:thief".parse().unwrap(),
            until: None,
            reason: "stolen".into(),
        }];
    });
    assert_eq!(setting.handler.closed().await, "banned");
    let mut other = setting.device().await;
    other.send("x").await;
    let conn = setting.handler.created().await;
    let mut calls = Calls::new(&setting.gateway, &conn);
    let answer = calls.authenticate("thief").await;
    refused(&answer, ResultCode::PermissionDeny, "stolen");
    ok(&calls.authenticate("owner").await);
}

async fn a_ban_finds_whoever_is_shaking_hands(carrier: Carrier) {
    if carrier.is_datagram() || carrier == Carrier::Tcp {
        // They have nothing to hold up in the middle.
        return;
    }
    let setting = Setting::new(carrier, |_| {}).await;
    let address = setting.gateway.device_address();
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    // It is let in, and shakes no hands yet.
    setting.refuses_beyond_one().await;
    setting.gateway.reconfigure(|config| {
        config.bans.list = vec![config::Ban {
            who: "127.0.0.1".parse().unwrap(),
            until: None,
            reason: String::new(),
        }];
    });
    let credentials = &setting.credentials;
    if let Ok(mut device) = carrier.connect_over(socket, credentials, None).await {
        let _ = device.try_send(b"x").await;
        device.closed().await;
    }
    setting
        .gateway
        .is("exproto_connections{listener=\"tcp\"}", 0)
        .await;
    while let Some(callback) = setting.handler.try_next() {
        assert!(!matches!(callback.event, Event::Received(_)));
    }
}
