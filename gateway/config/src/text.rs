//! Types that stand in the file as one piece of text: addresses, names, sizes.
//!
//! Such a type says how it is read (`FromStr`) and shown (`Display`), and nothing else; what serde
//! and the schema need follows from these two.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{Deserializer, de};

/// Derives `Serialize`, `Deserialize` and `JsonSchema` from `Display` and `FromStr`.
///
/// The second argument completes the sentence "write …" in the error for a list or a mapping that
/// stands where the text should.
macro_rules! text {
    ($name:ident, $expecting:literal) => {
        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                $crate::text::parse(from, $expecting)
            }
        }

        impl ::schemars::JsonSchema for $name {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                ::schemars::json_schema!({ "type": "string" })
            }
        }
    };
}

pub(crate) use text;

/// A text in an error; it may be as long as a file.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 100;
    let short: String = text.chars().take(MOST).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("{}{more}", short.escape_debug())
}

/// Reads a `T` from text, or from a number as it would be written.
pub(crate) fn parse<'de, T, D>(from: D, expecting: &'static str) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    // A bare port or a count of bytes is a number to YAML and JSON, hence `any`.
    from.deserialize_any(Text {
        expecting,
        target: PhantomData,
    })
}

struct Text<T> {
    expecting: &'static str,
    target: PhantomData<T>,
}

impl<T: FromStr<Err: fmt::Display>> de::Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str(self.expecting)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}
