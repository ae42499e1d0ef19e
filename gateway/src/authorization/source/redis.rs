//! Asks Redis for the rules of a client: a hash of topic filters, each with what is allowed there, as EMQX has them, or
//! with a permission in JSON. What cannot be understood is a failure, and denies: it may have been meant to deny.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context as _;
use config::{Action, KeyTemplate, Permission, Rule};
use serde::Deserialize;

use crate::{
    authorization::{Asker, Rules, Wanted},
    services::Redis,
};

/// The value of a field, where it is JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    permission: Permission,
    #[serde(default)]
    action: Action,
}

pub(super) async fn ask(
    redis: &Redis,
    key: &KeyTemplate,
    asker: &Asker<'_>,
    wanted: &Wanted<'_>,
) -> anyhow::Result<Option<Permission>> {
    let unnamed = key.uses_username() && asker.username.is_empty();
    if unnamed {
        return Ok(None);
    }
    let key = key.fill(asker.clientid, asker.username);
    let hash = redis.hash(&key).await?;
    let rules = rules(hash).with_context(|| format!("the hash {key:?}"))?;
    Ok(Rules::new(rules).decide(asker, wanted))
}

/// A hash has no order, so what denies comes first.
fn rules(hash: HashMap<String, String>) -> anyhow::Result<config::Rules> {
    let mut rules = Vec::with_capacity(hash.len());
    for (topic, value) in hash {
        rules.push(rule(&topic, &value).with_context(|| format!("the field {topic:?}"))?);
    }
    rules.sort_by_key(|rule| rule.permission == Permission::Allow);
    Ok(config::Rules(rules))
}

fn rule(topic: &str, value: &str) -> anyhow::Result<Rule> {
    let (permission, action) = match value {
        "publish" => (Permission::Allow, Action::Publish),
        "subscribe" => (Permission::Allow, Action::Subscribe),
        "all" => (Permission::Allow, Action::All),
        json => {
            let written: Written = serde_json::from_str(json).context(
                "its value is none of publish, subscribe, all, and no JSON with a permission",
            )?;
            (written.permission, written.action)
        }
    };
    Ok(Rule {
        permission,
        action,
        topics: vec![topic.parse().map_err(anyhow::Error::msg)?],
        clientid: Vec::new(),
        username: Vec::new(),
        ip: Vec::new(),
        listener: Vec::new(),
        attributes: BTreeMap::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(fields: &[(&str, &str)]) -> anyhow::Result<config::Rules> {
        let owned = |(topic, value): &(&str, &str)| ((*topic).to_owned(), (*value).to_owned());
        rules(fields.iter().map(owned).collect())
    }

    #[test]
    fn what_denies_comes_first() {
        let rules = hash(&[
            ("a/#", "all"),
            ("b", "publish"),
            ("c", "subscribe"),
            ("a/b", r#"{"permission": "deny"}"#),
            ("d", r#"{"permission": "allow", "action": "publish"}"#),
        ]);
        let config::Rules(rules) = rules.unwrap();
        assert_eq!(rules.len(), 5);
        assert_eq!(rules[0].permission, Permission::Deny);
        assert_eq!(rules[0].topics[0].to_string(), "a/b");
        assert!(
            rules[1..]
                .iter()
                .all(|rule| rule.permission == Permission::Allow)
        );
    }

    #[test]
    fn what_cannot_be_understood_is_a_failure() {
        for field in [
            ("a", ""),
            ("a", "allow"),
            ("a", "{}"),
            ("a", r#"{"permission": "deny", "qos": 1}"#),
            ("a/#/b", "all"),
            ("", "all"),
        ] {
            assert!(hash(&[("good", "all"), field]).is_err(), "{field:?}");
        }
    }
}
