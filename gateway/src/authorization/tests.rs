//! The order of decisions. How rules and filters decide is tested beside them.

use std::fs;

use config::{AuthorizationSource, RulesFile};
use tempfile::TempDir;

use super::*;
use crate::{auth::Attributes, broker::Qos};

pub(super) fn publish(topic: &str) -> Wanted<'_> {
    Wanted::new(Verb::Publish, topic, Qos::AtMostOnce)
}

pub(super) fn subscribe(filter: &str) -> Wanted<'_> {
    Wanted::new(Verb::Subscribe, filter, Qos::AtMostOnce)
}

pub(super) fn asker<'a>(clientid: &'a str, username: &'a str, access: &'a Access) -> Asker<'a> {
    Asker {
        clientid,
        username,
        ip: [10, 1, 2, 3].into(),
        listener: "tcp",
        is_mounted: false,
        access,
    }
}

pub(super) fn rules(text: &str) -> Rules {
    Rules::new(config::Rules::parse(text, "acl.yaml").unwrap())
}

/// Files of rules, each a source.
struct Files(TempDir);

impl Files {
    fn new(texts: &[&str]) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        for (number, text) in texts.iter().enumerate() {
            files.write(number, text);
        }
        files
    }

    fn path(&self, number: usize) -> PathBuf {
        self.0.path().join(number.to_string())
    }

    fn write(&self, number: usize, text: &str) {
        fs::write(self.path(number), text).unwrap();
    }

    fn config(&self, count: usize) -> Authorization {
        let source = |number| {
            AuthorizationSource::File(RulesFile {
                path: self.path(number),
            })
        };
        Authorization {
            sources: (0..count).map(source).collect(),
            ..Authorization::default()
        }
    }
}

fn authorizer(config: &Authorization) -> Authorizer {
    Authorizer::new(config, Metrics::new()).unwrap()
}

/// Whether a client with that access may.
fn may(authorizer: &Authorizer, access: &Access, wanted: &Wanted<'_>) -> bool {
    let asker = asker("c", "u", access);
    let decision = authorizer.authorize(&asker, wanted);
    futures_util::FutureExt::now_or_never(decision)
        .expect("no file is waited for")
        .is_ok()
}

#[test]
fn everything_but_the_system_is_allowed_where_nothing_decides() {
    let authorizer = authorizer(&Authorization::default());
    let access = Access::default();
    for wanted in [
        publish("a"),
        publish("$other/a"),
        publish("$SYSTEM"),
        subscribe("#"),
        subscribe("+/SYS"),
    ] {
        assert!(may(&authorizer, &access, &wanted), "{wanted:?}");
    }
    for wanted in [
        publish("$SYS/a"),
        publish("$SYS"),
        subscribe("$SYS/#"),
        subscribe("$SYS/+/a"),
    ] {
        assert!(!may(&authorizer, &access, &wanted), "{wanted:?}");
    }
}

#[test]
fn the_default_decides_where_no_rule_fits() {
    let files = Files::new(&["- {permission: allow, topic: a}"]);
    let mut config = files.config(1);
    let denies = authorizer(&config);
    config.default = Some(Permission::Allow);
    let allows = authorizer(&config);
    let access = Access::default();
    for (topic, denied, allowed) in [
        ("a", true, true),
        ("b", false, true),
        ("$SYS/a", false, false),
    ] {
        assert_eq!(may(&denies, &access, &publish(topic)), denied, "{topic}");
        assert_eq!(may(&allows, &access, &publish(topic)), allowed, "{topic}");
    }
}

#[test]
fn the_first_source_that_has_something_to_say_decides() {
    let files = Files::new(&[
        "- {permission: deny, topic: a}",
        "- {permission: allow, topic: '#'}\n- {permission: allow, topic: $SYS/b}",
    ]);
    let authorizer = authorizer(&files.config(2));
    let access = Access::default();
    assert!(!may(&authorizer, &access, &publish("a")));
    assert!(may(&authorizer, &access, &publish("b")));
    assert!(may(&authorizer, &access, &publish("$SYS/b")));
    assert!(!may(&authorizer, &access, &publish("$SYS/c")));
    // It would read what the first source denies.
    assert!(!may(&authorizer, &access, &subscribe("#")));
}

