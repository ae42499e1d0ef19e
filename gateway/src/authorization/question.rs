//! Who asks, what it wants to do, and how it is told that it may not.

use std::{fmt, net::IpAddr, sync::Arc};

use super::{cache::Cache, rules::Rules};
use crate::{
    auth::Attributes,
    broker::{Filter, Qos, Topic},
};

/// What a client may do, as its authentication left it.
#[derive(Debug, Default)]
pub struct Access {
    /// What rules know of it by name.
    pub attributes: Attributes,
    /// Rules that came with its authentication. `None`: it said nothing of rules. With rules of which none fits, the
    /// sources are asked.
    pub granted: Option<Arc<Rules>>,
    /// Whether no rule holds for it.
    pub superuser: bool,
    pub(super) cache: Cache,
}

impl Access {
    /// Of a client that may do what its authentication says.
    #[must_use]
    pub fn new(attributes: Attributes, granted: Option<Arc<Rules>>, superuser: bool) -> Self {
        Self {
            attributes,
            granted,
            superuser,
            cache: Cache::default(),
        }
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// Its clientid.
    pub clientid: &'a str,
    /// Its username; may be empty.
    pub username: &'a str,
    /// Where its device is.
    pub ip: IpAddr,
    /// Where its device connected.
    pub listener: &'a str,
    /// Whether its topics are put under a mountpoint.
    pub is_mounted: bool,
    /// What it may do.
    pub access: &'a Access,
}

/// What a client wants to do with topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Publish.
    Publish,
    /// Subscribe.
    Subscribe,
}

impl Verb {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
        }
    }
}

/// What a client wants.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    pub(super) verb: Verb,
    /// A topic, or the pattern of a filter.
    pub(super) topic: &'a str,
    pub(super) levels: Vec<&'a str>,
    pub(super) qos: Qos,
}

impl<'a> Wanted<'a> {
    /// To publish to that topic.
    #[must_use]
    pub fn publish(topic: &'a Topic, qos: Qos) -> Self {
        Self::new(Verb::Publish, topic.as_str(), qos)
    }

    /// To subscribe to that filter, alone or in a group.
    #[must_use]
    pub fn subscribe(filter: &'a Filter, qos: Qos) -> Self {
        Self::new(Verb::Subscribe, filter.pattern(), qos)
    }

    pub(super) fn new(verb: Verb, topic: &'a str, qos: Qos) -> Self {
        Self {
            verb,
            topic,
            levels: topic.split('/').collect(),
            qos,
        }
    }

    /// Whether the topic is one of the gateway's own.
    pub(super) fn is_system(&self) -> bool {
        self.levels.first() == Some(&"$SYS")
    }
}

/// Why a client may not. The text goes to the handler.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It was decided so.
    #[error("not allowed to {0}")]
    NotAllowed(Act),
    /// A source could not be asked.
    #[error(
        "authorization is not available: it cannot be told whether the client may {0}; try again later"
    )]
    Unavailable(Act),
}

/// What was denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    verb: Verb,
    topic: String,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} to \"{}\"",
            self.verb.as_str(),
            self.topic.escape_debug()
        )
    }
}

impl Act {
    pub(super) fn of(wanted: &Wanted<'_>) -> Self {
        const MOST: usize = 200;
        let mut topic: String = wanted.topic.chars().take(MOST).collect();
        if topic.len() < wanted.topic.len() {
            topic.push('…');
        }
        Self {
            verb: wanted.verb,
            topic,
        }
    }
}
