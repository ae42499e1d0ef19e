//! The user's gRPC server: where it is, and what happens when it is slow or gone.

#![allow(clippy::doc_markdown, reason = "QoS is a word")]

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    count::Count,
    period::{Period, PeriodOrZero},
};

pub use address::{HandlerAddress, HostPort};

mod address;

/// The handler and the gateway's patience with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Handler {
    /// The gRPC service that the handler implements.
    pub service: HandlerService,

    /// Where the handler's replicas listen: `http://host:port`, once each, and each the address of
    /// one process: behind a balancer, callbacks of a connection would go to different ones. A
    /// connection stays with one replica while it lives.
    pub addresses: Vec<HandlerAddress>,

    /// How many HTTP/2 connections to keep to each replica. A replica is lost when one of them
    /// breaks, or when none is left. With two or more, a server that now and then closes a
    /// connection in order (a limit on their age) is not taken for lost.
    #[serde(with = "Count::<1, 64>")]
    pub connections_per_endpoint: u32,

    /// How long one attempt to reach a replica may take.
    #[serde(with = "Period")]
    pub connect_timeout: Duration,

    /// How long the handler may take to answer a callback; then its connection is closed with
    /// `handler_timeout`, where messages of QoS 1 and 2 are not sent again.
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
}

impl Default for Handler {
    fn default() -> Self {
        Self {
            service: HandlerService::ConnectionUnaryHandler,
            addresses: vec![HandlerAddress::new(HostPort::new("127.0.0.1", 9001))],
            connections_per_endpoint: 2,
            connect_timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(10),
            park_timeout: Duration::from_secs(30),
            on_handler_loss: OnHandlerLoss::Close,
            retry_unacknowledged: false,
            redelivery_timeout: Duration::from_secs(30),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
        }
    }
}

/// A gRPC service that handlers implement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum HandlerService {
    /// One unary call for each callback.
    #[default]
    ConnectionUnaryHandler,
}

impl HandlerService {
    /// The name by which gRPC calls it, with its package.
    #[must_use]
    pub fn full_name(self) -> &'static str {
        match self {
            Self::ConnectionUnaryHandler => "emqx.exproto.v1.ConnectionUnaryHandler",
        }
    }
}

/// What becomes of the connections of a replica that was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnHandlerLoss {
    /// They are closed with `handler_lost`.
    #[default]
    Close,
    /// They go to another replica, which is told `OnSocketCreated` first, with `exproto-attempt`
    /// above 1.
    Rebind,
}
