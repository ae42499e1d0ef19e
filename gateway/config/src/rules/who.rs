//! Whom a rule concerns: names, networks, and lists that may be written as one value.

use std::{
    fmt::{self, Display},
    marker::PhantomData,
    str::FromStr,
};

use ipnet::IpNet;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, SeqAccess, Visitor},
};

use crate::{limits::network, text::text};

/// A name, or the beginning of names, which is written with `*` at its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NamePattern {
    /// This name.
    Exact(String),
    /// Every name that begins so. (No name is empty, so `*` stands for whoever has a name.)
    Prefix(String),
}

text!(NamePattern, "a name, or its beginning and *");

impl Display for NamePattern {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Exact(name) => to.write_str(name),
            Self::Prefix(start) => write!(to, "{start}*"),
        }
    }
}

impl FromStr for NamePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, is_prefix) = match text.strip_suffix('*') {
            Some(start) => (start, true),
            None => (text, false),
        };
        if text.is_empty() {
            return Err("nobody has an empty name; write a name, or remove the key".into());
        }
        if name.contains('*') {
            return Err(format!(
                "\"{text}\" has a * that is not at its end; write a name, or its beginning and *"
            ));
        }
        if name.contains("${") {
            return Err(format!(
                "\"{text}\": nothing is filled in here; write a name, or its beginning and *"
            ));
        }
        Ok(if is_prefix {
            Self::Prefix(name.into())
        } else {
            Self::Exact(name.into())
        })
    }
}

/// A network, or an address, which is the network that holds only it.
pub(super) struct Network(pub(super) IpNet);

text!(Network, "an IP address or a network such as 10.0.0.0/8");

impl Display for Network {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(to)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        network(text).map(Self).ok_or_else(|| {
            format!("\"{text}\" is no address; write an IP address or a network such as 10.0.0.0/8")
        })
    }
}

/// Some values; one alone needs no list around it. Never empty.
pub(super) struct OneOrMore<T>(pub(super) Vec<T>);

impl<T: Serialize> Serialize for OneOrMore<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [one] => one.serialize(to),
            all => all.serialize(to),
        }
    }
}

impl<'de, T> Deserialize<'de> for OneOrMore<T>
where
    T: Deserialize<'de> + FromStr<Err: Display>,
{
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Values(PhantomData))
    }
}

struct Values<T>(PhantomData<T>);

impl<'de, T> Visitor<'de> for Values<T>
where
    T: Deserialize<'de> + FromStr<Err: Display>,
{
    type Value = OneOrMore<T>;

    fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str("a text or a list of texts")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMore<T>, E> {
        let one = text.parse().map_err(E::custom)?;
        Ok(OneOrMore(vec![one]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMore<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = list.next_element()? {
            all.push(one);
        }
        if all.is_empty() {
            let text = "the list is empty; write an entry, or remove the key";
            return Err(de::Error::custom(text));
        }
        Ok(OneOrMore(all))
    }
}
