//! A configuration as a file: what differs from the default, and nothing else. An older gateway, which does not know the
//! newest fields, reads it where none of them is used.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Config, Listener};

impl Config {
    /// The configuration as a YAML file, without what is as by default. Read back, it is the same.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut written = differences(value(self), &value(&Self::default()));
        let default = value(&Listener::default());
        // Of a list, each item has defaults of its own.
        let listeners = self.listeners.iter();
        let listeners = listeners.map(|each| differences(value(each), &default).into());
        written.insert("listeners".into(), Value::Array(listeners.collect()));
        serde_saphyr::to_string(&written).expect("what was read can be written")
    }
}

fn value(part: &impl Serialize) -> Value {
    serde_json::to_value(part).expect("every value can be written")
}

/// The fields that are not as in `default`.
fn differences(value: Value, default: &Value) -> Map<String, Value> {
    let Value::Object(fields) = value else {
        unreachable!("a part of the configuration has fields");
    };
    let differing = fields.into_iter().filter_map(|(name, value)| {
        let default = &default[&name];
        if value == *default {
            return None;
        }
        // Keys of other objects are a user's, or say which one it is.
        let has_fields = value.is_object() && default.is_object();
        let value = if has_fields {
            differences(value, default).into()
        } else {
            value
        };
        Some((name, value))
    });
    differing.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str) -> String {
        let config = Config::parse(text, "here").unwrap();
        let written = config.to_yaml();
        assert_eq!(
            Config::parse(&written, "there").unwrap(),
            config,
            "{written}"
        );
        written
    }

    #[test]
    fn what_is_as_by_default_is_not_written() {
        assert_eq!(again(""), "listeners:\n- {}\n");
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let written = again(
            "listeners: [{name: a, bind: 1, limits: {max_connections: 5}}, {name: b, transport: udp, bind: 2}]\n\
             handler: {dns: {name: handler}}\n\
             authentication: {chain: [{jwt: {secret_file: /s, algorithms: [HS256], claims: {sub: \"${clientid}\"}}}]}\n\
             drain: {timeout: 0s}\n",
        );
        assert!(!written.contains("idle_timeout"), "{written}");
        assert!(written.contains("max_connections: 5"), "{written}");
    }
}
