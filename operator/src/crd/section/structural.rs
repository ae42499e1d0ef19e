//! Schemas as an API server takes them (structural schemas), made from those of types.
//!
//! Names become camelCase, also where a description speaks of them. Defaults move into descriptions: were they written
//! into stored resources, a newer gateway could not have better ones.

use serde_json::{Map, Value, json};

/// What an API server knows, and needs no change.
const KEPT: [&str; 12] = [
    "type",
    "enum",
    "format",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "pattern",
    "required",
    "uniqueItems",
];

/// A name of the configuration as a resource has it: `idle_timeout` is `idleTimeout`.
#[must_use]
pub fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut all, word| {
        let mut letters = word.chars();
        all.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        all.push_str(letters.as_str());
        all
    })
}

/// The schema of a value of a resource.
pub(super) fn structural(schema: Value) -> Value {
    let Value::Object(mut schema) = schema else {
        // `true`: whatever it is.
        return anything().into();
    };
    let description = describe(&schema);
    let variants = ["oneOf", "anyOf"].into_iter();
    let variants = variants.filter_map(|key| schema.remove(key));
    let mut all = match variants.last() {
        Some(Value::Array(variants)) => one_of(variants),
        _ => plain(schema),
    };
    match (description, all.get("description").and_then(Value::as_str)) {
        (Some(own), Some(of_variants)) => {
            all.insert(
                "description".into(),
                format!("{own}\n\n{of_variants}").into(),
            );
        }
        (Some(own), None) => drop(all.insert("description".into(), own.into())),
        (None, _) => {}
    }
    all.into()
}

/// What it says of itself, its default, and an example.
fn describe(schema: &Map<String, Value>) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(text) = schema.get("description").and_then(Value::as_str) {
        parts.push(camel_words(text));
    }
    match schema.get("default") {
        None | Some(Value::Null | Value::Object(_)) => {}
        Some(Value::Array(items)) if items.is_empty() || items.iter().any(Value::is_object) => {}
        Some(Value::String(text)) if text.is_empty() => {}
        Some(Value::String(text)) => parts.push(format!("Default: `{text}`.")),
        Some(value) => parts.push(format!("Default: `{value}`.")),
    }
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// Between backquotes, names of the configuration become those of the resource.
fn camel_words(text: &str) -> String {
    let pieces = text.split('`').enumerate();
    let pieces = pieces.map(|(number, piece)| {
        let is_name =
            |letter: char| letter.is_ascii_lowercase() || "_.[]0123456789".contains(letter);
        if number % 2 == 1 && piece.chars().all(is_name) {
            camel(piece)
        } else {
            piece.to_owned()
        }
    });
    pieces.collect::<Vec<_>>().join("`")
}

fn plain(mut schema: Map<String, Value>) -> Map<String, Value> {
    let mut all = Map::new();
    match types(schema.get("type")).as_slice() {
        [] | [_] => {}
        types
            if types
                .iter()
                .all(|each| ["integer", "number", "string"].contains(&&**each)) =>
        {
            all.insert("x-kubernetes-int-or-string".into(), true.into());
            return all;
        }
        _ => return anything(),
    }
    for key in KEPT {
        if let Some(value) = schema.remove(key) {
            all.insert(key.into(), value);
        }
    }
    if let Some(Value::Array(names)) = all.get_mut("required") {
        for name in names {
            *name = name.as_str().map(camel).into();
        }
    }
    if let Some(only) = types(all.get("type")).first() {
        all.insert("type".into(), only.clone().into());
    }
    if let Some(only) = schema.remove("const") {
        all.insert("type".into(), "string".into());
        all.insert("enum".into(), json!([only]));
    }
    if let Some(items) = schema.remove("items") {
        all.insert("items".into(), structural(items));
    }
    if let Some(Value::Object(properties)) = schema.remove("properties") {
        let properties: Map<_, _> = properties
            .into_iter()
            .map(|(name, schema)| (camel(&name), structural(schema)))
            .collect();
        all.insert("properties".into(), properties.into());
    } else if let Some(values @ Value::Object(_)) = schema.remove("additionalProperties") {
        all.insert("additionalProperties".into(), structural(values));
    }
    if all.is_empty() { anything() } else { all }
}

