//! YAML to a tree of values and places.
//!
//! The parser under `serde-saphyr` is used directly, because serde would lose the places of values
//! before checks across fields can name them.

use std::sync::Arc;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span, StrInput};

use super::{Content, Entry, Node};
use crate::error::{Place, Problem};

/// Reads a file; an empty one is an empty mapping.
pub(crate) fn parse(text: &str, origin: &str) -> Result<Node, Problem> {
    let name: Arc<str> = origin.into();
    let at = |line, column| Place::File {
        name: Arc::clone(&name),
        line,
        column,
    };
    Reader {
        events: Parser::new_from_str(text),
        at: &at,
    }
    .document()
}

/// Reads the value of an environment variable.
///
/// Only a value in brackets, braces or quotes is YAML. Any other is text as it stands, so that
/// `[::]:9100` needs no quotes and an empty value is an empty text.
pub(crate) fn parse_value(text: &str, variable: &Arc<str>) -> Result<Node, Problem> {
    let place = || Place::Variable(Arc::clone(variable));
    let is_yaml = [('[', ']'), ('{', '}'), ('"', '"'), ('\'', '\'')]
        .iter()
        .any(|(open, close)| text.len() > 1 && text.starts_with(*open) && text.ends_with(*close));
    if is_yaml {
        let at = |_, _| place();
        return Reader {
            events: Parser::new_from_str(text),
            at: &at,
        }
        .document();
    }
    Ok(Node {
        place: place(),
        content: Content::Text(text.into()),
    })
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    at: &'a dyn Fn(usize, usize) -> Place,
}

impl<'a> Reader<'a> {
    fn document(mut self) -> Result<Node, Problem> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                Event::StreamEnd => {
                    return Ok(root.unwrap_or_else(|| Node {
                        place: (self.at)(1, 1),
                        content: Content::Nothing,
                    }));
                }
                _ if root.is_some() => {
                    return Err(self.problem(
                        &span,
                        "",
                        "a second YAML document begins here; keep one",
                    ));
                }
                event => root = Some(self.node(event, &span, "")?),
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: &Span, field: &str) -> Result<Node, Problem> {
        if event.tag().is_some_and(|tag| !tag.is_yaml_core_schema()) {
            return Err(self.problem(
                span,
                field,
                "YAML tags are not supported; remove the word that begins with !",
            ));
        }
        let content = match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) if is_nothing(&text) => Content::Nothing,
            Event::Scalar(text, ..) => Content::Text(text.into_owned()),
            Event::SequenceStart(..) => self.list(field)?,
            Event::MappingStart(..) => self.mapping(field)?,
            _ => {
                return Err(self.problem(
                    span,
                    field,
                    "YAML aliases are not supported; write the value out",
                ));
            }
        };
        Ok(Node {
            place: self.place(span),
            content,
        })
    }

    fn list(&mut self, field: &str) -> Result<Content, Problem> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Content::List(items));
            }
            let field = format!("{field}[{}]", items.len());
            items.push(self.node(event, &span, &field)?);
        }
    }

    fn mapping(&mut self, field: &str) -> Result<Content, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(Content::Mapping(entries)),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => {
                    return Err(self.problem(
                        &span,
                        field,
                        "a key must be text; write name: value",
                    ));
                }
            };
            let place = self.place(&span);
            let field = join(field, &key);
            if let Some(first) = entries.iter().find(|entry| entry.key == key) {
                let text = format!("the key stands at {} already; keep one", first.place);
                return Err(self.problem(&span, &field, &text));
            }
            let (event, span) = self.next()?;
            let value = self.node(event, &span, &field)?;
            entries.push(Entry { key, place, value });
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Problem> {
        loop {
            match self.events.next_event() {
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(next)) => return Ok(next),
                Some(Err(error)) => {
                    let info = error.info();
                    let text = format!("this is not YAML: {info}; {}", remedy(&info));
                    let mark = Span::empty(*error.marker());
                    return Err(self.problem(&mark, "", &text));
                }
                None => return Ok((Event::StreamEnd, Span::default())),
            }
        }
    }

    fn place(&self, span: &Span) -> Place {
        (self.at)(span.start.line(), span.start.col() + 1)
    }

    fn problem(&self, span: &Span, field: &str, text: &str) -> Problem {
        Problem {
            place: self.place(span),
            field: field.into(),
            text: text.into(),
        }
    }
}

fn remedy(info: &str) -> &'static str {
    if info.contains("tab") {
        "indent with spaces"
    } else if info.contains("unclosed") {
        "close it"
    } else {
        "check the indentation, and put values such as \"[::]:7993\" in quotes"
    }
}

fn is_nothing(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// The path of a key below a field.
pub(crate) fn join(field: &str, key: &str) -> String {
    if field.is_empty() {
        key.into()
    } else {
        format!("{field}.{key}")
    }
}
