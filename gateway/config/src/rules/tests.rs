use std::fs;

use super::*;

fn parse(text: &str) -> Result<Vec<Rule>, String> {
    let rules = Rules::parse(text, "acl.yaml").map_err(|error| error.to_string())?;
    Ok(rules.0)
}

#[test]
fn a_rule_has_every_key() {
    let rules = parse(
        "- permission: allow\n\
         \x20 action: publish\n\
         \x20 topics: ['a/${clientid}', 'eq #']\n\
         \x20 clientid: [dev-*, \"1\"]\n\
         \x20 username: bob\n\
         \x20 ip: [10.0.0.0/8, ::1]\n\
         \x20 listener: tcp\n\
         \x20 attributes: {tenant: acme, floor: 3}\n\
         - {permission: deny, topic: '#'}\n",
    )
    .unwrap();
    let [first, second] = &rules[..] else {
        panic!("{rules:?}")
    };
    assert_eq!(first.permission, Permission::Allow);
    assert_eq!(first.action, Action::Publish);
    assert_eq!(first.topics.len(), 2);
    assert_eq!(
        first.clientid,
        [
            NamePattern::Prefix("dev-".into()),
            NamePattern::Exact("1".into())
        ]
    );
    assert_eq!(first.username, [NamePattern::Exact("bob".into())]);
    assert_eq!(first.ip.len(), 2);
    assert_eq!(first.listener[0].as_str(), "tcp");
    assert_eq!(first.attributes["floor"], "3");
    assert_eq!(second.action, Action::All);
    assert!(second.clientid.is_empty() && second.attributes.is_empty());
}

#[test]
fn what_is_written_is_read_back_also_from_json() {
    let text = "- {permission: allow, topics: [a, b], clientid: [x, y*], ip: 10.0.0.1, attributes: {a: b}}\n\
                - {permission: deny, action: subscribe, topic: 'eq #', username: [z], listener: [a, b]}\n";
    for rule in parse(text).unwrap() {
        let json = serde_json::to_value(&rule).unwrap();
        assert_eq!(serde_json::from_value::<Rule>(json).unwrap(), rule);
    }
}

#[test]
fn a_rule_of_emqx_in_json_is_taken() {
    let json = r#"{"permission": "allow", "action": "subscribe", "topic": "eq a/#"}"#;
    let rule: Rule = serde_json::from_str(json).unwrap();
    assert_eq!(rule.action, Action::Subscribe);
    // What would make it narrower and is not known here must not be overlooked.
    let json = r#"{"permission": "allow", "action": "all", "topic": "a", "qos": [0]}"#;
    let error = serde_json::from_str::<Rule>(json).unwrap_err().to_string();
    assert!(error.contains("qos"), "{error}");
}

#[test]
fn an_empty_file_holds_no_rules() {
    for text in ["", "# nothing\n", "[]", "---\n"] {
        assert_eq!(parse(text), Ok(Vec::new()), "{text:?}");
    }
}

#[test]
fn every_error_says_where_and_what_to_write() {
    for (text, expected) in [
        (
            "permission: allow",
            "1:1: this is no list; write each rule after a dash",
        ),
        (
            "allow all",
            "1:1: this is no list; write each rule after a dash",
        ),
        (
            "- allow all",
            "1:3: [0]: \"allow all\" does not fit; write a mapping of the keys permission, action, \
             topic, topics, clientid, username, ip, listener, attributes",
        ),
        (
            "- {permission: deny, topic: a}\n- permission: allow\n  topci: a",
            "3:3: [1].topci: there is no such key; did you mean topic?",
        ),
        (
            "- topic: a",
            "1:3: [0]: permission is missing; write permission: and its value",
        ),
        (
            "- permission: allow",
            "1:3: [0]: topic is missing; write topic: and its value",
        ),
        (
            "- permission: permit\n  topic: a",
            "1:15: [0].permission: \"permit\" is not supported; write one of allow, deny",
        ),
        (
            "- permission: allow\n  action: read\n  topic: a",
            "2:11: [0].action: \"read\" is not supported; write one of publish, subscribe, all",
        ),
        (
            "- permission: allow\n  topic: a\n  topics: [b]",
            "1:3: [0]: there are topic and topics; keep one of them",
        ),
        (
            "- permission: allow\n  topics: []",
            "2:11: [0].topics: the list is empty; write an entry, or remove the key",
        ),
        (
            "- permission: allow\n  topics:\n  - a\n  - b/#/c",
            "4:5: [0].topics[1]: \"b/#/c\" is no topic filter: # must stand alone and be the last \
             level, as in a/#",
        ),
        (
            "- permission: allow\n  topic: ${client}/a",
            "2:10: [0].topic: \"${client}/a\" is no topic filter: ${client} is not filled in, \
             only ${clientid}, ${username} and ${attr.NAME} are; write one of them, or remove it",
        ),
        (
            "- permission: allow\n  topic: a\n  clientid:",
            "3:11: [0].clientid: there is no value; write a text or a list of texts, or remove the \
             key",
        ),
        (
            "- permission: allow\n  topic: a\n  username: []",
            "3:13: [0].username: the list is empty; write an entry, or remove the key",
        ),
        (
            "- permission: allow\n  topic: a\n  clientid: [a, b*c]",
            "3:17: [0].clientid[1]: \"b*c\" has a * that is not at its end; write a name, or its \
             beginning and *",
        ),
        (
            "- permission: allow\n  topic: a\n  username: \"\"",
            "3:13: [0].username: nobody has an empty name; write a name, or remove the key",
        ),
        (
            "- permission: allow\n  topic: a\n  ip: 10.0.0.0/33",
            "3:7: [0].ip: \"10.0.0.0/33\" is no address; write an IP address or a network such as \
             10.0.0.0/8",
        ),
        (
            "- permission: allow\n  topic: a\n  attributes: {tenant: [a]}",
            "3:24: [0].attributes.tenant: this is a list; write text",
        ),
        (
            "- permission: allow\n  topic: 'a",
            "2:10: this is not YAML: unclosed quote; close it",
        ),
    ] {
        assert_eq!(parse(text), Err(format!("acl.yaml:{expected}")), "{text}");
    }
}

#[test]
fn all_rules_that_are_wrong_are_told_but_no_more_than_some() {
    let error = parse("- a\n- {permission: allow, topic: b}\n- c\n").unwrap_err();
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines.len(), 2, "{error}");
    assert!(lines[1].starts_with("acl.yaml:3:3: [2]: "), "{error}");
    let error = parse(&"- a\n".repeat(1000)).unwrap_err();
    assert_eq!(error.lines().count(), MAX_PROBLEMS);
}

#[test]
fn a_file_is_read_up_to_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acl.yaml");
    assert!(matches!(Rules::load(&path), Err(Error::Read { .. })));
    fs::write(&path, "- {permission: allow, topic: a}\n").unwrap();
    assert_eq!(Rules::load(&path).unwrap().0.len(), 1);
    fs::write(&path, "#".repeat(MAX_FILE.bytes() + 1)).unwrap();
    let error = Rules::load(&path).unwrap_err().to_string();
    assert!(error.contains("larger than 16MiB"), "{error}");
}

#[test]
fn no_depth_of_brackets_is_too_much() {
    let error = parse(&"[".repeat(1_000_000)).unwrap_err();
    assert!(error.len() < 1000, "{}", error.len());
}
