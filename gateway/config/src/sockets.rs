//! Options of a listener's sockets, by kind.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ByteSize,
    count::{Count, CountOrOff},
    period::PeriodOrOff,
    size::KibBetween,
};

/// TCP sockets: transports tcp, tls, ws and wss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tcp {
    /// How many devices the system keeps waiting until the gateway accepts them. The kernel's
    /// `net.core.somaxconn` bounds it as well.
    #[serde(with = "Count::<1, 65_535>")]
    pub backlog: u32,

    /// Whether small writes leave at once (`TCP_NODELAY`) instead of being gathered by the kernel.
    pub nodelay: bool,

    /// After which silence the kernel asks whether the device is still there; one that does not
    /// answer for as long again is closed with `etimedout`. Devices behind NAT may need it to stay
    /// reachable; `off` wakes no sleeping radio.
    #[serde(with = "PeriodOrOff")]
    pub keepalive: Option<Duration>,

    /// The kernel's receive buffer of each connection. Unset: as the system has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "64KiB")]
    pub receive_buffer: Option<ByteSize>,

    /// The kernel's send buffer of each connection. Unset: as the system has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "64KiB")]
    pub send_buffer: Option<ByteSize>,
}

impl Default for Tcp {
    fn default() -> Self {
        Self {
            backlog: 4096,
            nodelay: true,
            keepalive: Some(Duration::from_secs(300)),
            receive_buffer: None,
            send_buffer: None,
        }
    }
}

/// UDP sockets: transports udp and dtls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Udp {
    /// How many sockets share the address (`SO_REUSEPORT`); the kernel spreads devices over them.
    /// `off`: as many as the machine has cores.
    #[serde(with = "CountOrOff::<1, 256>")]
    pub workers: Option<std::num::NonZeroU32>,

    /// The largest datagram that is taken or sent; with dtls, what it carries, and no more than
    /// 16KiB. Larger ones of devices are dropped and counted; a larger `Send` is refused with
    /// `PARAMS_TYPE_ERROR`. Neither `connection.inbound_limit` nor `connection.outbox_limit` may be
    /// less.
    #[serde(with = "KibBetween::<1, 64>")]
    pub max_datagram: ByteSize,

    /// The kernel's receive buffer of each socket, which all its devices share. The kernel's
    /// `net.core.rmem_max` bounds it as well.
    #[serde(with = "KibBetween::<64, 1_048_576>")]
    pub receive_buffer: ByteSize,

    /// The kernel's send buffer of each socket; `net.core.wmem_max` bounds it as well.
    #[serde(with = "KibBetween::<64, 1_048_576>")]
    pub send_buffer: ByteSize,
}

impl Default for Udp {
    fn default() -> Self {
        Self {
            workers: None,
            max_datagram: ByteSize::kib(64),
            receive_buffer: ByteSize::mib(4),
            send_buffer: ByteSize::mib(4),
        }
    }
}
