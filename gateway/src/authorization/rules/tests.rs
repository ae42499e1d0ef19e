//! Whom rules concern, and that the index decides as a look at each rule would.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::{
    auth::Attributes,
    authorization::{
        Access,
        tests::{asker, publish, rules, subscribe},
    },
};

const ALLOW: Option<Permission> = Some(Permission::Allow);
const DENY: Option<Permission> = Some(Permission::Deny);

#[test]
fn the_first_rule_that_fits_decides() {
    let rules = rules(
        "- {permission: allow, action: publish, topic: a}\n\
         - {permission: deny, topics: [b, a]}\n\
         - {permission: allow, topic: '#'}\n",
    );
    let access = Access::default();
    let asker = asker("c", "u", &access);
    assert_eq!(rules.decide(&asker, &publish("a")), ALLOW);
    assert_eq!(rules.decide(&asker, &subscribe("a")), DENY);
    assert_eq!(rules.decide(&asker, &publish("b")), DENY);
    assert_eq!(rules.decide(&asker, &subscribe("c")), ALLOW);
    assert_eq!(rules.decide(&asker, &subscribe("$c")), None);
}

#[test]
fn whom_a_rule_names_must_be_who_asks() {
    let attributes = Attributes::from([("team".into(), "red".into())]);
    let access = Access::new(attributes, None, false);
    for (who, fits) in [
        ("clientid: truck-1", true),
        ("clientid: truck", false),
        ("clientid: 'truck-*'", true),
        ("clientid: ['x', 'tr*']", true),
        ("clientid: 'car-*'", false),
        ("username: bob", true),
        ("username: ['*']", true),
        ("username: alice", false),
        ("clientid: truck-1, username: alice", false),
        ("clientid: 'truck-*', username: bob", true),
        ("ip: 10.1.0.0/16", true),
        ("ip: [192.168.0.0/16, 10.1.2.3]", true),
        ("ip: 10.2.0.0/16", false),
        ("listener: [x, tcp]", true),
        ("listener: x", false),
        ("attributes: {team: red}", true),
        ("attributes: {team: blue}", false),
        ("attributes: {team: red, floor: '1'}", false),
        ("attributes: {}", true),
    ] {
        let rules = rules(&format!("- {{permission: allow, topic: a, {who}}}"));
        let decided = rules.decide(&asker("truck-1", "bob", &access), &publish("a"));
        assert_eq!(decided, fits.then_some(Permission::Allow), "{who}");
    }
}

#[test]
fn whoever_has_no_name_is_named_by_no_rule() {
    let rules = rules("- {permission: allow, topic: a, username: '*'}");
    let access = Access::default();
    let decided = rules.decide(&asker("c", "", &access), &publish("a"));
    assert_eq!(decided, None);
}

#[test]
fn rules_of_names_that_are_found_and_of_others_keep_their_order() {
    let text = |first: &str, second: &str, third: &str| {
        format!(
            "- {{permission: {first}, topic: a, username: [u, u]}}\n\
             - {{permission: {second}, topic: a, clientid: [x, c]}}\n\
             - {{permission: {third}, topic: a}}\n"
        )
    };
    let access = Access::default();
    let decide = |text: &str, clientid, username| {
        rules(text).decide(&asker(clientid, username, &access), &publish("a"))
    };
    let text = text("allow", "deny", "allow");
    assert_eq!(decide(&text, "c", "u"), ALLOW);
    assert_eq!(decide(&text, "c", "v"), DENY);
    assert_eq!(decide(&text, "d", "v"), ALLOW);
}

#[test]
fn rules_come_as_json_too() {
    let json = serde_json::json!([
        {"permission": "deny", "topic": "a", "username": "v"},
        {"permission": "allow", "topics": ["a", "b"], "action": "publish"},
    ]);
    let rules = Rules::from_json(&json).unwrap();
    let access = Access::default();
    assert_eq!(
        rules.decide(&asker("c", "u", &access), &publish("a")),
        ALLOW
    );
    // Whom they name is looked at as in a file.
    assert_eq!(rules.decide(&asker("c", "v", &access), &publish("a")), DENY);
    for json in [
        serde_json::json!({"pub": ["a"]}),
        serde_json::json!([{"permission": "allow"}]),
        serde_json::json!("all"),
    ] {
        assert!(Rules::from_json(&json).is_err(), "{json}");
    }
}

/// The text of a rule for a small world.
fn rule() -> impl Strategy<Value = String> {
    let who = |key: &'static str| {
        let names = prop::sample::subsequence(vec!["a", "b", "a*", "*"], 0..=2);
        names.prop_map(move |names| {
            let names: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
            if names.is_empty() {
                String::new()
            } else {
                format!(", {key}: [{}]", names.join(", "))
            }
        })
    };
    let permission = prop::sample::select(vec!["allow", "deny"]);
    let action = prop::sample::select(vec!["publish", "subscribe", "all"]);
    let topic = prop::sample::select(vec!["t", "#", "+", "u/+", "${clientid}"]);
    (permission, action, topic, who("clientid"), who("username")).prop_map(
        |(permission, action, topic, clientid, username)| {
            format!(
                "- {{permission: {permission}, action: {action}, topic: '{topic}'{clientid}{username}}}"
            )
        },
    )
}

proptest! {
    #[test]
    fn they_decide_as_one_by_one(texts in prop::collection::vec(rule(), 0..30)) {
        let text = texts.iter().fold(String::from("#\n"), |mut all, text| {
            writeln!(all, "{text}").unwrap();
            all
        });
        let rules = rules(&text);
        let access = Access::default();
        for clientid in ["a", "b", "ab", "c"] {
            for username in ["", "a", "b", "aa"] {
                let asker = asker(clientid, username, &access);
                let values = Values::of(&asker);
                for wanted in [publish("t"), publish("a"), subscribe("#"), subscribe("u/x")] {
                    let first = rules
                        .all
                        .iter()
                        .find(|rule| applies(rule, &asker, &wanted, &values));
                    prop_assert_eq!(
                        rules.decide(&asker, &wanted),
                        first.map(|rule| rule.permission),
                        "{} {} {:?}\n{}", clientid, username, &wanted, &text
                    );
                }
            }
        }
    }
}
