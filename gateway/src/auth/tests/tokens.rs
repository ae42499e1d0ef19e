use std::time::{Duration, SystemTime};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::KeyPair;
use serde_json::{Value, json};

use super::*;

const SECRET: &[u8] = b"thirty-two bytes of no chance...";

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs()
}

fn sign(header: &Header, claims: &Value, key: &EncodingKey) -> String {
    jsonwebtoken::encode(header, claims, key).unwrap()
}

/// A token of HS256.
fn token(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET);
    sign(&Header::new(Algorithm::HS256), claims, &key)
}

struct Setting {
    folder: TempDir,
}

impl Setting {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    /// A chain of one authenticator with the secret.
    fn with(&self, settings: &str) -> Authentication {
        let path = file(&self.folder, "secret", [SECRET, b"\n"].concat());
        chain(&format!("{{jwt: {{secret_file: {path}, {settings}}}}}"))
    }
}

async fn denied(authentication: &Authentication, token: &str) -> String {
    ask(authentication, "truck-17", "acme", token)
        .await
        .unwrap_err()
}

#[tokio::test]
async fn a_good_token_grants_what_it_says() {
    let setting = Setting::new();
    let authentication = setting.with("attributes: {tenant: tenant_id, n: number, none: absent}");
    let exp = now() + 60;
    let acl = json!([{"permission": "allow", "action": "publish", "topic": "a"}]);
    let token = token(&json!({"exp": exp, "tenant_id": "t-1", "number": 7, "acl": acl}));
    let grant = ask(&authentication, "a", "b", &token).await.unwrap();
    let until = SystemTime::UNIX_EPOCH + Duration::from_secs(exp + 5);
    assert_eq!(grant.expires_at, Some(until));
    assert_eq!(&*grant.attributes["tenant"], "t-1");
    assert_eq!(&*grant.attributes["n"], "7");
    assert!(!grant.attributes.contains_key("none"));
    assert_eq!(grant.acl.as_deref(), Some(&acl));
}

#[tokio::test]
async fn bad_tokens_are_denied_with_the_reason() {
    let setting = Setting::new();
    let authentication =
        setting.with("audience: [exproto], claims: {sub: \"${clientid}\", org: \"x-${username}\"}");
    let good = json!({
        "exp": now() + 60, "aud": ["other", "exproto"], "sub": "truck-17", "org": ["y", "x-acme"],
    });
    let with = |key: &str, value: Value| {
        let mut claims = good.clone();
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(key)),
            value => claims[key] = value,
        }
        token(&claims)
    };
    assert!(
        ask(&authentication, "truck-17", "acme", &token(&good))
            .await
            .is_ok()
    );
    for (token, reason) in [
        (with("exp", json!(now() - 6)), "expired"),
        (with("exp", json!("never")), "exp"),
        (with("exp", Value::Null), "no exp"),
        (with("nbf", json!(now() + 60)), "not valid yet"),
        (with("aud", json!("other")), "another audience"),
        (with("aud", Value::Null), "no aud"),
        (with("sub", json!("truck-18")), "claim sub"),
        (with("sub", Value::Null), "claim sub"),
        (with("org", json!({"x-acme": 1})), "claim org"),
    ] {
        let text = denied(&authentication, &token).await;
        assert!(text.contains(reason), "{reason}: {text}");
        assert!(!text.contains(&token), "{text}");
    }
}

