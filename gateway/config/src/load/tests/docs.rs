//! The examples in the documentation are good configurations.

use std::{collections::BTreeSet, fs, path::Path};

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

use crate::{
    Adapter, Authentication, Authorization, Backend, Bans, Config, Connection, Error, Handler,
    Listener, Management, Rules,
};

/// Reads every block behind that fence, and tells how many there are.
fn examples(fence: &str, read: impl Fn(&str, &str) -> Result<(), Error>) -> usize {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut examples = 0;
    for page in fs::read_dir(docs).unwrap() {
        let page = page.unwrap().path();
        let text = fs::read_to_string(&page).unwrap();
        let mut rest = &*text;
        while let Some((before, from)) = rest.split_once(fence) {
            let (example, after) = from.split_once("```").expect("an end");
            let line = text.len() - rest.len() + before.len();
            let line = text[..line].lines().count() + 1;
            let origin = format!("{}:{line}", page.display());
            if let Err(error) = read(example, &origin) {
                panic!("{error}\n{example}");
            }
            examples += 1;
            rest = after;
        }
    }
    examples
}

/// What is YAML and no configuration stands between tildes.
#[test]
fn every_example_in_the_documentation_is_a_good_one() {
    let read = |text: &str, origin: &str| Config::parse(text, origin).map(drop);
    let examples = examples("```yaml\n", read);
    assert!(examples > 20, "only {examples} were found");
}

/// Rules are fenced as `yml`, to be told from configurations.
#[test]
fn every_example_of_rules_in_the_documentation_is_a_good_one() {
    let read = |text: &str, origin: &str| Rules::parse(text, origin).map(drop);
    let examples = examples("```yml\n", read);
    assert!(examples > 1, "only {examples} were found");
}

/// Every key of a schema, at any depth, but for those below a key that has a page of its own.
fn keys<T: JsonSchema>(elsewhere: &[&str]) -> BTreeSet<String> {
    let root = SchemaGenerator::default().into_root_schema_for::<T>();
    let root = root.to_value();
    let mut all = BTreeSet::new();
    collect(&root, &root, elsewhere, &mut all);
    all
}

fn collect(root: &Value, schema: &Value, elsewhere: &[&str], all: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            for (word, below) in object {
                match (word.as_str(), below) {
                    ("$defs", _) => {}
                    ("$ref", Value::String(reference)) => {
                        let referred = root.pointer(reference.trim_start_matches('#'));
                        collect(root, referred.unwrap(), elsewhere, all);
                    }
                    ("properties", Value::Object(properties)) => {
                        for (key, below) in properties {
                            all.insert(key.clone());
                            if !elsewhere.contains(&key.as_str()) {
                                collect(root, below, elsewhere, all);
                            }
                        }
                    }
                    _ => collect(root, below, elsewhere, all),
                }
            }
        }
        Value::Array(array) => array
            .iter()
            .for_each(|value| collect(root, value, elsewhere, all)),
        _ => {}
    }
}

/// Fails where a key stands in no example of the page.
fn are_shown(page: &str, all: &BTreeSet<String>) {
    are_shown_behind("```yaml\n", page, all);
}

fn are_shown_behind(fence: &str, page: &str, all: &BTreeSet<String>) {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let text = fs::read_to_string(docs.join(page)).unwrap();
    let examples = text.split(fence).skip(1);
    let examples: String = examples
        .filter_map(|part| part.split("```").next())
        .collect();
    let mut shown: BTreeSet<&str> = BTreeSet::new();
    for line in examples.lines() {
        // Also those of mappings in one line.
        let words = line.split([' ', '{', '[', ',', '-']);
        shown.extend(words.filter_map(|word| word.strip_suffix(':')));
    }
    let missing: Vec<_> = all.iter().filter(|key| !shown.contains(&***key)).collect();
    assert!(
        missing.is_empty(),
        "{page}: without an example: {missing:?}"
    );
}

#[test]
fn every_option_of_listeners_and_bans_has_an_example() {
    let mut all = keys::<Listener>(&["authentication_chain"]);
    all.extend(keys::<Bans>(&[]));
    // Of connections what concerns sockets; the rest is of handlers.
    let messages = ["message_queue", "message_queue_bytes", "max_subscriptions"];
    let connection = keys::<Connection>(&[]).into_iter();
    all.extend(connection.filter(|key| !messages.contains(&&**key)));
    assert!(all.len() > 60, "{}", all.len());
    are_shown("listeners.md", &all);
}

#[test]
fn every_option_of_authentication_has_an_example() {
    let all = keys::<Authentication>(&[]);
    assert!(all.len() > 40, "{}", all.len());
    are_shown("authentication.md", &all);
}

#[test]
fn every_option_of_handlers_has_an_example() {
    let all = keys::<Handler>(&[]);
    assert!(all.len() > 35, "{}", all.len());
    are_shown("handlers.md", &all);
}

#[test]
fn every_option_of_the_management_api_and_of_callers_has_an_example() {
    are_shown("management.md", &keys::<Management>(&[]));
    let mut all = keys::<Adapter>(&[]);
    assert!(
        all.contains("crl_file") && all.contains("scopes"),
        "{all:?}"
    );
    // Sizes and addresses are no matter of security.
    all.retain(|key| {
        ![
            "insecure",
            "max_request",
            "max_connections",
            "max_concurrent_calls",
            "advertised_address",
        ]
        .contains(&&**key)
    });
    are_shown("security.md", &all);
}

#[test]
fn every_option_of_back_ends_has_an_example() {
    are_shown("backends.md", &keys::<Backend>(&[]));
}

#[test]
fn every_option_of_authorization_has_an_example() {
    // These are in `authentication.md`.
    let all = keys::<Authorization>(&["client", "server"]);
    assert!(all.len() > 10, "{all:?}");
    are_shown("authorization.md", &all);
}

#[test]
fn every_key_of_a_rule_has_an_example() {
    let text = "[{permission: deny, action: all, topic: a, clientid: a, username: a, ip: 10.0.0.1, \
                listener: a, attributes: {a: b}}]";
    let Rules(rules) = Rules::parse(text, "rules").unwrap();
    let Value::Object(written) = serde_json::to_value(&rules[0]).unwrap() else {
        panic!("a rule is a mapping");
    };
    let mut all: BTreeSet<String> = written.into_iter().map(|(key, _)| key).collect();
    all.insert("topic".into());
    assert_eq!(all.len(), 9, "{all:?}");
    are_shown_behind("```yml\n", "authorization.md", &all);
}
