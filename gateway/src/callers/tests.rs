use std::{fs, net::SocketAddr};

use http::header::AUTHORIZATION;
use tempfile::TempDir;

use super::*;

const SEND: (&str, Scope) = ("Send", Scope::Send);
const RAW: (&str, Scope) = ("RawPublish", Scope::Raw);
const TOKEN: &str = "a-token-of-the-handler";

/// One caller with a token, one with a certificate, one with both.
fn callers() -> (TempDir, Callers) {
    let folder = tempfile::tempdir().unwrap();
    let caller = |name: &str, token: Option<&str>, certificate: Option<&str>, scopes: &[Scope]| {
        let token_file = token.map(|token| {
            let path = folder.path().join(name);
            fs::write(&path, token).unwrap();
            path
        });
        config::Caller {
            name: name.to_owned(),
            token_file,
            certificate: certificate.map(str::to_owned),
            scopes: scopes.to_vec(),
            mirror: name == "by-name",
        }
    };
    let config = config::Adapter {
        callers: vec![
            caller("by-name", None, Some("rules.example.net"), &[Scope::Send]),
            caller("handler", Some(TOKEN), None, &[Scope::Send, Scope::Session]),
            caller(
                "both",
                Some("a-token-of-both-1"),
                Some("urn:both"),
                &[Scope::Raw],
            ),
        ],
        ..config::Adapter::default()
    };
    let callers = Callers::load(&config).unwrap().unwrap();
    (folder, callers)
}

fn bearing(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    headers
}

fn showing(names: &[&str]) -> Peer {
    Peer {
        address: SocketAddr::from(([127, 0, 0, 1], 1)),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    }
}

#[test]
fn without_callers_nobody_is_asked() {
    let callers = Callers::load(&config::Adapter::default()).unwrap();
    assert!(callers.is_none());
}

#[test]
fn a_caller_is_known_by_its_token_or_its_certificate() {
    let (_folder, callers) = callers();
    let nothing = HeaderMap::new();
    let carried_out = callers.check(&bearing(TOKEN), None, SEND).unwrap();
    assert!(carried_out.is_none());
    let named = showing(&["cn", "rules.example.net"]);
    let of_mirror = callers.check(&nothing, Some(&named), SEND).unwrap();
    assert!(of_mirror.is_some());
    let both = showing(&["urn:both"]);
    callers.check(&nothing, Some(&both), RAW).unwrap();
    callers
        .check(&bearing("a-token-of-both-1"), None, RAW)
        .unwrap();
}

#[test]
fn a_token_counts_before_a_certificate() {
    let (_folder, callers) = callers();
    let named = showing(&["rules.example.net"]);
    let bad = callers.check(&bearing("a-token-of-nobody"), Some(&named), SEND);
    assert_eq!(bad.unwrap_err().reason(), "bad_token");
    let other = callers.check(&bearing("a-token-of-both-1"), Some(&named), SEND);
    assert_eq!(other.unwrap_err().reason(), "scope");
}

#[test]
fn whoever_is_not_known_is_told_what_to_send() {
    let (_folder, callers) = callers();
    let stranger = showing(&["stranger"]);
    for peer in [None, Some(&stranger)] {
        let refused = callers.check(&HeaderMap::new(), peer, SEND).unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("authorization: Bearer TOKEN"), "{text}");
        assert!(text.contains("client certificate"), "{text}");
        assert_eq!(Status::from(refused).code(), tonic::Code::Unauthenticated);
    }
}

#[test]
fn bad_tokens_are_told_nothing_of_why() {
    let (_folder, callers) = callers();
    let answers = [
        "x",
        "a-token-of-the-handle",
        "a-token-of-the-handlers",
        "A-TOKEN-OF-THE-HANDLER",
    ]
    .map(|token| callers.check(&bearing(token), None, SEND).unwrap_err());
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    let mut basic = HeaderMap::new();
    basic.insert(AUTHORIZATION, "Basic eDp5".parse().unwrap());
    assert_eq!(callers.check(&basic, None, SEND).unwrap_err(), answers[0]);
}

#[test]
fn a_missing_scope_is_named_with_the_caller() {
    let (_folder, callers) = callers();
    let refused = callers.check(&bearing(TOKEN), None, RAW).unwrap_err();
    let text = refused.to_string();
    assert!(
        text.contains("\"handler\"") && text.contains("scope raw"),
        "{text}"
    );
    assert!(text.contains("RawPublish"), "{text}");
    assert_eq!(Status::from(refused).code(), tonic::Code::PermissionDenied);
}
