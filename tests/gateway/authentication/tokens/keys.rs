//! Keys that are served, or stand in a file: they rotate, and at times they cannot be had.

use std::{fs, time::Duration};

use exproto_tests::{Device, Pki, Pod, until};
use proto::exproto::{AuthenticateRequest, ClientInfo, CodeResponse, ResultCode};
use serde_json::json;

use super::{Issuer, Setting, chain};
use crate::calls::{ok, refused};

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
async fn keys_in_a_file_rotate_with_it() {
    let mut issuer = Issuer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let keys = issuer.told(&json!({"jwks": true}), "jwks").await;
    fs::write(&path, &keys).unwrap();
    let setting = Setting::new(&format!("{{jwt: {{jwks_file: {}}}}}", path.display())).await;
    let old = issuer.hour("EdDSA-1", "a").await;
    ok(&setting.ask("a", "", &old).await);
    issuer.told(&json!({"rotate": true}), "rotated").await;
    let new = issuer.hour("EdDSA-2", "a").await;
    let unknown = "no authenticator knows this client";
    let answer = setting.ask("a", "", &new).await;
    refused(&answer, ResultCode::PermissionDeny, unknown);

    let reloads = |outcome: &str| {
        format!("exproto_reloads_total{{outcome=\"{outcome}\",what=\"authentication\"}}")
    };
    // What is no set of keys is not taken.
    fs::write(&path, &keys[..keys.len() - 1]).unwrap();
    setting.gateway.counts(&reloads("refused"), 1).await;
    ok(&setting.ask("a", "", &old).await);
    let keys = issuer.told(&json!({"jwks": true}), "jwks").await;
    fs::write(&path, &keys).unwrap();
    setting.gateway.counts(&reloads("taken"), 1).await;
    ok(&setting.ask("a", "", &new).await);
    let answer = setting.ask("a", "", &old).await;
    refused(&answer, ResultCode::PermissionDeny, unknown);
}

/// The gateway as a program, since its log tells when it has looked for keys.
struct Watched {
    pod: Pod,
}

impl Watched {
    async fn with(chain: &str) -> Self {
        let more = format!("authentication: {{chain: [{chain}]}}");
        let pod = Pod::with("transport: tcp", &more).await;
        Self { pod }
    }

    /// Authenticate of a device, which goes again.
    async fn ask(&self, clientid: &str, password: &str) -> CodeResponse {
        let device = Device::connect(self.pod.address()).await;
        let clientinfo = ClientInfo {
            clientid: clientid.to_owned(),
            ..ClientInfo::default()
        };
        let request = AuthenticateRequest {
            conn: self.pod.connected().await.conn,
            clientinfo: Some(clientinfo),
            password: password.to_owned(),
        };
        let answer = self.pod.adapter().authenticate(request).await;
        drop(device);
        self.pod.handler.closed().await;
        answer.unwrap().into_inner()
    }

    /// Two looks have failed with that reason, so that the gateway has done with the first of them.
    async fn looks_in_vain(&mut self, why: &str) {
        for _ in 0..2 {
            let log = &mut self.pod.process.errors;
            loop {
                let line = log.line("cannot read the keys of tokens").await;
                if line.contains(why) {
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn keys_stay_good_while_the_issuer_is_away() {
    let mut issuer = Issuer::start().await;
    let settings = "refresh: 100ms, max_age: 1h, client: {timeout: 1s}";
    let mut watched = Watched::with(&chain(&issuer, settings)).await;
    let token = issuer.hour("EdDSA-1", "a").await;
    ok(&watched.ask("a", &token).await);
    for (what, why) in [
        ("error", "status 500"),
        ("rubbish", "not JSON"),
        ("much", "over 262144 bytes"),
        ("nothing", "did not answer within 1s"),
    ] {
        issuer.serves(what).await;
        watched.looks_in_vain(why).await;
        ok(&watched.ask("a", &token).await);
    }
    // Nobody listens any more.
    drop(issuer);
    watched.looks_in_vain("refused").await;
    ok(&watched.ask("a", &token).await);
}

#[tokio::test]
async fn keys_are_not_good_for_ever_while_the_issuer_is_away() {
    let mut issuer = Issuer::start().await;
    let setting = Setting::new(&chain(&issuer, "refresh: 100ms, max_age: 2s")).await;
    let token = issuer.hour("EdDSA-1", "a").await;
    ok(&setting.ask("a", "", &token).await);
    issuer.serves("error").await;
    until("the keys to be too old", async || {
        let answer = setting.ask("a", "", &token).await;
        let is_good = answer.code() == ResultCode::Success;
        if !is_good {
            let why = "jwks.json could not be read";
            refused(&answer, ResultCode::Unknown, why);
        }
        !is_good
    })
    .await;
    issuer.serves("keys").await;
    until("the keys to be read again", async || {
        setting.ask("a", "", &token).await.code() == ResultCode::Success
    })
    .await;
}

/// Whose key it is cannot be told: it may be a new one. That is nobody's fault, and no reason to let anybody in.
#[tokio::test]
async fn an_unknown_key_while_the_issuer_is_away_is_not_left_to_the_next_one() {
    let mut issuer = Issuer::start().await;
    let chain = format!("{}, {{anonymous: {{}}}}", chain(&issuer, "refresh: 100ms"));
    let setting = Setting::with(&chain, |config| {
        config.bans.failure_rate = Some(config::Rate {
            amount: 1,
            period: Duration::from_secs(3600),
        });
    })
    .await;
    let old = issuer.hour("ES256-1", "a").await;
    ok(&setting.ask("a", "", &old).await);
    issuer.serves("error").await;
    issuer.told(&json!({"rotate": true}), "rotated").await;
    let new = issuer.hour("ES256-2", "a").await;
    // Once it comes again, the gateway has seen what became of the time before.
    let asked = issuer.asked().await;
    until("two more looks", async || issuer.asked().await >= asked + 2).await;
    for _ in 0..3 {
        let answer = setting.ask("a", "", &new).await;
        refused(&answer, ResultCode::Unknown, "not available");
    }
    // Nobody is banned for it, and whom the keys of before are for is let in.
    ok(&setting.ask("a", "", &old).await);
    issuer.serves("keys").await;
    until("the new key to be known", async || {
        let answer = setting.ask("a", "", &new).await;
        answer.code() == ResultCode::Success
    })
    .await;
    // What is no token at all is still the next one's business.
    ok(&setting.ask("b", "", "no token").await);
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
async fn an_issuer_is_known_by_its_certificate() {
    let pki = Pki::new();
    let files = pki.server("localhost");
    let mut issuer =
        Issuer::with(&[&files.chain, &files.key].map(|path| path.display().to_string())).await;
    assert!(issuer.url.starts_with("https://"), "{}", issuer.url);
    let trusting = |ca: &Pki| format!("client: {{ca_file: {}}}", ca.ca_file().display());
    let token = issuer.hour("ES256-1", "a").await;
    let setting = Setting::new(&chain(&issuer, &trusting(&pki))).await;
    ok(&setting.ask("a", "", &token).await);
    // Keys of somebody else who says to be the issuer are not read.
    let other = Pki::named("Another CA");
    for client in [trusting(&other), String::new()] {
        let asked = issuer.asked().await;
        let setting = Setting::new(&chain(&issuer, &client)).await;
        let answer = setting.ask("a", "", &token).await;
        refused(&answer, ResultCode::Unknown, "jwks.json could not be read");
        assert_eq!(issuer.asked().await, asked);
    }
}
