use std::{collections::HashMap, sync::Arc};

use proptest::prelude::*;

use super::{Table, filter};
use crate::broker::{
    Filter, Queue, Topic,
    topic::{self, MAX_LEVELS},
};

/// The rule as the specification words it, on lists of levels.
fn wants(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) | ([], []) => true,
        (["+", filter @ ..], [_, topic @ ..]) => wants(filter, topic),
        ([name, filter @ ..], [level, topic @ ..]) => name == level && wants(filter, topic),
        _ => false,
    }
}

fn expected(pattern: &str, name: &str) -> bool {
    let (filter, topic): (Vec<_>, Vec<_>) =
        (pattern.split('/').collect(), name.split('/').collect());
    let hidden = topic[0].starts_with('$') && ["+", "#"].contains(&filter[0]);
    !hidden && wants(&filter, &topic)
}

#[derive(Clone, Debug)]
enum Step {
    Subscribe {
        filter: String,
        queue: usize,
    },
    /// Drops the guard that is at this place among those held.
    Unsubscribe(prop::sample::Index),
    Publish(String),
}

const QUEUES: usize = 4;

fn name() -> impl Strategy<Value = String> {
    // The numbers are enough for one node to need its map.
    prop_oneof![
        6 => prop::sample::select(vec!["", "a", "b", "ü", "$SYS", "$share"]).prop_map(str::to_owned),
        1 => (0..20_u8).prop_map(|number| number.to_string()),
    ]
}

fn topic_text() -> impl Strategy<Value = String> {
    prop::collection::vec(name(), 1..5).prop_map(|levels| levels.join("/"))
}

fn filter_text() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => name(), 1 => Just("+".to_owned())];
    let share = prop::option::weighted(0.2, prop::sample::select(vec!["g", "h"]));
    (share, prop::collection::vec(level, 0..4), any::<bool>()).prop_map(
        |(share, mut levels, hash)| {
            if hash {
                levels.push("#".to_owned());
            }
            let pattern = levels.join("/");
            share.map_or(pattern.clone(), |group| format!("$share/{group}/{pattern}"))
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (filter_text(), 0..QUEUES).prop_map(|(filter, queue)| Step::Subscribe { filter, queue }),
        2 => any::<prop::sample::Index>().prop_map(Step::Unsubscribe),
        3 => topic_text().prop_map(Step::Publish),
    ]
}

/// What the table should hold, found by looking at everything.
#[derive(Default)]
struct Model {
    /// All guards not dropped yet.
    guards: Vec<(Filter, usize, u64)>,
    /// The subscription that counts, for each filter and queue.
    current: HashMap<(String, usize), u64>,
}

impl Model {
    fn plain(&self, name: &str) -> Vec<usize> {
        let matching = self
            .matching(name)
            .filter(|(filter, _)| filter.group().is_none());
        let mut queues: Vec<_> = matching.map(|(_, queue)| queue).collect();
        queues.sort_unstable();
        queues
    }

    /// The members of each group that gets a copy, sorted.
    fn groups(&self, name: &str) -> Vec<Vec<usize>> {
        let mut groups: HashMap<String, Vec<usize>> = HashMap::new();
        for (filter, queue) in self
            .matching(name)
            .filter(|(filter, _)| filter.group().is_some())
        {
            groups.entry(filter.to_string()).or_default().push(queue);
        }
        sorted(groups.into_values())
    }

    fn matching(&self, name: &str) -> impl Iterator<Item = (Filter, usize)> {
        self.current.keys().filter_map(move |(text, queue)| {
            let filter = filter(text);
            expected(filter.pattern(), name).then_some((filter, *queue))
        })
    }
}

fn sorted(groups: impl Iterator<Item = Vec<usize>>) -> Vec<Vec<usize>> {
    let mut groups: Vec<_> = groups
        .map(|mut group| {
            group.sort_unstable();
            group
        })
        .collect();
    groups.sort_unstable();
    groups
}

/// What comes from other pods comes in two copies, which together are for everybody once.
fn in_two_parts(table: &Table, name: &str) {
    let topic = Topic::parse(name, MAX_LEVELS).unwrap();
    let whole = table.router.route(&topic);
    let shares: Vec<_> = whole
        .groups
        .iter()
        .map(|group| group.filter().clone())
        .collect();
    let (exact, patterns) = (
        table.router.route_exact(&topic),
        table.router.route_patterns(&topic, &shares),
    );
    let addresses = |queues: &[Arc<Queue>]| {
        let mut addresses: Vec<_> = queues
            .iter()
            .map(|queue| Arc::as_ptr(queue).addr())
            .collect();
        addresses.sort_unstable();
        addresses
    };
    let parts = [exact.queues, patterns.queues].concat();
    assert_eq!(addresses(&parts), addresses(&whole.queues), "{name}");
    assert!(exact.groups.is_empty());
    let same = |(one, other): (&Arc<_>, &Arc<_>)| Arc::ptr_eq(one, other);
    assert_eq!(patterns.groups.len(), shares.len(), "{name}");
    assert!(
        patterns.groups.iter().zip(&whole.groups).all(same),
        "{name}"
    );
}

fn run(table: &Table, model: &mut Model, step: Step) {
    match step {
        Step::Subscribe {
            filter: text,
            queue,
        } => match Filter::parse(&text, MAX_LEVELS) {
            Ok(filter) => {
                let generation = table.subscribe(&filter, queue);
                model.current.insert((text, queue), generation);
                model.guards.push((filter, queue, generation));
            }
            // Levels put together at random do not always make a filter.
            Err(
                topic::Error::Empty
                | topic::Error::ShareGroup
                | topic::Error::ShareFilter
                | topic::Error::ShareNested,
            ) => {}
            Err(error) => panic!("{text}: {error}"),
        },
        Step::Unsubscribe(index) => {
            if model.guards.is_empty() {
                return;
            }
            let (filter, queue, generation) =
                model.guards.swap_remove(index.index(model.guards.len()));
            table.unsubscribe(&filter, queue, generation);
            let key = (filter.to_string(), queue);
            if model.current.get(&key) == Some(&generation) {
                model.current.remove(&key);
            }
        }
        Step::Publish(name) => {
            if Topic::parse(&name, MAX_LEVELS).is_err() {
                return;
            }
            assert_eq!(table.plain(&name), model.plain(&name), "{name}");
            let number = |queue: &_| {
                table
                    .queues
                    .iter()
                    .position(|ours| Arc::ptr_eq(ours, queue))
                    .unwrap()
            };
            let route = table.route(&name);
            let groups = route
                .groups
                .iter()
                .map(|group| group.queues().iter().map(number).collect());
            assert_eq!(sorted(groups), model.groups(&name), "{name}");
            in_two_parts(table, &name);
        }
    }
}

proptest! {
    #[test]
    fn the_table_agrees_with_looking_at_every_filter(steps in prop::collection::vec(step(), 1..150)) {
        let (table, mut model) = (Table::new(QUEUES), Model::default());
        for step in steps {
            run(&table, &mut model, step);
            table.nodes();
        }
        for (filter, queue, generation) in model.guards.drain(..) {
            table.unsubscribe(&filter, queue, generation);
        }
        table.assert_empty();
    }

    #[test]
    fn a_filter_matches_as_the_specification_says(filter in filter_text(), name in topic_text()) {
        if let (Ok(filter), Ok(topic)) = (Filter::parse(&filter, 8), Topic::parse(&name, 8)) {
            prop_assert_eq!(filter.matches(&topic), expected(filter.pattern(), &name));
        }
    }
}
