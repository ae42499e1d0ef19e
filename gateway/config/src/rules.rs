//! Rules of who may publish and subscribe, by topic: from files, and from JSON in tokens and answers.

use std::{collections::BTreeMap, path::Path};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    ByteSize, Error, ListenerName, Problem,
    read::read_each,
    text_file,
    tree::{self, Content},
};

pub use filter::{Level, RuleFilter, RulePattern};
pub use who::NamePattern;
use who::{Network, OneOrMore};

/// Topics of rules.
mod filter;
/// Whom rules concern.
mod who;

/// The largest file of rules that is read.
const MAX_FILE: ByteSize = ByteSize::kib(16 * 1024);
/// How many problems of a file are told; who made them knows more by then.
const MAX_PROBLEMS: usize = 20;

/// Rules as a file has them: a YAML list, in which the first rule that fits decides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules(pub Vec<Rule>);

impl Rules {
    /// Reads a file of at most 16 MiB.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = text_file::read(path, MAX_FILE)?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads YAML text. Problems are reported as being in `origin`. An empty text holds no rules.
    pub fn parse(text: &str, origin: &str) -> Result<Self, Error> {
        let root = tree::parse(text, origin)?;
        let items = match &root.content {
            Content::Nothing => &[][..],
            Content::List(items) => items,
            Content::Text(_) | Content::Mapping(_) => {
                return Err(Error::from(Problem {
                    place: root.place,
                    field: String::new(),
                    text: "this is no list; write each rule after a dash".into(),
                }));
            }
        };
        read_each(items, MAX_PROBLEMS)
            .map(Self)
            .map_err(|problems| Error::Invalid { problems })
    }
}

/// One rule: whom it concerns, what they want to do, and whether they may.
///
/// Read by serde from JSON as well, with the same keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Rule {
    /// Whether it allows or denies.
    pub permission: Permission,
    /// What it is about.
    pub action: Action,
    /// The topics; one or more.
    pub topics: Vec<RuleFilter>,
    /// The clients, by clientid. Empty: any.
    pub clientid: Vec<NamePattern>,
    /// The clients, by username. Empty: any.
    pub username: Vec<NamePattern>,
    /// Where their devices are. Empty: anywhere.
    pub ip: Vec<IpNet>,
    /// Where their devices connected. Empty: anywhere.
    pub listener: Vec<ListenerName>,
    /// Attributes that they must all have from their authentication.
    pub attributes: BTreeMap<String, String>,
}

/// Whether something may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// It may.
    Allow,
    /// It may not.
    Deny,
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Publish.
    Publish,
    /// Subscribe.
    Subscribe,
    /// Both.
    #[default]
    All,
}

/// A rule as it is written. A key without a value is an error: it must not come to mean everybody.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    permission: Permission,
    #[serde(default)]
    action: Action,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    topic: Option<RuleFilter>,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    topics: Option<OneOrMore<RuleFilter>>,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    clientid: Option<OneOrMore<NamePattern>>,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    username: Option<OneOrMore<NamePattern>>,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    ip: Option<OneOrMore<Network>>,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    listener: Option<OneOrMore<ListenerName>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, String>,
}

fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

impl TryFrom<Written> for Rule {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, &'static str> {
        let topics = match (written.topic, written.topics) {
            (Some(topic), None) => vec![topic],
            (None, Some(OneOrMore(topics))) => topics,
            (Some(_), Some(_)) => return Err("there are topic and topics; keep one of them"),
            (None, None) => return Err("topic is missing; write topic: and its value"),
        };
        let networks = all(written.ip).into_iter().map(|Network(network)| network);
        Ok(Self {
            permission: written.permission,
            action: written.action,
            topics,
            clientid: all(written.clientid),
            username: all(written.username),
            ip: networks.collect(),
            listener: all(written.listener),
            attributes: written.attributes,
        })
    }
}

impl From<Rule> for Written {
    fn from(rule: Rule) -> Self {
        Self {
            permission: rule.permission,
            action: rule.action,
            topic: None,
            topics: Some(OneOrMore(rule.topics)),
            clientid: any(rule.clientid),
            username: any(rule.username),
            ip: any(rule.ip.into_iter().map(Network).collect()),
            listener: any(rule.listener),
            attributes: rule.attributes,
        }
    }
}

fn all<T>(written: Option<OneOrMore<T>>) -> Vec<T> {
    written.map(|OneOrMore(all)| all).unwrap_or_default()
}

fn any<T>(all: Vec<T>) -> Option<OneOrMore<T>> {
    (!all.is_empty()).then_some(OneOrMore(all))
}

#[cfg(test)]
mod tests;
