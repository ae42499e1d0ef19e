//! The prefix that keeps the topics of some clients apart from those of others.

use std::{fmt, str::FromStr};

use crate::text::text;

/// A prefix of topics, in which `${clientid}` and `${username}` stand for the client's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mountpoint(String);

text!(
    Mountpoint,
    "a prefix of topics such as devices/${clientid}/"
);

const PLACEHOLDERS: [&str; 2] = ["${clientid}", "${username}"];

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
        let rest = PLACEHOLDERS
            .iter()
            .fold(text.to_owned(), |rest, known| rest.replace(known, ""));
        if rest.contains("${") {
            return Err(format!(
                "\"{text}\" cannot be a mountpoint: only ${{clientid}} and ${{username}} are filled \
                 in; remove any other ${{…}}"
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
            "$a",
            "{a}",
        ] {
            let mountpoint: Mountpoint = text.parse().unwrap();
            assert_eq!(mountpoint.as_str(), text);
        }
    }

    #[test]
    fn what_would_not_be_a_topic_is_refused() {
        for text in [
            "+/",
            "a/#",
            "a\0",
            "${client_id}/",
            "${}",
            "${clientid",
            "$${${clientid}}",
        ] {
            assert!(text.parse::<Mountpoint>().is_err(), "{text}");
        }
    }
}
