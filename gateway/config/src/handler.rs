//! The user's gRPC server: where it is, and what happens when it is slow or gone.

#![allow(clippy::doc_markdown, reason = "QoS is a word")]

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ByteSize,
    count::{Count, CountOrOff},
    period::{Period, PeriodOrZero},
    size::KibBetween,
};

pub use address::{HandlerAddress, HostName, HostPort, Nameserver};
pub use burden::{Concurrency, RetryBudget};
pub use canary::{Canary, Rollback};
pub use choice::{Affinity, Ejection, HealthChecks};
pub use found::{HandlerDns, HandlerTls};
pub use list::HandlerList;
pub use mirror::Mirror;
pub use source::{HandlerSource, Shared as SharedSource};

/// Addresses, and names of hosts.
mod address;
/// How much a replica is called.
mod burden;
/// A new version that is tried.
mod canary;
/// Which replica a connection goes to.
mod choice;
/// Where replicas are found, and how they are spoken to.
mod found;
/// A file with addresses.
mod list;
/// A second handler that is tried with live traffic.
mod mirror;
/// Where a set of replicas is found.
mod source;

/// The handler and the gateway's patience with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Handler {
    /// The gRPC service that the handler implements.
    pub service: HandlerService,

    /// Where the handler's replicas listen: `http://host:port`, or `https://host:port` for TLS, once
    /// each, and each the address of one process: behind a balancer, callbacks of a connection would
    /// go to different ones. A connection stays with one replica while it lives. The list can be
    /// changed while the gateway runs. Write one of `addresses`, `dns` and `file`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<HandlerAddress>,

    /// A name that stands for all replicas, such as that of a headless Service of Kubernetes. It is
    /// asked for again and again.
    pub dns: HandlerDns,

    /// A file with the addresses of the replicas, one a line or as a YAML list; what follows a `#` is
    /// ignored. It is read again when it changes. A bad file changes nothing, and neither does one
    /// without addresses: write `[]` where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/etc/exproto/handlers")]
    pub file: Option<PathBuf>,

    /// How many replicas there may be. Of more that a name stands for, the rest is left out; a
    /// longer list in a file is refused.
    #[serde(with = "Count::<1, 1_000>")]
    pub max_endpoints: u32,

    /// How long a replica that is no longer found keeps its connections; it gets no new ones. When
    /// it is found again in that time, nothing has happened; else it is lost. With `0s`, at once.
    #[serde(with = "PeriodOrZero")]
    pub removal_grace: Duration,

    /// How replicas with `https://` addresses are spoken to.
    pub tls: HandlerTls,

    /// What decides which replica a new connection goes to.
    pub affinity: Affinity,

    /// How long a replica that has just come, or come back, gets fewer new connections than the
    /// others: at first a tenth of its share, and at the end all of it. `0s`: all of it at once.
    #[serde(with = "PeriodOrZero")]
    pub slow_start: Duration,

    /// Whether replicas are asked how they are.
    pub health: HealthChecks,

    /// Replicas that fail get no new connections for a time.
    pub ejection: Ejection,

    /// How many callbacks may be under way at a time at one replica. More wait, up to `deadline`, and
    /// are then tried again as if the replica had not been reached. It bounds unary calls alone; client
    /// streams are five for each connection at most (`max_connections_per_endpoint`).
    #[serde(with = "Count::<1, 1_000_000>")]
    pub max_streams: u32,

    /// Fewer callbacks at a time for a replica that does not keep up.
    pub concurrency: Concurrency,

    /// How many callbacks may be repeats of others.
    pub retry_budget: RetryBudget,

    /// How many connections of devices one replica may have. When all replicas are full, further
    /// devices wait as if none could be reached. `off`: as many as the listeners let in.
    #[serde(with = "CountOrOff::<1, 10_000_000>")]
    pub max_connections_per_endpoint: Option<NonZeroU32>,

    /// How many HTTP/2 connections to keep to each replica. A replica is lost when one of them
    /// breaks, or when none is left. With two or more, a server that now and then closes a
    /// connection in order (a limit on their age) is not taken for lost.
    #[serde(with = "Count::<1, 64>")]
    pub connections_per_endpoint: u32,

    /// How long one attempt to reach a replica may take.
    #[serde(with = "Period")]
    pub connect_timeout: Duration,

    /// How long the handler may take to answer a callback; then its connection is closed with
    /// `handler_timeout`, where messages of QoS 1 and 2 are not sent again. With `service:
    /// ConnectionHandler`, how long it may not read one.
    #[serde(with = "Period")]
    pub deadline: Duration,

    /// How long connections are kept while no replica can be reached; their bytes wait up to
    /// `connection.inbound_limit`. Then they are closed; with `0s`, at once.
    #[serde(with = "PeriodOrZero")]
    pub park_timeout: Duration,

    /// What becomes of the connections of a replica that was lost.
    pub on_handler_loss: OnHandlerLoss,

    /// Whether a callback that may have reached the handler, but was not answered, is sent again.
    /// `false`: its connection is closed with `handler_lost`. `true`: the handler may see the same
    /// bytes twice, and knows them by the same `exproto-offset`. Where the handler itself was lost, it
    /// needs `on_handler_loss: rebind` to have an effect.
    pub retry_unacknowledged: bool,

    /// How long messages of QoS 1 and 2 are sent again, each time after a pause, while the handler
    /// answers their `OnReceivedMessages` with an error or not at all; then their connection is closed
    /// for the reason of the last failure, such as `handler_error`. The other callbacks of the
    /// connection wait meanwhile.
    #[serde(with = "Period")]
    pub redelivery_timeout: Duration,

    /// How long to wait before the second attempt to reach a replica. Each further wait is twice the
    /// one before, and varied a little, so that pods do not try in step.
    #[serde(with = "Period")]
    pub backoff_min: Duration,

    /// The longest wait between two attempts; not less than `backoff_min`.
    #[serde(with = "Period")]
    pub backoff_max: Duration,

    /// What holds for `service: ConnectionStream` alone.
    pub stream: Stream,

    /// A second set of replicas, which gets a share of the connections.
    pub canary: Canary,

    /// A second handler that is tried with live traffic, and harms nobody.
    pub mirror: Mirror,
}

