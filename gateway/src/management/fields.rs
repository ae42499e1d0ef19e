//! What a request says, field by field: its query, or the JSON of its body. A field that nobody asks for is refused by
//! name, so that a slip of the finger does not list or ban something else.

use std::{collections::BTreeMap, fmt::Display, str::FromStr};

use axum::{
    body::{Body, to_bytes},
    extract::{FromRequestParts, Path, Query},
    http::{Uri, request::Parts},
};
use serde_json::Value;

use super::Error;

/// The most bytes of a body.
const LONGEST_BODY: usize = 64 * 1024;

/// Fields that nobody has asked for yet.
pub(super) struct Fields {
    left: BTreeMap<String, String>,
    /// All that were asked for, to be named in an error.
    known: Vec<&'static str>,
}

impl Fields {
    /// Those of a query.
    pub(super) fn of_query(uri: &Uri) -> Result<Self, Error> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri);
        let Query(pairs) = pairs.map_err(|error| Error::field("the query", error.body_text()))?;
        let mut left = BTreeMap::new();
        for (name, value) in pairs {
            if left.insert(name.clone(), value).is_some() {
                return Err(Error::field(&name, "it stands there twice; write it once"));
            }
        }
        Ok(Self::new(left))
    }

    /// Those of a body, which must be a JSON object with text alone.
    pub(super) async fn of_body(body: Body) -> Result<Self, Error> {
        // Whoever announces more need not send it; and whoever goes away is not answered.
        let bytes = to_bytes(body, LONGEST_BODY).await;
        let bytes = bytes.map_err(|_| Error::TooLarge)?;
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|error| Error::Body(format!("it is not JSON: {error}")))?;
        let Value::Object(object) = value else {
            return Err(Error::Body("it is no JSON object; write {…}".to_owned()));
        };
        let mut left = BTreeMap::new();
        for (name, value) in object {
            match value {
                Value::String(text) => {
                    left.insert(name, text);
                }
                Value::Null => {}
                _ => return Err(Error::field(&name, "it is no text; write it in quotes")),
            }
        }
        Ok(Self::new(left))
    }

    fn new(left: BTreeMap<String, String>) -> Self {
        let known = Vec::new();
        Self { left, known }
    }

    /// The text of a field.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        self.left.remove(name)
    }

    /// A field as what it stands for.
    pub(super) fn parse<T: FromStr<Err: Display>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, Error> {
        let text = self.text(name);
        let parsed = text.map(|text| text.parse::<T>()).transpose();
        parsed.map_err(|error| Error::field(name, error.to_string()))
    }

    /// No field is left.
    pub(super) fn finish(self) -> Result<(), Error> {
        let Some((name, _)) = self.left.first_key_value() else {
            return Ok(());
        };
        let known = if self.known.is_empty() {
            "none".to_owned()
        } else {
            self.known.join(", ")
        };
        let problem = format!("there is no such field; the fields here are: {known}");
        Err(Error::field(&name.escape_debug().to_string(), problem))
    }
}

/// What stands in the path, percent-decoded.
pub(super) struct Named(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let path = path.map_err(|error| Error::field("the path", error.body_text()))?;
        Ok(Self(path.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Result<Fields, Error> {
        Fields::of_query(&format!("/x?{text}").parse().unwrap())
    }

    async fn body(text: &str) -> Result<Fields, Error> {
        Fields::of_body(Body::from(text.to_owned())).await
    }

    fn wrong<T>(result: Result<T, Error>) -> String {
        result.err().unwrap().to_string()
    }

    #[test]
    fn a_query_is_taken_field_by_field() {
        let mut fields = query("limit=5&who=a%2Fb").unwrap();
        assert_eq!(fields.parse("limit"), Ok(Some(5)));
        assert_eq!(fields.text("who").as_deref(), Some("a/b"));
        assert_eq!(fields.text("after"), None);
        assert_eq!(fields.finish(), Ok(()));
    }

    #[test]
    fn what_nobody_asks_for_is_named() {
        let mut fields = query("limt=5").unwrap();
        fields.text("limit");
        let said = wrong(fields.finish());
        assert_eq!(
            said,
            "limt: there is no such field; the fields here are: limit"
        );
        assert!(wrong(query("a=1&a=2")).starts_with("a: it stands there twice"));
        let mut fields = query("limit=many").unwrap();
        assert!(wrong(fields.parse::<u32>("limit")).starts_with("limit: "));
    }

    #[tokio::test]
    async fn a_body_is_an_object_of_text() {
        let mut fields = body(r#"{"who": "a", "reason": null}"#).await.unwrap();
        assert_eq!(fields.text("who").as_deref(), Some("a"));
        assert_eq!(fields.text("reason"), None);
        assert_eq!(fields.finish(), Ok(()));
        assert!(wrong(body("").await).contains("not JSON"));
        assert!(wrong(body("[1]").await).contains("no JSON object"));
        assert!(wrong(body(r#"{"who": 5}"#).await).starts_with("who: it is no text"));
        let long = format!("{{\"who\": \"{}\"}}", "x".repeat(LONGEST_BODY));
        assert_eq!(body(&long).await.err(), Some(Error::TooLarge));
    }
}
