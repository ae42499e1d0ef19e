//! Tokens that are not good, as a library of Python makes them.

use std::fs;

use proto::exproto::ResultCode;
use serde_json::{Value, json};

use super::{Issuer, Setting, chain, hour, now};
use crate::calls::{ok, refused};

/// Each of these is refused with that reason, and a good one is not.
async fn bad_ones_are_refused(issuer: &mut Issuer, setting: &Setting) {
    let with = |name: &str, value: Value| {
        let mut claims = hour("a");
        claims[name] = value;
        json!({"kid": "ES256-1", "claims": claims})
    };
    let without = |name: &str| {
        let mut claims = hour("a");
        claims.as_object_mut().unwrap().remove(name);
        json!({"kid": "ES256-1", "claims": claims})
    };
    let good = json!({"kid": "ES256-1", "claims": hour("a")});
    let changed = |name: &str, value: Value| {
        let mut question = good.clone();
        question[name] = value;
        question
    };
    for (question, why) in [
        (with("exp", json!(now() - 60)), "expired"),
        (without("exp"), "no exp"),
        (with("nbf", json!(now() + 600)), "not valid yet"),
        (with("aud", json!("other")), "another audience"),
        (with("aud", json!(["other", "others"])), "another audience"),
        (without("aud"), "no aud"),
        (with("sub", json!("b")), "claim sub"),
        (without("sub"), "claim sub"),
        (changed("unsigned", json!(true)), "none"),
        (changed("stranger", json!(true)), "signature is wrong"),
        (
            changed("secret", json!("thirty-two bytes of no chance...")),
            "algorithm",
        ),
        (
            json!({"kid": "not-for-you", "claims": hour("a"), "secret": "secret"}),
            "no authenticator knows this client",
        ),
    ] {
        let token = issuer.told(&question, "token").await;
        let answer = setting.ask("a", "", &token).await;
        refused(&answer, ResultCode::PermissionDeny, why);
        assert!(!answer.message.contains(&token), "{}", answer.message);
    }
    let token = issuer.told(&good, "token").await;
    ok(&setting.ask("a", "", &token).await);
    // What another token says, under the signature of this one.
    let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let other = parts(&issuer.hour("ES256-1", "b").await);
    let [header, _, signature] = &parts(&token)[..] else {
        panic!("{token}");
    };
    let forged = format!("{header}.{}.{signature}", other[1]);
    let answer = setting.ask("b", "", &forged).await;
    refused(&answer, ResultCode::PermissionDeny, "signature is wrong");
}

#[tokio::test]
async fn bad_tokens_are_refused_with_keys_that_are_served() {
    let mut issuer = Issuer::start().await;
    let setting = Setting::new(&chain(&issuer, "")).await;
    bad_ones_are_refused(&mut issuer, &setting).await;
}

#[tokio::test]
async fn bad_tokens_are_refused_with_keys_in_a_file() {
    let mut issuer = Issuer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let keys = issuer.told(&json!({"jwks": true}), "jwks").await;
    fs::write(&path, keys).unwrap();
    let chain = format!(
        "{{jwt: {{jwks_file: {}, audience: [exproto], claims: {{sub: \"${{clientid}}\"}}}}}}",
        path.display()
    );
    let setting = Setting::new(&chain).await;
    bad_ones_are_refused(&mut issuer, &setting).await;
}

#[tokio::test]
async fn a_token_is_good_from_its_nbf_on_and_with_any_of_its_audiences() {
    let mut issuer = Issuer::start().await;
    let setting = Setting::new(&chain(&issuer, "")).await;
    let mut claims = hour("a");
    claims["nbf"] = json!(now() - 1);
    claims["aud"] = json!(["other", "exproto"]);
    for kind in super::KINDS {
        let token = issuer.token(&format!("{kind}-1"), &claims).await;
        ok(&setting.ask("a", "", &token).await);
    }
}
