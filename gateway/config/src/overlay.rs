//! Environment variables over the file: `EXPROTO_ADAPTER__BIND` sets `adapter.bind`.
//!
//! Two underscores stand between levels, and lists are counted from 0. Kubernetes puts variables
//! such as `EXPROTO_SERVICE_HOST` into every pod beside a Service of that name, so a name without
//! two underscores is ours only if it is a top-level key.

use std::sync::Arc;

use crate::{
    error::{Place, Problem},
    manual,
    tree::{self, Content, Entry, Node, join},
};

const PREFIX: &str = "EXPROTO_";

/// Names the file itself, and is read by the command line.
const FILE: &str = "CONFIG";

/// Lays the variables over the file. More exact names win, in whatever order they come.
pub(crate) fn apply(
    root: &mut Node,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<(), Problem> {
    let keys = manual::top_level();
    let mut variables = Vec::new();
    for (name, value) in env {
        let Some(rest) = name.strip_prefix(PREFIX).filter(|rest| *rest != FILE) else {
            continue;
        };
        let path = rest.to_lowercase();
        if path.contains("__") || keys.contains(&path) {
            let steps: Vec<Step> = path.split("__").map(Step::new).collect();
            variables.push((steps, Arc::<str>::from(name), value));
        } else if let Some(field) = manual::flattened(&path) {
            return Err(misspelt(&name, &field));
        }
    }
    variables.sort();
    for (steps, name, value) in variables {
        let value = tree::parse_value(&value, &name).map_err(|problem| Problem {
            field: show(&steps),
            ..problem
        })?;
        set(root, &steps, value)?;
    }
    Ok(())
}

/// One level of a path. Indices are ordered as numbers, so that lists fill from the front.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Index(usize),
    Key(String),
}

impl Step {
    fn new(text: &str) -> Self {
        text.parse()
            .map_or_else(|_| Self::Key(text.into()), Self::Index)
    }
}

/// The path as errors show it, such as `listeners[0].bind`.
fn show(steps: &[Step]) -> String {
    steps.iter().fold(String::new(), |path, step| match step {
        Step::Index(index) => format!("{path}[{index}]"),
        Step::Key(key) => join(&path, key),
    })
}

fn set(root: &mut Node, steps: &[Step], value: Node) -> Result<(), Problem> {
    let (mut node, mut field) = (root, String::new());
    for step in steps {
        (node, field) = descend(node, step, &value.place, &field)?;
    }
    *node = value;
    Ok(())
}

/// The node one level down, made if it is not there, with its path.
fn descend<'a>(
    node: &'a mut Node,
    step: &Step,
    place: &Place,
    field: &str,
) -> Result<(&'a mut Node, String), Problem> {
    let problem = |field, text| Problem {
        place: place.clone(),
        field,
        text,
    };
    let new = |content| Node {
        place: place.clone(),
        content,
    };
    if let Content::Nothing | Content::Text(_) = node.content {
        *node = new(match step {
            Step::Index(_) => Content::List(Vec::new()),
            Step::Key(_) => Content::Mapping(Vec::new()),
        });
    }
    match (&mut node.content, step) {
        (Content::List(items), Step::Index(index)) => {
            let (field, count) = (format!("{field}[{index}]"), items.len());
            if *index > count {
                let text =
                    format!("the list has {count} entries in the file; number the next {count}");
                return Err(problem(field, text));
            }
            if *index == count {
                items.push(new(Content::Nothing));
            }
            Ok((&mut items[*index], field))
        }
        (Content::List(_), Step::Key(key)) => {
            let text = format!("{field} is a list; put the number of an entry before this name");
            Err(problem(join(field, key), text))
        }
        (Content::Mapping(entries), step) => {
            let key = match step {
                Step::Index(index) => index.to_string(),
                Step::Key(key) => key.clone(),
            };
            let field = join(field, &key);
            let known = entries.iter().position(|entry| entry.key == key);
            let index = known.unwrap_or(entries.len());
            if known.is_none() {
                let value = new(Content::Nothing);
                entries.push(Entry {
                    key,
                    place: place.clone(),
                    value,
                });
            }
            Ok((&mut entries[index].value, field))
        }
        (Content::Nothing | Content::Text(_), _) => unreachable!("it was made a list or a mapping"),
    }
}

fn misspelt(name: &str, field: &str) -> Problem {
    let steps: Vec<Step> = field.split('.').map(Step::new).collect();
    let right = field.to_uppercase().replace('.', "__");
    Problem {
        place: Place::Variable(name.into()),
        field: show(&steps),
        text: format!("levels stand apart by two underscores; write {PREFIX}{right}"),
    }
}

#[cfg(test)]
mod tests;
