use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
};

/// Any filters in any order, against a table that looks at them all.
mod model;

use super::{Recipients, Router};
use crate::broker::{Filter, Qos, Queue, Stats, Topic, queue::Limits, topic::MAX_LEVELS};

const LIMITS: Limits = Limits {
    messages: 1_000,
    bytes: 1_000_000,
};

/// A router with queues and the subscriptions a test made, to be looked at from outside.
struct Table {
    router: Router,
    stats: Arc<Stats>,
    queues: Vec<Arc<Queue>>,
}

impl Table {
    fn new(queues: usize) -> Self {
        let stats = Arc::<Stats>::default();
        let queues = (0..queues)
            .map(|_| Queue::new(LIMITS, Arc::clone(&stats)))
            .collect();
        Self {
            router: Router::new(Arc::clone(&stats)),
            stats,
            queues,
        }
    }

    fn subscribe(&self, filter: &Filter, queue: usize) -> u64 {
        self.router
            .subscribe(filter, Qos::AtMostOnce, &self.queues[queue])
    }

    fn unsubscribe(&self, filter: &Filter, queue: usize, generation: u64) {
        self.router
            .unsubscribe(filter, &self.queues[queue], generation);
    }

    fn route(&self, name: &str) -> Recipients {
        self.router.route(&Topic::parse(name, MAX_LEVELS).unwrap())
    }

    /// The trie's nodes, after a look at its order.
    fn nodes(&self) -> usize {
        self.router.wildcard.read().tidy_nodes()
    }

    /// The numbers of the queues that a message goes to, sorted; groups not included.
    fn plain(&self, name: &str) -> Vec<usize> {
        let number = |queue| {
            self.queues
                .iter()
                .position(|ours| Arc::ptr_eq(ours, queue))
                .unwrap()
        };
        let mut found: Vec<_> = self.route(name).queues.iter().map(number).collect();
        found.sort_unstable();
        found
    }

    fn assert_empty(&self) {
        assert_eq!(self.nodes(), 0);
        assert_eq!(self.router.exact.len(), 0);
        assert_eq!(self.stats.filters.load(Relaxed), 0);
        assert_eq!(self.stats.subscriptions.load(Relaxed), 0);
        assert!(
            self.queues
                .iter()
                .all(|queue| Arc::strong_count(queue) == 1),
            "a queue is still held"
        );
    }
}

fn filter(text: &str) -> Filter {
    Filter::parse(text, MAX_LEVELS).unwrap()
}

#[test]
fn each_matching_filter_gives_its_queue_a_copy() {
    let table = Table::new(3);
    for (text, queue) in [
        ("a/b", 0),
        ("a/+", 0),
        ("a/#", 1),
        ("#", 2),
        ("+/b", 2),
        ("a/c", 1),
        ("a/b/+", 1),
    ] {
        table.subscribe(&filter(text), queue);
    }
    assert_eq!(table.plain("a/b"), [0, 0, 1, 2, 2]);
    assert_eq!(table.plain("a"), [1, 2]);
    assert_eq!(table.plain("x"), [2]);
    assert!(table.plain("$SYS").is_empty());
}

#[test]
fn subscribing_again_does_not_double_and_outlives_the_first() {
    for text in ["a/b", "a/+", "$share/g/a/b", "$share/g/a/+"] {
        let (table, filter) = (Table::new(1), filter(text));
        let first = table.subscribe(&filter, 0);
        let second = table.subscribe(&filter, 0);
        let copies = |table: &Table| {
            let route = table.route("a/b");
            route.queues.len() + route.groups.len()
        };
        assert_eq!(copies(&table), 1, "{text}");
        table.unsubscribe(&filter, 0, first);
        assert_eq!(copies(&table), 1, "{text}");
        table.unsubscribe(&filter, 0, second);
        assert_eq!(copies(&table), 0, "{text}");
        table.assert_empty();
    }
}

#[test]
fn many_queues_on_one_filter_come_and_go() {
    for text in ["a/b", "a/+"] {
        let (table, filter) = (Table::new(100), filter(text));
        let generations: Vec<_> = (0..100)
            .map(|queue| table.subscribe(&filter, queue))
            .collect();
        assert_eq!(table.plain("a/b"), (0..100).collect::<Vec<_>>());
        for (queue, generation) in generations.into_iter().enumerate() {
            table.unsubscribe(&filter, queue, generation);
            assert_eq!(table.plain("a/b"), (queue + 1..100).collect::<Vec<_>>());
        }
        table.assert_empty();
    }
}

