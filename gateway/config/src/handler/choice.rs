//! Which replica of the handler a connection goes to, and which get none for a time.

use std::{num::NonZeroU32, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{count::Count, period::Period};

/// What decides which replica a connection goes to. Whatever it is, a connection stays there while it
/// lives, and a replica that comes takes over no more than its share of what is new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Affinity {
    /// Chance: connections are spread evenly.
    #[default]
    Connection,
    /// The device's IP address: all connections from there go to the same replica.
    ClientIp,
    /// The name that the device has proven before its first byte, the common name of its certificate
    /// or the identity of its shared key: it comes back to the replica where it was. Devices without
    /// one are spread.
    #[serde(rename = "clientid")]
    ClientId,
    /// Nothing: each connection goes to the replica that has the fewest.
    None,
}

/// Asking replicas how they are (`grpc.health.v1.Health/Check`). Where a replica has no such service,
/// it is well as long as its connections stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HealthChecks {
    /// Whether they are asked. A replica that says `NOT_SERVING` gets no new connections, and keeps
    /// those that it has.
    pub enabled: bool,

    /// How long to wait between two questions; varied a little, so that pods do not ask in step.
    #[serde(with = "Period")]
    pub interval: Duration,

    /// How long an answer may take. None in that time is a failure, which `ejection` counts.
    #[serde(with = "Period")]
    pub timeout: Duration,

    /// Which service is asked about. Empty: the server as a whole.
    pub service: String,
}

impl Default for HealthChecks {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            service: String::new(),
        }
    }
}

/// When a replica that fails gets no new connections, and for how long. Connections that it has stay
/// with it. A failure is a callback or a question about its health that it did not answer in time,
/// or answered with UNAVAILABLE or UNIMPLEMENTED.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ejection {
    /// How many failures in a row eject a replica. One that has never answered is ejected at once.
    #[serde(with = "Count::<1, 1_000_000>")]
    pub after: NonZeroU32,

    /// For how long, the first time. Each further time is twice the one before, and varied a little;
    /// a replica that has been well for as long as it was ejected begins anew.
    #[serde(with = "Period")]
    pub base_time: Duration,

    /// The longest time; not less than `base_time`.
    #[serde(with = "Period")]
    pub max_time: Duration,

    /// How many of the replicas may be ejected at a time, in percent, rounded down. Further ones go on
    /// as if they were well: one that answers some calls is better than none. So a single replica is
    /// not ejected.
    #[serde(with = "Count::<0, 100>")]
    pub max_share: u32,
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            after: NonZeroU32::new(5).expect("the number is not zero"),
            base_time: Duration::from_secs(5),
            max_time: Duration::from_secs(60),
            max_share: 50,
        }
    }
}
