use std::time::Duration;

use config::{Ban, Rate};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn who(text: &str) -> Banned {
    text.parse().unwrap()
}

fn file(whos: &[&str]) -> config::Bans {
    let ban = |text: &&str| Ban {
        who: who(text),
        until: None,
        reason: "file".into(),
    };
    config::Bans {
        list: whos.iter().map(ban).collect(),
        ..config::Bans::default()
    }
}

fn none() -> Bans {
    Bans::new(&config::Bans::default())
}

fn soon() -> SystemTime {
    SystemTime::now() + MINUTE
}

fn past() -> SystemTime {
    SystemTime::now() - MINUTE
}

fn banned(bans: &Bans, device: &str) -> bool {
    bans.is_banned_ip(ip(device)).is_some()
}

fn shown(bans: &Bans) -> Vec<String> {
    bans.list().iter().map(|ban| ban.who.to_string()).collect()
}

#[test]
fn addresses_networks_and_clients_are_banned() {
    let bans = none();
    assert!(!banned(&bans, "10.0.0.1"));
    bans.ban(who("10.0.0.1"), None, "noise");
    bans.ban(who("11.0.0.0/8"), Some(soon()), "");
    bans.ban(who("2001:db8::/32"), Some(soon()), "");
    bans.ban(who("clientid:meter-1"), Some(soon()), "stolen");
    assert_eq!(bans.is_banned_ip(ip("10.0.0.1")).as_deref(), Some("noise"));
    assert!(banned(&bans, "::ffff:10.0.0.1"));
    assert!(banned(&bans, "11.2.3.4"));
    assert!(banned(&bans, "2001:db8::1"));
    assert!(!banned(&bans, "10.0.0.2"));
    assert_eq!(bans.is_banned_client("meter-1").as_deref(), Some("stolen"));
    assert_eq!(bans.is_banned_client("meter-2"), None);
    assert!(bans.covers(Some(ip("10.0.0.2")), Some("meter-1")).is_some());
}

#[test]
fn a_ban_ends_by_itself() {
    let bans = none();
    bans.ban(who("10.0.0.1"), Some(past()), "");
    bans.ban(who("10.0.0.0/8"), Some(past()), "");
    bans.ban(who("clientid:meter-1"), Some(past()), "");
    assert!(!banned(&bans, "10.0.0.1"));
    assert_eq!(bans.is_banned_client("meter-1"), None);
    assert_eq!(bans.list(), []);
    assert_eq!(bans.0.count.load(Relaxed), 0);
}

#[test]
fn a_wider_ban_counts_when_a_narrower_one_has_ended() {
    let config = config::Bans {
        list: vec![
            Ban {
                who: who("10.0.0.1"),
                until: Some(Until(past())),
                reason: "ended".into(),
            },
            Ban {
                who: who("10.0.0.0/24"),
                until: Some(Until(past())),
                reason: "ended".into(),
            },
            Ban {
                who: who("10.0.0.0/8"),
                until: Some(Until(soon())),
                reason: "wide".into(),
            },
        ],
        ..config::Bans::default()
    };
    let bans = Bans::new(&config);
    assert_eq!(bans.is_banned_ip(ip("10.0.0.1")).as_deref(), Some("wide"));
}

#[test]
fn a_ban_can_be_lifted() {
    let bans = Bans::new(&file(&["10.0.0.0/8"]));
    bans.ban(who("10.0.0.0/8"), None, "");
    bans.ban(who("clientid:meter-1"), None, "");
    assert!(bans.lift(&who("10.0.0.0/8")));
    assert!(!bans.lift(&who("10.0.0.0/8")));
    assert!(!banned(&bans, "10.0.0.1"));
    assert!(bans.lift(&who("clientid:meter-1")));
    assert_eq!(bans.0.count.load(Relaxed), 0);
}

#[test]
fn a_reload_replaces_what_came_from_the_file_and_nothing_else() {
    let bans = Bans::new(&file(&["10.0.0.1", "10.0.0.2"]));
    bans.ban(who("10.0.0.3"), None, "");
    bans.ban(who("10.0.0.1"), None, "");
    bans.configure(&file(&["10.0.0.4"]));
    assert_eq!(shown(&bans), ["10.0.0.4/32", "10.0.0.3/32", "10.0.0.1/32"]);
    assert!(!banned(&bans, "10.0.0.2"));
    assert!(banned(&bans, "10.0.0.1"));
}

