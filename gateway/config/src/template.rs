//! Text in which a client's own values are filled in: parsed once, into what stands as it is and what is filled in.
//!
//! Keys of Redis, claims, mountpoints and filters of rules are made of it; each says which placeholders it takes.

use std::{borrow::Borrow, convert::Infallible, fmt, str::FromStr};

use crate::text::{shown, text};

/// Text with placeholders, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Piece {
    /// As it stands; not empty, and never beside another one.
    Text(String),
    Value(Placeholder),
}

/// What is filled in: a value of the client's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Placeholder {
    /// `${clientid}`.
    Clientid,
    /// `${username}`.
    Username,
    /// `${attr.NAME}`: what authentication told of the client.
    Attribute(AttributeName),
}

/// Which placeholders a text takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// The client's names.
    Names,
    /// These and attributes.
    Attributes,
}

/// What an attribute of a client is called, so that a placeholder can name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeName(String);

text!(AttributeName, "the name of an attribute");

const START: &str = "${";
const END: char = '}';
const CLIENTID: &str = "clientid";
const USERNAME: &str = "username";
const ATTRIBUTE: &str = "attr.";

impl Template {
    /// Takes a text apart. Errors name the placeholder, and not the text.
    pub(crate) fn parse(text: &str, takes: Takes) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, from)) = rest.split_once(START) {
            let Some((name, after)) = from.split_once(END) else {
                let open = shown(from);
                return Err(format!("{START}{open} has no {END} at its end; write it"));
            };
            if !before.is_empty() {
                pieces.push(Piece::Text(before.into()));
            }
            pieces.push(Piece::Value(placeholder(name, takes)?));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        Ok(Self(pieces))
    }

    /// Whether it is an empty text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something is filled in.
    #[must_use]
    pub fn has_placeholders(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Value(_)))
    }

    /// Whether this is filled in.
    #[must_use]
    pub fn uses(&self, placeholder: &Placeholder) -> bool {
        let is_it = |piece: &Piece| matches!(piece, Piece::Value(value) if value == placeholder);
        self.0.iter().any(is_it)
    }

    /// What it is made of, in order, and in one go: what stands in a value is no placeholder. `value` tells what stands
    /// for a placeholder; what it refuses is refused.
    pub fn pieces<'a, E>(
        &'a self,
        mut value: impl FnMut(&'a Placeholder) -> Result<&'a str, E>,
    ) -> impl Iterator<Item = Result<&'a str, E>> {
        self.0.iter().map(move |piece| match piece {
            Piece::Text(text) => Ok(text.as_str()),
            Piece::Value(placeholder) => value(placeholder),
        })
    }

    /// The text with the client's values in it, as [`Template::pieces`].
    pub fn fill<'a, E>(
        &'a self,
        value: impl FnMut(&'a Placeholder) -> Result<&'a str, E>,
    ) -> Result<String, E> {
        self.pieces(value).collect()
    }

    /// The same of a text that takes names alone.
    pub(crate) fn fill_names(&self, clientid: &str, username: &str) -> String {
        let names = self.fill(|placeholder| {
            Ok::<_, Infallible>(match placeholder {
                Placeholder::Clientid => clientid,
                Placeholder::Username => username,
                Placeholder::Attribute(_) => unreachable!("the text was parsed without attributes"),
            })
        });
        let Ok(filled) = names;
        filled
    }
}

/// The placeholder of that name.
fn placeholder(name: &str, takes: Takes) -> Result<Placeholder, String> {
    match (name, name.strip_prefix(ATTRIBUTE), takes) {
        (CLIENTID, ..) => Ok(Placeholder::Clientid),
        (USERNAME, ..) => Ok(Placeholder::Username),
        (_, Some(attribute), Takes::Attributes) => attribute.parse().map(Placeholder::Attribute),
        (_, _, takes) => Err(format!(
            "{START}{}{END} is not filled in, only {takes} are; write one of them, or remove it",
            shown(name)
        )),
    }
}

impl fmt::Display for Takes {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str(match self {
            Self::Names => "${clientid} and ${username}",
            Self::Attributes => "${clientid}, ${username} and ${attr.NAME}",
        })
    }
}

/// As it was written.
impl fmt::Display for Template {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => to.write_str(text),
            Piece::Value(placeholder) => placeholder.fmt(to),
        })
    }
}

/// As it was written.
impl fmt::Display for Placeholder {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Clientid => write!(to, "{START}{CLIENTID}{END}"),
            Self::Username => write!(to, "{START}{USERNAME}{END}"),
            Self::Attribute(name) => write!(to, "{START}{ATTRIBUTE}{name}{END}"),
        }
    }
}

impl AttributeName {
    /// Whether an attribute may be called that.
    #[must_use]
    pub fn allows(text: &str) -> bool {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        !text.is_empty() && text.bytes().all(is_good)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for AttributeName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AttributeName {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.pad(&self.0)
    }
}

impl FromStr for AttributeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if Self::allows(text) {
            return Ok(Self(text.into()));
        }
        Err(format!(
            "\"{}\" cannot name an attribute; write one or more characters out of A-Z, a-z, 0-9, _ and -",
            shown(text)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Template, String> {
        Template::parse(text, Takes::Attributes)
    }

    #[test]
    fn placeholders_may_stand_anywhere_and_are_shown_as_written() {
        for text in [
            "",
            "a/",
            "${clientid}",
            "a/${username}/${clientid}/",
            "${attr.tenant}/${attr.a-b_1}/",
            "$a{b}$",
            "$${clientid}}",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn placeholders_are_filled_in_once() {
        let template = parse("a/${username}/${attr.x}/$").unwrap();
        let value = |placeholder: &Placeholder| match placeholder {
            Placeholder::Username => Ok("${attr.x}"),
            Placeholder::Attribute(name) if name.as_str() == "x" => Ok("y"),
            other => Err(other.to_string()),
        };
        assert_eq!(template.fill(value).unwrap(), "a/${attr.x}/y/$");
        let other = parse("a${clientid}").unwrap();
        assert_eq!(other.fill(value).unwrap_err(), "${clientid}");
        assert!(other.uses(&Placeholder::Clientid) && other.has_placeholders());
        assert!(!template.uses(&Placeholder::Clientid));
        assert!(!parse("$clientid").unwrap().has_placeholders());
    }

    #[test]
    fn what_is_not_filled_in_is_named() {
        for (text, problem) in [
            (
                "${client_id}",
                "${client_id} is not filled in, only ${clientid}, ",
            ),
            ("a${}", "${} is not filled in"),
            ("${ clientid }", "${ clientid } is not filled in"),
            ("a/${clientid", "${clientid has no } at its end"),
            ("$${${clientid}}", "${${clientid} is not filled in"),
            ("${attr.}", "\"\" cannot name an attribute"),
            ("${attr.a.b}", "\"a.b\" cannot name an attribute"),
            ("${attr.é}", "\"é\" cannot name an attribute"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(problem), "{text}: {error}");
        }
        let error = Template::parse("${attr.a}", Takes::Names).unwrap_err();
        let expected = "${attr.a} is not filled in, only ${clientid} and ${username} are; write ";
        assert!(error.starts_with(expected), "{error}");
    }
}
