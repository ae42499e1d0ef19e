//! The prefix that keeps the topics of some clients apart from those of others.

use std::{fmt, str::FromStr};

use crate::{
    Placeholder,
    template::{Takes, Template},
    text::{shown, text},
};

/// A prefix of topics, in which `${clientid}`, `${username}` and `${attr.NAME}` stand for the client's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mountpoint(Template);

text!(
    Mountpoint,
    "a prefix of topics such as devices/${clientid}/"
);

impl Mountpoint {
    /// Whether topics stay as they are.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The prefix of one client. `value` tells what stands for a placeholder; what it refuses is refused.
    pub fn fill<'a, E>(
        &'a self,
        value: impl FnMut(&'a Placeholder) -> Result<&'a str, E>,
    ) -> Result<String, E> {
        self.0.fill(value)
    }
}

impl fmt::Display for Mountpoint {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(to)
    }
}

impl FromStr for Mountpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = |why| format!("\"{}\" cannot be a mountpoint: {why}", shown(text));
        if let Some(wrong) = text.chars().find(|c| matches!(c, '+' | '#' | '\0')) {
            return Err(refused(format!(
                "it holds {wrong:?}; write a prefix without +, # and NUL"
            )));
        }
        let template = Template::parse(text, Takes::Attributes).map_err(refused)?;
        // Else what one client chooses, as its name or as its topic, could make up the place of another one.
        let mut levels = text.rsplit('/').map(|level| level.matches("${").count());
        if levels.next().is_some_and(|count| count > 0) {
            return Err(refused(
                "what is filled in must end with a level; write / after it".to_owned(),
            ));
        }
        if levels.any(|count| count > 1) {
            return Err(refused(
                "two values in one level cannot be told apart; write / between them".to_owned(),
            ));
        }
        Ok(Self(template))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_names_and_attributes() {
        for text in ["", "a/", "$a/${username}/${clientid}/${attr.tenant}/"] {
            let mountpoint: Mountpoint = text.parse().unwrap();
            assert_eq!(mountpoint.to_string(), text);
            assert_eq!(mountpoint.is_empty(), text.is_empty());
        }
    }

    #[test]
    fn places_that_clients_could_make_up_are_refused() {
        for text in [
            "dev-${clientid}",
            "a/${username}-x",
            "${username}-${clientid}/",
        ] {
            let error = text.parse::<Mountpoint>().unwrap_err();
            assert!(error.contains("write / "), "{error}");
        }
        assert!(
            "a-${username}-b/${clientid}/c"
                .parse::<Mountpoint>()
                .is_ok()
        );
    }

    #[test]
    fn what_would_not_be_a_topic_is_refused() {
        for text in ["+/", "a/#", "a\0", "${client_id}/", "${attr.+}/"] {
            assert!(text.parse::<Mountpoint>().is_err(), "{text}");
        }
    }
}