#[test]
fn the_one_that_ends_first_gives_way() {
    let bans = Bans::new(&config::Bans {
        max_entries: 2,
        ..file(&["10.9.0.0/16"])
    });
    bans.ban(who("10.0.0.1"), None, "");
    bans.ban(who("10.0.0.2"), Some(soon()), "");
    bans.ban(who("10.0.0.3"), Some(soon()), "");
    assert_eq!(shown(&bans), ["10.9.0.0/16", "10.0.0.3/32", "10.0.0.1/32"]);
    // The same again is none more.
    bans.ban(who("10.0.0.3"), None, "again");
    assert_eq!(shown(&bans), ["10.9.0.0/16", "10.0.0.1/32", "10.0.0.3/32"]);
    // A new one counts even where it ends first.
    bans.ban(who("10.0.0.4"), Some(soon()), "");
    assert_eq!(shown(&bans), ["10.9.0.0/16", "10.0.0.4/32", "10.0.0.3/32"]);
    bans.configure(&config::Bans {
        max_entries: 1,
        ..file(&[])
    });
    assert_eq!(shown(&bans), ["10.0.0.3/32"]);
}

#[test]
fn new_bans_are_announced() {
    let bans = none();
    let mut news = bans.changed();
    assert!(!news.has_changed().unwrap());
    bans.ban(who("10.0.0.1"), None, "");
    assert!(news.has_changed().unwrap());
    news.mark_unchanged();
    assert!(bans.lift(&who("10.0.0.1")));
    assert!(!news.has_changed().unwrap());
    bans.configure(&file(&["10.0.0.1"]));
    assert!(news.has_changed().unwrap());
}

fn after_failures(amount: u64) -> config::Bans {
    config::Bans {
        failure_rate: Some(Rate {
            amount,
            period: MINUTE,
        }),
        duration: 10 * MINUTE,
        ..config::Bans::default()
    }
}

fn find(bans: &Bans, device: &str, now: SystemTime) -> Option<Arc<str>> {
    bans.0
        .bans
        .read()
        .find(Some(ip(device)), None, now)
        .cloned()
}

#[test]
fn who_fails_too_often_is_banned_for_a_time() {
    let bans = Bans::new(&after_failures(3));
    let (now, today) = (Instant::now(), SystemTime::now());
    let fail = || bans.failed_at(ip("10.0.0.1"), now, today);
    let news = bans.changed();
    assert_eq!([fail(), fail(), fail()], [false; 3]);
    assert!(!news.has_changed().unwrap());
    assert!(fail());
    assert!(news.has_changed().unwrap());
    assert!(!fail());
    assert_eq!(
        find(&bans, "10.0.0.1", today).as_deref(),
        Some(TOO_MANY_FAILURES)
    );
    assert_eq!(find(&bans, "10.0.0.2", today), None);
    assert!(find(&bans, "10.0.0.1", today + 9 * MINUTE).is_some());
    assert_eq!(find(&bans, "10.0.0.1", today + 10 * MINUTE), None);
    // And then it starts anew.
    let (now, today) = (now + 10 * MINUTE, today + 10 * MINUTE);
    let fail = || bans.failed_at(ip("10.0.0.1"), now, today);
    assert_eq!(
        [fail(), fail(), fail(), fail()],
        [false, false, false, true]
    );
}

#[test]
fn failures_of_an_ipv6_network_ban_the_network() {
    let bans = Bans::new(&after_failures(1));
    assert!(!bans.failed(ip("2001:db8::1")));
    assert!(bans.failed(ip("2001:db8::2")));
    assert!(banned(&bans, "2001:db8::3"));
    assert!(!banned(&bans, "2001:db8:0:1::1"));
}

#[test]
fn whoever_is_banned_for_longer_stays_so() {
    let bans = Bans::new(&after_failures(1));
    bans.ban(who("10.0.0.0/8"), None, "");
    for _ in 0..5 {
        assert!(!bans.failed(ip("10.0.0.1")));
    }
    assert_eq!(shown(&bans), ["10.0.0.0/8"]);
}

#[test]
fn who_is_forgiven_may_fail_again() {
    let bans = Bans::new(&after_failures(1));
    assert!(!bans.failed(ip("10.0.0.1")));
    assert!(bans.failed(ip("10.0.0.1")));
    assert!(bans.lift(&who("10.0.0.1")));
    assert!(!bans.failed(ip("10.0.0.1")));
}

#[test]
fn nobody_is_banned_for_failures_unless_it_is_set() {
    let bans = none();
    assert!((0..1000).all(|_| !bans.failed(ip("10.0.0.1"))));
    assert!(bans.0.failures.is_empty());
}
