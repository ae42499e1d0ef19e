//! Topics and filters of MQTT, as far as the played gateway needs them.

/// A topic that may be published to.
pub(super) fn is_topic(topic: &str) -> bool {
    !topic.is_empty() && !topic.contains(['+', '#', '\0'])
}

/// A filter that may be subscribed to.
pub(super) fn is_filter(filter: &str) -> bool {
    let filter = plain(filter);
    let levels: Vec<&str> = filter.split('/').collect();
    let is_good = |(index, level): (usize, &&str)| match *level {
        "#" => index + 1 == levels.len(),
        "+" => true,
        level => !level.contains(['+', '#', '\0']),
    };
    !filter.is_empty() && levels.iter().enumerate().all(is_good)
}

/// Whether a message of that topic is for that filter.
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    let filter = plain(filter);
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut levels, mut wanted) = (topic.split('/'), filter.split('/'));
    loop {
        match (wanted.next(), levels.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

/// The filter without `$share/<group>/`: who plays a gateway with a handler has no groups to share between.
fn plain(filter: &str) -> &str {
    let shared = filter
        .strip_prefix("$share/")
        .and_then(|rest| rest.split_once('/'));
    shared.map_or(filter, |(_, filter)| filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_in_mqtt() {
        for (filter, topic, so) in [
            ("a/b", "a/b", true),
            ("a/+", "a/b", true),
            ("a/+", "a/b/c", false),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("#", "$SYS/x", false),
            ("$share/g/a/+", "a/b", true),
            ("a", "b", false),
        ] {
            assert_eq!(matches(filter, topic), so, "{filter} {topic}");
        }
    }

    #[test]
    fn what_breaks_the_rules_is_no_filter() {
        for bad in ["", "a/#/b", "a+", "#a", "$share/g/"] {
            assert!(!is_filter(bad), "{bad}");
        }
        assert!(is_filter("+/a/#") && is_filter("$share/g/a"));
        assert!(is_topic("a/b") && !is_topic("a/+") && !is_topic(""));
    }
}
