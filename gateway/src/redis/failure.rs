//! Why something asked of Redis has failed, and why it cannot be asked at all.

use std::{sync::Arc, time::Duration};

use redis::ServerError;

use crate::{conn_id::KeyError, services, tls};

/// Why a link cannot be made: a file that the settings name cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file with a password.
    #[error("redis")]
    Secret(#[from] services::Error),
    /// A certificate or key.
    #[error("redis")]
    Tls(#[from] tls::Error),
    /// The cluster's key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Why Redis has not done what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// There is no connection; nothing was sent.
    #[error("Redis is not there: {0}")]
    Away(Problem),
    /// It took longer than `redis.timeout`.
    #[error("Redis did not answer within {limit:?}")]
    TimedOut {
        /// How long it was waited for.
        limit: Duration,
        /// Whether it was sent, so that Redis may carry it out all the same.
        sent: bool,
    },
    /// The connection ended before the answer came.
    #[error("the connection to Redis was lost before the answer came")]
    Lost,
    /// Redis said no.
    #[error("Redis refused: {code} {text}")]
    Refused {
        /// The first word of what it said, such as `WRONGTYPE`.
        code: Arc<str>,
        /// The rest.
        text: Arc<str>,
    },
    /// Redis said something that was not expected here.
    #[error("Redis gave another kind of answer than expected: {0}")]
    Unexpected(Arc<str>),
}

impl Failure {
    /// Whether it would fail again: what stands in Redis there is not ours.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        match self {
            Self::Refused { code, .. } => &**code == "WRONGTYPE",
            Self::Unexpected(_) => true,
            Self::Away(_) | Self::TimedOut { .. } | Self::Lost => false,
        }
    }

    /// Whether Redis may have carried it out, or may still. Where it may not, trying again is safe.
    #[must_use]
    pub fn may_be_done(&self) -> bool {
        match self {
            Self::TimedOut { sent, .. } => *sent,
            Self::Lost | Self::Unexpected(_) => true,
            Self::Away(_) | Self::Refused { .. } => false,
        }
    }

    pub(super) fn refused(error: &ServerError) -> Self {
        Self::Refused {
            code: error.code().into(),
            text: error.details().unwrap_or_default().into(),
        }
    }
}

/// Why there is no connection, or why none can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No try has ended yet.
    #[error("not connected yet")]
    New,
    /// Nobody answers at that address, or not in time.
    #[error("cannot connect to {address}: {what}")]
    Unreachable {
        /// Whom we tried.
        address: Arc<str>,
        /// What the system said.
        what: Arc<str>,
    },
    /// No TLS with whoever answers.
    #[error(
        "no TLS with {address}: {what}; check redis.ca_file, redis.certificate and the names in its certificate"
    )]
    Tls {
        /// Whom we tried.
        address: Arc<str>,
        /// What is wrong.
        what: Arc<str>,
    },
    /// It does not take the name and password.
    #[error("{address} does not let us in: {what}; check {fields}")]
    Login {
        /// Whom we tried.
        address: Arc<str>,
        /// What it said.
        what: Arc<str>,
        /// The settings that it is about.
        fields: &'static str,
    },
    /// It is older than what the gateway needs.
    #[error("{address} is Redis {found}; 7.0 or newer is needed")]
    TooOld {
        /// Whom we asked.
        address: Arc<str>,
        /// What it is.
        found: Arc<str>,
    },
    /// Its access list keeps something from us that we need.
    #[error(
        "the access list of {address} does not let this user have {missing}; grant it, for example by: {remedy}"
    )]
    Forbidden {
        /// Whom we asked.
        address: Arc<str>,
        /// Commands, keys or channels.
        missing: Arc<str>,
        /// What to write into `ACL SETUSER`.
        remedy: Arc<str>,
    },
    /// It is run in another way than the settings say.
    #[error("{address} {what}")]
    Mode {
        /// Whom we asked.
        address: Arc<str>,
        /// What it is, and what to write.
        what: &'static str,
    },
    /// It is a copy that takes no writes.
    #[error("{address} is a replica now, which takes no writes")]
    Replica {
        /// Whom we asked.
        address: Arc<str>,
    },
    /// Pods with another key use the same names.
    #[error(
        "other pods use {prefix:?} on this Redis with another cluster key; give this cluster a cluster.name or \
         redis.prefix of its own, or all its pods the same cluster.key_file (if the key was changed on purpose, stop all \
         pods and delete {key})"
    )]
    Foreign {
        /// What stands before all names.
        prefix: Arc<str>,
        /// The key in Redis that tells.
        key: Arc<str>,
    },
    /// Sentinels or nodes of a cluster do not say where to go.
    #[error("{address} does not know where to go: {what}")]
    Lost {
        /// Whom we asked.
        address: Arc<str>,
        /// What it said.
        what: Arc<str>,
    },
    /// Nobody in the cluster has these slots.
    #[error("no node of the cluster has slot {slot}")]
    NoOwner {
        /// The first of them.
        slot: u16,
    },
    /// The connection has ended.
    #[error("the connection to {address} has ended: {what}")]
    Ended {
        /// Who it led to.
        address: Arc<str>,
        /// What is known of it.
        what: Arc<str>,
    },
    /// It said something that does not belong here.
    #[error("{address} said something unexpected: {what}")]
    Unexpected {
        /// Whom we asked.
        address: Arc<str>,
        /// What it said.
        what: Arc<str>,
    },
}

impl Problem {
    /// Whether somebody has to change something: waiting alone does not help.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        matches!(
            self,
            Self::Tls { .. }
                | Self::Login { .. }
                | Self::TooOld { .. }
                | Self::Forbidden { .. }
                | Self::Mode { .. }
                | Self::Foreign { .. }
        )
    }
}
