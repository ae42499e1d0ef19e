//! Names that turn up in logs, metrics and ids, and so are kept short and plain.

use std::{fmt, str::FromStr};

use crate::text::text;

const LONGEST: usize = 63;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $allowed:expr, $alphabet:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        text!($name, "a name");

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
                to.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let allowed: fn(char) -> bool = $allowed;
                if (1..=LONGEST).contains(&text.len()) && text.chars().all(allowed) {
                    return Ok(Self(text.into()));
                }
                Err(format!(
                    concat!(
                        "\"{}\" cannot name a ",
                        $what,
                        "; write 1 to 63 characters out of ",
                        $alphabet
                    ),
                    text
                ))
            }
        }
    };
}

name!(
    /// What a listener is called in logs, in metrics and towards the handler.
    ListenerName,
    "listener",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-',
    "a-z, 0-9 and -"
);

name!(
    /// What the pods that work together have in common.
    ClusterName,
    "cluster",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-',
    "a-z, 0-9 and -"
);

name!(
    /// What tells a pod from its peers.
    PodName,
    "pod",
    |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'),
    "A-Z, a-z, 0-9, ., _ and -"
);

impl PodName {
    /// The nearest name to a host name, which may be longer or hold other characters.
    pub(crate) fn from_host(host: &str) -> Option<Self> {
        let name: String = host
            .trim()
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') {
                    c
                } else {
                    '-'
                }
            })
            .take(LONGEST)
            .collect();
        (!name.is_empty()).then_some(Self(name))
    }
}

impl Default for ListenerName {
    fn default() -> Self {
        Self("tcp".into())
    }
}

impl Default for ClusterName {
    fn default() -> Self {
        Self("default".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for text in ["a", "tcp-1", &"x".repeat(63)] {
            assert!(text.parse::<ListenerName>().is_ok(), "{text}");
        }
        for text in ["", "TCP", "a_b", "a.b", "ä", &"x".repeat(64)] {
            assert!(text.parse::<ListenerName>().is_err(), "{text}");
        }
        assert!("Gateway_0.example".parse::<PodName>().is_ok());
    }

    #[test]
    fn a_host_name_becomes_the_nearest_pod_name() {
        let name = |host: &str| PodName::from_host(host).map(|name| name.to_string());
        assert_eq!(name("gateway-0\n").as_deref(), Some("gateway-0"));
        assert_eq!(name("my host").as_deref(), Some("my-host"));
        assert_eq!(name(&"x".repeat(80)), Some("x".repeat(63)));
        assert_eq!(name("\n"), None);
    }
}