impl Default for Handler {
    fn default() -> Self {
        Self {
            service: HandlerService::ConnectionUnaryHandler,
            addresses: vec![HandlerAddress::new(HostPort::new("127.0.0.1", 9001))],
            dns: HandlerDns::default(),
            file: None,
            max_endpoints: 100,
            removal_grace: Duration::from_secs(10),
            tls: HandlerTls::default(),
            affinity: Affinity::Connection,
            slow_start: Duration::from_secs(10),
            health: HealthChecks::default(),
            ejection: Ejection::default(),
            max_streams: 10_000,
            concurrency: Concurrency::default(),
            retry_budget: RetryBudget::default(),
            max_connections_per_endpoint: None,
            connections_per_endpoint: 2,
            connect_timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(10),
            park_timeout: Duration::from_secs(30),
            on_handler_loss: OnHandlerLoss::Auto,
            retry_unacknowledged: false,
            redelivery_timeout: Duration::from_secs(30),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
            stream: Stream::default(),
            canary: Canary::default(),
            mirror: Mirror::default(),
        }
    }
}

impl Handler {
    /// Whether the connections of a replica that was lost go to another one.
    #[must_use]
    pub fn rebinds(&self) -> bool {
        match self.on_handler_loss {
            OnHandlerLoss::Auto => self.service == HandlerService::ConnectionStream,
            OnHandlerLoss::Close => false,
            OnHandlerLoss::Rebind => true,
        }
    }
}

/// The ordered stream: its credits and its signs of life. `connection.inbound_limit` bounds the bytes of each
/// connection that wait for the handler or for its acknowledgement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Stream {
    /// How many events of one connection may wait for acknowledgement. A handler may ask for fewer.
    #[serde(with = "Count::<1, 65536>")]
    pub max_events: u32,

    /// How many commands of one connection may wait to be carried out, because its device reads
    /// slowly or somebody has to be asked. A handler that sends more loses the connection.
    #[serde(with = "Count::<1, 65536>")]
    pub max_commands: u32,

    /// How many bytes these commands may hold, each counted with 64 bytes more. One command may be
    /// larger.
    #[serde(with = "KibBetween::<1, 65536>")]
    pub max_command_bytes: ByteSize,

    /// The largest batch that a handler may send. A stream that brings a larger one is ended.
    #[serde(with = "KibBetween::<64, 65536>")]
    pub max_batch_bytes: ByteSize,

    /// How many bytes of events may wait in each stream for a handler that does not take them. Above
    /// that the devices of this stream are not read.
    #[serde(with = "KibBetween::<64, 1_048_576>")]
    pub buffer: ByteSize,

    /// After how long without anything to say a sign of life is sent. A handler that gives none for
    /// three times as long is taken for lost.
    #[serde(with = "Period")]
    pub heartbeat: Duration,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            max_events: 256,
            max_commands: 1024,
            max_command_bytes: ByteSize::mib(1),
            max_batch_bytes: ByteSize::mib(4),
            buffer: ByteSize::mib(4),
            heartbeat: Duration::from_secs(10),
        }
    }
}

impl Handler {
    /// Where its replicas are found.
    #[must_use]
    pub fn source(&self) -> HandlerSource<'_> {
        HandlerSource::of(&self.addresses, &self.dns, self.file.as_ref())
    }

    /// Leaves out the addresses that are there by default alone, where replicas are found elsewhere.
    pub(crate) fn settle(&mut self, addresses_are_written: bool) {
        let elsewhere = !matches!(self.source(), HandlerSource::Addresses(_));
        if elsewhere && !addresses_are_written {
            self.addresses.clear();
        }
    }

    /// The files that are read again when they change.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let files = [&self.file, &self.canary.file, &self.mirror.file];
        let lists = files.into_iter().flatten().cloned();
        lists.chain(self.tls.files()).collect()
    }
}

/// A gRPC service that handlers implement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum HandlerService {
    /// One unary call for each callback.
    #[default]
    ConnectionUnaryHandler,
    /// One client stream for each callback and connection, for old handlers of EMQX: nothing is
    /// acknowledged, and a callback is delivered once it is written.
    ConnectionHandler,
    /// The ordered stream, `exproto.stream.v1.ConnectionStream`: all connections on a few streams, in
    /// batches. Sockets outlive their handler, and nothing is lost, doubled or reordered.
    ConnectionStream,
}

impl HandlerService {
    /// The name by which gRPC calls it, with its package.
    #[must_use]
    pub fn full_name(self) -> &'static str {
        match self {
            Self::ConnectionUnaryHandler => "emqx.exproto.v1.ConnectionUnaryHandler",
            Self::ConnectionHandler => "emqx.exproto.v1.ConnectionHandler",
            Self::ConnectionStream => "exproto.stream.v1.ConnectionStream",
        }
    }
}

/// What becomes of the connections of a replica that was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnHandlerLoss {
    /// `rebind` with `service: ConnectionStream`, and `close` else.
    #[default]
    Auto,
    /// They are closed with `handler_lost`.
    Close,
    /// They go to another replica, which is told `OnSocketCreated` first, with `exproto-attempt`
    /// above 1.
    Rebind,
}
