//! The edges below one node that start with a name: a row while they are few, then a hash map, then many of
//! them, because a map that grows moves all it holds at once while everybody waits.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
};

use super::{Edge, Node, label::Label};

pub(super) enum Names<V> {
    Few(Vec<Edge<V>>),
    Many(Box<Many<V>>),
}

/// More names than this leave the row; less than half of it return.
const FEW: usize = 8;

impl<V> Default for Names<V> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<V> Names<V> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Many(many) => many.len,
        }
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> Box<dyn Iterator<Item = (&Label, &Node<V>)> + '_> {
        match self {
            Self::Few(few) => Box::new(few.iter().map(|(label, node)| (label, node))),
            Self::Many(many) => Box::new(many.parts.iter().flatten()),
        }
    }

    pub(super) fn get(&self, first: &str) -> Option<(&Label, &Node<V>)> {
        match self {
            Self::Few(few) => {
                let mut labels = few.iter().map(|(label, node)| (label, node));
                labels.find(|(label, _)| label.first() == first)
            }
            Self::Many(many) => many.parts[many.part(first)].get_key_value(first),
        }
    }

    pub(super) fn get_mut(&mut self, first: &str) -> Option<&mut Node<V>> {
        match self {
            Self::Few(few) => {
                let edge = few.iter_mut().find(|(label, _)| label.first() == first)?;
                Some(&mut edge.1)
            }
            Self::Many(many) => {
                let part = many.part(first);
                many.parts[part].get_mut(first)
            }
        }
    }

    pub(super) fn take(&mut self, first: &str) -> Option<Edge<V>> {
        match self {
            Self::Few(few) => {
                let index = few.iter().position(|(label, _)| label.first() == first)?;
                Some(few.swap_remove(index))
            }
            Self::Many(many) => {
                let edge = many.take(first)?;
                if many.len < FEW / 2 {
                    *self = Self::Few(many.drain().collect());
                }
                Some(edge)
            }
        }
    }

    /// Adds an edge whose name is not there yet.
    pub(super) fn put(&mut self, label: Label, node: Node<V>) -> &mut Node<V> {
        if let Self::Few(few) = self
            && few.len() == FEW
        {
            *self = Self::Many(Box::new(Many::new(1, few.drain(..))));
        }
        match self {
            Self::Few(few) => {
                few.reserve_exact(1); // Most stay at one or two, and there are many of them.
                few.push((label, node));
                &mut few.last_mut().expect("it was just pushed").1
            }
            Self::Many(many) => many.put(label, node),
        }
    }

    pub(super) fn into_first(self) -> Option<Edge<V>> {
        match self {
            Self::Few(few) => few.into_iter().next(),
            Self::Many(mut many) => many.drain().next(),
        }
    }
}

/// One map, or [`PARTS`] maps.
pub(super) struct Many<V> {
    parts: Box<[HashMap<Label, Node<V>>]>,
    /// Chooses the part. The maps have hashers of their own, as one would fill them unevenly.
    hasher: RandomState,
    len: usize,
}

const PARTS: usize = 256;

/// More names than this are split into parts; less than a quarter of it are joined again.
const SPLIT: usize = 4_096;

impl<V> Many<V> {
    fn new(parts: usize, edges: impl Iterator<Item = Edge<V>>) -> Self {
        let parts = (0..parts).map(|_| HashMap::new()).collect();
        let mut many = Self {
            parts,
            hasher: RandomState::new(),
            len: 0,
        };
        for (label, node) in edges {
            many.insert(label, node);
        }
        many
    }

    fn put(&mut self, label: Label, node: Node<V>) -> &mut Node<V> {
        if self.len == SPLIT && self.parts.len() == 1 {
            *self = Self::new(PARTS, self.drain());
        }
        self.insert(label, node)
    }

    fn insert(&mut self, label: Label, node: Node<V>) -> &mut Node<V> {
        self.len += 1;
        let part = self.part(label.first());
        self.parts[part].entry(label).or_insert(node)
    }

    fn take(&mut self, first: &str) -> Option<Edge<V>> {
        let part = self.part(first);
        let map = &mut self.parts[part];
        let edge = map.remove_entry(first)?;
        self.len -= 1;
        if map.len() < map.capacity() / 4 {
            map.shrink_to(map.len() * 2);
        }
        if self.len < SPLIT / 4 && self.parts.len() > 1 {
            *self = Self::new(1, self.drain());
        }
        Some(edge)
    }

    fn drain(&mut self) -> impl Iterator<Item = Edge<V>> {
        self.parts.iter_mut().flat_map(HashMap::drain)
    }

    fn part(&self, first: &str) -> usize {
        if self.parts.len() == 1 {
            return 0;
        }
        let hash = self.hasher.hash_one(first) % PARTS as u64;
        usize::try_from(hash).expect("less than the number of parts")
    }
}