#[tokio::test]
async fn forged_tokens_are_denied() {
    let setting = Setting::new();
    let authentication = setting.with("");
    let claims = json!({"exp": now() + 60});
    let good = token(&claims);
    let other = EncodingKey::from_secret(b"another secret of thirty-two byte");
    let forged = sign(&Header::new(Algorithm::HS256), &claims, &other);
    assert!(denied(&authentication, &forged).await.contains("signature"));
    // Its signature cut off, and no algorithm.
    let payload = good.split('.').nth(1).unwrap();
    for header in [r#"{"alg":"none"}"#, r#"{"alg":"None","typ":"JWT"}"#] {
        let header =
            base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, header);
        for signature in ["", good.rsplit('.').next().unwrap()] {
            let unsigned = format!("{header}.{payload}.{signature}");
            assert!(
                denied(&authentication, &unsigned)
                    .await
                    .contains("algorithm")
            );
        }
    }
    // A demand that is not understood must not be passed over (RFC 7515, section 4.1.11).
    let mut critical = Header::new(Algorithm::HS256);
    critical.crit = Some(vec!["exp".to_owned()]);
    let critical = sign(&critical, &claims, &EncodingKey::from_secret(SECRET));
    assert!(denied(&authentication, &critical).await.contains("crit"));
    for at in 0..good.len() {
        let mut changed = good.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        // The last character of base64 has bits that mean nothing.
        if changed[..at] != good[..at] || at + 1 < good.len() {
            assert!(
                ask(&authentication, "a", "b", &changed).await.is_err(),
                "{at}"
            );
        }
    }
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    let setting = Setting::new();
    let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let pem = pair.public_key_pem();
    let path = file(&setting.folder, "key.pem", &pem);
    let authentication = chain(&format!("{{jwt: {{public_key_file: {path}}}}}"));
    let claims = json!({"exp": now() + 60});
    let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
    let good = sign(&Header::new(Algorithm::ES256), &claims, &key);
    assert!(ask(&authentication, "a", "b", &good).await.is_ok());
    // What everybody knows taken for a secret that only the issuer knows.
    let key = EncodingKey::from_secret(pem.as_bytes());
    let confused = sign(&Header::new(Algorithm::HS256), &claims, &key);
    assert!(
        denied(&authentication, &confused)
            .await
            .contains("algorithm")
    );
}

#[tokio::test]
async fn what_is_no_token_or_anothers_is_left_to_the_next_one() {
    let setting = Setting::new();
    let users = file(
        &setting.folder,
        "users",
        format!("acme:{}", hash::argon2id(b"hunter2")),
    );
    let secret = file(&setting.folder, "secret", SECRET);
    let other = file(
        &setting.folder,
        "other",
        b"another secret of thirty-two byte",
    );
    let jwt =
        |issuer: &str, path: &str| format!("{{jwt: {{secret_file: {path}, issuer: {issuer}}}}}");
    let authentication = chain(&format!(
        "{}, {}, {{file: {{path: {users}}}}}",
        jwt("one", &other),
        jwt("two", &secret)
    ));
    assert!(ask(&authentication, "a", "acme", "hunter2").await.is_ok());
    let two = token(&json!({"exp": now() + 60, "iss": "two"}));
    assert!(ask(&authentication, "a", "b", &two).await.is_ok());
    let three = token(&json!({"exp": now() + 60, "iss": "three"}));
    assert_eq!(denied(&authentication, &three).await, BAD_PASSWORD);
    let nobodys = token(&json!({"exp": now() + 60}));
    assert_eq!(denied(&authentication, &nobodys).await, BAD_PASSWORD);
}

#[tokio::test]
async fn a_token_may_stand_in_the_username_and_have_no_end() {
    let setting = Setting::new();
    let authentication = setting.with("token: username, require_expiry: false");
    let token = token(&json!({}));
    let grant = ask(&authentication, "a", &token, "").await.unwrap();
    assert_eq!(grant.expires_at, None);
    assert!(ask(&authentication, "a", "", &token).await.is_err());
}

#[tokio::test]
async fn only_the_algorithms_that_are_wanted_are_taken() {
    let setting = Setting::new();
    let authentication = setting.with("algorithms: [HS512]");
    let claims = json!({"exp": now() + 60});
    assert!(
        denied(&authentication, &token(&claims))
            .await
            .contains("algorithm")
    );
    let key = EncodingKey::from_secret(SECRET);
    let strong = sign(&Header::new(Algorithm::HS512), &claims, &key);
    assert!(ask(&authentication, "a", "b", &strong).await.is_ok());
}

#[test]
fn files_that_hold_no_key_are_refused() {
    let folder = TempDir::new().unwrap();
    let private = KeyPair::generate().unwrap().serialize_pem();
    for (setting, content, problem) in [
        ("secret_file", "short", "is too short for a secret"),
        ("secret_file", &*private, "is no secret but a key in PEM"),
        ("public_key_file", "nothing", "holds no public key"),
        ("jwks_file", "nothing", "it is not JSON"),
        ("jwks_file", "{}", "it has no list"),
        ("jwks_file", r#"{"keys": []}"#, "it has no public key"),
        (
            "jwks_file",
            r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}]}"#,
            "it has no public key",
        ),
    ] {
        let path = file(&folder, "key", content);
        let error = load(&format!("{{jwt: {{{setting}: {path}}}}}"))
            .map(drop)
            .unwrap_err();
        assert!(
            error.starts_with(&path) && error.contains(problem),
            "{error}"
        );
    }
}
