use super::{Error, Filter, MAX_BYTES, MAX_LEVELS, Qos, Topic};

fn topic(text: &str) -> Result<Topic, Error> {
    Topic::parse(text, 8)
}

fn filter(text: &str) -> Result<Filter, Error> {
    Filter::parse(text, 8)
}

fn matches(pattern: &str, name: &str) -> bool {
    filter(pattern).unwrap().matches(&topic(name).unwrap())
}

#[test]
fn a_topic_may_have_empty_levels_spaces_dollars_and_any_script() {
    for text in [
        "a",
        "/",
        "//",
        "a//b",
        "/a/",
        " ",
        "$SYS/x",
        "$share",
        "a/$share/b",
        "температура/库",
    ] {
        assert_eq!(topic(text).unwrap().as_str(), text);
    }
}

#[test]
fn a_topic_that_breaks_a_rule_is_refused_by_the_name_of_the_rule() {
    assert_eq!(topic(""), Err(Error::Empty));
    assert_eq!(topic("a/+"), Err(Error::TopicWildcard));
    assert_eq!(topic("a#b"), Err(Error::TopicWildcard));
    assert_eq!(topic("a\0b"), Err(Error::Nul));
    assert_eq!(topic("$share/g/a"), Err(Error::TopicShare));
    assert_eq!(
        topic("1/2/3/4/5/6/7/8/9"),
        Err(Error::TooManyLevels {
            levels: 9,
            limit: 8
        })
    );
}

#[test]
fn the_longest_topic_has_65535_bytes_not_characters() {
    assert!(topic(&"a".repeat(MAX_BYTES)).is_ok());
    assert_eq!(
        topic(&"a".repeat(MAX_BYTES + 1)),
        Err(Error::TooLong(MAX_BYTES + 1))
    );
    assert_eq!(
        topic(&"ü".repeat(32_768)),
        Err(Error::TooLong(MAX_BYTES + 1))
    );
}

#[test]
fn no_configured_limit_allows_more_levels_than_the_hard_one() {
    let deep = "/".repeat(MAX_LEVELS);
    let refused = Error::TooManyLevels {
        levels: MAX_LEVELS + 1,
        limit: MAX_LEVELS,
    };
    assert_eq!(Topic::parse(&deep, usize::MAX), Err(refused.clone()));
    assert_eq!(Filter::parse(&deep, usize::MAX), Err(refused));
}

#[test]
fn wildcards_stand_alone_and_hash_stands_last() {
    for text in ["+", "#", "+/+", "/+", "+/", "a/+/#", "+/a/#", "//#"] {
        assert!(filter(text).unwrap().is_wildcard(), "{text}");
    }
    for text in ["a+", "+a/b", "a/b+/c", "++"] {
        assert_eq!(filter(text), Err(Error::PlusNotAlone), "{text}");
    }
    for text in ["#/a", "a#", "a/#/b", "##", "#+", "a/+#", "#/"] {
        assert_eq!(filter(text), Err(Error::HashNotLast), "{text}");
    }
    assert!(!filter("a/b").unwrap().is_wildcard());
    assert_eq!(filter(""), Err(Error::Empty));
    assert_eq!(filter("a\0"), Err(Error::Nul));
}

#[test]
fn a_shared_filter_has_a_group_and_a_pattern() {
    let shared = filter("$share/g/a/+").unwrap();
    assert_eq!((shared.group(), shared.pattern()), (Some("g"), "a/+"));
    assert_eq!(shared.as_str(), "$share/g/a/+");
    assert!(shared.is_wildcard());

    let slash = filter("$share/g//a").unwrap();
    assert_eq!((slash.group(), slash.pattern()), (Some("g"), "/a"));

    let plain = filter("$share").unwrap();
    assert_eq!((plain.group(), plain.pattern()), (None, "$share"));
}

#[test]
fn a_shared_filter_without_group_or_filter_is_refused() {
    for text in ["$share/", "$share//a", "$share/+/a", "$share/g#/a"] {
        assert_eq!(filter(text), Err(Error::ShareGroup), "{text}");
    }
    for text in ["$share/g", "$share/g/"] {
        assert_eq!(filter(text), Err(Error::ShareFilter), "{text}");
    }
    assert_eq!(filter("$share/g/$share/h/a"), Err(Error::ShareNested));
    assert_eq!(filter("$share/g/a/#/b"), Err(Error::HashNotLast));
    let long = format!("$share/g/{}", "a".repeat(MAX_BYTES - 8));
    assert_eq!(filter(&long), Err(Error::TooLong(MAX_BYTES + 1)));
}

