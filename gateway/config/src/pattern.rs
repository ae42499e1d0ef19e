//! Keys in which a client's names are filled in.

use std::{fmt, str::FromStr};

use crate::text::text;

/// A key such as `exproto:user:${username}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyTemplate(String);

text!(KeyTemplate, "a key such as exproto:user:${username}");

const CLIENTID: &str = "${clientid}";
const USERNAME: &str = "${username}";

impl KeyTemplate {
    /// The key with the client's names in it, taken as they are.
    #[must_use]
    pub fn fill(&self, clientid: &str, username: &str) -> String {
        let mut filled = String::with_capacity(self.0.len() + clientid.len());
        let mut rest = &*self.0;
        // Once through: what stands in a name is no placeholder.
        while let Some(start) = rest.find("${") {
            filled.push_str(&rest[..start]);
            rest = &rest[start..];
            let (placeholder, value) = if rest.starts_with(CLIENTID) {
                (CLIENTID, clientid)
            } else {
                (USERNAME, username)
            };
            filled.push_str(value);
            rest = &rest[placeholder.len()..];
        }
        filled.push_str(rest);
        filled
    }

    /// Whether it differs by the client's username.
    #[must_use]
    pub fn uses_username(&self) -> bool {
        self.0.contains(USERNAME)
    }

    /// Whether it differs by the clientid.
    #[must_use]
    pub fn uses_clientid(&self) -> bool {
        self.0.contains(CLIENTID)
    }
}

impl fmt::Display for KeyTemplate {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.pad(&self.0)
    }
}

impl FromStr for KeyTemplate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.replace(CLIENTID, "").replace(USERNAME, "");
        if rest.contains("${") {
            return Err(format!(
                "\"{text}\" is no key: only {CLIENTID} and {USERNAME} are filled in; remove any other ${{…}}"
            ));
        }
        if rest.len() == text.len() {
            return Err(format!(
                "\"{text}\" is one key for all clients; write {CLIENTID} or {USERNAME} in it"
            ));
        }
        Ok(Self(text.into()))
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
    }

    #[test]
    fn a_key_that_is_the_same_for_all_or_holds_anything_else_is_refused() {
        for text in ["", "users", "u:${user}", "u:${username", "${}${clientid}"] {
            assert!(text.parse::<KeyTemplate>().is_err(), "{text}");
        }
    }
}
