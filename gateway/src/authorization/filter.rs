//! How the filters of rules are held against what a client wants. Pure; nothing is allocated.
//!
//! A rule that allows must cover what is wanted: it matches every topic that the wanted filter matches. One that denies
//! need only overlap it, or whoever may not read `secret/#` would read it by subscribing to `#`.

use config::{Level, Permission, Placeholder, RuleFilter, RulePattern, Template};

use super::{Asker, Wanted};
use crate::broker::topic;

const ANY: &str = "+";
const REST: &str = "#";

/// A client's own values, as they may stand in topics.
pub(super) struct Values<'a> {
    asker: &'a Asker<'a>,
    clientid: Option<&'a str>,
    username: Option<&'a str>,
}

impl<'a> Values<'a> {
    pub(super) fn of(asker: &'a Asker<'a>) -> Self {
        Self {
            asker,
            // Looked at once, however many rules there are: they may be long.
            clientid: usable(asker.clientid),
            username: usable(asker.username),
        }
    }

    fn get(&self, placeholder: &Placeholder) -> Option<&str> {
        match placeholder {
            Placeholder::Clientid => self.clientid,
            Placeholder::Username => self.username,
            Placeholder::Attribute(name) => {
                let attributes = &self.asker.access.attributes;
                attributes
                    .get(name.as_str())
                    .and_then(|value| usable(value))
            }
        }
    }

    /// Whether the level, filled in, is this name; `None` if it cannot be filled in.
    fn fill<'t>(&'t self, template: &'t Template, name: &str) -> Option<bool> {
        let mut rest = Some(name);
        for piece in template.pieces(|placeholder| self.get(placeholder).ok_or(())) {
            let text = piece.ok()?;
            rest = rest.and_then(|rest| rest.strip_prefix(text));
        }
        Some(rest == Some(""))
    }
}

/// What is taken for one level of a topic must be one, or a device could choose a name that reaches further.
fn usable(value: &str) -> Option<&str> {
    topic::is_level(value).then_some(value)
}

/// Whether a rule with that filter decides about what is wanted.
pub(super) fn fits(
    filter: &RuleFilter,
    permission: Permission,
    wanted: &Wanted<'_>,
    values: &Values<'_>,
) -> bool {
    match (filter.pattern(), permission) {
        (RulePattern::Literal(text), _) => text == wanted.topic,
        (RulePattern::Levels(rule), Permission::Allow) => covers(rule, wanted, values),
        (RulePattern::Levels(rule), Permission::Deny) => overlaps(rule, wanted, values),
    }
}

/// Whether every topic that is wanted is matched by the rule.
fn covers(rule: &[Level], wanted: &Wanted<'_>, values: &Values<'_>) -> bool {
    let first = rule.first();
    if wanted.is_system() && !matches!(first, Some(Level::Name(_)))
        || !may_begin(first, wanted, values)
    {
        return false;
    }
    for (index, level) in rule.iter().enumerate() {
        let holds = match (level, wanted.levels.get(index)) {
            (Level::Rest, _) => return true,
            (_, None) => false,
            // No topic is without a level, so `+/#` is `#`. Elsewhere `#` stands for no level, too, and `+` does not.
            (Level::Any, Some(&REST)) => return matches!(rule, [Level::Any, Level::Rest]),
            (Level::Any, Some(_)) => true,
            // Neither a name nor what is filled in is ever a wildcard.
            (Level::Name(name), Some(here)) => name == here,
            (Level::Template(template), Some(here)) => values.fill(template, here) == Some(true),
        };
        if !holds {
            return false;
        }
    }
    rule.len() == wanted.levels.len()
}

/// Whether some topic that is wanted is matched by the rule. A level that cannot be filled in matches anything, and all
/// below it.
fn overlaps(rule: &[Level], wanted: &Wanted<'_>, values: &Values<'_>) -> bool {
    if !may_begin(rule.first(), wanted, values) {
        return false;
    }
    let mut index = 0;
    loop {
        match (rule.get(index), wanted.levels.get(index)) {
            (None, None) | (Some(Level::Rest), _) | (_, Some(&REST)) => return true,
            (Some(Level::Template(template)), here) => {
                let Some(is_same) = values.fill(template, here.unwrap_or(&ANY)) else {
                    return true;
                };
                let may_be = |here: &&str| is_same || *here == ANY;
                if !here.is_some_and(may_be) {
                    return false;
                }
            }
            (None, _) | (_, None) => return false,
            (Some(Level::Any), _) | (_, Some(&ANY)) => {}
            (Some(Level::Name(name)), Some(here)) if name == here => {}
            (Some(Level::Name(_)), Some(_)) => return false,
        }
        index += 1;
    }
}

/// A wildcard at the start does not stand for a name that begins with `$`. Under a mountpoint such names are nothing
/// special, but for the system's.
fn may_begin(first: Option<&Level>, wanted: &Wanted<'_>, values: &Values<'_>) -> bool {
    let here = wanted.levels.first().copied().unwrap_or_default();
    if values.asker.is_mounted && !wanted.is_system() {
        return true;
    }
    match first {
        Some(Level::Any | Level::Rest) => !here.starts_with('$'),
        Some(Level::Name(name)) => !name.starts_with('$') || !matches!(here, ANY | REST),
        // What is filled in and begins with `$` is taken to overlap wildcards, which is the safe side.
        Some(Level::Template(_)) | None => true,
    }
}

#[cfg(test)]
mod tests;