#[test]
fn plus_is_one_level_and_hash_all_others_with_the_parent() {
    for (pattern, name) in [
        ("a/b", "a/b"),
        ("a/+", "a/b"),
        ("a/+", "a/"),
        ("+/+", "/"),
        ("/+", "/a"),
        ("+", "a"),
        ("#", "a/b/c"),
        ("#", "/"),
        ("a/#", "a"),
        ("a/#", "a/"),
        ("a/#", "a/b/c"),
        ("+/#", "a"),
        ("a/+/c", "a//c"),
        ("$share/g/a/+", "a/b"),
    ] {
        assert!(matches(pattern, name), "{pattern} should match {name}");
    }
    for (pattern, name) in [
        ("a/+", "a"),
        ("a/+", "a/b/c"),
        ("+", "/a"),
        ("+", "a/"),
        ("a/#", "ab"),
        ("a/b/#", "a"),
        ("a", "A"),
        ("a", "a/"),
        ("+/b", "a/b/c"),
    ] {
        assert!(!matches(pattern, name), "{pattern} should not match {name}");
    }
}

#[test]
fn a_wildcard_at_the_first_level_leaves_dollar_topics_alone() {
    for pattern in ["#", "+/x", "+/#"] {
        assert!(!matches(pattern, "$SYS/x"), "{pattern}");
    }
    assert!(matches("$SYS/#", "$SYS/x"));
    assert!(matches("$SYS/+", "$SYS/x"));
    assert!(matches("a/+", "a/$SYS"));
    assert!(!matches("$share/g/#", "$SYS/x"));
}

#[test]
fn mounting_puts_the_mountpoint_before_and_unmounting_takes_it_away() {
    let mounted = topic("t/up").unwrap().mount("ct/").unwrap();
    assert_eq!(mounted.as_str(), "ct/t/up");
    assert_eq!(mounted.unmount("ct/"), "t/up");
    assert_eq!(mounted.unmount("elsewhere/"), "ct/t/up");
    assert_eq!(mounted.unmount(""), "ct/t/up");

    assert_eq!(
        filter("t/#").unwrap().mount("ct/").unwrap().as_str(),
        "ct/t/#"
    );
    let shared = filter("$share/g/t").unwrap().mount("ct/").unwrap();
    assert_eq!(shared.as_str(), "$share/g/ct/t");
    assert_eq!((shared.group(), shared.pattern()), (Some("g"), "ct/t"));
    assert_eq!(filter("t").unwrap().mount("").unwrap().as_str(), "t");
}

#[test]
fn the_length_limit_applies_to_what_is_mounted() {
    let long = "a".repeat(MAX_BYTES - 2);
    assert_eq!(
        topic(&long).unwrap().mount("ct/"),
        Err(Error::TooLong(MAX_BYTES + 1))
    );
    assert_eq!(
        filter(&long).unwrap().mount("ct/"),
        Err(Error::TooLong(MAX_BYTES + 1))
    );
}

#[test]
fn a_mountpoint_cannot_widen_what_a_device_sees() {
    for mountpoint in ["+/", "#", "a\0", "a/+/b/"] {
        assert_eq!(
            filter("t").unwrap().mount(mountpoint),
            Err(Error::Mountpoint)
        );
        assert_eq!(
            topic("t").unwrap().mount(mountpoint),
            Err(Error::Mountpoint)
        );
    }
    assert_eq!(
        filter("t").unwrap().mount("$share/g/"),
        Err(Error::Mountpoint)
    );
    assert_eq!(
        topic("t").unwrap().mount("$share/g/"),
        Err(Error::TopicShare)
    );
    assert_eq!(
        filter("+/t").unwrap().mount("ct"),
        Err(Error::MountpointSlash)
    );
    assert_eq!(
        filter("t/+").unwrap().mount("ct").unwrap().as_str(),
        "ctt/+"
    );
}

#[test]
fn the_quality_of_service_is_0_1_or_2() {
    let all = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];
    for (number, qos) in (0..).zip(all) {
        assert_eq!(Qos::try_from(number), Ok(qos));
        assert_eq!(u32::from(qos), number);
    }
    assert_eq!(Qos::try_from(3), Err(Error::Qos(3)));
}