#[test]
fn edges_join_again_when_a_branch_goes() {
    let table = Table::new(1);
    let filters = ["a/b/c/+", "a/b/d/+", "a/b/d/#", "a/#"].map(filter);
    let generations = filters.each_ref().map(|filter| table.subscribe(filter, 0));
    let nodes = || table.nodes();
    // a, b with c/+ and d, which has + and #; and the # below a.
    assert_eq!(nodes(), 7);
    table.unsubscribe(&filters[1], 0, generations[1]);
    assert_eq!(nodes(), 5);
    table.unsubscribe(&filters[2], 0, generations[2]);
    assert_eq!(nodes(), 3);
    table.unsubscribe(&filters[3], 0, generations[3]);
    assert_eq!(nodes(), 1);
    assert_eq!(table.plain("a/b/c/x"), [0]);
    table.unsubscribe(&filters[0], 0, generations[0]);
    table.assert_empty();
}

#[test]
fn the_deepest_filters_are_walked_without_harm() {
    let table = Table::new(1);
    let texts: Vec<_> = (1..MAX_LEVELS)
        .map(|depth| format!("{}+", "a/".repeat(depth)))
        .collect();
    let filters: Vec<_> = texts.iter().map(|text| filter(text)).collect();
    let generations: Vec<_> = filters
        .iter()
        .map(|filter| table.subscribe(filter, 0))
        .collect();
    assert_eq!(
        table.plain(&format!("{}b", "a/".repeat(MAX_LEVELS - 1))),
        [0]
    );
    for (filter, generation) in filters.iter().zip(generations) {
        table.unsubscribe(filter, 0, generation);
    }
    table.assert_empty();
}

#[test]
fn a_node_with_many_names_finds_them_while_they_come_and_go() {
    const NAMES: usize = 10_000;
    let table = Table::new(1);
    let filters: Vec<_> = (0..NAMES)
        .map(|name| filter(&format!("a/{name}/+")))
        .collect();
    let generations: Vec<_> = filters
        .iter()
        .map(|filter| table.subscribe(filter, 0))
        .collect();
    for gone in 0..NAMES {
        if gone % 97 == 0 || NAMES - gone < 12 {
            assert_eq!(table.plain(&format!("a/{gone}/b")), [0]);
            assert_eq!(table.plain(&format!("a/{}/b", NAMES - 1)), [0]);
            assert!(
                table
                    .plain(&format!("a/{}/b", gone.wrapping_sub(1)))
                    .is_empty()
            );
        }
        table.unsubscribe(&filters[gone], 0, generations[gone]);
    }
    table.assert_empty();
}

#[test]
fn of_a_million_filters_a_topic_finds_its_own() {
    const HALF: usize = 500_000;
    let table = Table::new(1_000);
    let exact = |number: usize| (filter(&format!("d/{number}/state")), number % 1_000);
    let wildcard = |number: usize| {
        let text = if number.is_multiple_of(2) {
            format!("d/{number}/+")
        } else {
            format!("+/{number}/#")
        };
        (filter(&text), number * 7 % 1_000)
    };
    let subscribe = |(filter, queue)| (table.subscribe(&filter, queue), filter, queue);
    let halves = thread::scope(|scope| {
        let exact = scope.spawn(|| (0..HALF).map(exact).map(subscribe).collect::<Vec<_>>());
        let wildcard = (0..HALF).map(wildcard).map(subscribe).collect();
        [exact.join().unwrap(), wildcard]
    });
    assert_eq!(table.stats.filters.load(Relaxed), 2 * HALF as u64);
    for number in (0..HALF).step_by(4_999) {
        let (exact, wildcard) = (exact(number).1, wildcard(number).1);
        let mut both = [exact, wildcard];
        both.sort_unstable();
        assert_eq!(table.plain(&format!("d/{number}/state")), both);
        assert_eq!(table.plain(&format!("d/{number}/cmd")), [wildcard]);
        assert!(table.plain(&format!("d/x{number}/state")).is_empty());
    }
    thread::scope(|scope| {
        for half in halves {
            scope.spawn(|| {
                for (generation, filter, queue) in half {
                    table.unsubscribe(&filter, queue, generation);
                }
            });
        }
    });
    table.assert_empty();
}
