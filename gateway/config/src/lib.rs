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

/// Who this pod is, and which pods it works with.
mod cluster;

/// Where devices connect.
mod listener;

/// The prefix of a client's topics.
mod mountpoint;

/// What one connection may hold.
mod connection;

/// The user's gRPC server.
mod handler;

/// The gRPC service that the handler calls back.
mod adapter;

/// What routes messages by topic.
mod broker;

/// Health and metrics, drain, log.
mod operation;

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

/// What all that stands as text has in common.
mod text;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use adapter::Adapter;
pub use bind::Bind;
pub use broker::{Broker, BrokerKind};
pub use cluster::{Cluster, Pod};
pub use connection::Connection;
pub use error::{Error, Place, Problem};
pub use handler::{Handler, HandlerAddress, HandlerService, HostPort, OnHandlerLoss};
pub use listener::{Listener, Transport};
pub use manual::annotated_default;
pub use mountpoint::Mountpoint;
pub use name::{ClusterName, ListenerName, PodName};
pub use operation::{Drain, Http, Log, LogFormat, LogLevel};
pub use size::ByteSize;

/// The gateway's configuration. A key that is left out has its default, so an empty file is a
/// good one.
///
/// Environment variables win over the file: `EXPROTO_ADAPTER__BIND` sets `adapter.bind`, and
/// `EXPROTO_LISTENERS__0__BIND` the first listener's `bind`.
///
/// Times have a unit (`500ms`, `10s`, `1m30s`). So have sizes (`64KiB`, `1MiB`, `10MB`); a number
/// alone counts bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who this pod is.
    pub pod: Pod,

    /// The pods that work together.
    pub cluster: Cluster,

    /// Where devices connect. Each entry is one listener, with a name and an address of its own.
    pub listeners: Vec<Listener>,

    /// A prefix that is put before every topic of a client, and taken off again towards it.
    /// `${clientid}` and `${username}` in it stand for the client's own. Empty: topics stay as they
    /// are.
    pub mountpoint: Mountpoint,

    /// Limits of each connection, whatever its listener.
    pub connection: Connection,

    /// The user's gRPC server, which the gateway calls.
    pub handler: Handler,

    /// The gRPC service that the handler calls back.
    pub adapter: Adapter,

    /// What routes messages by topic.
    pub broker: Broker,

    /// The server of health and metrics.
    pub http: Http,

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
            mountpoint: Mountpoint::default(),
            connection: Connection::default(),
            handler: Handler::default(),
            adapter: Adapter::default(),
            broker: Broker::default(),
            http: Http::default(),
            drain: Drain::default(),
            log: Log::default(),
        }
    }
}
