//! What was written, before it has types: each value with the place where it stands.
//!
//! The file becomes a tree, the environment is laid over it, and only then is it read into types;
//! so every later error can name the line or the variable to mend.

use crate::error::Place;

pub(crate) use yaml::{join, parse, parse_value};

mod yaml;

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) content: Content,
}

/// What a value is before anyone knows its type.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Nothing, `null` or `~`.
    Nothing,
    /// Anything else that is neither a list nor a mapping; numbers too are text as yet.
    Text(String),
    List(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// One key of a mapping.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) value: Node,
}

impl Node {
    /// Where the field is written or, if it is not, the nearest value around it that is.
    pub(crate) fn place_of(&self, field: &str) -> &Place {
        let mut node = self;
        for step in steps(field) {
            match node.child(step) {
                Some(child) => node = child,
                None => break,
            }
        }
        &node.place
    }

    /// Whether the field is written at all, or has its default.
    pub(crate) fn has(&self, field: &str) -> bool {
        steps(field)
            .try_fold(self, |node, step| node.child(step))
            .is_some()
    }

    fn child(&self, step: &str) -> Option<&Self> {
        match &self.content {
            Content::Mapping(entries) => entries
                .iter()
                .find(|entry| entry.key == step)
                .map(|entry| &entry.value),
            Content::List(items) => items.get(step.parse::<usize>().ok()?),
            Content::Nothing | Content::Text(_) => None,
        }
    }
}

/// The keys and indices of a path such as `listeners[0].bind`.
fn steps(field: &str) -> impl Iterator<Item = &str> {
    field
        .split(['.', '['])
        .map(|step| step.trim_end_matches(']'))
}
