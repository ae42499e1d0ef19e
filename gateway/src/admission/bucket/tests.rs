use std::thread;

use proptest::prelude::*;

use super::*;

const GIB: u64 = 1 << 30;

fn pace(amount: u64, period: Duration) -> Pace {
    Pace::new(Rate { amount, period }, 1)
}

fn per_second(amount: u64) -> Pace {
    pace(amount, Duration::from_secs(1))
}

fn at(millis: u64) -> Moment {
    Moment(millis * 1_000_000)
}

#[test]
fn a_whole_amount_passes_at_once_and_comes_back_evenly() {
    let (bucket, pace) = (Bucket::default(), per_second(10));
    for _ in 0..10 {
        assert!(bucket.try_take(&pace, 1, at(0)));
    }
    assert!(!bucket.try_take(&pace, 1, at(0)));
    assert_eq!(bucket.ready(&pace, 1, at(0)), Err(at(100)));
    assert_eq!(bucket.ready(&pace, 5, at(0)), Err(at(500)));
    assert_eq!(bucket.ready(&pace, 1, at(99)), Err(at(100)));
    assert_eq!(bucket.ready(&pace, 1, at(100)), Ok(1));
    assert_eq!(bucket.ready(&pace, 1, at(750)), Ok(7));
    assert_eq!(bucket.ready(&pace, 1, at(60_000)), Ok(10));
}

#[test]
fn all_or_nothing_is_taken() {
    let (bucket, pace) = (Bucket::default(), per_second(10));
    assert!(bucket.try_take(&pace, 7, at(0)));
    assert!(!bucket.try_take(&pace, 4, at(0)));
    assert!(bucket.try_take(&pace, 3, at(0)));
}

#[test]
fn a_debt_is_paid_before_anything_passes() {
    let (bucket, pace) = (Bucket::default(), per_second(10));
    bucket.spend(&pace, 15, at(0));
    assert_eq!(bucket.ready(&pace, 1, at(0)), Err(at(600)));
    assert_eq!(bucket.ready(&pace, 1, at(600)), Ok(1));
}

#[test]
fn a_debt_is_never_more_than_a_bucket() {
    let (bucket, pace) = (Bucket::default(), per_second(10));
    for _ in 0..100 {
        bucket.spend(&pace, u64::MAX, at(0));
    }
    assert_eq!(bucket.ready(&pace, 1, at(0)), Err(at(1100)));
}

#[test]
fn more_than_a_bucket_passes_when_it_is_full_and_is_paid_in_full() {
    let rate = Rate {
        amount: 10,
        period: Duration::from_secs(1),
    };
    let (bucket, pace) = (Bucket::default(), Pace::new(rate, 100));
    assert!(bucket.try_take(&pace, 100, at(0)));
    assert!(!bucket.try_take(&pace, 1, at(9_099)));
    assert!(bucket.try_take(&pace, 1, at(9_100)));
    assert!(!bucket.try_take(&pace, 100, at(10_000)));
    assert!(bucket.try_take(&pace, 100, at(10_100)));
}

#[test]
fn a_faster_rate_counts_at_once() {
    let bucket = Bucket::default();
    bucket.spend(&pace(1, Duration::from_secs(3600)), 2, at(0));
    assert_eq!(bucket.ready(&per_second(10), 1, at(0)), Err(at(1100)));
}

#[test]
fn the_smallest_amounts_add_up_at_the_highest_rate() {
    let (bucket, pace) = (Bucket::default(), per_second(100 * GIB));
    for _ in 0..100_000 {
        assert!(bucket.try_take(&pace, 1, at(0)));
    }
    let left = bucket.ready(&pace, 1, at(0)).unwrap();
    assert!(left.abs_diff(100 * GIB - 100_000) <= 1, "{left}");
}

#[test]
fn one_an_hour_is_one_an_hour() {
    let hour = Duration::from_secs(3600);
    let (bucket, pace) = (Bucket::default(), pace(1, hour));
    let mut now = at(123);
    for _ in 0..1000 {
        assert!(bucket.try_take(&pace, 1, now));
        let next = now.after(hour);
        assert_eq!(bucket.ready(&pace, 1, now), Err(next));
        assert!(!bucket.try_take(&pace, 1, Moment(next.0 - 1)));
        now = next;
    }
}

