//! Topics of rules: filters of MQTT in which a client's own values are filled in.

use std::{fmt, str::FromStr};

use crate::{
    template::{Takes, Template},
    text::{shown, text},
};

/// The topics that a rule is about: a filter of MQTT, whose levels may hold placeholders, or `eq `
/// and a text that is compared as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RuleFilter {
    text: String,
    pattern: RulePattern,
}

text!(RuleFilter, "a topic filter such as devices/${clientid}/#");

/// A filter, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RulePattern {
    /// Only this text, wildcards and all.
    Literal(String),
    /// What stands between slashes; one or more, of which only the last may be `Rest`.
    Levels(Vec<Level>),
}

/// One level of a filter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// This name.
    Name(String),
    /// A name in which a client's values are filled in.
    Template(Template),
    /// `+`: any name.
    Any,
    /// `#`: any number of levels, also none.
    Rest,
}

const LITERAL: &str = "eq ";
const SHARE: &str = "$share/";
/// As many bytes as a topic may have.
const LONGEST: usize = 65_535;

impl RuleFilter {
    /// The filter, taken apart.
    #[must_use]
    pub fn pattern(&self) -> &RulePattern {
        &self.pattern
    }
}

impl fmt::Display for RuleFilter {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.pad(&self.text)
    }
}

impl FromStr for RuleFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pattern = match text.strip_prefix(LITERAL) {
            Some(literal) => check(literal).map(|()| RulePattern::Literal(literal.into())),
            None => check(text)
                .and_then(|()| levels(text))
                .map(RulePattern::Levels),
        };
        match pattern {
            Ok(pattern) => Ok(Self {
                text: text.into(),
                pattern,
            }),
            Err(why) => Err(format!("\"{}\" is no topic filter: {why}", shown(text))),
        }
    }
}

fn check(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("it is empty; write at least one character".into());
    }
    if text.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes; shorten it"));
    }
    if text.contains('\0') {
        return Err("it holds the character U+0000; remove it".into());
    }
    Ok(())
}

fn levels(text: &str) -> Result<Vec<Level>, String> {
    if text.starts_with(SHARE) {
        return Err(
            "rules are about the filter behind $share/<group>/; write that alone".to_owned(),
        );
    }
    let mut levels = text.split('/').peekable();
    let mut all = Vec::new();
    while let Some(level) = levels.next() {
        let is_last = levels.peek().is_none();
        all.push(match level {
            "+" => Level::Any,
            "#" if is_last => Level::Rest,
            _ if level.contains('#') => {
                return Err("# must stand alone and be the last level, as in a/#".into());
            }
            _ if level.contains('+') => {
                return Err("+ must stand alone between slashes, as in a/+/b".into());
            }
            _ if level.contains("${") => {
                Level::Template(Template::parse(level, Takes::Attributes)?)
            }
            _ => Level::Name(level.into()),
        });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> RulePattern {
        text.parse::<RuleFilter>().unwrap().pattern
    }

    #[test]
    fn a_filter_is_taken_apart() {
        let name = |text: &str| Level::Name(text.into());
        assert_eq!(
            parsed("a//+/#"),
            RulePattern::Levels(vec![name("a"), name(""), Level::Any, Level::Rest])
        );
        assert_eq!(
            parsed("$SYS/${attr.a-b}x${clientid}${username}"),
            RulePattern::Levels(vec![
                name("$SYS"),
                Level::Template(
                    Template::parse("${attr.a-b}x${clientid}${username}", Takes::Attributes)
                        .unwrap()
                ),
            ])
        );
        assert_eq!(
            parsed("eq a/#/${clientid}"),
            RulePattern::Literal("a/#/${clientid}".into())
        );
        assert_eq!(parsed("eq"), RulePattern::Levels(vec![name("eq")]));
    }

    #[test]
    fn it_is_shown_as_it_was_written() {
        for text in ["a/+/#", "eq a/#", "${attr.x}/${clientid}", "/", "#"] {
            assert_eq!(text.parse::<RuleFilter>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_filter_says_why() {
        let long = "x".repeat(LONGEST + 1);
        for (text, why) in [
            ("", "it is empty"),
            ("eq ", "it is empty"),
            (&long, "it is longer than 65535 bytes"),
            ("a\0", "U+0000"),
            ("a/#/b", "# must stand alone"),
            ("a#", "# must stand alone"),
            ("a/b+", "+ must stand alone"),
            ("+${clientid}", "+ must stand alone"),
            ("$share/g/t", "behind $share"),
            ("${client_id}", "only ${clientid}"),
            ("${attr.}", "cannot name an attribute"),
            ("${attr.a.b}", "cannot name an attribute"),
            ("${}", "only ${clientid}"),
            ("${clientid", "has no }"),
            ("${attr.a/b}", "has no }"),
        ] {
            let error = text.parse::<RuleFilter>().unwrap_err();
            assert!(error.contains(why), "{error}");
            assert!(error.len() < 300, "{error}");
        }
    }
}
