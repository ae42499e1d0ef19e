//! The other pods: whoever asks one pod asks all of them, where there are others.
//!
//! Each is asked by the same request, and answers for itself alone. One that cannot be asked is named in the answer
//! (`missing`): what it would have said is missing there.

use std::convert::Infallible;

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::FromRequestParts,
    http::{Method, Request, StatusCode, Uri, request::Parts},
    response::IntoResponse as _,
};
use futures_util::future::join_all;
use proto::cluster::{Manage, Managed};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{Error, Management, Others, guard::Caller, resources};
use crate::broker::others::Pod;

/// The most bytes of an answer of another pod.
pub const LARGEST_ANSWER: usize = 16 * 1024 * 1024;

/// The mark of a request of another pod: it is about this pod alone.
#[derive(Clone, Copy)]
struct OfPod;

/// A request, as other pods are asked the same.
pub(super) struct Question {
    method: Method,
    uri: Uri,
    caller: String,
    /// What all are told; empty unless it is set.
    pub(super) body: Bytes,
    /// Nobody else is to be asked.
    pub(super) is_of_pod: bool,
}

/// What other pods have answered.
#[derive(Default)]
pub(super) struct Answers {
    /// Each with its status and body.
    pub(super) given: Vec<(Pod, StatusCode, Value)>,
    /// Who could not be asked, and why.
    pub(super) missing: Vec<Missing>,
}

/// A pod that could not be asked.
pub(super) struct Missing {
    pod: Pod,
    why: String,
}

impl Missing {
    pub(super) fn of(pod: Pod, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { pod, why }
    }

    pub(super) fn shown(&self) -> Value {
        json!({ "pod": &*self.pod, "why": self.why })
    }
}

impl<S: Sync> FromRequestParts<S> for Question {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            caller: Caller::of(&parts.extensions).0,
            body: Bytes::new(),
            is_of_pod: parts.extensions.get::<OfPod>().is_some(),
        })
    }
}

impl Question {
    /// What stands behind the path, but for the place in a list.
    fn query_without_place(&self) -> String {
        let pairs = self.uri.query().unwrap_or_default().split('&');
        let is_place = |pair: &&str| {
            let name = pair.split('=').next().unwrap_or_default();
            ["limit", "after", ""].contains(&name)
        };
        pairs
            .filter(|pair| !is_place(pair))
            .flat_map(|pair| [pair, "&"])
            .collect()
    }

    /// The path of the same list, from there on.
    pub(super) fn list_after(&self, limit: usize, after: u64) -> String {
        let (path, query) = (self.uri.path(), self.query_without_place());
        format!("{path}?{query}limit={limit}&after={after}")
    }

    pub(super) fn path(&self) -> String {
        let path = self.uri.path_and_query();
        path.map_or_else(String::new, ToString::to_string)
    }
}

impl Management {
    /// Whether other pods are asked as well.
    pub(super) fn is_shared(&self, question: &Question) -> bool {
        self.others_of(question).is_some()
    }

    /// The other pods, where they are asked as well.
    pub(super) fn others_of(&self, question: &Question) -> Option<&Others> {
        let others = self.subjects().others.as_ref();
        others.filter(|_| !question.is_of_pod)
    }

    /// Whether there may be other pods.
    pub(super) fn has_others(&self) -> bool {
        self.subjects().others.is_some()
    }

    /// The other pods; none where Redis has not told yet.
    pub(super) fn others(&self) -> Option<Vec<Pod>> {
        let others = self.subjects().others.as_ref();
        others.map_or_else(|| Some(Vec::new()), |others| others.peers.others())
    }

    /// Asks all other pods the same. Nobody, where another pod asks.
    pub(super) async fn ask_others(&self, question: &Question) -> Answers {
        if !self.is_shared(question) {
            return Answers::default();
        }
        let Some(others) = self.others() else {
            return Answers::unknown();
        };
        let asked = others.into_iter().map(|pod| (pod, question.path()));
        self.ask(question, asked.collect()).await
    }

    /// Asks each of these pods for what stands at a path.
    pub(super) async fn ask(&self, question: &Question, asked: Vec<(Pod, String)>) -> Answers {
        let mut answers = Answers::default();
        let Some(Others { peers, .. }) = &self.subjects().others else {
            return answers;
        };
        let asked = asked.into_iter().map(|(pod, path)| async move {
            let manage = Manage {
                method: question.method.to_string(),
                path,
                caller: question.caller.clone(),
                body: question.body.clone(),
            };
            (peers.manage(&pod, manage).await, pod)
        });
        for (answer, pod) in join_all(asked).await {
            match answer.map(|answer| read(&answer)) {
                Ok(Some((status, body))) => answers.given.push((pod, status, body)),
                Ok(None) => {
                    let why = "what it answers makes no sense; it is of another version";
                    answers.missing.push(Missing::of(pod, why));
                }
                Err(silent) => answers.missing.push(Missing::of(pod, silent.to_string())),
            }
        }
        answers
    }

    /// The answer of the one pod that has what is asked for, which this one has not.
    pub(super) async fn elsewhere(&self, question: &Question, here: Error) -> Result<Value, Error> {
        self.ask_others(question).await.found(here)
    }

    /// The answer to another pod, about this one alone.
    pub async fn answer_pod(&self, manage: Manage) -> Managed {
        let request = Request::builder()
            .method(&*manage.method)
            .uri(manage.path)
            .extension(OfPod)
            .extension(Caller(manage.caller))
            .body(Body::from(manage.body));
        let answer = match request {
            Ok(request) => resources(self.clone()).oneshot(request).await,
            Err(_) => Ok(Error::Internal.into_response()),
        };
        let (parts, body) = match answer {
            Ok(answer) => answer.into_parts(),
            Err(never) => match never {},
        };
        let body = to_bytes(body, LARGEST_ANSWER).await.unwrap_or_default();
        Managed {
            status: parts.status.as_u16().into(),
            body,
        }
    }
}

impl Answers {
    /// Nobody could be asked, as nobody knows who is there.
    pub(super) fn unknown() -> Self {
        let why = "Redis has not told yet which other pods there are";
        Self {
            given: Vec::new(),
            missing: vec![Missing::of("(unknown)".into(), why)],
        }
    }

    /// The one answer that says more than that nothing is there. Else `here` holds, unless somebody could not be asked.
    pub(super) fn found(self, here: Error) -> Result<Value, Error> {
        let mut given = self.given;
        // What was found goes before what went wrong.
        given.sort_by_key(|(_, status, _)| !status.is_success());
        let mut given = given.into_iter();
        match given.find(|(_, status, _)| *status != StatusCode::NOT_FOUND) {
            Some((_, status, body)) if status.is_success() => Ok(body),
            Some((pod, _, body)) => Err(Error::Elsewhere {
                pod: pod.to_string(),
                why: body["error"]["message"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            }),
            None => match self.missing.into_iter().next() {
                Some(Missing { pod, why }) => Err(Error::Elsewhere {
                    pod: pod.to_string(),
                    why: format!("{why}; it may be there"),
                }),
                None => Err(here),
            },
        }
    }
}

fn read(answer: &Managed) -> Option<(StatusCode, Value)> {
    let status = u16::try_from(answer.status).ok()?;
    let status = StatusCode::from_u16(status).ok()?;
    Some((status, serde_json::from_slice(&answer.body).ok()?))
}
