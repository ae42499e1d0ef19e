//! The manual: the default configuration with the documentation of each key above it.
//!
//! All of it is made from the types: the text from their doc comments, the values from `Default`.

use std::fmt::Write;

use schemars::schema_for;
use serde_json::Value;

use crate::Config;

const WIDTH: usize = 100;

/// The default configuration as a YAML file that explains itself.
///
/// Read back, it is [`Config::default`]. Keys that are unset by default are commented out and show
/// an example.
#[must_use]
pub fn annotated_default() -> String {
    let schema = Schema::new();
    let default = serde_json::to_value(Config::default()).expect("every default can be written");
    let mut page = Page {
        schema: &schema,
        text: String::new(),
    };
    page.comment(description(&schema.root), "", 0);
    page.text.push('\n');
    page.keys(&schema.root, &default, 0);

    page.text
}

/// The keys of [`Config`] itself.
pub(crate) fn top_level() -> Vec<String> {
    let schema = Schema::new();
    schema
        .properties(&schema.root)
        .map(|(key, _)| key.clone())
        .collect()
}

/// The field whose path, with `_` between the levels, is the given text.
pub(crate) fn flattened(text: &str) -> Option<String> {
    let schema = Schema::new();
    let mut fields = Vec::new();
    schema.fields(&schema.root, "", &mut fields);
    fields
        .into_iter()
        .find(|field| field.replace('.', "_") == text)
}

/// The JSON schema of [`Config`].
struct Schema {
    root: Value,
}

impl Schema {
    fn new() -> Self {
        Self {
            root: schema_for!(Config).to_value(),
        }
    }

    /// The schema behind a `$ref`, else the schema itself.
    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        schema["$ref"]
            .as_str()
            .and_then(|reference| self.root.pointer(reference.strip_prefix('#')?))
            .unwrap_or(schema)
    }

    fn properties<'a>(
        &'a self,
        schema: &'a Value,
    ) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.resolve(schema)["properties"]
            .as_object()
            .into_iter()
            .flatten()
    }

    /// All paths, parents before their children; a list's entries as its entry 0.
    fn fields(&self, schema: &Value, above: &str, found: &mut Vec<String>) {
        for (key, schema) in self.properties(schema) {
            let field = if above.is_empty() {
                key.clone()
            } else {
                format!("{above}.{key}")
            };
            found.push(field.clone());
            self.fields(schema, &field, found);
            self.fields(&schema["items"], &format!("{field}.0"), found);
        }
    }
}

/// The text so far. Keys stand `depth` spaces from the left, their comments above them.
struct Page<'a> {
    schema: &'a Schema,
    text: String,
}

