//! Filters with wildcards, level by level. An edge carries as many levels as it can: a node exists only where
//! filters part or end, so a million filters that part at one level cost a million nodes, not a million times
//! their levels. Unsubscribing takes out what it leaves empty and joins edges again.

/// The edges below a node.
mod edges;

/// One or more levels of a filter, found by the first.
mod label;

/// The edges below a node that start with a name.
mod names;

use self::{
    edges::Edges,
    label::{Label, Rest},
};

#[derive(Default)]
pub(crate) struct Trie<V> {
    root: Edges<V>,
    nodes: usize,
}

/// Those who want one filter's messages.
pub(crate) trait Wanters: Default {
    /// Whether there is nobody, so that the filter need not be kept.
    fn is_empty(&self) -> bool;
}

/// What is at the end of an edge: those who subscribed to exactly the levels so far, and the levels below.
#[derive(Default)]
struct Node<V> {
    wanters: V,
    below: Option<Box<Edges<V>>>,
}

type Edge<V> = (Label, Node<V>);

impl<V: Wanters> Trie<V> {
    /// The place for those who subscribe to this pattern. The caller puts somebody there.
    pub(crate) fn entry(&mut self, pattern: &str) -> &mut V {
        let Self { root, nodes } = self;
        let (mut edges, mut rest) = (root, pattern);
        loop {
            let Some(common) = edges.get(rest).map(|(label, _)| label.common(rest)) else {
                *nodes += 1;
                return &mut edges.put(Label::from(rest), Node::default()).wanters;
            };
            if !common.whole_label {
                *nodes += 1;
                divide(edges, rest, common.bytes);
            }
            let node = edges.get_mut(rest).expect("it was just found");
            match common.rest {
                None => return &mut node.wanters,
                Some(below) => (edges, rest) = (node.below.get_or_insert_default(), below),
            }
        }
    }

    /// Those who want this very pattern.
    pub(crate) fn get(&self, pattern: &str) -> Option<&V> {
        let (mut edges, mut rest) = (&self.root, pattern);
        loop {
            let (label, node) = edges.get(rest)?;
            let common = label.common(rest);
            if !common.whole_label {
                return None;
            }
            match common.rest {
                None => return Some(&node.wanters),
                Some(below) => (edges, rest) = (node.below.as_ref()?, below),
            }
        }
    }

    /// Lets `remove` take somebody out of those who want the pattern; none when nobody subscribed to it.
    pub(crate) fn remove<R>(
        &mut self,
        pattern: &str,
        remove: impl FnOnce(&mut V) -> R,
    ) -> Option<R> {
        remove_below(&mut self.root, pattern, remove, &mut self.nodes)
    }

    /// Calls `found` with those who want every filter that matches.
    pub(crate) fn visit(&self, topic: &str, mut found: impl FnMut(&V)) {
        // A wildcard at the first level leaves topics such as $SYS alone.
        visit_below(
            &self.root,
            Rest(Some(topic)),
            !topic.starts_with('$'),
            &mut found,
        );
    }
}

/// Puts a node into the edge that starts like `rest`, after `bytes` of its label.
fn divide<V: Wanters>(edges: &mut Edges<V>, rest: &str, bytes: usize) {
    let (label, node) = edges.take(rest).expect("the edge to divide is there");
    let (upper, lower) = label.divide(bytes);
    let mut below = Box::<Edges<V>>::default();
    below.put(lower, node);
    edges.put(
        upper,
        Node {
            below: Some(below),
            ..Node::default()
        },
    );
}

fn remove_below<V: Wanters, R>(
    edges: &mut Edges<V>,
    rest: &str,
    remove: impl FnOnce(&mut V) -> R,
    nodes: &mut usize,
) -> Option<R> {
    let common = edges.get(rest)?.0.common(rest);
    if !common.whole_label {
        return None;
    }
    let node = edges.get_mut(rest).expect("it was just found");
    let removed = match common.rest {
        None => remove(&mut node.wanters),
        Some(rest) => remove_below(node.below.as_mut()?, rest, remove, nodes)?,
    };
    let left = node.below.as_ref().map_or(0, |below| below.len());
    if left == 0 {
        node.below = None;
    }
    if node.wanters.is_empty() && left < 2 {
        *nodes -= 1;
        let (label, node) = edges.take(rest).expect("it was just found");
        if let Some((lower, node)) = node.below.and_then(|below| below.into_only()) {
            edges.put(label.join(&lower), node);
        }
    }
    Some(removed)
}

fn visit_below<V: Wanters>(
    edges: &Edges<V>,
    rest: Rest<'_>,
    wildcards: bool,
    found: &mut impl FnMut(&V),
) {
    if wildcards && let Some((_, node)) = edges.hash() {
        found(&node.wanters);
    }
    let Some(levels) = rest.0 else { return };
    let plus = edges.plus().filter(|_| wildcards);
    for (label, node) in plus.into_iter().chain(edges.name(levels)) {
        let Some(rest) = label.matched(levels) else {
            continue;
        };
        if rest.0.is_none() {
            found(&node.wanters);
        }
        if let Some(below) = &node.below {
            visit_below(below, rest, true, found);
        }
    }
}

#[cfg(test)]
mod tests;
