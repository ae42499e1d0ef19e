use std::thread;

use config::{Limits, Traffic};

use super::*;
use crate::admission::{Bans, Level};

const NOTHING: fn(&mut Limits) = |_| {};

fn rate(amount: u64) -> Rate {
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

fn in_millis(now: Instant, millis: u64) -> Instant {
    now + Duration::from_millis(millis)
}

#[test]
fn without_rates_nothing_stands_in_the_way() {
    let flow = Flow::new(&gate(NOTHING, NOTHING));
    let now = Instant::now();
    assert!(flow.is_unlimited());
    assert_eq!(flow.allowance(Direction::In, now), Ok(usize::MAX));
    assert!(flow.try_pass(Direction::Out, usize::MAX, now));
    flow.spend(Direction::In, usize::MAX, u32::MAX, now);
    assert_eq!(flow.allowance(Direction::In, now), Ok(usize::MAX));
}

#[test]
fn a_flow_is_small() {
    assert!(size_of::<Flow>() <= 32);
}

#[test]
fn a_connection_has_a_rate_of_its_own() {
    let gate = gate(NOTHING, |limits| {
        limits.traffic_per_connection.bytes_in = Some(rate(1000));
    });
    let (one, other) = (Flow::new(&gate), Flow::new(&gate));
    let now = Instant::now();
    assert!(!one.is_unlimited());
    assert_eq!(one.allowance(Direction::In, now), Ok(1000));
    one.spend(Direction::In, 1000, 1, now);
    // A twentieth of the bucket is worth waking for.
    assert_eq!(one.allowance(Direction::In, now), Err(in_millis(now, 50)));
    assert_eq!(one.allowance(Direction::In, in_millis(now, 50)), Ok(50));
    assert_eq!(one.allowance(Direction::Out, now), Ok(usize::MAX));
    assert_eq!(other.allowance(Direction::In, now), Ok(1000));
}

#[test]
fn of_the_pods_and_the_listeners_rate_the_stricter_counts() {
    let gate = gate(
        |limits| limits.traffic_per_connection.bytes_out = Some(rate(100)),
        |limits| limits.traffic_per_connection.bytes_out = Some(rate(1000)),
    );
    assert_eq!(
        Flow::new(&gate).allowance(Direction::Out, Instant::now()),
        Ok(100)
    );
}

#[test]
fn messages_count_as_well() {
    let gate = gate(NOTHING, |limits| {
        limits.traffic_per_connection.messages_in = Some(rate(2));
    });
    let (flow, now) = (Flow::new(&gate), Instant::now());
    flow.spend(Direction::In, 1 << 20, 1, now);
    assert_eq!(flow.allowance(Direction::In, now), Ok(usize::MAX));
    flow.spend(Direction::In, 1, 1, now);
    assert_eq!(flow.allowance(Direction::In, now), Err(in_millis(now, 500)));
}

#[test]
fn all_connections_share_the_rates_of_the_listener_and_of_the_pod() {
    let gate = gate(
        |limits| limits.traffic.bytes_in = Some(rate(1000)),
        |limits| limits.traffic.bytes_out = Some(rate(500)),
    );
    let (one, other) = (Flow::new(&gate), Flow::new(&gate));
    let now = Instant::now();
    one.spend(Direction::In, 900, 1, now);
    one.spend(Direction::Out, 499, 1, now);
    assert_eq!(other.allowance(Direction::In, now), Ok(100));
    assert_eq!(other.allowance(Direction::Out, now), Ok(1));
    other.spend(Direction::Out, 1, 1, now);
    // Those who wait for the same are spread over half of the period.
    let then = one.allowance(Direction::Out, now).unwrap_err();
    assert!((in_millis(now, 50)..=in_millis(now, 550)).contains(&then));
    assert!(one.allowance(Direction::Out, then).is_ok());
}

#[test]
fn a_datagram_passes_whole_or_takes_nothing() {
    let gate = gate(
        |limits| limits.traffic.bytes_in = Some(rate(1000)),
        |limits| limits.traffic_per_connection.bytes_in = Some(rate(2000)),
    );
    let (flow, now) = (Flow::new(&gate), Instant::now());
    assert!(flow.try_pass(Direction::In, 700, now));
    assert!(!flow.try_pass(Direction::In, 700, now));
    assert!(flow.try_pass(Direction::In, 300, now));
    // The connection's own rate was not charged for the one that was dropped.
    let own = gate.listener().clone();
    gate.pod().configure(&Limits::default());
    assert!(own.has_traffic_rates.load(Relaxed));
    assert_eq!(flow.allowance(Direction::In, now), Ok(1000));
}

#[test]
fn a_datagram_larger_than_a_bucket_passes_when_it_is_full() {
    let gate = gate(NOTHING, |limits| {
        limits.traffic_per_connection.bytes_in = Some(rate(1000));
    });
    let (flow, now) = (Flow::new(&gate), Instant::now());
    assert!(flow.try_pass(Direction::In, 5000, now));
    assert!(!flow.try_pass(Direction::In, 5000, in_millis(now, 4000)));
    assert!(flow.try_pass(Direction::In, 5000, in_millis(now, 5000)));
}

#[test]
fn an_empty_datagram_is_a_message() {
    let gate = gate(NOTHING, |limits| {
        limits.traffic.messages_out = Some(rate(1));
    });
    let (flow, now) = (Flow::new(&gate), Instant::now());
    assert!(flow.try_pass(Direction::Out, 0, now));
    assert!(!flow.try_pass(Direction::Out, 0, now));
}

#[test]
fn other_rates_count_at_the_next_look() {
    let gate = gate(NOTHING, NOTHING);
    let (flow, now) = (Flow::new(&gate), Instant::now());
    let traffic = |amount| Traffic {
        bytes_in: Some(rate(amount)),
        ..Traffic::default()
    };
    let listener = |amount| limits(|limits| limits.traffic_per_connection = traffic(amount));
    gate.listener().configure(&listener(100));
    assert!(!flow.is_unlimited());
    assert_eq!(flow.allowance(Direction::In, now), Ok(100));
    flow.spend(Direction::In, 50, 1, now);
    gate.listener().configure(&listener(1000));
    assert_eq!(flow.allowance(Direction::In, now), Ok(500));
    gate.listener().configure(&Limits::default());
    assert!(flow.is_unlimited());
    gate.pod()
        .configure(&limits(|limits| limits.traffic = traffic(10)));
    assert_eq!(flow.allowance(Direction::In, now), Ok(10));
}

#[test]
fn many_connections_together_keep_to_the_rate() {
    let gate = gate(
        |limits| limits.traffic.bytes_in = Some(rate(100_000)),
        NOTHING,
    );
    let now = Instant::now();
    let read = || {
        let flow = Flow::new(&gate);
        let mut read = 0;
        while let Ok(allowed) = flow.allowance(Direction::In, now) {
            let bytes = allowed.min(100);
            flow.spend(Direction::In, bytes, 1, now);
            read += bytes;
        }
        read
    };
    let read: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(read)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    // Threads that look at the same time may each read once more.
    assert!((100_000..=100_400).contains(&read), "{read}");
}
