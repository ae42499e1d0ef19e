//! A filter names the topics somebody wants: exactly, with `+` for one level, with `#` for the rest, and as
//! `$share/<group>/<filter>` when the members of a group share the messages among them.

use std::{fmt, sync::Arc};

use super::{Error, SHARE, Topic, WILDCARDS, check, check_mountpoint};

/// A subscriber's filter. Cheap to clone; two are equal when their texts are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Filter {
    text: Arc<str>,
    /// Where the pattern starts: after `$share/<group>/`, else 0.
    start: u16,
    wildcard: bool,
}

impl Filter {
    /// Takes `text` if it is a filter of at most `max_levels` levels, `$share/<group>/` not counted.
    pub fn parse(text: &str, max_levels: usize) -> Result<Self, Error> {
        let pattern = match text.strip_prefix(SHARE) {
            Some(shared) => pattern_of(shared)?,
            None => text,
        };
        check(text, pattern, max_levels)?;
        let start = u16::try_from(text.len() - pattern.len()).expect("the length was checked");
        Ok(Self {
            text: text.into(),
            start,
            wildcard: has_wildcard(pattern)?,
        })
    }

    /// The same filter under a mountpoint, which is put before the pattern; the group stays in front.
    pub fn mount(&self, mountpoint: &str) -> Result<Self, Error> {
        if mountpoint.is_empty() {
            return Ok(self.clone());
        }
        check_mountpoint(mountpoint)?;
        let (pattern, share) = (self.pattern(), &self.text[..self.start.into()]);
        if pattern.starts_with(WILDCARDS) && !mountpoint.ends_with('/') {
            return Err(Error::MountpointSlash);
        }
        let mounted = Self::parse(&[share, mountpoint, pattern].concat(), super::MAX_LEVELS)?;
        // A mountpoint must not make a shared filter of a plain one.
        if mounted.start == self.start {
            Ok(mounted)
        } else {
            Err(Error::Mountpoint)
        }
    }

    /// Whether a message to `topic` is wanted. This is the rule itself, slow for many filters; the router
    /// finds the same ones faster.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        let (pattern, topic) = (self.pattern(), topic.as_str());
        if pattern.starts_with(WILDCARDS) && topic.starts_with('$') {
            return false;
        }
        let mut levels = topic.split('/');
        for wanted in pattern.split('/') {
            match (wanted, levels.next()) {
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (name, Some(level)) if name == level => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }

    /// The whole text, `$share/<group>/` included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The group that shares the messages, if this is a shared filter.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        self.text[..self.start.into()]
            .strip_prefix(SHARE)?
            .strip_suffix('/')
    }

    /// The part that topics are held against.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.text[self.start.into()..]
    }

    /// Whether there is a `+` or `#` in the pattern.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// The pattern, sharing the filter's memory when it is the whole text.
    pub(in crate::broker) fn shared_pattern(&self) -> Arc<str> {
        if self.start == 0 {
            Arc::clone(&self.text)
        } else {
            self.pattern().into()
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The filter in `<group>/<filter>`.
fn pattern_of(shared: &str) -> Result<&str, Error> {
    let (group, pattern) = shared.split_once('/').unwrap_or((shared, ""));
    if group.is_empty() || group.contains(WILDCARDS) {
        return Err(Error::ShareGroup);
    }
    if pattern.is_empty() {
        return Err(Error::ShareFilter);
    }
    if pattern.starts_with(SHARE) {
        return Err(Error::ShareNested);
    }
    Ok(pattern)
}

fn has_wildcard(pattern: &str) -> Result<bool, Error> {
    let mut levels = pattern.split('/').peekable();
    let mut wildcard = false;
    while let Some(level) = levels.next() {
        if !level.contains(WILDCARDS) {
            continue;
        }
        wildcard = true;
        match level {
            "+" => {}
            "#" if levels.peek().is_none() => {}
            _ if level.contains('#') => return Err(Error::HashNotLast),
            _ => return Err(Error::PlusNotAlone),
        }
    }
    Ok(wildcard)
}
