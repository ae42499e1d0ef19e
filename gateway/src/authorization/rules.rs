//! Rules in their order, of which the first that fits decides.
//!
//! Those for exact names are found by these names, so that thousands of them cost no more than a few; the others are
//! looked at one by one.

use std::collections::HashMap;

use config::{Action, NamePattern, Permission, Rule};
use serde::Deserialize as _;

use super::{
    Asker, Verb, Wanted,
    filter::{Values, fits},
};

/// Rules, arranged.
#[derive(Debug, Default)]
pub struct Rules {
    /// In their order.
    all: Box<[Rule]>,
    /// The places of rules that name their clientids in full.
    by_clientid: HashMap<Box<str>, Vec<u32>>,
    /// The places of other rules that name their usernames in full.
    by_username: HashMap<Box<str>, Vec<u32>>,
    /// The places of the rest.
    general: Vec<u32>,
}

impl Rules {
    /// In the order of the file.
    #[must_use]
    pub fn new(config::Rules(rules): config::Rules) -> Self {
        let mut arranged = Self::default();
        for (place, rule) in (0..).zip(&rules) {
            let lists = if let Some(names) = in_full(&rule.clientid) {
                (&mut arranged.by_clientid, names)
            } else if let Some(names) = in_full(&rule.username) {
                (&mut arranged.by_username, names)
            } else {
                arranged.general.push(place);
                continue;
            };
            let (index, names) = lists;
            for name in names {
                let places: &mut Vec<u32> = index.entry(name.into()).or_default();
                // Somebody may have written a name twice.
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
        }
        arranged.all = rules.into();
        arranged
    }

    /// Rules as JSON has them in tokens and answers: a list.
    pub fn from_json(json: &serde_json::Value) -> Result<Self, serde_json::Error> {
        Vec::deserialize(json).map(|rules| Self::new(config::Rules(rules)))
    }

    /// What the first rule that fits says, if any does.
    #[must_use]
    pub fn decide(&self, asker: &Asker<'_>, wanted: &Wanted<'_>) -> Option<Permission> {
        let values = Values::of(asker);
        let rule = self
            .candidates(asker)
            .find(|rule| applies(rule, asker, wanted, &values))?;
        Some(rule.permission)
    }

    /// The rules that may concern a client, in their order.
    fn candidates(&self, asker: &Asker<'_>) -> impl Iterator<Item = &Rule> {
        let by_clientid = self.by_clientid.get(asker.clientid);
        let by_username = self.by_username.get(asker.username);
        let mut lists = [by_clientid, by_username, Some(&self.general)]
            .map(|places| places.map_or(&[][..], |places| places));
        std::iter::from_fn(move || {
            let nearest = lists
                .iter_mut()
                .filter(|list| !list.is_empty())
                .min_by_key(|list| list[0])?;
            let (place, rest) = nearest.split_first()?;
            *nearest = rest;
            self.all.get(*place as usize)
        })
    }
}

/// The names, where all are written in full.
fn in_full(patterns: &[NamePattern]) -> Option<impl Iterator<Item = &str>> {
    let is_exact = |pattern: &NamePattern| matches!(pattern, NamePattern::Exact(_));
    (!patterns.is_empty() && patterns.iter().all(is_exact)).then(|| {
        patterns.iter().map(|pattern| match pattern {
            NamePattern::Exact(name) | NamePattern::Prefix(name) => &**name,
        })
    })
}

fn applies(rule: &Rule, asker: &Asker<'_>, wanted: &Wanted<'_>, values: &Values<'_>) -> bool {
    let is_meant = match rule.action {
        Action::Publish => wanted.verb == Verb::Publish,
        Action::Subscribe => wanted.verb == Verb::Subscribe,
        Action::All => true,
    };
    is_meant
        && concerns(rule, asker)
        && rule
            .topics
            .iter()
            .any(|filter| fits(filter, rule.permission, wanted, values))
}

fn concerns(rule: &Rule, asker: &Asker<'_>) -> bool {
    named(&rule.clientid, asker.clientid)
        && named(&rule.username, asker.username)
        && (rule.ip.is_empty() || rule.ip.iter().any(|network| network.contains(&asker.ip)))
        && (rule.listener.is_empty()
            || rule
                .listener
                .iter()
                .any(|listener| listener.as_str() == asker.listener))
        && rule.attributes.iter().all(|(name, value)| {
            asker
                .access
                .attributes
                .get(&**name)
                .is_some_and(|own| **own == **value)
        })
}

/// Whoever has no name fits no pattern.
fn named(patterns: &[NamePattern], name: &str) -> bool {
    let fits = |pattern: &NamePattern| match pattern {
        NamePattern::Exact(exact) => exact == name,
        NamePattern::Prefix(start) => !name.is_empty() && name.starts_with(&**start),
    };
    patterns.is_empty() || patterns.iter().any(fits)
}

#[cfg(test)]
mod tests;
