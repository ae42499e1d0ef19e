use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
    time::Duration,
};

use config::{Limits, Rate};

use super::*;

const NOTHING: fn(&mut Limits) = |_| {};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn count(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

fn per_second(amount: u64) -> Rate {
    let period = Duration::from_secs(1);
    Rate { amount, period }
}

fn limits(set: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    set(&mut limits);
    limits
}

fn gate(pod: impl FnOnce(&mut Limits), listener: impl FnOnce(&mut Limits)) -> Gate {
    let bans = Bans::new(&config::Bans::default());
    Gate::new(
        Level::new(&limits(pod)),
        Level::new(&limits(listener)),
        bans,
    )
}

fn beside(gate: &Gate, listener: impl FnOnce(&mut Limits)) -> Gate {
    Gate::new(
        gate.pod.clone(),
        Level::new(&limits(listener)),
        gate.bans.clone(),
    )
}

fn refusal<T>(answer: Result<T, Refusal>) -> Option<Refusal> {
    answer.err()
}

fn open(gate: &Gate) -> [usize; 2] {
    [gate.pod.open(), gate.listener.open()]
}

#[test]
fn a_place_is_given_back_when_it_is_dropped() {
    let gate = gate(NOTHING, |limits| limits.max_connections = count(1));
    let first = gate.admit(ip("10.0.0.1")).unwrap();
    assert_eq!(open(&gate), [1, 1]);
    assert_eq!(
        refusal(gate.admit(ip("10.0.0.2"))),
        Some(Refusal::MaxConnections)
    );
    assert_eq!(open(&gate), [1, 1]);
    drop(first);
    assert_eq!(open(&gate), [0, 0]);
    assert!(gate.admit(ip("10.0.0.2")).is_ok());
}

#[test]
fn a_place_is_small() {
    assert!(size_of::<Admitted>() <= 48);
}

#[test]
fn the_pod_counts_all_listeners() {
    let one = gate(|limits| limits.max_connections = count(2), NOTHING);
    let other = beside(&one, NOTHING);
    let _first = one.admit(ip("10.0.0.1")).unwrap();
    let second = other.admit(ip("10.0.0.1")).unwrap();
    assert_eq!(
        refusal(other.admit(ip("10.0.0.1"))),
        Some(Refusal::MaxConnections)
    );
    assert_eq!(open(&other), [2, 1]);
    drop(second);
    assert!(one.admit(ip("10.0.0.1")).is_ok());
}

#[test]
fn an_address_does_not_take_the_places_of_others() {
    let gate = gate(NOTHING, |limits| {
        limits.max_connections_per_ip = Some(count(2));
    });
    let mut places: Vec<_> = (0..2)
        .map(|_| gate.admit(ip("10.0.0.1")).unwrap())
        .collect();
    assert_eq!(
        refusal(gate.admit(ip("10.0.0.1"))),
        Some(Refusal::MaxConnectionsPerIp)
    );
    assert_eq!(open(&gate), [2, 2]);
    places.push(gate.admit(ip("10.0.0.2")).unwrap());
    places.remove(0);
    assert!(gate.admit(ip("::ffff:10.0.0.1")).is_ok());
    drop(places);
    assert_eq!(gate.listener.sources(), 0);
}

#[test]
fn an_ipv6_network_is_one_address() {
    let gate = gate(
        |limits| limits.max_connections_per_ip = Some(count(1)),
        NOTHING,
    );
    let _place = gate.admit(ip("2001:db8::1")).unwrap();
    assert_eq!(
        refusal(gate.admit(ip("2001:db8::2"))),
        Some(Refusal::MaxConnectionsPerIp)
    );
    assert!(gate.admit(ip("2001:db8:0:1::1")).is_ok());
}

#[test]
fn connections_come_no_faster_than_their_rate() {
    let gate = gate(NOTHING, |limits| {
        limits.connection_rate = Some(per_second(2));
    });
    let now = Instant::now();
    for device in ["10.0.0.1", "10.0.0.2"] {
        assert!(gate.admit_at(ip(device), now).is_ok());
    }
    let refused = gate.admit_at(ip("10.0.0.3"), now);
    assert_eq!(refusal(refused), Some(Refusal::ConnectionRate));
    assert_eq!(open(&gate), [0, 0]);
    let later = now + Duration::from_millis(500);
    assert!(gate.admit_at(ip("10.0.0.3"), later).is_ok());
}

#[test]
fn an_address_that_storms_takes_nothing_from_the_rate_of_all() {
    let gate = gate(
        |limits| limits.connection_rate = Some(per_second(10)),
        |limits| limits.connection_rate_per_ip = Some(per_second(2)),
    );
    let now = Instant::now();
    let storm = (0..1000).filter_map(|_| refusal(gate.admit_at(ip("10.0.0.1"), now)));
    let storm: Vec<_> = storm.collect();
    assert_eq!(storm, [Refusal::ConnectionRatePerIp; 998]);
    for device in 0..8 {
        assert!(gate.admit_at(IpAddr::from([10, 1, 0, device]), now).is_ok());
    }
}

#[test]
fn a_listener_above_its_rate_takes_nothing_from_the_others() {
    let noisy = gate(
        |limits| limits.connection_rate = Some(per_second(10)),
        |limits| limits.connection_rate = Some(per_second(1)),
    );
    let quiet = beside(&noisy, NOTHING);
    let now = Instant::now();
    let admitted = (0..1000).filter(|_| noisy.admit_at(ip("10.0.0.1"), now).is_ok());
    assert_eq!(admitted.count(), 1);
    let admitted = (0..1000).filter(|_| quiet.admit_at(ip("10.0.0.1"), now).is_ok());
    assert_eq!(admitted.count(), 9);
}

#[test]
fn rules_of_both_levels_must_let_it_in() {
    let rules = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let gate = gate(
        |limits| limits.access = rules(&["deny 10.0.0.1"]),
        |limits| limits.access = rules(&["allow 10.0.0.0/8", "deny all"]),
    );
    assert_eq!(gate.check(ip("10.0.0.1")), Err(Refusal::Access));
    assert_eq!(gate.check(ip("11.0.0.1")), Err(Refusal::Access));
    assert_eq!(gate.check(ip("10.0.0.2")), Ok(()));
    assert_eq!(refusal(gate.admit(ip("10.0.0.1"))), Some(Refusal::Access));
}

#[test]
fn whoever_is_banned_is_refused_at_all_gates() {
    let one = gate(NOTHING, |limits| limits.max_connections = count(1));
    let other = beside(&one, NOTHING);
    let _full = one.admit(ip("10.0.0.2")).unwrap();
    one.bans().ban("10.0.0.1".parse().unwrap(), None, "");
    assert_eq!(refusal(one.admit(ip("10.0.0.1"))), Some(Refusal::Banned));
    assert_eq!(other.check(ip("10.0.0.1")), Err(Refusal::Banned));
}

#[test]
fn failures_ban_a_device() {
    let gate = gate(NOTHING, NOTHING);
    let failure_rate = Some(per_second(1));
    gate.bans().configure(&config::Bans {
        failure_rate,
        ..config::Bans::default()
    });
    while !gate.failed(ip("10.0.0.1")) {}
    assert_eq!(refusal(gate.admit(ip("10.0.0.1"))), Some(Refusal::Banned));
}

#[test]
fn a_device_that_is_told_later_has_its_limits_then() {
    let gate = gate(
        |limits| limits.max_connections_per_ip = Some(count(1)),
        |limits| {
            limits.max_connections = count(2);
            limits.connection_rate = Some(per_second(3));
            limits.access = vec!["deny 11.0.0.0/8".parse().unwrap()];
        },
    );
    let now = Instant::now();
    let first = gate.admit_unknown_at(now).unwrap();
    let second = gate.admit_unknown_at(now).unwrap();
    assert_eq!(
        refusal(gate.admit_unknown_at(now)),
        Some(Refusal::MaxConnections)
    );
    let _first = first.identify_at(ip("10.0.0.1"), now).unwrap();
    let refused = second.identify_at(ip("10.0.0.1"), now);
    assert_eq!(refusal(refused), Some(Refusal::MaxConnectionsPerIp));
    assert_eq!(open(&gate), [1, 1]);
    let third = gate.admit_unknown_at(now).unwrap();
    assert_eq!(
        refusal(third.identify_at(ip("11.0.0.1"), now)),
        Some(Refusal::Access)
    );
    assert_eq!(
        refusal(gate.admit_unknown_at(now)),
        Some(Refusal::ConnectionRate)
    );
    assert_eq!(open(&gate), [1, 1]);
}

#[test]
fn a_lower_limit_closes_nobody_and_lets_nobody_in() {
    let gate = gate(NOTHING, NOTHING);
    let mut places: Vec<_> = (0..5)
        .map(|_| gate.admit(ip("10.0.0.1")).unwrap())
        .collect();
    gate.listener
        .configure(&limits(|limits| limits.max_connections = count(3)));
    assert_eq!(open(&gate), [5, 5]);
    for left in [4, 3] {
        assert_eq!(
            refusal(gate.admit(ip("10.0.0.1"))),
            Some(Refusal::MaxConnections)
        );
        places.pop();
        assert_eq!(open(&gate), [left, left]);
    }
    assert_eq!(
        refusal(gate.admit(ip("10.0.0.1"))),
        Some(Refusal::MaxConnections)
    );
    places.pop();
    assert!(gate.admit(ip("10.0.0.1")).is_ok());
}

#[test]
fn what_is_counted_survives_other_limits() {
    let per_ip = |most, rate| {
        limits(|limits| {
            limits.max_connections_per_ip = Some(count(most));
            limits.connection_rate = Some(per_second(rate));
        })
    };
    let gate = gate(|limits| *limits = per_ip(2, 2), NOTHING);
    let now = Instant::now();
    let _places = [(); 2].map(|()| gate.admit_at(ip("10.0.0.1"), now).unwrap());
    gate.pod.configure(&per_ip(3, 2));
    // Neither the open connections nor the rate start anew.
    let refused = gate.admit_at(ip("10.0.0.1"), now);
    assert_eq!(refusal(refused), Some(Refusal::ConnectionRate));
    let now = now + Duration::from_secs(1);
    let _third = gate.admit_at(ip("10.0.0.1"), now).unwrap();
    let refused = gate.admit_at(ip("10.0.0.1"), now);
    assert_eq!(refusal(refused), Some(Refusal::MaxConnectionsPerIp));
}

#[test]
fn nothing_is_remembered_of_addresses_without_limits_for_them() {
    let gate = gate(NOTHING, NOTHING);
    let _place = gate.admit(ip("10.0.0.1")).unwrap();
    assert_eq!((gate.pod.sources(), gate.listener.sources()), (0, 0));
}

#[test]
fn limits_may_come_and_go_while_connections_are_open() {
    let gate = gate(NOTHING, NOTHING);
    let per_ip = limits(|limits| {
        limits.max_connections_per_ip = Some(count(1));
        limits.connection_rate_per_ip = Some(per_second(100));
    });
    let before = gate.admit(ip("10.0.0.1")).unwrap();
    gate.listener.configure(&per_ip);
    let after = gate.admit(ip("10.0.0.1")).unwrap();
    drop(before);
    assert_eq!(
        refusal(gate.admit(ip("10.0.0.1"))),
        Some(Refusal::MaxConnectionsPerIp)
    );
    gate.listener.configure(&Limits::default());
    let free = gate.admit(ip("10.0.0.1")).unwrap();
    drop((after, free));
    gate.listener.configure(&Limits::default());
    assert_eq!(open(&gate), [0, 0]);
    assert_eq!(gate.listener.sources(), 0);
}

#[test]
fn threads_never_exceed_a_limit_and_give_all_back() {
    let gate = gate(
        |limits| limits.max_connections = count(50),
        |limits| limits.max_connections_per_ip = Some(count(7)),
    );
    let devices = [(); 16].map(|()| AtomicUsize::new(0));
    let come_and_go = |seed: u64| {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut places = Vec::new();
        for _ in 0..5000 {
            let device = random.usize(..devices.len());
            let address = IpAddr::from([10, 0, 0, u8::try_from(device).unwrap()]);
            if random.bool()
                && let Ok(place) = gate.admit(address)
            {
                assert!(devices[device].fetch_add(1, SeqCst) < 7);
                places.push((device, place));
            } else if !places.is_empty() {
                let (device, place) = places.swap_remove(random.usize(..places.len()));
                devices[device].fetch_sub(1, SeqCst);
                drop(place);
            }
            assert!(gate.pod.open() <= 50);
        }
        for (device, place) in places {
            devices[device].fetch_sub(1, SeqCst);
            drop(place);
        }
    };
    thread::scope(|scope| {
        for seed in 0..8 {
            scope.spawn(move || come_and_go(seed));
        }
    });
    assert_eq!(open(&gate), [0, 0]);
    assert_eq!(gate.listener.sources(), 0);
}

#[test]
fn every_refusal_has_a_word_of_its_own() {
    let words = Refusal::ALL.map(Refusal::as_str);
    let distinct: std::collections::HashSet<_> = words.iter().collect();
    assert_eq!(distinct.len(), words.len());
}
