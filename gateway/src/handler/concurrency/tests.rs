//! Simulated servers: so many workers, each busy for so long with a call, and a queue before them.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use super::*;

/// A server, and as many clients as one likes, each with one call at a time. Time is in microseconds.
struct Simulation {
    start: Instant,
    now: u64,
    concurrency: Concurrency,
    workers: usize,
    takes: u64,
    clients: usize,
    /// Calls that wait for a worker: when they began.
    queue: VecDeque<u64>,
    /// Calls with a worker: when they end, and when they began.
    busy: BinaryHeap<Reverse<(u64, u64)>>,
    deadline: u64,
    done: u64,
}

const SECOND: u64 = 1_000_000;

impl Simulation {
    fn new(min: usize, max: usize, workers: usize, takes: Duration) -> Self {
        let start = Instant::now();
        Self {
            start,
            now: 0,
            concurrency: Concurrency::new(min, max, start),
            workers,
            takes: u64::try_from(takes.as_micros()).unwrap(),
            clients: usize::MAX,
            queue: VecDeque::new(),
            busy: BinaryHeap::new(),
            deadline: 10 * SECOND,
            done: 0,
        }
    }

    fn at(&self, time: u64) -> Instant {
        self.start + Duration::from_micros(time)
    }

    fn under_way(&self) -> usize {
        self.queue.len() + self.busy.len()
    }

    /// Lets so many seconds pass, and tells the calls that were answered in each, and the limits between which it was.
    fn run(&mut self, seconds: u64) -> (u64, usize, usize) {
        let until = self.now + seconds * SECOND;
        let (done, mut low, mut high) = (self.done, usize::MAX, 0);
        while self.now < until {
            while self.under_way() < self.concurrency.limit().min(self.clients) {
                self.queue.push_back(self.now);
            }
            while self.busy.len() < self.workers
                && let Some(began) = self.queue.pop_front()
            {
                // A little varied, and always the same.
                let takes = self.takes * (90 + (self.done + self.busy.len() as u64) * 7 % 20) / 100;
                self.busy.push(Reverse((self.now + takes, began)));
            }
            let Reverse((ends, began)) = self.busy.pop().unwrap();
            self.now = ends;
            let seen = if ends - began > self.deadline {
                Seen::TimedOut
            } else {
                self.done += 1;
                Seen::Answered
            };
            let (began, now) = (self.at(began), self.at(ends));
            let under_way = self.under_way() + 1;
            self.concurrency.ended(seen, began, under_way, now);
            let limit = self.concurrency.limit();
            (low, high) = (low.min(limit), high.max(limit));
        }
        ((self.done - done) / seconds, low, high)
    }
}

#[test]
fn it_finds_the_knee_and_keeps_the_server_busy() {
    for workers in [20, 100, 500] {
        let mut server = Simulation::new(4, 10_000, workers, Duration::from_millis(20));
        // It begins with ten thousand calls, which take as long as they take.
        server.run(60);
        let (rate, _, high) = server.run(60);
        let most = workers as u64 * 50;
        assert!(rate > most * 9 / 10, "{rate} of {most} calls a second");
        assert!(high <= workers * 4, "{high} for {workers} workers");
    }
}

#[test]
fn few_clients_are_never_limited() {
    let mut server = Simulation::new(4, 10_000, 100, Duration::from_millis(20));
    server.clients = 50;
    let (rate, low, _) = server.run(60);
    assert!(rate > 2_300, "{rate}");
    assert_eq!(low, 10_000);
}

#[test]
fn it_recovers_when_the_server_does() {
    let mut server = Simulation::new(4, 10_000, 200, Duration::from_millis(20));
    server.run(60);
    let (before, ..) = server.run(30);
    server.workers = 10;
    server.run(60);
    let (slow, _, high) = server.run(30);
    assert!(high <= 40 * 2, "{high} for 10 workers");
    assert!(slow > 400, "{slow}");
    server.workers = 200;
    server.run(90);
    let (after, ..) = server.run(30);
    assert!(after > before * 9 / 10, "{after} after {before} a second");
}

#[test]
fn what_is_slower_for_good_becomes_the_rule() {
    let mut server = Simulation::new(4, 1_000, 100, Duration::from_millis(10));
    server.run(60);
    server.takes *= 10;
    server.run(90);
    let (rate, ..) = server.run(60);
    assert!(rate > 850, "{rate} of 1000 calls a second");
}

#[test]
fn time_outs_take_it_down_and_never_below_the_minimum() {
    let start = Instant::now();
    let mut concurrency = Concurrency::new(7, 1_000, start);
    let mut now = start;
    for _ in 0..10_000 {
        let began = now;
        now += Duration::from_millis(10);
        let limit = concurrency.limit();
        concurrency.ended(Seen::TimedOut, began, limit, now);
        assert!((7..=1_000).contains(&concurrency.limit()));
    }
    assert_eq!(concurrency.limit(), 7);
}

#[test]
fn a_time_out_now_and_then_changes_nothing() {
    let start = Instant::now();
    let mut concurrency = Concurrency::new(7, 100, start);
    let mut now = start;
    for number in 0..10_000 {
        let began = now;
        now += Duration::from_millis(10);
        let seen = if number % 20 == 0 {
            Seen::TimedOut
        } else {
            Seen::Answered
        };
        concurrency.ended(seen, began, 50, now);
    }
    assert_eq!(concurrency.limit(), 100);
}

#[test]
fn answers_that_come_fast_are_never_too_slow() {
    let start = Instant::now();
    let mut concurrency = Concurrency::new(1, 1_000, start);
    let mut now = start;
    for number in 0..200_000_u32 {
        let began = now;
        // A thousand times as long, and still nothing.
        now += Duration::from_micros(if number < 100_000 { 4 } else { 4_000 });
        concurrency.ended(Seen::Answered, began, 1_000, now);
    }
    assert_eq!(concurrency.limit(), 1_000);
}
