//! The gateway's configuration: the types that it reads and the operator writes.
//!
//! A [`Config`] comes from a YAML file with environment variables over it. What is read is checked
//! once, here; who holds a [`Config`] need not check again.

/// From a file and the environment to a [`Config`].
mod load;

/// What was written, with the place of each value.
mod tree;

/// Environment variables over the file.
mod overlay;

/// From the tree to the types.
mod read;

/// Rules that concern more than one field.
mod check;

/// What is wrong, and where.
mod error;

/// The default, explained.
mod manual;

/// A configuration as a file.
mod written;

/// Who this pod is, and which pods it works with.
mod cluster;

/// Where devices connect.
mod listener;

/// How much is let in.
mod limits;

/// Who is kept out.
mod bans;

/// Options of sockets.
mod sockets;

/// Certificates and shared keys.
mod tls;

/// Balancers in front.
mod proxy;

/// Frames in a stream.
mod framing;

/// WebSocket.
mod websocket;

/// Text in which a client's values are filled in.
mod template;

/// The prefix of a client's topics.
mod mountpoint;

/// Who may be a client.
mod authentication;

/// Services of the user's that are asked.
mod services;

/// Keys and claims in which a client's names are filled in.
mod pattern;

/// Who may publish and subscribe.
mod authorization;

/// Rules of who may publish and subscribe.
mod rules;

/// What one connection may hold.
mod connection;

/// The user's gRPC server.
mod handler;

/// The gRPC service that the handler calls back.
mod adapter;

/// Who may call it, and what for.
mod callers;

/// What the user's own services may take.
mod backend;

/// What routes messages by topic.
mod broker;

/// The Redis that the pods share.
mod redis;

/// Clients that have gone and may come back.
mod sessions;

/// Health and metrics, drain, log.
mod operation;

/// The management API.
mod management;

/// TLS of the servers that are not for devices.
mod server_tls;

/// Addresses to listen on.
mod bind;

/// Short, plain names.
mod name;

/// Whole numbers with bounds.
mod count;

/// Amounts of memory.
mod size;

/// Spans of time.
mod period;

/// Amounts over time.
mod rate;

/// Parts of a hundred.
mod percent;

/// What all that stands as text has in common.
mod text;

/// Files of text beside the configuration.
mod text_file;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use adapter::Adapter;
pub use authentication::{
    Authentication, AuthenticationCache, Authenticator, CertificateClientName, CertificateNames,
    CertificatePart, ClientName, HashingThreads, HttpAuthenticator, Jwt, JwtAlgorithm, RedisUsers,
    TokenPlace, UsersFile,
};
pub use authorization::{
    Authorization, AuthorizationCache, AuthorizationSource, HttpAuthorization, RedisAuthorization,
    RulesFile,
};
pub use backend::Backend;
pub use bans::{Ban, Banned, Bans, Until};
pub use bind::Bind;
pub use broker::{Broker, BrokerKind, Retained, Shared};
pub use callers::{Caller, Scope};
pub use cluster::{Clientids, Cluster, Deaf, Peers, Pod, PodLoss};
pub use connection::Connection;
pub use error::{Error, Place, Problem};
pub use framing::{
    Delimiter, Endianness, Escape, Flag, FrameError, Framing, FramingKind, HexBytes, Length,
};
pub use handler::{
    Affinity, Canary, Concurrency, Ejection, Handler, HandlerAddress, HandlerDns, HandlerList,
    HandlerService, HandlerSource, HandlerTls, HealthChecks, HostName, HostPort, Mirror,
    Nameserver, OnHandlerLoss, RetryBudget, Rollback, SharedSource, Stream,
};
pub use limits::{AccessRule, Limits, Traffic};
pub use listener::{IdleTimeout, Listener, Transport};
pub use management::Management;
pub use manual::annotated_default;
pub use mountpoint::Mountpoint;
pub use name::{ClusterName, ListenerName, PodName};
pub use operation::{Drain, Http, Log, LogFormat, LogLevel};
pub use pattern::{ClaimTemplate, KeyTemplate};
pub use percent::Percent;
pub use period::parse_period;
pub use proxy::{Network, Others, ProxyProtocol};
pub use rate::Rate;
pub use redis::{Prefix, Redis, RedisMode, Sentinels};
pub use rules::{Action, Level, NamePattern, Permission, Rule, RuleFilter, RulePattern, Rules};
pub use server_tls::ServerTls;
pub use services::{HttpClient, HttpUrl, RedisServer, RedisUrl};
pub use sessions::Sessions;
pub use size::ByteSize;
pub use sockets::{Tcp, Udp};
pub use template::{AttributeName, Placeholder, Template};
pub use tls::{Certificate, Dtls, DtlsVersion, Psk, Tls, TlsVersion, Verify};
pub use websocket::WebSocket;