#[test]
fn the_largest_numbers_do_not_overflow() {
    for (amount, period) in [
        (u64::MAX, Duration::MAX),
        (1, Duration::MAX),
        (u64::MAX, Duration::from_nanos(1)),
        (1, Duration::from_nanos(1)),
    ] {
        let (bucket, pace) = (
            Bucket::default(),
            Pace::new(Rate { amount, period }, u64::MAX),
        );
        for now in [Moment(0), Moment(1), Moment(LONGEST)] {
            for count in [0, 1, u64::MAX] {
                bucket.spend(&pace, count, now);
                let _ = bucket.try_take(&pace, count, now);
                let _ = bucket.ready(&pace, count, now);
            }
        }
    }
}

#[test]
fn the_stricter_rate_is_the_slower_one() {
    let (fast, slow) = (per_second(100), pace(600, Duration::from_secs(60)));
    assert_eq!(fast.stricter(slow), slow);
    assert_eq!(slow.stricter(fast), slow);
    let small = per_second(10);
    assert_eq!(slow.stricter(small), small);
}

#[test]
fn threads_take_no_more_than_there_is() {
    let (bucket, pace) = (Bucket::default(), per_second(10_000));
    let taken: usize = thread::scope(|scope| {
        let take = || {
            (0..5000)
                .filter(|_| bucket.try_take(&pace, 1, at(5)))
                .count()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(taken, 10_000);
}

/// The definition. Levels are multiplied by the period, so that they are whole numbers.
struct Model {
    amount: i128,
    period: i128,
    level: i128,
    last: u64,
}

impl Model {
    fn new(pace: &Pace, now: u64) -> Self {
        let (amount, period) = (i128::from(pace.amount), i128::from(pace.period));
        Self {
            amount,
            period,
            level: amount * period,
            last: now,
        }
    }

    fn pass_time(&mut self, now: u64) {
        let refill = i128::from(now - self.last) * self.amount;
        self.level = (self.level + refill).min(self.amount * self.period);
        self.last = now;
    }

    fn after(&self, count: u64) -> i128 {
        self.level - i128::from(count) * self.period
    }
}

/// In millionths of the period or of the amount.
#[derive(Clone, Debug)]
enum Act {
    Wait(u64),
    Take(u64),
    Spend(u64),
    Ready,
}

fn millionths(of: u64, share: u64) -> u64 {
    u64::try_from(u128::from(of) * u128::from(share) / 1_000_000).unwrap()
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        (0..1_500_000u64).prop_map(Act::Wait),
        (0..10_000u64).prop_map(Act::Wait),
        (0..400_000u64).prop_map(Act::Take),
        (0..10_000u64).prop_map(Act::Take),
        (0..700_000u64).prop_map(Act::Spend),
        Just(Act::Ready),
    ];
    prop::collection::vec(act, 1..200)
}

proptest! {
    #[test]
    fn it_is_what_the_definition_says(
        amount in prop_oneof![1..20u64, 1..100_000u64, 1..100 * GIB],
        period in prop_oneof![Just(1u64), Just(60), Just(3600)],
        start in 0..1_000_000_000_000_000u64,
        acts in acts(),
    ) {
        let (bucket, pace) = (Bucket::default(), pace(amount, Duration::from_secs(period)));
        let mut now = start;
        let mut model = Model::new(&pace, now);
        for act in acts {
            let count = |share| millionths(amount, share).max(1);
            if let Act::Wait(periods) = act {
                now += millionths(pace.period, periods);
            }
            model.pass_time(now);
            match act {
                Act::Wait(_) => {}
                Act::Take(share) => {
                    let taken = bucket.try_take(&pace, count(share), Moment(now));
                    let left = model.after(count(share));
                    // Where the definition is undecided within one, the bucket decides.
                    prop_assert!(taken == (left >= 0) || left.abs() <= model.period, "{left}");
                    if taken {
                        model.level = left;
                    }
                }
                Act::Spend(share) => {
                    bucket.spend(&pace, count(share), Moment(now));
                    model.level = model.after(count(share)).max(-model.amount * model.period);
                }
                Act::Ready => match bucket.ready(&pace, 1, Moment(now)) {
                    Ok(there) => {
                        let level = model.level / model.period;
                        prop_assert!((i128::from(there) - level).abs() <= 1, "{there} {level}");
                    }
                    Err(then) => {
                        prop_assert!(model.level <= model.period);
                        prop_assert!(bucket.ready(&pace, 1, Moment(then.0 + 1)).is_ok());
                    }
                },
            }
        }
    }
}
