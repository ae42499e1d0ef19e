//! Who may publish and subscribe.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Permission, count::Count, period::PeriodOrOff};

/// What `Publish` and `Subscribe` are checked by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Authorization {
    /// What is asked, in this order: each source allows, denies, or has nothing to say and leaves it
    /// to the next one. Rules that came with a client's authentication are looked at before them.
    /// Where there are neither sources nor such rules, everything is allowed but `$SYS`.
    #[schemars(example = "[{file: {path: /etc/exproto/rules.yaml}}]")]
    pub sources: Vec<AuthorizationSource>,

    /// What holds where nothing decides. (Not for `$SYS` and below, which only a rule or an answer
    /// of a source can allow.)
    pub default: Permission,

    /// What is remembered of the answers of slow sources.
    pub cache: AuthorizationCache,
}

impl Default for Authorization {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            default: Permission::Deny,
            cache: AuthorizationCache::default(),
        }
    }
}

/// One source of decisions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthorizationSource {
    /// A file of rules.
    File(RulesFile),
}

/// A file of rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RulesFile {
    /// A YAML list of rules, of which the first one that fits decides; at most 16 MiB. It is
    /// watched; one with an error is not taken, and what was read before stays in use.
    #[schemars(example = "/etc/exproto/rules.yaml")]
    pub path: PathBuf,
}

/// What is remembered of decisions, for each client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuthorizationCache {
    /// How long a decision that http or redis took part in holds for the same client, action, topic
    /// and QoS. `off`: they are asked each time. What has been revoked in the meantime is noticed only
    /// after this time.
    #[serde(with = "PeriodOrOff")]
    pub ttl: Option<Duration>,

    /// How many decisions are kept for a client; at the limit the oldest is dropped. Topics longer
    /// than 512 bytes are not kept.
    #[serde(with = "Count::<1, 1_000>")]
    pub max_entries: u32,
}

impl Default for AuthorizationCache {
    fn default() -> Self {
        Self {
            ttl: Some(Duration::from_secs(60)),
            max_entries: 32,
        }
    }
}
