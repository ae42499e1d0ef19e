//! Asks a service over HTTP. What is no clear answer is a failure, and denies: a service that is overloaded, or a page
//! of some proxy, must not open anything.

use std::net::IpAddr;

use anyhow::Context as _;
use config::Permission;
use serde::{Deserialize, Serialize};

use crate::{
    auth::Attributes,
    authorization::{Asker, Wanted},
    services::Web,
};

/// What is asked. The names are EMQX's.
#[derive(Serialize)]
struct Question<'a> {
    clientid: &'a str,
    username: &'a str,
    peerhost: IpAddr,
    listener: &'a str,
    client_attrs: &'a Attributes,
    action: &'static str,
    topic: &'a str,
    qos: u32,
}

/// What a service that answers 200 says.
#[derive(Deserialize)]
struct Verdict {
    result: Word,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Allow,
    Deny,
    Ignore,
}

pub(super) async fn ask(
    web: &Web,
    asker: &Asker<'_>,
    wanted: &Wanted<'_>,
) -> anyhow::Result<Option<Permission>> {
    let question = Question {
        clientid: asker.clientid,
        username: asker.username,
        peerhost: asker.ip,
        listener: asker.listener,
        client_attrs: &asker.access.attributes,
        action: wanted.verb.as_str(),
        topic: wanted.topic,
        qos: wanted.qos.into(),
    };
    let answer = web.post(&question).await?;
    understand(answer.status, &answer.body)
}

fn understand(status: u16, body: &[u8]) -> anyhow::Result<Option<Permission>> {
    match status {
        200 => {
            let verdict: Verdict = serde_json::from_slice(body)
                .context("its answer is no JSON with result: allow, deny or ignore")?;
            Ok(match verdict.result {
                Word::Allow => Some(Permission::Allow),
                Word::Deny => Some(Permission::Deny),
                Word::Ignore => None,
            })
        }
        204 => Ok(Some(Permission::Allow)),
        other => anyhow::bail!("it answered with status {other}; 200 with JSON, or 204, is wanted"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clear_answer_is_understood() {
        for (status, body, expected) in [
            (204, "", Some(Permission::Allow)),
            (200, r#"{"result": "allow"}"#, Some(Permission::Allow)),
            (200, r#"{"result": "deny", "x": 1}"#, Some(Permission::Deny)),
            (200, r#"{"result": "ignore"}"#, None),
        ] {
            assert_eq!(understand(status, body.as_bytes()).unwrap(), expected);
        }
    }

    #[test]
    fn anything_else_is_a_failure() {
        for (status, body) in [
            (200, ""),
            (200, "{}"),
            (200, "allow"),
            (200, r#"{"result": true}"#),
            (200, r#"{"result": "Allow"}"#),
            (201, r#"{"result": "allow"}"#),
            (302, ""),
            (401, ""),
            (403, ""),
            (404, r#"{"result": "allow"}"#),
            (500, r#"{"result": "allow"}"#),
        ] {
            assert!(understand(status, body.as_bytes()).is_err(), "{status}");
        }
    }
}
