//! The definition of the resource, as it is applied and shipped.

use std::sync::LazyLock;

use kube::CustomResourceExt as _;
use serde_json::Value;

use super::ExProtoListener;

/// The `CustomResourceDefinition`.
#[must_use]
pub fn definition() -> &'static Value {
    static DEFINITION: LazyLock<Value> = LazyLock::new(|| {
        let definition = serde_json::to_value(ExProtoListener::crd());
        let mut definition = definition.expect("the definition can be written");
        tidy(&mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]);
        definition
    });
    &DEFINITION
}

/// The schema in it.
#[must_use]
pub fn schema() -> &'static Value {
    &definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

/// Takes out what an API server warns of, and the line ends within sentences.
fn tidy(schema: &mut Value) {
    // Go has no such numbers; the bounds say the same.
    let is_unknown = |format: &Value| format.as_str().is_some_and(|name| name.starts_with("uint"));
    if schema.get("format").is_some_and(is_unknown)
        && let Some(fields) = schema.as_object_mut()
    {
        fields.shift_remove("format");
    }
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = flowing(text);
    }
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for property in properties.into_iter().flat_map(|all| all.values_mut()) {
        tidy(property);
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get_mut(inner).filter(|inner| inner.is_object()) {
            tidy(inner);
        }
    }
}

/// A line for each paragraph, and for each item of a list.
fn flowing(text: &str) -> String {
    let mut all = String::new();
    for line in text.lines() {
        let line = line.trim();
        let begins = line.is_empty() || line.starts_with("- ");
        if begins && !all.is_empty() {
            all.push('\n');
        } else if !all.is_empty() && !all.ends_with('\n') {
            all.push(' ');
        }
        all.push_str(line);
        if line.is_empty() {
            all.push('\n');
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_flow_and_lists_stay() {
        let text = "One\nand more.\n\nTwo:\n- `a`: x\n  y\n- `b`: z";
        assert_eq!(flowing(text), "One and more.\n\nTwo:\n- `a`: x y\n- `b`: z");
    }

    #[test]
    fn every_field_says_what_it_means() {
        fn look(schema: &Value, path: &str) {
            let fields = schema["properties"].as_object().into_iter().flatten();
            for (name, field) in fields {
                let path = format!("{path}.{name}");
                // What Kubernetes defines says it there.
                let is_ours = !path.starts_with("spec.pod.resources.")
                    && !path.starts_with("status.conditions.");
                assert!(!is_ours || field["description"].is_string(), "{path}");
                look(field, &path);
                look(&field["items"], &path);
            }
        }
        look(&schema()["properties"]["spec"], "spec");
        look(&schema()["properties"]["status"], "status");
    }
}
