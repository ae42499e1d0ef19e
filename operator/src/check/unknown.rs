//! Fields that the definition does not know. An API server drops them, or refuses them where it is asked to be strict.

use serde_json::Value;

use crate::controller::validate::Problem;

/// All fields of `value` that its schema does not know.
pub(super) fn unknown(value: &Value, schema: &Value, path: &str) -> Vec<Problem> {
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        return Vec::new();
    }
    match value {
        Value::Object(fields) => {
            let fields = fields.iter();
            let found = fields.flat_map(|(name, value)| {
                let known = [&schema["properties"][name], &schema["additionalProperties"]];
                let path = format!("{path}.{name}");
                match known.into_iter().find(|schema| schema.is_object()) {
                    Some(schema) => unknown(value, schema, &path),
                    None => vec![problem(path, schema)],
                }
            });
            found.collect()
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            let found = items.flat_map(|(number, item)| {
                unknown(item, &schema["items"], &format!("{path}[{number}]"))
            });
            found.collect()
        }
        _ => Vec::new(),
    }
}

fn problem(field: String, schema: &Value) -> Problem {
    let names = schema["properties"].as_object().into_iter().flatten();
    let names: Vec<_> = names.map(|(name, _)| name.as_str()).collect();
    let text = if names.is_empty() {
        "there is no such field, and nothing belongs here".to_owned()
    } else {
        format!(
            "there is no such field; the fields here are {}",
            names.join(", ")
        )
    };
    Problem { field, text }
}
