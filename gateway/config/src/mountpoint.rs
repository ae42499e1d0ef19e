//! The prefix that keeps the topics of some clients apart from those of others.

use std::{fmt, str::FromStr};

use crate::text::text;

/// A prefix of topics, in which `${clientid}`, `${username}` and `${attr.NAME}` stand for the client's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mountpoint(String);

text!(
    Mountpoint,
    "a prefix of topics such as devices/${clientid}/"
);

/// What an attribute's placeholder starts with.
const ATTRIBUTE: &str = "attr.";

impl Mountpoint {
    /// The prefix as written, its placeholders not filled in.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether topics stay as they are.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The prefix of one client. `value` tells what stands for a placeholder, such as `clientid` or `attr.tenant`; what
    /// it refuses is refused.
    pub fn fill<'a, E>(
        &self,
        mut value: impl FnMut(&str) -> Result<&'a str, E>,
    ) -> Result<String, E> {
        let mut filled = String::with_capacity(self.0.len());
        for piece in pieces(&self.0) {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Placeholder(name) => filled.push_str(value(name)?),
            }
        }
        Ok(filled)
    }
}

enum Piece<'a> {
    Text(&'a str),
    /// What stands between `${` and `}`; where no `}` follows, all the rest.
    Placeholder(&'a str),
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = match rest.find("${") {
            Some(0) => match rest.split_once('}') {
                Some((name, after)) => (Piece::Placeholder(&name[2..]), after),
                None => (Piece::Placeholder(rest), ""),
            },
            Some(start) => (Piece::Text(&rest[..start]), &rest[start..]),
            None => (Piece::Text(rest), ""),
        };
        rest = after;
        Some(piece)
    })
}

fn is_known(placeholder: &str) -> bool {
    let attribute = placeholder.strip_prefix(ATTRIBUTE);
    let is_name = |name: &str| {
        let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        !name.is_empty() && name.chars().all(is_good)
    };
    matches!(placeholder, "clientid" | "username") || attribute.is_some_and(is_name)
}

impl fmt::Display for Mountpoint {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.pad(&self.0)
    }
}

impl FromStr for Mountpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(wrong) = text.chars().find(|c| matches!(c, '+' | '#' | '\0')) {
            return Err(format!(
                "\"{}\" cannot be a mountpoint: it holds {wrong:?}; write a prefix without +, # and \
                 NUL",
                text.escape_debug()
            ));
        }
        let unknown = pieces(text).any(|piece| match piece {
            Piece::Text(_) => false,
            Piece::Placeholder(name) => !is_known(name),
        });
        if unknown {
            return Err(format!(
                "\"{text}\" cannot be a mountpoint: only ${{clientid}}, ${{username}} and ${{attr.NAME}} are \
                 filled in; remove any other ${{…}}"
            ));
        }
        Ok(Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_placeholders_may_stand_anywhere() {
        for text in [
            "",
            "a/",
            "${clientid}",
            "a/${username}/${clientid}/",
            "${attr.tenant}/${attr.a-b_1}/",
            "$a",
            "{a}",
        ] {
            let mountpoint: Mountpoint = text.parse().unwrap();
            assert_eq!(mountpoint.as_str(), text);
        }
    }

    #[test]
    fn placeholders_are_filled_in_once() {
        let mountpoint: Mountpoint = "a/${username}/${attr.x}/$".parse().unwrap();
        let value = |name: &str| match name {
            "username" => Ok("${attr.x}"),
            "attr.x" => Ok("y"),
            other => Err(other.to_owned()),
        };
        assert_eq!(mountpoint.fill(value).unwrap(), "a/${attr.x}/y/$");
        let other: Mountpoint = "${clientid}".parse().unwrap();
        assert_eq!(other.fill(value).unwrap_err(), "clientid");
    }

    #[test]
    fn what_would_not_be_a_topic_is_refused() {
        for text in [
            "+/",
            "a/#",
            "a\0",
            "${client_id}/",
            "${}",
            "${attr.}",
            "${attr.a.b}",
            "${clientid",
            "$${${clientid}}",
        ] {
            assert!(text.parse::<Mountpoint>().is_err(), "{text}");
        }
    }
}
