//! Where devices connect.

#![allow(clippy::doc_markdown, reason = "QoS is a word")]

use std::{net::Ipv4Addr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    Authenticator, Bind, Dtls, Framing, Limits, ListenerName, Mountpoint, ProxyProtocol, Psk, Tcp,
    Tls, Udp, WebSocket,
    period::{Period, PeriodOrOff},
};

/// One address to which devices connect, with its transport and limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Listener {
    /// Names the listener in logs and metrics, and towards the handler (`exproto-listener`): 1 to 63
    /// lower-case letters, digits or `-`, unlike any other listener's.
    pub name: ListenerName,

    /// The address to listen on: `1.2.3.4:7993`, `[::]:7993` (which takes IPv4 too), or a port
    /// alone, which means the same as `[::]` with that port.
    pub bind: Bind,

    /// What carries the bytes.
    pub transport: Transport,

    /// How much is let in by this listener. What is above a limit is turned away, and counted by
    /// the limit that it met.
    pub limits: Limits,

    /// How long a device may take from its connection to the end of the handshakes in front of the
    /// first byte: PROXY protocol, TLS or DTLS, WebSocket.
    #[serde(with = "Period")]
    pub handshake_timeout: Duration,

    /// How long a device may stay silent after it has connected; a longer silence closes the
    /// connection with `idle_timeout`. `off`: as long as `idle_timeout` lets it. With udp it is the
    /// first datagram that makes a connection, so none waits for it.
    #[serde(with = "PeriodOrOff")]
    pub first_byte_timeout: Option<Duration>,

    /// How long a device may stay silent at any time; a longer silence closes the connection with
    /// `idle_timeout`. `StartTimer` replaces this limit for its connection. `off` lets it stay for
    /// as long as the transport does not tell that it has gone; udp and dtls never tell, so they
    /// cannot be without a limit. Unset: `off`, and `5m` with udp and dtls.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "5m")]
    pub idle_timeout: Option<IdleTimeout>,

    /// How long a connection may live without a successful `Authenticate`; then it is closed. `off`
    /// for handlers that authenticate late or never.
    #[serde(with = "PeriodOrOff")]
    pub authentication_timeout: Option<Duration>,

    /// What follows when a device has finished sending (TCP FIN). `false`: what was read is
    /// delivered to the handler, what `Send` accepted is written, and the connection is closed.
    /// `true`, for transports tcp and tls: the handler may go on sending until it calls `Close` or
    /// the socket fails. (A device that is gone by then is noticed when something is sent, or by
    /// `idle_timeout` or `StartTimer`.)
    pub half_close: bool,

    /// The mountpoint of this listener's clients. Unset: the gateway's `mountpoint`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "meters/${clientid}/")]
    pub mountpoint: Option<Mountpoint>,

    /// The authenticators of this listener's clients, tried in this order; see
    /// `authentication.chain`. Unset: those of the gateway. Empty: everybody is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = serde_json::json!([{ "certificate": {} }]))]
    pub authentication_chain: Option<Vec<Authenticator>>,

    /// How long the subscriptions of a client, and messages of QoS 1 and 2 for them, outlive its
    /// connection; a client that comes back in time, on any listener that keeps them, finds them
    /// again. `off`: they end with it. The handler may say otherwise for each client, by the metadata
    /// `exproto-session-expiry` of `Authenticate`. Not longer than `sessions.max_expiry`.
    #[serde(with = "PeriodOrOff")]
    pub session_expiry: Option<Duration>,

    /// Sockets of transports tcp, tls, ws and wss.
    pub tcp: Tcp,

    /// Sockets of transports udp and dtls. Each address of a device is one connection, each
    /// datagram one `OnReceivedBytes`, and each `Send` one datagram.
    pub udp: Udp,

    /// Certificates, for transports tls, wss and dtls. Files are PEM. They are watched: a changed
    /// file is used for the next handshakes and closes no connection; one that cannot be used is
    /// reported, and what was read before stays in use.
    pub tls: Tls,

    /// Keys shared with devices instead of certificates, for transports tls and dtls.
    pub psk: Psk,

    /// What transport dtls has beside `udp`, `tls` and `psk`.
    pub dtls: Dtls,

    /// The PROXY protocol, versions 1 and 2, by which a balancer tells whom it speaks for: in front
    /// of everything else on transports tcp, tls, ws and wss.
    pub proxy_protocol: ProxyProtocol,

    /// How the stream of transports tcp and tls is cut into frames, so that each `OnReceivedBytes`
    /// carries exactly one whole frame. What `Send` writes is left as it is.
    pub framing: Framing,

    /// What transports ws and wss have beside `tcp` and `tls`. Each binary message is one
    /// `OnReceivedBytes`, and each `Send` one binary message; text messages close the connection.
    pub websocket: WebSocket,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            name: ListenerName::default(),
            bind: Bind((Ipv4Addr::UNSPECIFIED, 7993).into()),
            transport: Transport::Tcp,
            limits: Limits::default(),
            handshake_timeout: Duration::from_secs(15),
            first_byte_timeout: Some(Duration::from_secs(30)),
            idle_timeout: None,
            authentication_timeout: None,
            half_close: false,
            mountpoint: None,
            authentication_chain: None,
            session_expiry: None,
            tcp: Tcp::default(),
            udp: Udp::default(),
            tls: Tls::default(),
            psk: Psk::default(),
            dtls: Dtls::default(),
            proxy_protocol: ProxyProtocol::default(),
            framing: Framing::default(),
            websocket: WebSocket::default(),
        }
    }
}

impl Listener {
    /// How long a device may stay silent, with what `idle_timeout` stands for where it is unset.
    #[must_use]
    pub fn idle_timeout(&self) -> Option<Duration> {
        match self.idle_timeout {
            Some(IdleTimeout(period)) => period,
            None => self
                .transport
                .is_datagram()
                .then_some(DATAGRAM_IDLE_TIMEOUT),
        }
    }
}

/// How long a UDP or DTLS device may stay silent where nothing is said.
const DATAGRAM_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// A time, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleTimeout(pub Option<Duration>);

impl Serialize for IdleTimeout {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        PeriodOrOff::serialize(&self.0, to)
    }
}

impl<'de> Deserialize<'de> for IdleTimeout {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        PeriodOrOff::deserialize(from).map(Self)
    }
}

impl JsonSchema for IdleTimeout {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "IdleTimeout".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        PeriodOrOff::json_schema(generator)
    }
}

/// What carries a device's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Plain TCP.
    #[default]
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket over TCP.
    Ws,
    /// WebSocket over TLS.
    Wss,
    /// Plain UDP.
    Udp,
    /// DTLS over UDP.
    Dtls,
}

impl Transport {
    /// The word in configurations, in `exproto-transport` and in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Udp => "udp",
            Self::Dtls => "dtls",
        }
    }

    /// Whether devices send datagrams.
    #[must_use]
    pub fn is_datagram(self) -> bool {
        matches!(self, Self::Udp | Self::Dtls)
    }

    /// Whether a TLS or DTLS handshake comes first, and a device's goodbye is one of TLS.
    #[must_use]
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss | Self::Dtls)
    }

    /// Whether WebSocket messages carry the bytes.
    #[must_use]
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }
}
