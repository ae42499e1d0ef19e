//! How often something may happen: `1000/s`, `60/1m`, `1MiB/s`. For `#[serde(with = …)]`.

use std::{fmt, marker::PhantomData, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserializer, Serializer};

use crate::{ByteSize, period::Period, text};

/// So many in a period. All of them may come at once; what was used comes back evenly over the period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many: events or bytes. Never zero.
    pub amount: u64,
    /// In how long.
    pub period: Duration,
}

/// A rate of events that may be switched off, which is written `off`.
pub(crate) struct RateOrOff;

/// A rate of bytes that may be switched off, which is written `off`.
pub(crate) struct ByteRateOrOff;

const OFF: &str = "off";
const SECOND: Duration = Duration::from_secs(1);

/// What is counted.
trait Unit {
    const EXPECTING: &'static str;
    const EXAMPLE: &'static str;
    fn amount(text: &str) -> Option<u64>;
    fn show(amount: u64) -> String;
}

impl Unit for RateOrOff {
    const EXPECTING: &'static str = "a rate such as 1000/s, or off";
    const EXAMPLE: &'static str = "1000/s or 60/1m";

    fn amount(text: &str) -> Option<u64> {
        text.parse().ok()
    }

    fn show(amount: u64) -> String {
        amount.to_string()
    }
}

impl Unit for ByteRateOrOff {
    const EXPECTING: &'static str = "a rate of bytes such as 64KiB/s, or off";
    const EXAMPLE: &'static str = "64KiB/s or 10MB/1m";

    fn amount(text: &str) -> Option<u64> {
        let size: ByteSize = text.parse().ok()?;
        Some(size.bytes() as u64)
    }

    fn show(amount: u64) -> String {
        ByteSize::new(amount).to_string()
    }
}

/// The text of a rate, or `off`.
struct Written<U>(Option<Rate>, PhantomData<U>);

impl<U: Unit> FromStr for Written<U> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == OFF {
            return Ok(Self(None, PhantomData));
        }
        let wrong = || {
            format!(
                "\"{text}\" is not a rate; write for example {}, or \"off\"",
                U::EXAMPLE
            )
        };
        let (amount, period) = text.split_once('/').ok_or_else(wrong)?;
        let amount = U::amount(amount.trim()).ok_or_else(wrong)?;
        if amount == 0 {
            return Err(format!(
                "{text} lets nothing through; write \"off\" for no limit, or a larger rate"
            ));
        }
        let period = match period.trim() {
            "s" => SECOND,
            "m" => 60 * SECOND,
            "h" => 3600 * SECOND,
            text => text.parse::<Period>().map_err(|_| wrong())?.duration(),
        };
        if period.is_zero() {
            return Err(wrong());
        }
        Ok(Self(Some(Rate { amount, period }), PhantomData))
    }
}

impl<U: Unit> fmt::Display for Written<U> {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        match self.0 {
            None => to.write_str(OFF),
            Some(Rate { amount, period }) if period == SECOND => {
                write!(to, "{}/s", U::show(amount))
            }
            Some(Rate { amount, period }) => {
                write!(to, "{}/{}", U::show(amount), Period::from(period))
            }
        }
    }
}

macro_rules! or_off {
    ($($name:ident),+) => {
        $(impl $name {
            #[expect(clippy::ref_option, reason = "serde hands out a reference to the field")]
            pub(crate) fn serialize<S: Serializer>(rate: &Option<Rate>, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(&Written::<Self>(*rate, PhantomData))
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Rate>, D::Error> {
                text::parse(from, Self::EXPECTING).map(|Written::<Self>(rate, _)| rate)
            }
        }

        impl JsonSchema for $name {
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

or_off!(RateOrOff, ByteRateOrOff);

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str) -> Result<Option<Rate>, String> {
        text.parse::<Written<RateOrOff>>().map(|rate| rate.0)
    }

    fn bytes(text: &str) -> Result<Option<Rate>, String> {
        text.parse::<Written<ByteRateOrOff>>().map(|rate| rate.0)
    }

    #[test]
    fn a_rate_is_an_amount_and_a_period() {
        let rate = |amount, seconds| {
            Ok(Some(Rate {
                amount,
                period: seconds * SECOND,
            }))
        };
        assert_eq!(events("1000/s"), rate(1000, 1));
        assert_eq!(events("60/1m"), rate(60, 60));
        assert_eq!(events("60/m"), rate(60, 60));
        assert_eq!(bytes("64KiB/s"), rate(64 << 10, 1));
        assert_eq!(bytes("10MB/1m30s"), rate(10_000_000, 90));
        assert_eq!(events("off"), Ok(None));
    }

    #[test]
    fn a_rate_is_shown_as_it_may_be_written() {
        for text in ["1000/s", "60/1m", "off", "7/1m30s"] {
            let rate: Written<RateOrOff> = text.parse().unwrap();
            assert_eq!(rate.to_string(), text);
        }
        for text in ["64KiB/s", "1MiB/500ms"] {
            let rate: Written<ByteRateOrOff> = text.parse().unwrap();
            assert_eq!(rate.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in [
            "",
            "1000",
            "1000/",
            "/s",
            "0/s",
            "-1/s",
            "1KiB/s",
            "5/0s",
            "5/fortnight",
        ] {
            assert!(events(text).is_err(), "{text}");
        }
        assert!(bytes("0/s").is_err());
    }
}
