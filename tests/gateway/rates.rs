//! Rates of bytes and messages: of a connection, a listener, the pod, in and out, on every kind of transport.

use config::{Config, Rate, Traffic};
use exproto_tests::{Carrier, Event};

use crate::{
    calls::{Calls, ok},
    setting::{Setting, only, series},
};

/// So many messages of so many bytes, ten times what a rate of these tests lets through.
const MESSAGES: usize = 30;
const SIZE: usize = 500;
const ALL: u64 = (MESSAGES * SIZE) as u64;

/// Where a rate stands.
#[derive(Clone, Copy, Debug)]
enum Scope {
    Connection,
    Listener,
    PodConnection,
    Pod,
}

const SCOPES: [Scope; 4] = [
    Scope::Connection,
    Scope::Listener,
    Scope::PodConnection,
    Scope::Pod,
];

impl Scope {
    fn traffic(self, config: &mut Config) -> &mut Traffic {
        match self {
            Self::Connection => &mut config.listeners[0].limits.traffic_per_connection,
            Self::Listener => &mut config.listeners[0].limits.traffic,
            Self::PodConnection => &mut config.limits.traffic_per_connection,
            Self::Pod => &mut config.limits.traffic,
        }
    }
}

/// What is limited, and to what.
type Limit = fn(&mut Traffic) -> (&mut Option<Rate>, u64);

const IN: [Limit; 2] = [
    |traffic| (&mut traffic.bytes_in, ALL / 10),
    |traffic| (&mut traffic.messages_in, 3),
];
const OUT: [Limit; 2] = [
    |traffic| (&mut traffic.bytes_out, ALL / 10),
    |traffic| (&mut traffic.messages_out, 3),
];

fn limit(setting: &Setting, scope: Scope, what: Limit) {
    setting.gateway.reconfigure(|config| {
        let (rate, amount) = what(scope.traffic(config));
        *rate = only(amount);
    });
}

fn lift(setting: &Setting) {
    setting.gateway.reconfigure(|config| {
        for scope in SCOPES {
            *scope.traffic(config) = Traffic::default();
        }
    });
}

/// What was under way is done: the connection has answered again and again.
async fn settled(calls: &mut Calls) {
    for _ in 0..20 {
        ok(&calls.start_timer(0, 3600).await);
    }
}

async fn bytes_in_are_limited(carrier: Carrier) {
    for scope in SCOPES {
        for what in IN {
            let setting = Setting::new(carrier, |_| {}).await;
            let (mut device, mut calls) = setting.known().await;
            limit(&setting, scope, what);
            for _ in 0..MESSAGES {
                device.send(vec![7; SIZE]).await;
                // Each is a read of its own, as long as it is let in.
                settled(&mut calls).await;
            }
            let received = "exproto_received_bytes_total{listener=\"tcp\"}";
            if carrier.is_datagram() {
                let dropped = series("exproto_datagrams_dropped_total", "rate_in");
                setting.gateway.counts(&dropped, 20).await;
                continue;
            }
            let before = setting.gateway.metric(received).await;
            assert!(before < ALL / 2, "{before} of {ALL} with {scope:?}");
            lift(&setting);
            let all = setting.handler.received(MESSAGES * SIZE).await;
            assert_eq!(all, vec![7; MESSAGES * SIZE]);
        }
    }
}

async fn bytes_out_are_limited(carrier: Carrier) {
    for scope in SCOPES {
        for what in OUT {
            let setting = Setting::new(carrier, |_| {}).await;
            let (mut device, mut calls) = setting.known().await;
            limit(&setting, scope, what);
            for _ in 0..MESSAGES {
                ok(&calls.send(vec![7; SIZE]).await);
            }
            settled(&mut calls).await;
            if carrier.is_datagram() {
                let dropped = series("exproto_datagrams_dropped_total", "rate_out");
                setting.gateway.counts(&dropped, 20).await;
                continue;
            }
            let sent = "exproto_sent_bytes_total{listener=\"tcp\"}";
            let before = setting.gateway.metric(sent).await;
            assert!(before < ALL / 2, "{before} of {ALL} with {scope:?}");
            lift(&setting);
            let all = device.read(MESSAGES * SIZE).await;
            assert_eq!(all, vec![7; MESSAGES * SIZE]);
        }
    }
}

macro_rules! on {
    ($($module:ident = $carrier:ident),*) => {$(
        mod $module {
            use exproto_tests::Carrier;

            #[tokio::test]
            async fn bytes_and_messages_in_are_limited_at_every_level() {
                super::bytes_in_are_limited(Carrier::$carrier).await;
            }

            #[tokio::test]
            async fn bytes_and_messages_out_are_limited_at_every_level() {
                super::bytes_out_are_limited(Carrier::$carrier).await;
            }
        }
    )*};
}

on! { tcp = Tcp, tls = Tls, psk = Psk, ws = Ws, wss = Wss, udp = Udp, dtls = Dtls }

#[tokio::test]
async fn frames_count_as_messages() {
    let setting = Setting::new(Carrier::Tcp, |config| {
        config.listeners[0].framing.kind = config::FramingKind::Line;
    })
    .await;
    let mut device = setting.device().await;
    device.send("x\n").await;
    let conn = setting.handler.created().await;
    setting.handler.received(1).await;
    let mut calls = Calls::new(&setting.gateway, &conn);
    limit(&setting, Scope::Connection, IN[1]);
    // All in one read.
    device.send("line\n".repeat(20)).await;
    for _ in 0..3 {
        assert_eq!(
            setting.handler.next().await.event,
            Event::Received("line".into())
        );
    }
    settled(&mut calls).await;
    assert!(setting.handler.try_next().is_none());
    lift(&setting);
    for _ in 0..17 {
        assert_eq!(
            setting.handler.next().await.event,
            Event::Received("line".into())
        );
    }
}
