//! Tokens that a library of Python has signed, and keys that it serves.

use exproto_tests::Process;
use proto::exproto::ResultCode;
use serde_json::{Value, json};

use super::{Setting, authenticate, now, python, served};
use crate::calls::{ok, refused};

/// What tokens say of a client.
mod claims;
/// Tokens that are not good.
mod bad;
/// Keys that are served, and are not there at times.
mod keys;

const KINDS: [&str; 5] = ["RS256", "PS384", "ES256", "ES384", "EdDSA"];

struct Issuer {
    process: Process,
    url: String,
}

impl Issuer {
    async fn start() -> Self {
        Self::with(&[]).await
    }

    async fn with(arguments: &[String]) -> Self {
        let mut process = python("issuer.py", arguments);
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
        self.token(kid, &hour(sub)).await
    }

    async fn serves(&mut self, what: &str) {
        self.told(&json!({"serve": what}), "serves").await;
    }

    /// How often it was asked for its keys.
    async fn asked(&mut self) -> u64 {
        let asked = self.told(&json!({"asked": true}), "asked").await;
        asked.parse().unwrap()
    }

    /// The public key in PEM.
    async fn pem(&mut self, kid: &str) -> String {
        let pem = self.told(&json!({"pem": kid}), "pem").await;
        serde_json::from_str(&pem).unwrap()
    }
}

/// Claims that are good for an hour.
fn hour(sub: &str) -> Value {
    json!({"exp": now() + 3600, "sub": sub, "aud": "exproto"})
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
async fn a_public_key_in_a_file_is_taken_and_changes_with_it() {
    let mut issuer = Issuer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    for (kind, other) in [("RS256", "ES256"), ("ES384", "EdDSA"), ("EdDSA", "RS256")] {
        let (kid, other) = (format!("{kind}-1"), format!("{other}-1"));
        std::fs::write(&path, issuer.pem(&kid).await).unwrap();
        let chain = format!("{{jwt: {{public_key_file: {}}}}}", path.display());
        let setting = Setting::new(&chain).await;
        let good = issuer.hour(&kid, "a").await;
        let bad = issuer.hour(&other, "a").await;
        ok(&setting.ask("a", "", &good).await);
        refused(
            &setting.ask("a", "", &bad).await,
            ResultCode::PermissionDeny,
            "algorithm",
        );
        std::fs::write(&path, issuer.pem(&other).await).unwrap();
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
