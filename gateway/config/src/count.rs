//! Whole numbers with bounds, for `#[serde(with = …)]`.
//!
//! The bounds are checked when the file is read and stand in the schema, so that the manual can
//! name them.

use std::{num::NonZeroU32, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serializer, de};

use crate::text;

/// A `u32` from `MIN` to `MAX`.
pub(crate) struct Count<const MIN: u32, const MAX: u32>;

impl<const MIN: u32, const MAX: u32> Count<MIN, MAX> {
    pub(crate) fn serialize<T: Copy + Into<u32>, S: Serializer>(
        count: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_u32((*count).into())
    }

    pub(crate) fn deserialize<'de, T: FromCount, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        // Wider than the field, so that the error names the bounds and not a type of the program.
        let count = i64::deserialize(from)?;
        u32::try_from(count)
            .ok()
            .filter(|count| (MIN..=MAX).contains(count))
            .and_then(T::from_count)
            .ok_or_else(|| {
                de::Error::custom(format_args!(
                    "{count} is out of bounds; write a number from {MIN} to {MAX}"
                ))
            })
    }
}

impl<const MIN: u32, const MAX: u32> JsonSchema for Count<MIN, MAX> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Count_{MIN}_to_{MAX}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// An `i32` from `MIN` to `MAX`.
pub(crate) struct Signed<const MIN: i32, const MAX: i32>;

impl<const MIN: i32, const MAX: i32> Signed<MIN, MAX> {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde hands out a reference to the field"
    )]
    pub(crate) fn serialize<S: Serializer>(number: &i32, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i32(*number)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
        let number = i64::deserialize(from)?;
        i32::try_from(number)
            .ok()
            .filter(|number| (MIN..=MAX).contains(number))
            .ok_or_else(|| {
                de::Error::custom(format_args!(
                    "{number} is out of bounds; write a number from {MIN} to {MAX}"
                ))
            })
    }
}

impl<const MIN: i32, const MAX: i32> JsonSchema for Signed<MIN, MAX> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Signed_{MIN}_to_{MAX}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// A count that may be switched off, which is written `off`.
pub(crate) struct CountOrOff<const MIN: u32, const MAX: u32>;

impl<const MIN: u32, const MAX: u32> CountOrOff<MIN, MAX> {
    #[expect(
        clippy::ref_option,
        clippy::trivially_copy_pass_by_ref,
        reason = "serde hands out a reference to the field"
    )]
    pub(crate) fn serialize<S: Serializer>(
        count: &Option<NonZeroU32>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match count {
            Some(count) => to.serialize_u32(count.get()),
            None => to.serialize_str(OFF),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<NonZeroU32>, D::Error> {
        let Written(count) = text::parse(from, "a number, or off")?;
        let Some(count) = count else { return Ok(None) };
        u32::try_from(count)
            .ok()
            .filter(|count| (MIN..=MAX).contains(count))
            .and_then(NonZeroU32::new)
            .map(Some)
            .ok_or_else(|| {
                de::Error::custom(format_args!(
                    "{count} is out of bounds; write a number from {MIN} to {MAX}, or \"off\""
                ))
            })
    }
}

impl<const MIN: u32, const MAX: u32> JsonSchema for CountOrOff<MIN, MAX> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Count_{MIN}_to_{MAX}_or_off").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"], "x-minimum": MIN, "x-maximum": MAX })
    }
}

const OFF: &str = "off";

struct Written(Option<i64>);

impl FromStr for Written {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == OFF {
            return Ok(Self(None));
        }
        text.parse()
            .map(|count| Self(Some(count)))
            .map_err(|_| format!("\"{text}\" is not a whole number; write digits only, or \"off\""))
    }
}

/// The types of fields that a count can fill.
pub(crate) trait FromCount: Sized {
    fn from_count(count: u32) -> Option<Self>;
}

impl FromCount for u32 {
    fn from_count(count: u32) -> Option<Self> {
        Some(count)
    }
}

impl FromCount for u16 {
    fn from_count(count: u32) -> Option<Self> {
        count.try_into().ok()
    }
}

impl FromCount for NonZeroU32 {
    fn from_count(count: u32) -> Option<Self> {
        Self::new(count)
    }
}
