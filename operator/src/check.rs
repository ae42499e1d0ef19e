//! Looking at resources in files, without an API server.

/// Fields that nobody knows.
mod unknown;

use std::{fmt, fs, io, path::Path};

use serde::Deserialize as _;
use serde_json::Value;

use self::unknown::unknown;
use crate::{
    controller::validate::{HandlerTarget, Problem, References, validate},
    crd::{ExProtoListener, schema},
};

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error(
        "cannot read {path}: {source}; check that it exists, is text, and that this user may read it"
    )]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is no YAML.
    #[error("{path}: {source}")]
    Yaml {
        /// The file.
        path: String,
        /// What is wrong.
        source: Box<serde_saphyr::Error>,
    },
    /// There is nothing in it that could be checked.
    #[error("{0}: no resource of kind ExProtoListener and apiVersion exproto.dev/v1alpha1 in it")]
    Nothing(String),
    /// Resources in it cannot be used.
    #[error("{}", Lines(.0))]
    Invalid(Vec<Found>),
}

/// Something wrong with one resource.
#[derive(Debug)]
pub struct Found {
    /// The file, and the resource in it.
    pub place: String,
    /// What it is.
    pub problem: Problem,
}

struct Lines<'a>(&'a [Found]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        for (number, Found { place, problem }) in self.0.iter().enumerate() {
            let end = if number > 0 { "\n" } else { "" };
            write!(to, "{end}{place}: {problem}")?;
        }
        Ok(())
    }
}

/// Looks at all resources in a YAML file, with the rules of the definition and those of the gateway; what they refer to is
/// taken to be there. How many there are.
///
/// # Errors
/// All that is wrong.
pub fn check(path: &Path) -> Result<usize, Error> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|source| Error::Read {
        path: name.clone(),
        source,
    })?;
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).map_err(|source| Error::Yaml {
            path: name.clone(),
            source: Box::new(source),
        })?;
    let is_ours = |each: &&Value| {
        each["kind"] == "ExProtoListener" && each["apiVersion"] == "exproto.dev/v1alpha1"
    };
    let mut count = 0;
    let mut found = Vec::new();
    for document in documents.iter().filter(is_ours) {
        count += 1;
        let resource = document["metadata"]["name"].as_str().unwrap_or("(unnamed)");
        let place = format!("{name}: {resource}");
        let problems = problems(document).into_iter();
        found.extend(problems.map(|problem| Found {
            place: place.clone(),
            problem,
        }));
    }
    match count {
        0 => Err(Error::Nothing(name)),
        _ if found.is_empty() => Ok(count),
        _ => Err(Error::Invalid(found)),
    }
}

fn problems(document: &Value) -> Vec<Problem> {
    let known = &schema()["properties"]["spec"];
    let unknown = unknown(&document["spec"], known, "spec");
    if !unknown.is_empty() {
        return unknown;
    }
    let resource = match ExProtoListener::deserialize(document) {
        Ok(resource) => resource,
        Err(error) => {
            return vec![Problem {
                field: "spec".to_owned(),
                text: error.to_string(),
            }];
        }
    };
    let references = References {
        // Which one it is makes no difference to what is written here.
        handler: Some(HandlerTarget {
            name: "handler.default.svc".to_owned(),
            port: 1,
            selector: None,
            pods: None,
            namespace: None,
        }),
    };
    validate(&resource, &references).err().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        match check(file.path()) {
            Ok(count) => format!("{count} good"),
            Err(error) => error.to_string(),
        }
    }

    const GOOD: &str = "
apiVersion: exproto.dev/v1alpha1
kind: ExProtoListener
metadata: {name: trackers}
spec:
  ports: [{name: tcp, transport: TCP, port: 7993}]
  handler: {serviceRef: {name: tracker}}
  adapter: {auth: None}
";

    #[test]
    fn all_resources_of_a_file_are_looked_at() {
        let other = "apiVersion: v1\nkind: ConfigMap\n";
        assert_eq!(told(&format!("{other}---{GOOD}---{GOOD}")), "2 good");
        assert!(told(other).contains("no resource of kind ExProtoListener"));
    }

    #[test]
    fn a_field_that_nobody_knows_is_told_with_those_that_there_are() {
        let written = GOOD.replace("port: 7993", "port: 7993, idleTimout: 5m");
        let told = told(&written);
        assert!(
            told.contains("trackers: spec.ports[0].idleTimout: there is no such"),
            "{told}"
        );
        assert!(told.contains("idleTimeout"), "{told}");
    }

    #[test]
    fn what_is_no_yaml_is_told_with_its_place() {
        let told = told("a: [b");
        assert!(told.contains("line 1 column 4"), "{told}");
    }
}
