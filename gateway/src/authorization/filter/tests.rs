//! Covering and overlapping, beside a model that looks at every topic of a small world.

use proptest::prelude::*;

use super::*;
use crate::{
    auth::Attributes,
    authorization::{
        Access,
        tests::{asker, publish, subscribe},
    },
    broker::{self, Topic},
};

fn allows(rule: &str, wanted: &Wanted<'_>) -> bool {
    decides(rule, Permission::Allow, wanted, "c", false)
}

fn denies(rule: &str, wanted: &Wanted<'_>) -> bool {
    decides(rule, Permission::Deny, wanted, "c", false)
}

fn decides(
    rule: &str,
    permission: Permission,
    wanted: &Wanted<'_>,
    clientid: &str,
    is_mounted: bool,
) -> bool {
    let access = Access::new(
        Attributes::from([("team".into(), "red".into())]),
        None,
        false,
    );
    let asker = Asker {
        is_mounted,
        ..asker(clientid, "", &access)
    };
    fits(
        &rule.parse().unwrap(),
        permission,
        wanted,
        &Values::of(&asker),
    )
}

#[test]
fn an_allowing_rule_covers_the_whole_filter() {
    for (rule, wanted) in [
        ("a/b", "a/b"),
        ("a/+", "a/b"),
        ("a/+", "a/+"),
        ("a/#", "a"),
        ("a/#", "a/+/b"),
        ("a/#", "a/#"),
        ("+/#", "#"),
        ("#", "#"),
        ("#", "+/+"),
        ("+", "+"),
        ("a//+", "a//"),
        ("$x/#", "$x/a/#"),
        ("eq a/#", "a/#"),
        ("eq #", "#"),
        ("x/${clientid}/#", "x/c/+"),
        ("x/${attr.team}-${clientid}", "x/red-c"),
    ] {
        assert!(allows(rule, &subscribe(wanted)), "{rule} {wanted}");
    }
    for (rule, wanted) in [
        ("a/b", "a/+"),
        ("a/+", "a/#"),
        ("a/+", "a"),
        ("a", "a/#"),
        ("+/+/#", "#"),
        ("a/+/#", "a/#"),
        ("+", "#"),
        ("#", "$x/a"),
        ("+/a", "$x/a"),
        ("$x/#", "#"),
        ("$x/a", "+/a"),
        ("eq a/#", "a/b"),
        ("eq a/+", "a/#"),
        ("x/${clientid}/#", "x/+/a"),
        ("x/${clientid}/#", "x/d/a"),
        ("x/${clientid}/#", "x/#"),
        ("x/${attr.other}", "x/"),
        ("x/${username}", "x/"),
    ] {
        assert!(!allows(rule, &subscribe(wanted)), "{rule} {wanted}");
    }
}

#[test]
fn a_denying_rule_needs_one_topic_in_common() {
    for (rule, wanted) in [
        ("secret/#", "#"),
        ("secret/#", "+"),
        ("secret/#", "secret"),
        ("secret/#", "+/a/+"),
        ("a", "a/#"),
        ("+/b", "a/+"),
        ("$x/#", "$x/+"),
        ("eq #", "#"),
        ("x/${clientid}", "x/+"),
        ("x/${clientid}/a", "x/#"),
        // What cannot be filled in.
        ("x/${username}/a", "x/whatever"),
        ("x/${username}/a", "x/y/z"),
        ("x/${username}/a", "x"),
        ("${attr.other}", "$x/a"),
    ] {
        assert!(denies(rule, &subscribe(wanted)), "{rule} {wanted}");
    }
    for (rule, wanted) in [
        ("secret/#", "public/#"),
        ("secret/+", "secret"),
        ("+/b", "a/c/#"),
        ("#", "$x/a"),
        ("$x/#", "#"),
        ("eq a/b", "a/+"),
        ("eq #", "a"),
        ("x/${clientid}", "x/d"),
        ("x/${clientid}", "x"),
        ("x/${username}/a", "y/z"),
    ] {
        assert!(!denies(rule, &subscribe(wanted)), "{rule} {wanted}");
    }
}

#[test]
fn the_system_is_opened_only_by_its_name_written_out() {
    for rule in ["$SYS/#", "$SYS/+", "eq $SYS/a"] {
        assert!(allows(rule, &publish("$SYS/a")), "{rule}");
    }
    for is_mounted in [false, true] {
        let opens = |rule: &str, clientid: &str| {
            decides(
                rule,
                Permission::Allow,
                &publish("$SYS/a"),
                clientid,
                is_mounted,
            )
        };
        assert!(opens("$SYS/a", "c"));
        assert!(!opens("#", "c"));
        assert!(!opens("+/a", "c"));
        assert!(!opens("${clientid}/a", "$SYS"));
        assert!(!opens("$S${clientid}/a", "YS"));
    }
}

