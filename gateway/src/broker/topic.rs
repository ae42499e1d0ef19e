//! Topics and filters, parsed once by the rules of MQTT into types that cannot be wrong. Pure.

/// What a subscriber asks for.
mod filter;

use std::{fmt, sync::Arc};

pub use self::filter::Filter;

/// The longest topic or filter, in bytes of UTF-8, mountpoint and `$share` included.
pub const MAX_BYTES: usize = 65_535;

/// No topic or filter has more levels than this, whatever limit is configured: it bounds how deep the filter
/// trie is walked.
pub const MAX_LEVELS: usize = 1_000;

/// The name a message is published to: not empty, no wildcards. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

impl Topic {
    /// Takes `text` if it is a topic of at most `max_levels` levels.
    pub fn parse(text: &str, max_levels: usize) -> Result<Self, Error> {
        check(text, text, max_levels)?;
        if text.contains(WILDCARDS) {
            return Err(Error::TopicWildcard);
        }
        if text.starts_with(SHARE) {
            return Err(Error::TopicShare);
        }
        Ok(Self(text.into()))
    }

    /// The same topic under a mountpoint, which is put before it as it is.
    pub fn mount(&self, mountpoint: &str) -> Result<Self, Error> {
        if mountpoint.is_empty() {
            return Ok(self.clone());
        }
        check_mountpoint(mountpoint)?;
        Self::parse(&[mountpoint, &self.0].concat(), MAX_LEVELS)
    }

    /// The topic as it was before it was mounted; the whole of it when it is not under this mountpoint.
    #[must_use]
    pub fn unmount(&self, mountpoint: &str) -> &str {
        self.0.strip_prefix(mountpoint).unwrap_or(&self.0)
    }

    /// The topic's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Quality of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Qos {
    /// 0: may be lost.
    AtMostOnce = 0,
    /// 1: may be repeated.
    AtLeastOnce = 1,
    /// 2: neither.
    ExactlyOnce = 2,
}

impl TryFrom<u32> for Qos {
    type Error = Error;

    fn try_from(number: u32) -> Result<Self, Error> {
        match number {
            0 => Ok(Self::AtMostOnce),
            1 => Ok(Self::AtLeastOnce),
            2 => Ok(Self::ExactlyOnce),
            _ => Err(Error::Qos(number)),
        }
    }
}

impl From<Qos> for u32 {
    fn from(qos: Qos) -> Self {
        qos as Self
    }
}

/// Which rule a text broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing there.
    #[error("a topic or filter must not be empty: give at least one character")]
    Empty,
    /// More than [`MAX_BYTES`].
    #[error(
        "{0} bytes are too long for a topic or filter: use at most 65535, mountpoint and $share included"
    )]
    TooLong(usize),
    /// U+0000 is forbidden everywhere.
    #[error("a topic or filter must not contain the character U+0000: remove it")]
    Nul,
    /// More levels than allowed.
    #[error("{levels} levels are too many: use at most {limit} (parts between slashes)")]
    TooManyLevels {
        /// Levels in the text.
        levels: usize,
        /// Levels allowed.
        limit: usize,
    },
    /// `+` or `#` in a topic.
    #[error("a topic must not contain + or #: they belong in filters, publish to one exact topic")]
    TopicWildcard,
    /// A topic below `$share/`.
    #[error(
        "a topic must not start with $share/: publish to the topic itself, the groups get their copies"
    )]
    TopicShare,
    /// `+` beside other characters.
    #[error("+ must stand alone between slashes, as in a/+/b")]
    PlusNotAlone,
    /// `#` beside other characters or before the end.
    #[error("# must stand alone and be the last level, as in a/#")]
    HashNotLast,
    /// `$share/` without a usable group.
    #[error("the group in $share/<group>/<filter> must not be empty and must not contain + or #")]
    ShareGroup,
    /// `$share/<group>` without a filter.
    #[error("$share/<group>/<filter> needs a filter after the group: add it")]
    ShareFilter,
    /// `$share/` twice.
    #[error(
        "the filter in $share/<group>/<filter> must not start with $share/: name one group only"
    )]
    ShareNested,
    /// A wildcard or U+0000 in a mountpoint, or `$share/` at its start.
    #[error(
        "a mountpoint must not contain +, # or U+0000 nor start with $share/: change it, \
         or what its placeholders stand for"
    )]
    Mountpoint,
    /// A filter that its mountpoint made invalid.
    #[error(
        "a filter which starts with + or # needs a mountpoint that ends with a slash: add the slash"
    )]
    MountpointSlash,
    /// A quality of service that does not exist.
    #[error("{0} is no quality of service: use 0, 1 or 2")]
    Qos(u32),
}

const WILDCARDS: [char; 2] = ['+', '#'];
const SHARE: &str = "$share/";

/// Whether a value that a client may have chosen can stand in a level of a topic: else it reaches into other levels, or
/// is a wildcard.
#[must_use]
pub fn is_level(value: &str) -> bool {
    !value.is_empty() && !value.contains(['/', '+', '#', '\0'])
}

/// The rules for topics and filters alike. `whole` is what goes over the wire, `part` what has levels.
fn check(whole: &str, part: &str, max_levels: usize) -> Result<(), Error> {
    if part.is_empty() {
        return Err(Error::Empty);
    }
    if whole.len() > MAX_BYTES {
        return Err(Error::TooLong(whole.len()));
    }
    if whole.contains('\0') {
        return Err(Error::Nul);
    }
    let (levels, limit) = (part.split('/').count(), max_levels.min(MAX_LEVELS));
    if levels > limit {
        return Err(Error::TooManyLevels { levels, limit });
    }
    Ok(())
}

/// A mountpoint often holds a clientid: with a wildcard in it a device would see what others are sent.
fn check_mountpoint(mountpoint: &str) -> Result<(), Error> {
    if mountpoint.contains(['+', '#', '\0']) {
        Err(Error::Mountpoint)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
