//! Spans of time as the file has them: `500ms`, `10s`, `1m30s`. For `#[serde(with = …)]`.

use std::{fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserializer, Serializer, de};

use crate::text;

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A time that cannot be zero.
pub(crate) struct Period(Duration);

/// A time that may be zero: what it delays then happens at once.
pub(crate) struct PeriodOrZero;

/// A time that may be switched off, which is written `off`.
pub(crate) struct PeriodOrOff(Option<Duration>);

const EXPECTING: &str = "a time such as 10s";
const OFF: &str = "off";

/// A time as the file would have it, such as `10s`; not zero.
///
/// # Errors
/// What is wrong with it, and what to write.
pub fn parse_period(text: &str) -> Result<Duration, String> {
    match text.parse()? {
        Period(Duration::ZERO) => Err("0s is too short; write 1ms or more".into()),
        Period(period) => Ok(period),
    }
}

impl From<Duration> for Period {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl Period {
    pub(crate) fn duration(self) -> Duration {
        self.0
    }

    pub(crate) fn serialize<S: Serializer>(period: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&Self(*period))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        match text::parse(from, EXPECTING)? {
            Self(Duration::ZERO) => Err(de::Error::custom("0s is too short; write 1ms or more")),
            Self(period) => Ok(period),
        }
    }
}

impl PeriodOrZero {
    pub(crate) fn serialize<S: Serializer>(period: &Duration, to: S) -> Result<S::Ok, S::Error> {
        Period::serialize(period, to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        text::parse(from, EXPECTING).map(|Period(period)| period)
    }
}

impl PeriodOrOff {
    #[expect(
        clippy::ref_option,
        reason = "serde hands out a reference to the field"
    )]
    pub(crate) fn serialize<S: Serializer>(
        period: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match period {
            Some(period) => Period::serialize(period, to),
            None => to.serialize_str(OFF),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        text::parse(from, "a time such as 10s, or off").map(|Self(period)| period)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        let spaced = humantime::format_duration(self.0).to_string();
        to.write_str(&spaced.replace(' ', ""))
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.parse::<f64>().is_ok() {
            return Err(format!(
                "{text} has no unit; write for example {text}s or {text}ms"
            ));
        }
        let period = humantime::parse_duration(text).map_err(|_| {
            format!("\"{text}\" is not a time; write a number and a unit, for example 10s or 500ms")
        })?;
        if !period.is_zero() && period < SHORTEST {
            return Err(format!("{text} is too short; write 1ms or more"));
        }
        if period > LONGEST {
            return Err(format!("{text} is too long; write 365days or less"));
        }
        Ok(Self(period))
    }
}

impl FromStr for PeriodOrOff {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == OFF {
            return Ok(Self(None));
        }
        match text
            .parse()
            .map_err(|error| format!("{error}, or \"off\""))?
        {
            Period(Duration::ZERO) => Err("0s is too short; write \"off\" to switch it off".into()),
            Period(period) => Ok(Self(Some(period))),
        }
    }
}

macro_rules! schema_of_text {
    ($($name:ident),+) => {
        $(impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string" })
            }
        })+
    };
}

schema_of_text!(Period, PeriodOrZero, PeriodOrOff);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_shown_as_it_may_be_written() {
        for text in ["1ms", "500ms", "10s", "1m30s", "2h", "1h1s", "365days"] {
            let period: Period = text.parse().unwrap();
            assert_eq!(
                period.to_string().parse::<Period>().unwrap().0,
                period.0,
                "{text}"
            );
        }
        assert_eq!(
            Period(Duration::from_millis(90_500)).to_string(),
            "1m30s500ms"
        );
    }

    #[test]
    fn what_is_no_period_says_what_to_write() {
        let cases = [
            ("10", "10 has no unit; write for example 10s or 10ms"),
            (
                "",
                "\"\" is not a time; write a number and a unit, for example 10s or 500ms",
            ),
            ("10us", "10us is too short; write 1ms or more"),
            ("2years", "2years is too long; write 365days or less"),
        ];
        for (text, error) in cases {
            assert_eq!(
                text.parse::<Period>().err().as_deref(),
                Some(error),
                "{text}"
            );
        }
    }
}
