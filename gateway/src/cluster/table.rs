//! What other pods want: their filters with wildcards, and those of their `$share` groups. Each pod has all of it, so that
//! a publisher knows at once whom to tell.

use std::collections::{HashMap, HashSet};

use parking_lot::RwLock;

use crate::broker::{
    Filter, Topic, Trie, Wanters,
    others::{Pod, Sharing, Wanted},
};

/// The filters of all other pods.
#[derive(Default)]
pub(super) struct Table(RwLock<Inner>);

#[derive(Default)]
struct Inner {
    patterns: Trie<Wanting>,
    /// What each pod has in there, also of pods that want nothing.
    by_pod: HashMap<Pod, HashSet<Filter>>,
}

/// The pods that want one pattern.
#[derive(Default)]
struct Wanting {
    plain: Vec<Pod>,
    groups: Vec<Sharing>,
}

impl Wanters for Wanting {
    fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.groups.is_empty()
    }
}

impl Wanting {
    fn add(&mut self, pod: &Pod, filter: &Filter) {
        let pods = if filter.group().is_none() {
            &mut self.plain
        } else {
            let place = self.groups.iter().position(|each| each.filter == *filter);
            let place = place.unwrap_or_else(|| {
                self.groups.push(Sharing {
                    filter: filter.clone(),
                    pods: Vec::new(),
                });
                self.groups.len() - 1
            });
            &mut self.groups[place].pods
        };
        if !pods.contains(pod) {
            pods.push(pod.clone());
        }
    }

    fn remove(&mut self, pod: &Pod, filter: &Filter) {
        if filter.group().is_none() {
            self.plain.retain(|each| each != pod);
        }
        self.groups.retain_mut(|sharing| {
            if sharing.filter == *filter {
                sharing.pods.retain(|each| each != pod);
            }
            !sharing.pods.is_empty()
        });
    }
}

impl Table {
    /// The pod wants this too.
    pub(super) fn add(&self, pod: &Pod, filter: Filter) {
        let mut inner = self.0.write();
        let Inner { patterns, by_pod } = &mut *inner;
        patterns.entry(filter.pattern()).add(pod, &filter);
        by_pod.entry(pod.clone()).or_default().insert(filter);
    }

    /// The pod does not want this any more.
    pub(super) fn remove(&self, pod: &Pod, filter: &Filter) {
        let mut inner = self.0.write();
        let Inner { patterns, by_pod } = &mut *inner;
        let filters = by_pod.get_mut(pod);
        if filters.is_some_and(|filters| filters.remove(filter)) {
            patterns.remove(filter.pattern(), |wanting| {
                wanting.remove(pod, filter);
            });
        }
    }

    /// The pod wants these, and nothing else.
    pub(super) fn replace(&self, pod: &Pod, filters: Vec<Filter>) {
        let filters: HashSet<_> = filters.into_iter().collect();
        let before = self
            .0
            .write()
            .by_pod
            .entry(pod.clone())
            .or_default()
            .clone();
        for filter in before.difference(&filters) {
            self.remove(pod, filter);
        }
        for filter in filters {
            if !before.contains(&filter) {
                self.add(pod, filter);
            }
        }
    }

    /// The pod wants nothing any more.
    pub(super) fn forget(&self, pod: &Pod) {
        let mut inner = self.0.write();
        let Inner { patterns, by_pod } = &mut *inner;
        for filter in by_pod.remove(pod).unwrap_or_default() {
            patterns.remove(filter.pattern(), |wanting| {
                wanting.remove(pod, &filter);
            });
        }
    }

    /// Forgets the pods that are not among these. Tells which of these are not known.
    pub(super) fn keep<T>(&self, pods: &HashMap<Pod, T>) -> Vec<Pod> {
        let known: HashSet<Pod> = self.0.read().by_pod.keys().cloned().collect();
        for pod in known.iter().filter(|pod| !pods.contains_key(*pod)) {
            tracing::info!(%pod, "a pod is gone; its filters are forgotten");
            self.forget(pod);
        }
        let new = pods.keys().filter(|pod| !known.contains(*pod));
        new.cloned().collect()
    }

    /// How many filters all of them have.
    pub(super) fn len(&self) -> usize {
        self.0.read().by_pod.values().map(HashSet::len).sum()
    }

    /// Who wants this topic.
    pub(super) fn wanted(&self, topic: &Topic) -> Wanted {
        let mut wanted = Wanted::default();
        let inner = self.0.read();
        if inner.by_pod.is_empty() {
            return wanted;
        }
        inner.patterns.visit(topic.as_str(), |wanting| {
            for pod in &wanting.plain {
                if !wanted.pods.contains(pod) {
                    wanted.pods.push(pod.clone());
                }
            }
            wanted.groups.extend_from_slice(&wanting.groups);
        });
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> Filter {
        Filter::parse(text, 128).unwrap()
    }

    fn wanted(table: &Table, topic: &str) -> (Vec<String>, Vec<String>) {
        let wanted = table.wanted(&Topic::parse(topic, 128).unwrap());
        let mut pods: Vec<_> = wanted.pods.iter().map(ToString::to_string).collect();
        pods.sort();
        let groups = wanted.groups.iter();
        let mut groups: Vec<_> = groups
            .map(|sharing| format!("{}: {}", sharing.filter, sharing.pods.join(",")))
            .collect();
        groups.sort();
        (pods, groups)
    }

    #[test]
    fn a_pod_is_told_once_however_many_of_its_filters_match() {
        let table = Table::default();
        let (a, b): (Pod, Pod) = ("a".into(), "b".into());
        for text in ["#", "x/+", "x/#"] {
            table.add(&a, filter(text));
            table.add(&a, filter(text));
        }
        table.add(&b, filter("x/+"));
        assert_eq!(table.len(), 4);
        assert_eq!(wanted(&table, "x/1").0, ["a", "b"]);
        assert_eq!(wanted(&table, "y").0, ["a"]);
        assert!(wanted(&table, "$SYS/x").0.is_empty());
        table.remove(&b, &filter("x/+"));
        table.remove(&b, &filter("never"));
        assert_eq!(wanted(&table, "x/1").0, ["a"]);
        let c: Pod = "c".into();
        // One that is gone is forgotten, one that is new is named.
        let both = HashMap::from([(a.clone(), 1), (c.clone(), 2)]);
        assert_eq!(table.keep(&both), std::slice::from_ref(&c));
        table.replace(&c, Vec::new());
        assert!(table.keep(&both).is_empty());
        table.forget(&a);
        assert_eq!((wanted(&table, "x/1").0.len(), table.len()), (0, 0));
    }

    #[test]
    fn groups_name_the_pods_of_their_members() {
        let table = Table::default();
        let (a, b): (Pod, Pod) = ("a".into(), "b".into());
        for pod in [&a, &b] {
            table.add(pod, filter("$share/g/x/y"));
        }
        table.add(&b, filter("$share/h/x/+"));
        let expected = ["$share/g/x/y: a,b", "$share/h/x/+: b"];
        assert_eq!(wanted(&table, "x/y").1, expected);
        assert!(wanted(&table, "x/y").0.is_empty());
        table.forget(&b);
        assert_eq!(wanted(&table, "x/y").1, ["$share/g/x/y: a"]);
        table.remove(&a, &filter("$share/g/x/y"));
        assert!(wanted(&table, "x/y").1.is_empty());
    }
}
