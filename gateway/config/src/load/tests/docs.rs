//! The examples in the documentation are good configurations.

use std::{collections::BTreeSet, fs, path::Path};

use schemars::SchemaGenerator;
use serde_json::Value;

use crate::{Bans, Config, Connection, Listener};

#[test]
fn every_example_in_the_documentation_is_a_good_one() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut examples = 0;
    for page in fs::read_dir(docs).unwrap() {
        let page = page.unwrap().path();
        let text = fs::read_to_string(&page).unwrap();
        let mut rest = &*text;
        while let Some((before, from)) = rest.split_once("```yaml\n") {
            let (example, after) = from.split_once("```").expect("an end");
            let line = text.len() - rest.len() + before.len();
            let line = text[..line].lines().count() + 1;
            let origin = format!("{}:{line}", page.display());
            if let Err(error) = Config::parse(example, &origin) {
                panic!("{error}\n{example}");
            }
            examples += 1;
            rest = after;
        }
    }
    assert!(examples > 20, "only {examples} were found");
}

/// Every key of a schema, at any depth.
fn keys(schema: &Value, all: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Object(properties)) = object.get("properties") {
                all.extend(properties.keys().cloned());
            }
            object.values().for_each(|value| keys(value, all));
        }
        Value::Array(array) => array.iter().for_each(|value| keys(value, all)),
        _ => {}
    }
}

#[test]
fn every_option_of_listeners_and_bans_has_an_example() {
    let mut all = BTreeSet::new();
    let mut generator = SchemaGenerator::default();
    for schema in [
        generator.root_schema_for::<Listener>(),
        generator.root_schema_for::<Bans>(),
    ] {
        keys(&schema.to_value(), &mut all);
    }
    // Of connections what concerns sockets; the rest is of handlers.
    let mut connection = BTreeSet::new();
    let schema = generator.root_schema_for::<Connection>();
    keys(&schema.to_value(), &mut connection);
    let messages = ["message_queue", "message_queue_bytes", "max_subscriptions"];
    all.extend(
        connection
            .into_iter()
            .filter(|key| !messages.contains(&&**key)),
    );
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/listeners.md");
    let text = fs::read_to_string(page).unwrap();
    let examples = text.split("```yaml\n").skip(1);
    let examples: String = examples
        .filter_map(|part| part.split("```").next())
        .collect();
    let is_shown = |key: &String| {
        let lines = examples
            .lines()
            .map(|line| line.trim_start_matches([' ', '-']));
        lines
            .map(|line| line.split(':').next())
            .any(|shown| shown == Some(key))
    };
    let missing: Vec<_> = all.iter().filter(|key| !is_shown(key)).collect();
    assert!(missing.is_empty(), "without an example: {missing:?}");
    assert!(all.len() > 60, "{}", all.len());
}