impl Page<'_> {
    fn keys(&mut self, schema: &Value, values: &Value, depth: usize) {
        for (index, (key, schema)) in self.schema.properties(schema).enumerate() {
            if index > 0 {
                self.text.push('\n');
            }
            let value = values.get(key);
            self.documentation(schema, value, depth);
            match value {
                Some(value) => self.key(key, schema, value, depth),
                None => self.unset(key, &schema["examples"][0], depth),
            }
        }
    }

    fn key(&mut self, key: &str, schema: &Value, value: &Value, depth: usize) {
        let indent = " ".repeat(depth);
        match value {
            Value::Object(_) => {
                writeln!(self.text, "{indent}{key}:").expect(WRITES);
                self.keys(schema, value, depth + 2);
            }
            Value::Array(items) if items.is_empty() => {
                let example = schema["examples"][0].as_str();
                let example =
                    example.map_or_else(String::new, |example| format!(" # for example {example}"));
                writeln!(self.text, "{indent}{key}: []{example}").expect(WRITES);
            }
            Value::Array(items) => {
                writeln!(self.text, "{indent}{key}:").expect(WRITES);
                for item in items {
                    self.item(&schema["items"], item, depth + 2);
                }
            }
            _ => writeln!(self.text, "{indent}{key}: {}", scalar(value)).expect(WRITES),
        }
    }

    fn item(&mut self, schema: &Value, value: &Value, depth: usize) {
        let indent = " ".repeat(depth);
        if value.is_object() {
            // The dash has a line of its own, so that every key of the entry can have a comment.
            writeln!(self.text, "{indent}-").expect(WRITES);
            self.keys(schema, value, depth + 2);
        } else {
            writeln!(self.text, "{indent}- {}", scalar(value)).expect(WRITES);
        }
    }

    fn unset(&mut self, key: &str, example: &Value, depth: usize) {
        let indent = " ".repeat(depth);
        writeln!(self.text, "{indent}# {key}: {}", scalar(example)).expect(WRITES);
    }

    fn documentation(&mut self, schema: &Value, value: Option<&Value>, depth: usize) {
        let bounds = bounds(schema).map(|(min, max)| format!(" From {min} to {max}."));
        let text = format!("{}{}", description(schema), bounds.unwrap_or_default());
        self.comment(&text, "", depth);
        // An empty list shows no entry below, whose keys could have comments.
        let is_empty = value.is_some_and(|value| value.as_array().is_some_and(Vec::is_empty));
        if is_empty {
            self.outline(&schema["items"], depth, "");
        }
        for choice in self.schema.resolve(schema)["oneOf"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let text = format!("- {}: {}", scalar(&choice["const"]), description(choice));
            self.comment(&text, "  ", depth);
        }
    }

    /// The keys that an entry of an empty list may have, those below them set in further.
    fn outline(&mut self, schema: &Value, depth: usize, lead: &str) {
        let resolved = self.schema.resolve(schema);
        let further = format!("{lead}  ");
        let mut outlined = |key: &str, what: &str, below: Option<&Value>| {
            let text = format!("- {key}: {what}");
            self.set_in(&text, lead, &further, depth);
            if let Some(below) = below {
                self.outline(below, depth, &further);
            }
        };
        let choices = resolved["oneOf"].as_array().into_iter().flatten();
        for choice in choices {
            for (key, below) in choice["properties"].as_object().into_iter().flatten() {
                outlined(key, description(choice), Some(below));
            }
        }
        for (key, schema) in resolved["properties"].as_object().into_iter().flatten() {
            outlined(
                key,
                description(schema),
                Some(schema).filter(|_| !lead.is_empty()),
            );
        }
    }

    /// Wraps the text; lines after the first of a paragraph are set in by `hang`.
    fn comment(&mut self, text: &str, hang: &str, depth: usize) {
        self.set_in(text, "", hang, depth);
    }

    /// Wraps the text; the first line is set in by `lead`, those after the first of a paragraph by `hang`.
    fn set_in(&mut self, text: &str, lead: &str, hang: &str, depth: usize) {
        let start = format!("{}#", " ".repeat(depth));
        for (index, paragraph) in text.split("\n\n").enumerate() {
            if index > 0 {
                writeln!(self.text, "{start}").expect(WRITES);
            }
            let mut line = format!("{start}{lead}");
            for word in paragraph.split_whitespace() {
                if line.chars().count() + 1 + word.chars().count() > WIDTH {
                    writeln!(self.text, "{line}").expect(WRITES);
                    line = format!("{start}{hang}");
                }
                line.push(' ');
                line.push_str(word);
            }
            writeln!(self.text, "{line}").expect(WRITES);
        }
    }
}

const WRITES: &str = "text can always be appended to";

fn description(schema: &Value) -> &str {
    schema["description"]
        .as_str()
        .expect("rustc demands a doc comment on each field")
}

fn bounds(schema: &Value) -> Option<(String, String)> {
    let bound = |name: &str| {
        schema
            .get(name)
            .or(schema.get(format!("x-{name}")))
            .map(scalar)
    };
    bound("minimum").zip(bound("maximum"))
}

/// A value as YAML, in quotes only where it needs them.
fn scalar(value: &Value) -> String {
    // Tools that know YAML 1.1 take a bare `off` for `false` and write it back so.
    let is_plain = |text: &str| {
        text != "off"
            && !text.ends_with(':')
            && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
    };
    match value.as_str() {
        Some(text) if is_plain(text) => text.into(),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests;
