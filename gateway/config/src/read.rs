//! From the tree to the types, by serde, with an error that says where and what instead.

use std::{fmt, iter::Enumerate, marker::PhantomData, slice};

use serde::{
    de::{
        self, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer, MapAccess,
        SeqAccess, Unexpected, VariantAccess, Visitor,
    },
    forward_to_deserialize_any,
};

use crate::{
    error::Problem,
    read::spelling::advice,
    tree::{Content, Entry, Node, join},
};

mod spelling;

/// Reads the whole tree into a type.
pub(crate) fn read<T: de::DeserializeOwned>(root: &Node) -> Result<T, Problem> {
    descend(PhantomData, root, String::new()).map_err(|fault| match fault {
        Fault::Located(problem) => problem,
        Fault::Bare(_) => unreachable!("the cursor has located it"),
    })
}

/// Reads each entry of a list by itself, so that the problems of all are told, or the first `most` of them.
pub(crate) fn read_each<T: de::DeserializeOwned>(
    items: &[Node],
    most: usize,
) -> Result<Vec<T>, Vec<Problem>> {
    let mut all = Vec::with_capacity(items.len());
    let mut problems = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match descend(PhantomData, item, format!("[{index}]")) {
            Ok(one) => all.push(one),
            Err(Fault::Located(problem)) => problems.push(problem),
            Err(Fault::Bare(_)) => unreachable!("the cursor has located it"),
        }
        if problems.len() == most {
            break;
        }
    }
    if problems.is_empty() {
        Ok(all)
    } else {
        Err(problems)
    }
}

/// Reads one value; what is wrong with it, and with nothing inside it, is wrong here.
fn descend<'de, S: DeserializeSeed<'de>>(
    seed: S,
    node: &Node,
    field: String,
) -> Result<S::Value, Fault> {
    seed.deserialize(Cursor {
        node,
        field: &field,
    })
    .map_err(|fault| match fault {
        Fault::Bare(text) => Fault::Located(Problem {
            place: node.place.clone(),
            field,
            text,
        }),
        located @ Fault::Located(_) => located,
    })
}

/// A problem, at first without its place: visitors cannot know that.
#[derive(Debug)]
enum Fault {
    Bare(String),
    Located(Problem),
}

impl fmt::Display for Fault {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Bare(text) => to.write_str(text),
            Self::Located(problem) => problem.fmt(to),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Bare(text.to_string())
    }

    fn invalid_type(found: Unexpected, expected: &dyn Expected) -> Self {
        Self::Bare(match found {
            Unexpected::Unit => format!("there is no value; write {expected}, or remove the key"),
            Unexpected::Seq => format!("this is a list; write {expected}"),
            Unexpected::Map => format!("this is a mapping; write {expected}"),
            Unexpected::Str(text) => format!("\"{text}\" does not fit; write {expected}"),
            _ => format!("{found} does not fit; write {expected}"),
        })
    }

    fn missing_field(key: &'static str) -> Self {
        Self::Bare(format!("{key} is missing; write {key}: and its value"))
    }

    fn unknown_variant(text: &str, known: &'static [&'static str]) -> Self {
        let choice = match known {
            [one] => (*one).to_owned(),
            _ => format!("one of {}", known.join(", ")),
        };
        Self::Bare(format!("\"{text}\" is not supported; write {choice}"))
    }
}

/// A value on its way to become typed.
struct Cursor<'a> {
    node: &'a Node,
    field: &'a str,
}

impl Cursor<'_> {
    /// Has the visitor take whatever is there; it objects if that is not what it wants.
    fn give<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.content {
            Content::Nothing => visitor.visit_unit(),
            Content::Text(text) => visitor.visit_str(text),
            Content::List(items) => visitor.visit_seq(Items {
                rest: items.iter().enumerate(),
                field: self.field,
            }),
            Content::Mapping(entries) => visitor.visit_map(Pairs::new(entries, self.field)),
        }
    }

    fn text(&self, wanted: &str) -> Result<&str, Fault> {
        match &self.node.content {
            Content::Text(text) => Ok(text),
            _ => Err(self.unfit(wanted)),
        }
    }

    fn unfit(&self, wanted: &str) -> Fault {
        de::Error::invalid_type(
            match &self.node.content {
                Content::Nothing => Unexpected::Unit,
                Content::Text(text) => Unexpected::Str(text),
                Content::List(_) => Unexpected::Seq,
                Content::Mapping(_) => Unexpected::Map,
            },
            &wanted,
        )
    }
}

