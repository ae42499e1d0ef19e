//! What whoever operates a pod sees of it: health and metrics, its end, its log.

use std::{fmt, net::Ipv4Addr, str::FromStr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Bind, count::Count, period::PeriodOrZero, text::text};

/// The server of health and metrics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// The address to listen on, written as a listener's `bind`. Probes and scrapers that come from
    /// other machines, as in Kubernetes, need one that is not a loopback address.
    pub bind: Bind,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            bind: Bind((Ipv4Addr::LOCALHOST, 9102).into()),
        }
    }
}

/// How a pod ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// How long all of it may take, from SIGTERM to exit; what is open then is cut off. Keep it below
    /// the pod's `terminationGracePeriodSeconds`.
    #[serde(with = "PeriodOrZero")]
    pub timeout: Duration,

    /// How many connections are closed per second, so that their devices do not all come back at
    /// once. More are where they would not all be closed in half of `timeout`.
    #[serde(with = "Count::<1, 1_000_000>")]
    pub rate: u32,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(25),
            rate: 1000,
        }
    }
}

/// What is logged, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// What is logged: `error`, `warn`, `info`, `debug` or `trace`; with a part of the program before
    /// it, for that part only, as in `info,exproto_gateway=debug`.
    pub level: LogLevel,

    /// How a line of the log looks.
    pub format: LogFormat,
}

/// A list of directives in the language of `tracing`'s `EnvFilter`; never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogLevel(String);

text!(LogLevel, "a level such as info");

impl LogLevel {
    /// The directives as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl Default for LogLevel {
    fn default() -> Self {
        Self("info".into())
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.pad(&self.0)
    }
}

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        for directive in text.split(',') {
            let level = directive
                .rsplit_once('=')
                .map_or(directive, |(_, level)| level);
            if !LEVELS.contains(&level.trim().to_lowercase().as_str()) {
                return Err(format!(
                    "\"{}\" is no log level; write one of {}, as in info or info,exproto_gateway=debug",
                    level.escape_debug(),
                    LEVELS.join(", ")
                ));
            }
        }
        Ok(Self(text.into()))
    }
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `text` on a terminal, else `json`.
    #[default]
    Auto,
    /// For people.
    Text,
    /// For machines: one JSON object per line.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_alone_and_for_parts_are_understood() {
        for text in [
            "info",
            "WARN",
            "off",
            "info,exproto_gateway=debug",
            "h2=trace,warn",
        ] {
            assert!(text.parse::<LogLevel>().is_ok(), "{text}");
        }
    }

    #[test]
    fn a_word_that_would_silence_everything_is_refused() {
        for text in [
            "",
            "warning",
            "verbose",
            "false",
            "info,exproto_gateway",
            "h2=loud",
        ] {
            assert!(text.parse::<LogLevel>().is_err(), "{text}");
        }
    }
}
