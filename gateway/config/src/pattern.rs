//! Keys and claims in which a client's names are filled in.

use std::{fmt, str::FromStr};

use crate::{
    Placeholder,
    template::{Takes, Template},
    text::{shown, text},
};

/// A key such as `exproto:user:${username}`; never the same for all clients.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyTemplate(Template);

text!(KeyTemplate, "a key such as exproto:user:${username}");

/// What a claim must be, such as `${clientid}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimTemplate(Template);

text!(ClaimTemplate, "a text such as ${clientid}");

impl KeyTemplate {
    /// The key with the client's names in it, taken as they are.
    #[must_use]
    pub fn fill(&self, clientid: &str, username: &str) -> String {
        self.0.fill_names(clientid, username)
    }

    /// Whether it differs by the client's username.
    #[must_use]
    pub fn uses_username(&self) -> bool {
        self.0.uses(&Placeholder::Username)
    }

    /// Whether it differs by the clientid.
    #[must_use]
    pub fn uses_clientid(&self) -> bool {
        self.0.uses(&Placeholder::Clientid)
    }
}

impl ClaimTemplate {
    /// The claim of one client.
    #[must_use]
    pub fn fill(&self, clientid: &str, username: &str) -> String {
        self.0.fill_names(clientid, username)
    }

    /// Whether it differs by the clientid.
    #[must_use]
    pub fn uses_clientid(&self) -> bool {
        self.0.uses(&Placeholder::Clientid)
    }
}

impl fmt::Display for KeyTemplate {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(to)
    }
}

impl fmt::Display for ClaimTemplate {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(to)
    }
}

impl FromStr for KeyTemplate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let template = Template::parse(text, Takes::Names)
            .map_err(|why| format!("\"{}\" is no key: {why}", shown(text)))?;
        if !template.has_placeholders() {
            return Err(format!(
                "\"{text}\" is one key for all clients; write ${{clientid}} or ${{username}} in it"
            ));
        }
        if text.starts_with("${") {
            return Err(format!(
                "\"{text}\" lets a client name any key; begin with something fixed, such as exproto:"
            ));
        }
        Ok(Self(template))
    }
}

impl FromStr for ClaimTemplate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Template::parse(text, Takes::Names)
            .map(Self)
            .map_err(|why| format!("\"{}\" is nothing a claim can be: {why}", shown(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in_as_they_are() {
        let key: KeyTemplate = "u:${username}:${clientid}:x".parse().unwrap();
        assert_eq!(key.fill("${username}", "*"), "u:*:${username}:x");
        assert!(key.uses_username() && key.uses_clientid());
        let claim: ClaimTemplate = "x-${username}".parse().unwrap();
        assert_eq!(claim.fill("c", "${clientid}"), "x-${clientid}");
        assert!(!claim.uses_clientid());
    }

    #[test]
    fn a_key_that_is_the_same_for_all_or_holds_anything_else_is_refused() {
        for text in [
            "",
            "users",
            "u:${user}",
            "u:${username",
            "u:${}${clientid}",
            "${clientid}",
        ] {
            assert!(text.parse::<KeyTemplate>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_claim_may_be_the_same_for_all_but_holds_nothing_else() {
        for text in ["", "users", "${clientid}@${username}"] {
            assert_eq!(text.parse::<ClaimTemplate>().unwrap().to_string(), text);
        }
        for text in ["${client_id}", "${clientid", "${attr.tenant}"] {
            let error = text.parse::<ClaimTemplate>().unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }
}
