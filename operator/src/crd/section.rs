//! Settings of the gateway as a resource has them: the same types, names in camelCase.
//!
//! A resource does not repeat the gateway's configuration: what it says beside its own fields is a [`Section`], of which
//! the names, the meaning and the schema are those of `exproto-config`. What it says is read by `exproto-config` too.

/// From a schema of types to one that an API server takes.
mod structural;

use std::{borrow::Cow, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};

pub use self::structural::camel;
use self::structural::structural;

/// Part of the gateway's configuration.
pub trait Part: 'static {
    /// Its schemas.
    fn schemas() -> &'static Schemas;
}

/// The schemas of a part, in which nothing refers to anything.
pub struct Schemas {
    name: &'static str,
    /// Of the whole that it is part of, with the names of the configuration.
    whole: Value,
    /// Of its fields, with the names of a resource.
    fields: Map<String, Value>,
}

/// Some fields, by their paths in the configuration.
#[derive(Clone, Copy, Debug)]
pub enum Fields {
    /// These.
    Only(&'static [&'static str]),
    /// All but these; a path may lead to a field of a field.
    AllBut(&'static [&'static str]),
}

/// Declares a part: its name, the whole that it is part of, and its fields.
macro_rules! part {
    ($(#[$doc:meta])* $name:ident, $whole:ty, $fields:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name;

        impl $crate::crd::section::Part for $name {
            fn schemas() -> &'static $crate::crd::section::Schemas {
                static SCHEMAS: std::sync::LazyLock<$crate::crd::section::Schemas> =
                    std::sync::LazyLock::new(|| {
                        $crate::crd::section::Schemas::of::<$whole>(stringify!($name), $fields)
                    });
                &SCHEMAS
            }
        }
    };
}

pub(super) use part;

/// What a resource says of a part of the configuration. What is left out has the gateway's default.
pub struct Section<P> {
    values: Map<String, Value>,
    part: PhantomData<P>,
}

impl<P: Part> Section<P> {
    /// What is said, as the gateway's configuration has it.
    #[must_use]
    pub fn to_config(&self) -> Map<String, Value> {
        let values = Value::Object(self.values.clone());
        let Value::Object(values) = structural::to_snake(&values, &P::schemas().whole) else {
            unreachable!("an object stays one");
        };
        values
    }
}

impl Schemas {
    /// Those of some fields of a whole.
    pub(super) fn of<W: JsonSchema>(name: &'static str, some: Fields) -> Self {
        let settings = SchemaSettings::draft2020_12();
        let settings = settings.with(|settings| settings.inline_subschemas = true);
        let schema = settings.into_generator().into_root_schema_for::<W>();
        let whole = schema.to_value();
        let fields = fields(whole.clone(), some);
        let fields = fields.into_iter();
        Self {
            name,
            fields: fields
                .map(|(name, schema)| (camel(&name), structural(schema)))
                .collect(),
            whole,
        }
    }
}

/// The fields of that whole that are meant.
fn fields(mut whole: Value, some: Fields) -> Map<String, Value> {
    if let Fields::AllBut(paths) = some {
        for path in paths {
            structural::remove(&mut whole, path);
        }
    }
    let properties = whole.get_mut("properties").map(Value::take);
    let Some(Value::Object(mut properties)) = properties else {
        unreachable!("part of what has fields");
    };
    if let Fields::Only(names) = some {
        for name in names {
            assert!(properties.contains_key(*name), "there is a field {name}");
        }
        properties.retain(|name, _| names.contains(&name.as_str()));
    }
    properties
}

impl<P: Part> JsonSchema for Section<P> {
    fn schema_name() -> Cow<'static, str> {
        P::schemas().name.into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let schema = serde_json::json!({ "type": "object", "properties": P::schemas().fields });
        schema.try_into().expect("an object is a schema")
    }
}

impl<P> Clone for Section<P> {
    fn clone(&self) -> Self {
        Self {
            values: self.values.clone(),
            part: PhantomData,
        }
    }
}

impl<P> std::fmt::Debug for Section<P> {
    fn fmt(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
        self.values.fmt(to)
    }
}

impl<P> Default for Section<P> {
    fn default() -> Self {
        Self {
            values: Map::new(),
            part: PhantomData,
        }
    }
}

impl<P> PartialEq for Section<P> {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

impl<P> Serialize for Section<P> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.values.serialize(to)
    }
}

impl<'de, P: Part> Deserialize<'de> for Section<P> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let values = Map::deserialize(from)?;
        let known = &P::schemas().fields;
        if let Some(name) = values.keys().find(|name| !known.contains_key(*name)) {
            return Err(de::Error::custom(format!("there is no field {name}")));
        }
        Ok(Self {
            values,
            part: PhantomData,
        })
    }
}
