//! Amounts of memory.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::text::text;

/// A number of bytes, written with its unit: `64KiB`, `1MiB`, `10MB`, or plain `4096`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

text!(ByteSize, "a size such as 256KiB");

/// Units that are shown, largest first.
const BINARY: [(&str, u64); 4] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];

const DECIMAL: [(&str, u64); 4] = [
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
];

impl ByteSize {
    /// So many bytes.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many times 1024 bytes.
    #[must_use]
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    /// So many times 1024 × 1024 bytes.
    #[must_use]
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// The size as a length in memory.
    #[must_use]
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        let exact = BINARY
            .iter()
            .find(|(_, unit)| self.0 >= *unit && self.0.is_multiple_of(*unit));
        match exact {
            Some((name, unit)) => write!(to, "{}{name}", self.0 / unit),
            None => self.0.fmt(to),
        }
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("\"{text}\" is not a size; write bytes or a unit, for example 256KiB");
        let end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (count, unit) = text.split_at(end);
        let count: u64 = count.parse().map_err(|_| wrong())?;
        let unit = match unit.trim_start() {
            "" | "B" => 1,
            name => BINARY
                .iter()
                .chain(&DECIMAL)
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, unit)| *unit)
                .ok_or_else(wrong)?,
        };
        count.checked_mul(unit).map(Self).ok_or_else(wrong)
    }
}

/// A size from `MIN` to `MAX` KiB, for `#[serde(with = …)]`.
pub(crate) struct KibBetween<const MIN: u64, const MAX: u64>;

impl<const MIN: u64, const MAX: u64> KibBetween<MIN, MAX> {
    pub(crate) fn serialize<T: Serialize, S: Serializer>(
        size: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        size.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ByteSize, D::Error> {
        let (min, max) = (ByteSize::kib(MIN), ByteSize::kib(MAX));
        let size = ByteSize::deserialize(from)?;
        if (min..=max).contains(&size) {
            return Ok(size);
        }
        Err(de::Error::custom(format_args!(
            "{size} is out of bounds; write a size from {min} to {max}"
        )))
    }
}

impl<const MIN: u64, const MAX: u64> JsonSchema for KibBetween<MIN, MAX> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("ByteSize_{MIN}_to_{MAX}_KiB").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // JSON Schema has no bounds for text; the manual reads these.
        json_schema!({
            "type": "string",
            "x-minimum": ByteSize::kib(MIN).to_string(),
            "x-maximum": ByteSize::kib(MAX).to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_binary_or_decimal_in_any_case() {
        let cases = [
            ("123", 123),
            ("0", 0),
            ("4096B", 4096),
            ("256KiB", 256 << 10),
            ("256 kib", 256 << 10),
            ("1MiB", 1 << 20),
            ("10MB", 10_000_000),
            ("10kB", 10_000),
            ("10KB", 10_000),
            ("3GiB", 3 << 30),
        ];
        for (text, bytes) in cases {
            assert_eq!(text.parse(), Ok(ByteSize::new(bytes)), "{text}");
        }
    }

    #[test]
    fn the_largest_exact_unit_is_shown() {
        let cases = [
            (0, "0"),
            (1000, "1000"),
            (1024, "1KiB"),
            (1536, "1536"),
            (1 << 20, "1MiB"),
            ((1 << 20) + 1024, "1025KiB"),
            (1 << 40, "1TiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(ByteSize::new(bytes).to_string(), text);
            assert_eq!(text.parse(), Ok(ByteSize::new(bytes)));
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "KiB",
            "-1",
            "1.5MiB",
            "1 parsec",
            "1K",
            "99999999999TiB",
        ] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
