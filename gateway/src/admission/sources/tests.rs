use std::time::{Duration, Instant};

use config::Rate;

use super::*;
use crate::admission::bucket::Clock;

fn per_second(amount: u64) -> Pace {
    let period = Duration::from_secs(1);
    Pace::new(Rate { amount, period }, 1)
}

fn source(number: u32) -> Source {
    Source::V4(Ipv4Addr::from_bits(number))
}

fn start() -> Moment {
    Clock::new().at(Instant::now() + Duration::from_secs(1))
}

fn counted(most: u32) -> PerSource {
    PerSource {
        most: Some(most),
        pace: None,
    }
}

fn paced(amount: u64) -> PerSource {
    PerSource {
        most: None,
        pace: Some(per_second(amount)),
    }
}

#[test]
fn an_ipv6_device_counts_with_its_network() {
    let source = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
    assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:0:0:1"));
    assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
    assert_eq!(source("::ffff:10.0.0.1"), source("10.0.0.1"));
    assert_ne!(source("10.0.0.1"), source("10.0.0.2"));
    assert_eq!(
        IpNet::from(source("2001:db8::1")).to_string(),
        "2001:db8::/64"
    );
    assert_eq!(IpNet::from(source("10.0.0.1")).to_string(), "10.0.0.1/32");
}

#[test]
fn nothing_is_stored_without_a_limit() {
    let sources = Sources::new(WhenFull::Share);
    assert_eq!(
        sources.admit(source(1), &PerSource::default(), start()),
        Ok(false)
    );
    assert!(sources.is_empty());
}

#[test]
fn a_source_without_connections_and_debts_is_forgotten() {
    let (sources, now) = (Sources::new(WhenFull::Share), start());
    assert_eq!(sources.admit(source(1), &counted(1), now), Ok(true));
    let refused = sources.admit(source(1), &counted(1), now);
    assert_eq!(refused, Err(Refusal::MaxConnectionsPerIp));
    sources.release(source(1), now);
    assert!(sources.is_empty());
}

#[test]
fn a_source_that_leaves_keeps_its_rate() {
    let (sources, now) = (Sources::new(WhenFull::Share), start());
    let limit = PerSource {
        pace: paced(2).pace,
        ..counted(1)
    };
    for _ in 0..2 {
        assert_eq!(sources.admit(source(1), &limit, now), Ok(true));
        sources.release(source(1), now);
    }
    let refused = sources.admit(source(1), &limit, now);
    assert_eq!(refused, Err(Refusal::ConnectionRatePerIp));
    let later = now.after(Duration::from_millis(500));
    assert_eq!(sources.admit(source(1), &limit, later), Ok(true));
}

#[test]
fn those_whose_buckets_are_full_again_are_swept() {
    let (sources, mut now) = (Sources::new(WhenFull::Share), start());
    for round in 0..10 {
        for number in 0..10_000 {
            sources
                .admit(source(round * 10_000 + number), &paced(1), now)
                .unwrap();
        }
        now = now.after(Duration::from_secs(2));
    }
    assert!(sources.len() <= 20_000, "{}", sources.len());
}

#[test]
fn the_table_is_bounded_and_newcomers_share_a_rate() {
    let (sources, now) = (Sources::new(WhenFull::Share), start());
    let most = u32::try_from(MOST_IDLE).unwrap();
    let admitted = (0..2 * most)
        .filter(|number| sources.admit(source(*number), &paced(3), now).is_ok())
        .count();
    assert!(sources.len() <= MOST_IDLE);
    assert!(admitted <= MOST_IDLE + 3, "{admitted}");
    // Whoever is known is not bothered.
    let known = (0..1000).filter(|number| sources.admit(source(*number), &paced(3), now).is_ok());
    assert_eq!(known.count(), 1000);
    // And when time has passed there is room again.
    let later = now.after(Duration::from_secs(10));
    for number in 0..1000 {
        assert!(
            sources
                .admit(source(3 * most + number), &paced(3), later)
                .is_ok()
        );
    }
}

#[test]
fn connections_are_counted_even_when_the_table_is_full() {
    let (sources, now) = (Sources::new(WhenFull::Share), start());
    for number in 0..2 * u32::try_from(MOST_IDLE).unwrap() {
        let _ = sources.admit(source(number), &paced(1), now);
    }
    let newcomer = source(u32::MAX);
    let later = now.after(Duration::from_millis(1500));
    for number in 0..2 * u32::try_from(MOST_IDLE).unwrap() {
        let _ = sources.admit(
            source(number),
            &paced(1),
            now.after(Duration::from_millis(1001)),
        );
    }
    let limit = PerSource {
        most: Some(1),
        pace: Some(per_second(1000)),
    };
    assert_eq!(sources.admit(newcomer, &limit, later), Ok(true));
    let refused = sources.admit(newcomer, &limit, later);
    assert_eq!(refused, Err(Refusal::MaxConnectionsPerIp));
    sources.release(newcomer, later);
    assert!(sources.len() <= MOST_IDLE + 1);
}

#[test]
fn newcomers_may_pass_where_that_is_better() {
    let (sources, now) = (Sources::new(WhenFull::LetPass), start());
    for number in 0..2 * u32::try_from(MOST_IDLE).unwrap() {
        assert!(sources.admit(source(number), &paced(1), now).is_ok());
    }
    assert!(sources.len() <= MOST_IDLE);
}