/// One of several: words, things of which one is there, or else whatever.
fn one_of(mut variants: Vec<Value>) -> Map<String, Value> {
    variants.retain(|each| each["type"] != "null");
    if let [_] = &variants[..]
        && let Some(Value::Object(only)) = variants.pop().map(structural)
    {
        return only;
    }
    words(&variants)
        .or_else(|| choices(&variants))
        .unwrap_or_else(anything)
}

/// Words, and what each of them means.
fn words(variants: &[Value]) -> Option<Map<String, Value>> {
    let mut words = Vec::new();
    let mut meanings = Vec::new();
    for variant in variants {
        match (&variant["const"], &variant["enum"]) {
            (Value::String(word), _) => {
                let meaning = variant["description"].as_str().unwrap_or_default();
                meanings.push(format!("- `{word}`: {}", camel_words(meaning)));
                words.push(word.clone());
            }
            (_, Value::Array(some)) => {
                words.extend(some.iter().filter_map(Value::as_str).map(str::to_owned));
            }
            _ => return None,
        }
    }
    let mut all = Map::new();
    all.insert("type".into(), "string".into());
    all.insert("enum".into(), words.into());
    if !meanings.is_empty() {
        all.insert("description".into(), meanings.join("\n").into());
    }
    Some(all)
}

/// Objects with one field each, of which one is there.
fn choices(variants: &[Value]) -> Option<Map<String, Value>> {
    let mut properties = Map::new();
    for variant in variants {
        let fields = variant["properties"].as_object()?;
        let (name, schema) = fields.iter().next().filter(|_| fields.len() == 1)?;
        let mut schema = schema.clone();
        if let (Some(schema), Some(text)) = (schema.as_object_mut(), variant.get("description")) {
            schema.insert("description".into(), text.clone());
        }
        properties.insert(camel(name), structural(schema));
    }
    let Value::Object(all) = json!({
        "type": "object",
        "properties": properties,
        "minProperties": 1,
        "maxProperties": 1,
    }) else {
        unreachable!("it is one");
    };
    Some(all)
}

fn anything() -> Map<String, Value> {
    let mut all = Map::new();
    all.insert("x-kubernetes-preserve-unknown-fields".into(), true.into());
    all
}

/// But for `null`: what may be left out is left out.
fn types(types: Option<&Value>) -> Vec<String> {
    let types = match types {
        Some(Value::Array(some)) => some.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    let types = types.iter().filter_map(Value::as_str);
    types
        .filter(|each| *each != "null")
        .map(str::to_owned)
        .collect()
}

/// The values of a resource with the names of the configuration, by its schema: keys that are a user's stay as they are.
pub(super) fn to_snake(value: &Value, schema: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| match field(schema, key) {
                Some((name, schema)) => (name.clone(), to_snake(value, schema)),
                None => (
                    key.clone(),
                    to_snake(value, &schema["additionalProperties"]),
                ),
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => {
            let items = items.iter().map(|item| to_snake(item, &schema["items"]));
            items.collect()
        }
        plain => plain.clone(),
    }
}

/// The field that a resource calls so.
fn field<'a>(schema: &'a Value, key: &str) -> Option<(&'a String, &'a Value)> {
    let mut own = schema["properties"].as_object().into_iter().flatten();
    let variants = ["oneOf", "anyOf"].into_iter();
    let mut variants = variants
        .filter_map(|each| schema[each].as_array())
        .flatten();
    own.find(|(name, _)| camel(name) == key)
        .or_else(|| variants.find_map(|each| field(each, key)))
}

/// Takes a field out of a schema.
pub(super) fn remove(schema: &mut Value, path: &str) {
    let (levels, name) = path.rsplit_once('.').unwrap_or(("", path));
    let levels = levels.split('.').filter(|level| !level.is_empty());
    let object = levels.fold(schema, |schema, level| &mut schema["properties"][level]);
    let removed = object["properties"]
        .as_object_mut()
        .and_then(|fields| fields.shift_remove(name));
    assert!(removed.is_some(), "there is a field {path}");
}
