//! The examples in the documentation are good configurations.

use std::{collections::BTreeSet, fs, path::Path};

use schemars::SchemaGenerator;
use serde_json::Value;

use crate::{Adapter, Bans, Config, Connection, Listener, Management};

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
    let missing = missing("listeners.md", &all);
    assert!(missing.is_empty(), "without an example: {missing:?}");
    assert!(all.len() > 60, "{}", all.len());
}

#[test]
fn every_option_of_the_management_api_and_of_callers_has_an_example() {
    let mut generator = SchemaGenerator::default();
    let mut all = BTreeSet::new();
    let schema = generator.root_schema_for::<Management>();
    keys(&schema.to_value(), &mut all);
    assert_eq!(missing("management.md", &all), Vec::<String>::new());
    let mut all: BTreeSet<_> = ["tls".to_owned(), "callers".to_owned()].into();
    let schema = generator.root_schema_for::<Adapter>().to_value();
    for key in ["tls", "callers"] {
        let of_it = &schema["properties"][key];
        let of_it = of_it.get("items").unwrap_or(of_it);
        let name = of_it["$ref"].as_str().expect("a type of its own");
        let name = name.rsplit('/').next().expect("a name");
        keys(&schema["$defs"][name], &mut all);
    }
    assert!(
        all.contains("crl_file") && all.contains("scopes"),
        "{all:?}"
    );
    assert_eq!(missing("security.md", &all), Vec::<String>::new());
}

/// The keys that no example of a page shows.
fn missing(page: &str, all: &BTreeSet<String>) -> Vec<String> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let text = fs::read_to_string(docs.join(page)).unwrap();
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
    let missing = all.iter().filter(|key| !is_shown(key));
    missing.cloned().collect()
}