/// The gateway's configuration. A key that is left out has its default, so an empty file is a good
/// one.
///
/// Environment variables win over the file: `EXPROTO_ADAPTER__BIND` sets `adapter.bind`, and
/// `EXPROTO_LISTENERS__0__BIND` the first listener's `bind`.
///
/// Times have a unit (`500ms`, `10s`, `1m30s`). So have sizes (`64KiB`, `1MiB`, `10MB`); a number
/// alone counts bytes. A rate is an amount in a time (`1000/s`, `600/1m`, `64KiB/s`): that much at
/// once, and what was used comes back evenly over that time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who this pod is.
    pub pod: Pod,

    /// The pods that work together.
    pub cluster: Cluster,

    /// Where devices connect. Each entry is one listener, with a name and an address of its own; a
    /// listener for TCP and one for UDP may have the same port.
    ///
    /// These, `limits`, `bans`, `mountpoint`, `authentication`, `authorization`, `connection`,
    /// `handler.addresses`, `sessions`, `drain` and `log.level` can be changed while the gateway runs: it reads the file
    /// again when it changes, and on SIGHUP. What did not change is not touched, and a file with
    /// errors changes nothing.
    pub listeners: Vec<Listener>,

    /// How much is let in by all listeners together. The limits of each listener hold as well.
    pub limits: Limits,

    /// Who is kept out for a time, on all listeners. A ban also closes the open connections of whom
    /// it names, with `banned`.
    pub bans: Bans,

    /// A prefix that is put before every topic of a client, and taken off again towards it.
    /// `${clientid}`, `${username}` and `${attr.NAME}` (an attribute that authentication gave) in it
    /// stand for the client's own, one in a level and with a `/` behind it. Empty: topics stay as they
    /// are.
    pub mountpoint: Mountpoint,

    /// Who may be a client: what `Authenticate` checks.
    pub authentication: Authentication,

    /// Who may publish and subscribe to which topics: what `Publish` and `Subscribe` are checked by.
    pub authorization: Authorization,

    /// Limits of each connection, whatever its listener.
    pub connection: Connection,

    /// The user's gRPC server, which the gateway calls.
    pub handler: Handler,

    /// The gRPC service that the handler calls back.
    pub adapter: Adapter,

    /// What your own services may take that publish and subscribe by `exproto.gateway.v1.Backend`. It is served at
    /// `adapter.bind`; `adapter.callers` tells who may call it.
    pub backend: Backend,

    /// What routes messages by topic.
    pub broker: Broker,

    /// The Redis through which the pods work together: for `broker.kind: redis`. Off while `urls` is empty.
    pub redis: Redis,

    /// Clients that have gone and may come back: how much is kept of them.
    pub sessions: Sessions,

    /// The server of health and metrics.
    pub http: Http,

    /// The server with which whoever runs the pod looks at connections and clients, and bans and kicks.
    pub management: Management,

    /// What a pod does when it is told to end (SIGTERM): it stops accepting, closes its connections,
    /// and exits.
    pub drain: Drain,

    /// The log.
    pub log: Log,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            pod: Pod::default(),
            cluster: Cluster::default(),
            listeners: vec![Listener::default()],
            limits: Limits::default(),
            bans: Bans::default(),
            mountpoint: Mountpoint::default(),
            authentication: Authentication::default(),
            authorization: Authorization::default(),
            connection: Connection::default(),
            handler: Handler::default(),
            adapter: Adapter::default(),
            backend: Backend::default(),
            broker: Broker::default(),
            redis: Redis::default(),
            sessions: Sessions::default(),
            http: Http::default(),
            management: Management::default(),
            drain: Drain::default(),
            log: Log::default(),
        }
    }
}
