//! Tokens that a library of Python has signed, and keys that it serves.

use exproto_tests::{Process, until};
use proto::exproto::ResultCode;
use serde_json::{Value, json};

use super::{Setting, authenticate, now, python, served};
use crate::calls::{ok, refused};

const KINDS: [&str; 5] = ["RS256", "PS384", "ES256", "ES384", "EdDSA"];

struct Issuer {
    process: Process,
    url: String,
}

impl Issuer {
    async fn start() -> Self {
        let mut process = python("issuer.py", &[]);
        let url = served(&mut process).await;
        Self { process, url }
    }

    async fn told(&mut self, what: &Value, answer: &str) -> String {
        self.process.say(format!("{what}\n"));
        let line = self.process.output.line(answer).await;
        line.trim_start_matches(answer).trim().to_owned()
    }

    async fn token(&mut self, kid: &str, claims: &Value) -> String {
        self.told(&json!({"kid": kid, "claims": claims}), "token")
            .await
    }

    /// A token for an hour, with that `sub`.
    async fn hour(&mut self, kid: &str, sub: &str) -> String {
        let claims = json!({"exp": now() + 3600, "sub": sub, "aud": "exproto"});
        self.token(kid, &claims).await
    }

    async fn serves(&mut self, what: &str) {
        self.told(&json!({"serve": what}), "serves").await;
    }
}

fn chain(issuer: &Issuer, more: &str) -> String {
    format!(
        "{{jwt: {{jwks_url: \"{}\", audience: [exproto], claims: {{sub: \"${{clientid}}\"}}, {more}}}}}",
        issuer.url
    )
}

#[tokio::test]
async fn tokens_of_every_kind_of_key_are_taken_and_expire() {
    let mut issuer = Issuer::start().await;
    let mut setting = Setting::new(&chain(&issuer, "clock_skew: 0s")).await;
    for kind in KINDS {
        let token = issuer.hour(&format!("{kind}-1"), "truck-17").await;
        ok(&setting.ask("truck-17", "", &token).await);
        let answer = setting.ask("truck-18", "", &token).await;
        refused(&answer, ResultCode::PermissionDeny, "claim sub");
    }
    let claims = json!({"exp": now() + 2, "sub": "truck-17", "aud": ["exproto"]});
    let token = issuer.token("ES256-1", &claims).await;
    ok(&authenticate(&mut setting.calls, "truck-17", "", &token).await);
    // The connection ends with its token.
    setting.device.read_to_end().await;
    assert_eq!(setting.handler.closed().await, "expired");
    let answer = setting.ask("truck-17", "", &token).await;
    refused(&answer, ResultCode::PermissionDeny, "expired");
}

#[tokio::test]
async fn keys_that_rotate_are_found_when_a_token_names_them() {
    let mut issuer = Issuer::start().await;
    let setting = Setting::new(&chain(&issuer, "refresh: 1s")).await;
    let old = issuer.hour("ES256-1", "a").await;
    ok(&setting.ask("a", "", &old).await);
    issuer.told(&json!({"rotate": true}), "rotated").await;
    let new = issuer.hour("ES256-2", "a").await;
    until("the new key to be known", async || {
        setting.ask("a", "", &new).await.code() == ResultCode::Success
    })
    .await;
    let answer = setting.ask("a", "", &old).await;
    refused(
        &answer,
        ResultCode::PermissionDeny,
        "no authenticator knows this client",
    );
}

#[tokio::test]
async fn keys_stay_good_while_the_issuer_is_away_and_not_for_ever() {
    let mut issuer = Issuer::start().await;
    let setting = Setting::new(&chain(&issuer, "refresh: 100ms, max_age: 4s")).await;
    let token = issuer.hour("EdDSA-1", "a").await;
    ok(&setting.ask("a", "", &token).await);
    for what in ["error", "rubbish", "much"] {
        issuer.serves(what).await;
        let asked: u64 = issuer
            .told(&json!({"asked": 1}), "asked")
            .await
            .parse()
            .unwrap();
        until("another look", async || {
            let now: u64 = issuer
                .told(&json!({"asked": 1}), "asked")
                .await
                .parse()
                .unwrap();
            now > asked
        })
        .await;
    }
    until("the keys to be too old", async || {
        let answer = setting.ask("a", "", &token).await;
        match answer.code() {
            ResultCode::Success => false,
            code => {
                assert_eq!(code, ResultCode::Unknown, "{}", answer.message);
                assert!(
                    answer.message.contains("jwks.json could not be read"),
                    "{}",
                    answer.message
                );
                true
            }
        }
    })
    .await;
    issuer.serves("keys").await;
    until("the keys to be read again", async || {
        setting.ask("a", "", &token).await.code() == ResultCode::Success
    })
    .await;
}

#[tokio::test]
async fn an_issuer_that_hangs_at_the_start_is_waited_for_and_not_for_ever() {
    let mut issuer = Issuer::start().await;
    issuer.serves("nothing").await;
    let setting = Setting::new(&chain(&issuer, "client: {timeout: 200ms}")).await;
    let token = issuer.hour("RS256-1", "a").await;
    let answer = setting.ask("a", "", &token).await;
    refused(&answer, ResultCode::Unknown, "not available");
    issuer.serves("keys").await;
    until("the keys to be read", async || {
        setting.ask("a", "", &token).await.code() == ResultCode::Success
    })
    .await;
}

#[tokio::test]
async fn a_public_key_in_a_file_is_taken_and_changes_with_it() {
    let mut issuer = Issuer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    for (kind, other) in [("RS256", "ES256"), ("ES384", "EdDSA"), ("EdDSA", "RS256")] {
        let kid = format!("{kind}-1");
        let pem = issuer.told(&json!({"pem": kid}), "pem").await;
        std::fs::write(&path, serde_json::from_str::<String>(&pem).unwrap()).unwrap();
        let chain = format!("{{jwt: {{public_key_file: {}}}}}", path.display());
        let setting = Setting::new(&chain).await;
        let good = issuer.hour(&kid, "a").await;
        let bad = issuer.hour(&format!("{other}-1"), "a").await;
        ok(&setting.ask("a", "", &good).await);
        refused(
            &setting.ask("a", "", &bad).await,
            ResultCode::PermissionDeny,
            "algorithm",
        );
        let pem = issuer
            .told(&json!({"pem": format!("{other}-1")}), "pem")
            .await;
        std::fs::write(&path, serde_json::from_str::<String>(&pem).unwrap()).unwrap();
        setting
            .gateway
            .counts(
                "exproto_reloads_total{outcome=\"taken\",what=\"authentication\"}",
                1,
            )
            .await;
        ok(&setting.ask("a", "", &bad).await);
        refused(
            &setting.ask("a", "", &good).await,
            ResultCode::PermissionDeny,
            "algorithm",
        );
    }
}