#[test]
fn under_a_mountpoint_no_other_name_is_special() {
    let mounted = |rule: &str, permission, wanted: &str| {
        decides(rule, permission, &subscribe(wanted), "c", true)
    };
    assert!(mounted("#", Permission::Allow, "$x/a"));
    assert!(mounted("+/a", Permission::Allow, "+/a"));
    // There, `#` matches `$x`, too.
    assert!(mounted("$x/#", Permission::Deny, "#"));
    assert!(mounted("$x/a", Permission::Deny, "+/a"));
}

#[test]
fn no_clientid_reaches_further_than_one_level() {
    for hostile in ["+", "#", "a/b", "a\0", "/", "", "a+", "#a"] {
        for rule in ["x/${clientid}", "x/${clientid}/#", "x/a${clientid}"] {
            for wanted in ["x/+", "x/#", "x/a/b", "x/a/b/c", "x/a", "x/a+", "x/"] {
                let wanted = subscribe(wanted);
                let allowed = decides(rule, Permission::Allow, &wanted, hostile, false);
                assert!(!allowed, "{rule} {wanted:?} {hostile:?}");
                let denied = decides(rule, Permission::Deny, &wanted, hostile, false);
                assert!(denied, "{rule} {wanted:?} {hostile:?}");
            }
        }
    }
}

/// Levels that filters of the model name.
const NAMES: [&str; 4] = ["a", "b", "", "$d"];
/// Levels that its topics have: one is in no filter.
const WORLD: [&str; 5] = ["a", "b", "", "$d", "z"];
/// Topics are longer than filters, by more than `#` needs.
const DEPTH: usize = 4;

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![2 => prop::sample::select(&NAMES[..]), 1 => Just("+")];
    let levels = prop::collection::vec(level, 0..DEPTH - 1);
    (levels, any::<bool>()).prop_filter_map("the empty topic", |(mut levels, rest)| {
        if rest {
            levels.push("#");
        }
        let text = levels.join("/");
        // `/#` would match the empty topic, which does not exist; that it is counted in denies a little more.
        (!text.is_empty() && text != "/#").then_some(text)
    })
}

/// Every topic of the world, but the empty one.
fn topics() -> Vec<Topic> {
    let mut all = Vec::new();
    let mut longer: Vec<String> = WORLD.map(str::to_owned).into();
    for _ in 0..DEPTH {
        all.extend(longer.iter().filter_map(|text| Topic::parse(text, 99).ok()));
        let each = longer.iter();
        longer = each
            .flat_map(|text| WORLD.map(|level| format!("{text}/{level}")))
            .collect();
    }
    all
}

/// By what topics match, one by one.
fn by_definition(rule: &str, wanted: &str) -> (bool, bool) {
    let parse = |text: &str| broker::Filter::parse(text, 99).unwrap();
    let (rule, wanted) = (parse(rule), parse(wanted));
    let topics = topics();
    let mut matched = topics
        .iter()
        .filter(|topic| wanted.matches(topic))
        .peekable();
    assert!(matched.peek().is_some());
    let (mut covers, mut overlaps) = (true, false);
    for topic in matched {
        let is_in = rule.matches(topic);
        covers &= is_in;
        overlaps |= is_in;
    }
    (covers, overlaps)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn filters_cover_and_overlap_as_their_topics_say(rule in filter(), wanted in filter()) {
        let (covers, overlaps) = by_definition(&rule, &wanted);
        prop_assert_eq!(allows(&rule, &subscribe(&wanted)), covers, "covers");
        prop_assert_eq!(denies(&rule, &subscribe(&wanted)), overlaps, "overlaps");
    }

    #[test]
    fn a_topic_is_matched_as_the_broker_does(rule in filter(), index in any::<prop::sample::Index>()) {
        let topics = topics();
        let topic = index.get(&topics);
        let matches = broker::Filter::parse(&rule, 99).unwrap().matches(topic);
        prop_assert_eq!(allows(&rule, &publish(topic.as_str())), matches);
        prop_assert_eq!(denies(&rule, &publish(topic.as_str())), matches);
    }

    #[test]
    fn a_name_that_is_filled_in_is_as_good_as_one_that_is_written(
        rule in filter(),
        wanted in filter(),
    ) {
        // Not where `$` begins the topic: see `may_begin`.
        prop_assume!(!rule.starts_with('a'));
        let template = rule.replace('a', "${clientid}");
        for permission in [Permission::Allow, Permission::Deny] {
            let filled = decides(&template, permission, &subscribe(&wanted), "a", false);
            let written = decides(&rule, permission, &subscribe(&wanted), "a", false);
            prop_assert_eq!(filled, written, "{} {}", template, wanted);
        }
    }
}
