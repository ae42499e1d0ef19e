//! Whole numbers with bounds, for `#[serde(with = …)]`.
//!
//! The bounds are checked when the file is read and stand in the schema, so that the manual can
//! name them.

use std::num::NonZeroU32;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serializer, de};

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

/// The types of fields that a count can fill.
pub(crate) trait FromCount: Sized {
    fn from_count(count: u32) -> Option<Self>;
}

impl FromCount for u32 {
    fn from_count(count: u32) -> Option<Self> {
        Some(count)
    }
}

impl FromCount for NonZeroU32 {
    fn from_count(count: u32) -> Option<Self> {
        Self::new(count)
    }
}