impl<'de> Deserializer<'de> for Cursor<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.give(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.text("true or false")? {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            text => Err(Fault::Bare(format!(
                "\"{text}\" is neither true nor false; write one of them"
            ))),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let text = self.text("a whole number")?;
        let number = text.parse().map_err(|_| {
            Fault::Bare(format!(
                "\"{text}\" is not a whole number; write digits only"
            ))
        })?;
        visitor.visit_i64(number)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_str(self.text("text")?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node.content {
            Content::Nothing => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.content {
            Content::List(_) => self.give(visitor),
            _ => Err(self.unfit("a list, each entry after a dash")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let entries = match &self.node.content {
            Content::Nothing => &[][..],
            Content::Mapping(entries) => entries,
            _ => return Err(self.unfit(&format!("a mapping of the keys {}", keys.join(", ")))),
        };
        if let Some(entry) = entries
            .iter()
            .find(|entry| !keys.contains(&entry.key.as_str()))
        {
            return Err(Fault::Located(Problem {
                place: entry.place.clone(),
                field: join(self.field, &entry.key),
                text: format!("there is no such key; {}", advice(&entry.key, keys)),
            }));
        }
        visitor.visit_map(Pairs::new(entries, self.field))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        choices: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let Content::Mapping(entries) = &self.node.content else {
            let text = self.text(&choices.join(" or "))?;
            return visitor.visit_enum(text.into_deserializer());
        };
        let [entry] = &entries[..] else {
            return Err(Fault::Bare(format!(
                "this has {} keys; write exactly one of {}",
                entries.len(),
                choices.join(", ")
            )));
        };
        if !choices.contains(&entry.key.as_str()) {
            return Err(Fault::Located(Problem {
                place: entry.place.clone(),
                field: join(self.field, &entry.key),
                text: format!("there is no such key; {}", advice(&entry.key, choices)),
            }));
        }
        visitor.visit_enum(Choice {
            entry,
            field: self.field,
        })
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u32 u64 u128 f32 f64 char str bytes byte_buf unit unit_struct
        newtype_struct tuple tuple_struct map identifier ignored_any
    }
}

/// A mapping of one key, which says what its value is.
struct Choice<'a> {
    entry: &'a Entry,
    field: &'a str,
}

impl<'de> EnumAccess<'de> for Choice<'_> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let key: Result<_, Fault> = seed.deserialize(self.entry.key.as_str().into_deserializer());
        key.map(|key| (key, self))
    }
}

impl<'de> VariantAccess<'de> for Choice<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        let key = &self.entry.key;
        Err(Fault::Bare(format!(
            "{key} has no value; write {key} alone"
        )))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        let field = join(self.field, &self.entry.key);
        descend(seed, &self.entry.value, field)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Fault> {
        unreachable!("no choice of this configuration is a tuple")
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Fault> {
        unreachable!("each choice of this configuration is a struct of its own")
    }
}

struct Items<'a> {
    rest: Enumerate<slice::Iter<'a, Node>>,
    field: &'a str,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some((index, node)) = self.rest.next() else {
            return Ok(None);
        };
        let field = format!("{}[{index}]", self.field);
        descend(seed, node, field).map(Some)
    }
}

struct Pairs<'a> {
    rest: slice::Iter<'a, Entry>,
    pending: Option<&'a Entry>,
    field: &'a str,
}

impl<'a> Pairs<'a> {
    fn new(entries: &'a [Entry], field: &'a str) -> Self {
        Self {
            rest: entries.iter(),
            pending: None,
            field,
        }
    }
}

impl<'de> MapAccess<'de> for Pairs<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.pending = self.rest.next();
        let key = self.pending.map(|entry| entry.key.as_str());
        key.map(|key| seed.deserialize(key.into_deserializer()))
            .transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let entry = self.pending.expect("serde asks for a key before its value");
        let field = join(self.field, &entry.key);
        descend(seed, &entry.value, field)
    }
}
