//! The Redis that the pods of a cluster share.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ByteSize, Certificate, RedisUrl, count::Count, period::Period, size::KibBetween, text::text,
};

/// The Redis through which the pods work together, version 7.0 or newer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// Where it is: `redis://host:port`, or `rediss://…` for TLS, all of them the same. With
    /// `mode: standalone` one address; with `sentinel` those of sentinels, with `cluster` those of some
    /// nodes, from which the gateway finds the others. Empty: no Redis is used.
    #[schemars(example = "[redis://redis.example.net:6379]")]
    pub urls: Vec<RedisUrl>,

    /// How the servers work together.
    pub mode: RedisMode,

    /// With `mode: sentinel`: what the sentinels are asked, and as whom.
    pub sentinel: Sentinels,

    /// The user of its access lists. Unset: its default user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"exproto")]
    pub username: Option<String>,

    /// A file with the password. It is read again for every new connection, as are the files of TLS; open
    /// connections stay as they are. A file that has become unusable is complained about, and what was
    /// read before stays in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/etc/exproto/redis.password")]
    pub password_file: Option<PathBuf>,

    /// The authorities that sign its certificate, and those of the sentinels. Unset: those that the system
    /// trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/tls/ca.crt")]
    pub ca_file: Option<PathBuf>,

    /// The certificate that the gateway shows to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = Certificate {
        chain: "/tls/client.crt".into(),
        key: "/tls/client.key".into(),
    })]
    pub certificate: Option<Certificate>,

    /// The number of the database. A cluster has only 0. Messages pass through all databases alike: keep
    /// clusters of pods apart by `prefix` or `cluster.name`.
    #[serde(with = "Count::<0, 65_535>")]
    pub database: u16,

    /// Stands before the name of every key and channel, followed by `cluster.name` and a colon: up to 64
    /// printable characters, no blanks and none of `{`, `}`, `*`, `?`, `[`, `]` and `\`.
    pub prefix: Prefix,

    /// How long a command may take, waiting for a place among `max_in_flight` included. What takes longer
    /// has failed, although Redis may still carry it out.
    #[serde(with = "Period")]
    pub timeout: Duration,

    /// How long it may take to connect and to log in.
    #[serde(with = "Period")]
    pub connect_timeout: Duration,

    /// The pause before a lost connection is made again. It doubles with each failure, up to
    /// `backoff_max`; each is shortened at random by up to half, so that pods do not come back in step.
    #[serde(with = "Period")]
    pub backoff_min: Duration,

    /// The longest pause between two tries to connect.
    #[serde(with = "Period")]
    pub backoff_max: Duration,

    /// How many commands may be under way at a time on one server; more wait.
    #[serde(with = "Count::<1, 1_000_000>")]
    pub max_in_flight: u32,

    /// How many messages from other pods may wait for this pod. At the limit new ones are dropped and counted;
    /// those of QoS 1 and 2 are then read again from Redis.
    #[serde(with = "Count::<16, 10_000_000>")]
    pub push_queue: u32,

    /// How many bytes these messages may take together, channels included; full means the same as for
    /// `push_queue`.
    #[serde(with = "KibBetween::<1024, 16_777_216>")]
    pub push_queue_bytes: ByteSize,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            mode: RedisMode::default(),
            sentinel: Sentinels::default(),
            username: None,
            password_file: None,
            ca_file: None,
            certificate: None,
            database: 0,
            prefix: Prefix::default(),
            timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(2),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
            max_in_flight: 4096,
            push_queue: 100_000,
            push_queue_bytes: ByteSize::mib(64),
        }
    }
}

/// How several servers of Redis work together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RedisMode {
    /// One server, or an address that always leads to the one that takes writes.
    #[default]
    Standalone,
    /// A master and its replicas; sentinels say which is the master. With TLS the address that they say must stand
    /// in its certificate; `sentinel announce-hostnames` has them say names.
    Sentinel,
    /// Redis Cluster: the keys are spread over several masters. With TLS the addresses that nodes tell of each other
    /// must stand in their certificates; `cluster-preferred-endpoint-type hostname` has them tell names.
    Cluster,
}

/// What sentinels are asked, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sentinels {
    /// The name under which the sentinels know the master.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"mymaster")]
    pub master: Option<String>,

    /// The user of the sentinels' access lists. Unset: their default user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"exproto")]
    pub username: Option<String>,

    /// A file with the sentinels' password. The one of the servers is not shown to sentinels.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/etc/exproto/sentinel.password")]
    pub password_file: Option<PathBuf>,
}

/// What stands before the names of keys and channels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Prefix(String);

text!(Prefix, "a prefix such as exproto:");

impl Prefix {
    /// The longest one, in bytes.
    const LONGEST: usize = 64;

    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self("exproto:".into())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(to)
    }
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Braces would decide where a cluster keeps the keys; the others mean something in access lists.
        let plain = |c: char| c.is_ascii_graphic() && !r"{}*?[]\".contains(c);
        if text.len() <= Self::LONGEST && text.chars().all(plain) {
            return Ok(Self(text.into()));
        }
        Err(format!(
            "\"{}\" cannot stand before keys; write up to 64 characters, for example exproto:, without \
             blanks and {{ }} * ? [ ] \\",
            text.escape_debug()
        ))
    }
}