#[test]
fn what_came_with_authentication_goes_first() {
    let files = Files::new(&["- {permission: allow, topic: a}\n- {permission: deny, topic: '#'}"]);
    let authorizer = authorizer(&files.config(1));
    let granted = rules("- {permission: deny, topic: a}\n- {permission: allow, topic: b}");
    let access = Access::new(Attributes::new(), Some(Arc::new(granted)), false);
    assert!(!may(&authorizer, &access, &publish("a")));
    assert!(may(&authorizer, &access, &publish("b")));
    assert!(!may(&authorizer, &access, &publish("c")));
    let superuser = Access::new(Attributes::new(), access.granted.clone(), true);
    for topic in ["a", "b", "c", "$SYS/a"] {
        assert!(may(&authorizer, &superuser, &publish(topic)), "{topic}");
    }
}

#[test]
fn granted_rules_alone_bring_the_default_with_them() {
    let authorizer = authorizer(&Authorization::default());
    for granted in ["- {permission: allow, topic: a}", "[]"] {
        let access = Access::new(Attributes::new(), Some(Arc::new(rules(granted))), false);
        assert!(!may(&authorizer, &access, &publish("b")), "{granted}");
    }
}

#[test]
fn a_new_configuration_is_taken_as_a_whole_or_not_at_all() {
    let files = Files::new(&["- {permission: allow, topic: a}"]);
    let authorizer = authorizer(&files.config(1));
    let access = Access::default();
    let error = authorizer.prepare(&files.config(2)).err().unwrap();
    assert!(error.to_string().contains("cannot read"), "{error}");
    files.write(1, "- {permission: allow, topic: b}");
    let prepared = authorizer.prepare(&files.config(2)).unwrap();
    assert!(!may(&authorizer, &access, &publish("b")), "not taken yet");
    authorizer.apply(prepared);
    assert!(may(&authorizer, &access, &publish("b")));
    assert!(may(&authorizer, &access, &publish("a")));
    assert_eq!(super::files(&files.config(2)).len(), 2);
}

#[test]
fn a_configuration_does_not_read_what_it_does_not_change() {
    let files = Files::new(&["- {permission: allow, topic: a}"]);
    let authorizer = authorizer(&files.config(1));
    files.write(0, "broken: [");
    files.write(1, "- {permission: allow, topic: b}");
    let prepared = authorizer.prepare(&files.config(2)).unwrap();
    authorizer.apply(prepared);
    assert!(may(&authorizer, &Access::default(), &publish("a")));
    assert!(may(&authorizer, &Access::default(), &publish("b")));
}

#[test]
fn a_changed_file_is_taken_and_a_broken_one_is_not() {
    let files = Files::new(&["- {permission: allow, topic: a}"]);
    let authorizer = authorizer(&files.config(1));
    let access = Access::default();
    files.write(0, "- {permission: allow, topic: b}");
    authorizer.refresh(&[PathBuf::from("elsewhere")]);
    assert!(may(&authorizer, &access, &publish("a")), "not looked at");
    authorizer.refresh(&[files.path(0)]);
    assert!(!may(&authorizer, &access, &publish("a")));
    assert!(may(&authorizer, &access, &publish("b")));
    files.write(0, "- {permission: alow, topic: c}");
    authorizer.refresh(&[files.path(0)]);
    assert!(may(&authorizer, &access, &publish("b")));
    fs::remove_file(files.path(0)).unwrap();
    authorizer.refresh(&[files.path(0)]);
    assert!(may(&authorizer, &access, &publish("b")));
}

#[test]
fn what_cannot_be_used_is_told_with_its_line() {
    let files = Files::new(&["- {permission: allow, topic: a}\n- {permission: allow}"]);
    let problems = Authorizer::check(&files.config(2));
    assert_eq!(problems.len(), 2);
    let place = format!("{}:2:3: [1]: topic is missing", files.path(0).display());
    assert!(
        problems[0].to_string().starts_with(&place),
        "{}",
        problems[0]
    );
}

#[test]
fn a_refusal_does_not_repeat_a_topic_without_end() {
    let long = "x".repeat(60_000);
    let denied = Denied::NotAllowed(Act::of(&publish(&long))).to_string();
    assert!(
        denied.starts_with("not allowed to publish to \"xxx"),
        "{denied}"
    );
    assert!(denied.len() < 300);
}
