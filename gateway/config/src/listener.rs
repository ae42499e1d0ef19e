//! Where devices connect.

use std::{net::Ipv4Addr, num::NonZeroU32, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Bind, ListenerName, Mountpoint, count::Count, period::PeriodOrOff};

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

    /// How many connections may be open at a time. Devices above it are closed at once, and
    /// counted.
    #[serde(with = "Count::<1, 10_000_000>")]
    pub max_connections: NonZeroU32,

    /// How long a device may stay silent after it has connected; a longer silence closes the
    /// connection with `idle_timeout`. `off`: as long as `idle_timeout` lets it.
    #[serde(with = "PeriodOrOff")]
    pub first_byte_timeout: Option<Duration>,

    /// How long a device may stay silent at any time; a longer silence closes the connection with
    /// `idle_timeout`. `StartTimer` replaces this limit for its connection. `off` lets it stay.
    #[serde(with = "PeriodOrOff")]
    pub idle_timeout: Option<Duration>,

    /// How long a connection may live without a successful `Authenticate`; then it is closed. `off`
    /// for handlers that authenticate late or never.
    #[serde(with = "PeriodOrOff")]
    pub authentication_timeout: Option<Duration>,

    /// What follows when a device has finished sending (TCP FIN). `false`: what was read is
    /// delivered to the handler, what `Send` accepted is written, and the connection is closed.
    /// `true`: the handler may go on sending until it calls `Close` or the socket fails. (A device that is gone by
    /// then is noticed when something is sent, or by `idle_timeout` or `StartTimer`.)
    pub half_close: bool,

    /// The mountpoint of this listener's clients. Unset: the gateway's `mountpoint`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "meters/${clientid}/")]
    pub mountpoint: Option<Mountpoint>,

    /// How many devices the system keeps waiting until the gateway accepts them. The kernel's
    /// `net.core.somaxconn` bounds it as well.
    #[serde(with = "Count::<1, 65_535>")]
    pub backlog: u32,

    /// Whether small writes leave at once (`TCP_NODELAY`) instead of being gathered by the kernel.
    pub nodelay: bool,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            name: ListenerName::default(),
            bind: Bind((Ipv4Addr::UNSPECIFIED, 7993).into()),
            transport: Transport::Tcp,
            max_connections: NonZeroU32::new(100_000).expect("the number is not zero"),
            first_byte_timeout: Some(Duration::from_secs(30)),
            idle_timeout: None,
            authentication_timeout: None,
            half_close: false,
            mountpoint: None,
            backlog: 4096,
            nodelay: true,
        }
    }
}

/// What carries a device's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Plain TCP.
    #[default]
    Tcp,
}
