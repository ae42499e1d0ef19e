//! The edges below one node: at most one that starts with `+`, one that is `#`, and any number that start with
//! a name. An edge is asked for by the levels of a topic or filter, of which the first decides.

use super::{
    Edge, Node,
    label::{Label, split},
    names::Names,
};

#[derive(Default)]
pub(super) struct Edges<V> {
    plus: Option<Box<Edge<V>>>,
    hash: Option<Box<Edge<V>>>,
    names: Names<V>,
}

impl<V> Edges<V> {
    pub(super) fn plus(&self) -> Option<(&Label, &Node<V>)> {
        self.plus.as_deref().map(|(label, node)| (label, node))
    }

    pub(super) fn hash(&self) -> Option<(&Label, &Node<V>)> {
        self.hash.as_deref().map(|(label, node)| (label, node))
    }

    /// The edge that starts with the same name as a topic.
    pub(super) fn name(&self, topic: &str) -> Option<(&Label, &Node<V>)> {
        if self.names.len() == 0 {
            return None;
        }
        self.names.get(split(topic).0)
    }

    /// The edge that starts with the same level as a pattern.
    pub(super) fn get(&self, pattern: &str) -> Option<(&Label, &Node<V>)> {
        match split(pattern).0 {
            "+" => self.plus(),
            "#" => self.hash(),
            first => self.names.get(first),
        }
    }

    /// The node at the end of that edge, to be changed.
    pub(super) fn get_mut(&mut self, pattern: &str) -> Option<&mut Node<V>> {
        let one = match split(pattern).0 {
            "+" => &mut self.plus,
            "#" => &mut self.hash,
            first => return self.names.get_mut(first),
        };
        one.as_deref_mut().map(|(_, node)| node)
    }

    /// Takes that edge out.
    pub(super) fn take(&mut self, pattern: &str) -> Option<Edge<V>> {
        match split(pattern).0 {
            "+" => self.plus.take().map(|edge| *edge),
            "#" => self.hash.take().map(|edge| *edge),
            first => self.names.take(first),
        }
    }

    /// Adds an edge whose first level is not there yet.
    pub(super) fn put(&mut self, label: Label, node: Node<V>) -> &mut Node<V> {
        let one = match label.first() {
            "+" => &mut self.plus,
            "#" => &mut self.hash,
            _ => return self.names.put(label, node),
        };
        &mut one.insert(Box::new((label, node))).1
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (&Label, &Node<V>)> {
        let wildcards = self.plus().into_iter().chain(self.hash());
        wildcards.chain(self.names.all())
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.plus.is_some()) + usize::from(self.hash.is_some()) + self.names.len()
    }

    /// The edge, if it is the only one.
    pub(super) fn into_only(self) -> Option<Edge<V>> {
        if self.len() != 1 {
            return None;
        }
        let wildcard = self.plus.or(self.hash).map(|edge| *edge);
        wildcard.or_else(|| self.names.into_first())
    }
}
