//! A service of the user's own.

use std::fs;

use exproto_tests::{Pki, Process, pki::Files};
use proto::exproto::ResultCode;
use serde_json::Value;

use super::{Setting, authenticate, python, served};
use crate::calls::{ok, refused};

async fn service() -> (Process, String) {
    let mut process = python("service.py", &[]);
    let url = served(&mut process).await;
    (process, url)
}

fn chain(url: &str, more: &str) -> String {
    format!("{{http: {{url: \"{url}\", {more}}}}}")
}

async fn question(service: &mut Process) -> Value {
    let line = service.output.line("asked ").await;
    serde_json::from_str(line.trim_start_matches("asked ")).unwrap()
}

#[tokio::test]
async fn the_service_decides_and_is_told_what_there_is() {
    let (mut service, url) = service().await;
    let setting = Setting::new(&chain(&url, "client: {headers: {x-tenant: acme}}")).await;
    ok(&setting.ask("truck-17", "u", "hunter2").await);
    let asked = question(&mut service).await;
    assert_eq!(asked["clientid"], "truck-17");
    assert_eq!(asked["username"], "u");
    assert_eq!(asked["peerhost"], "127.0.0.1");
    assert_eq!(asked["listener"], "tcp");
    assert_eq!(asked["x-tenant"], "acme");
    assert_eq!(asked["authorization"], Value::Null);
    let denied = setting.ask("truck-17", "u", "hunter3").await;
    refused(
        &denied,
        ResultCode::PermissionDeny,
        "denied by the authentication service",
    );
    let denied = setting.ask("truck-17", "deny", "hunter2").await;
    refused(&denied, ResultCode::PermissionDeny, "denied");
    ok(&setting.ask("truck-17", "204", "x").await);
    let ignored = setting.ask("truck-17", "ignore", "hunter2").await;
    refused(
        &ignored,
        ResultCode::PermissionDeny,
        "no authenticator knows this client",
    );
}

#[tokio::test]
async fn what_the_service_grants_holds() {
    let (_service, url) = service().await;
    let mut setting = Setting::with(&chain(&url, ""), |config| {
        config.mountpoint = "${attr.tenant}/".parse().unwrap();
    })
    .await;
    ok(&authenticate(&mut setting.calls, "a", "full", "").await);
    ok(&setting.calls.subscribe("x", 0).await);
    ok(&setting.calls.raw_publish("acme/x", 0, "1").await);
    assert_eq!(setting.handler.messages(1).await[0].topic, "x");
    setting.device.read_to_end().await;
    assert_eq!(setting.handler.closed().await, "expired");
    // Whoever has no such attribute has no such place.
    let answer = setting.ask("b", "u", "hunter2").await;
    refused(
        &answer,
        ResultCode::PermissionDeny,
        "${attr.tenant} stands in the listener's mountpoint",
    );
}

#[tokio::test]
async fn a_service_that_fails_lets_nobody_in_and_blames_nobody() {
    let (_service, url) = service().await;
    let settings = "client: {timeout: 500ms}";
    let chain = format!("{}, {{anonymous: {{}}}}", chain(&url, settings));
    let setting = Setting::with(&chain, |config| {
        config.bans.failure_rate = Some(config::Rate {
            amount: 1,
            period: std::time::Duration::from_secs(3600),
        });
    })
    .await;
    for (name, why) in [
        ("500", "status 500"),
        ("redirect", "status 302"),
        ("much", "over 262144 bytes"),
        ("rubbish", "not what is wanted, at 1:1"),
        ("hang", "did not answer within 500ms"),
    ] {
        let answer = setting.ask("a", name, "hunter2").await;
        refused(
            &answer,
            ResultCode::Unknown,
            "authentication is not available",
        );
        assert!(answer.message.contains(why), "{}", answer.message);
        assert!(!answer.message.contains("hunter2"), "{}", answer.message);
    }
    let unavailable =
        "exproto_authentications_total{authenticator=\"http\",outcome=\"unavailable\"}";
    assert_eq!(setting.gateway.metric(unavailable).await, 5);
    // None of it was a device's fault: nobody is banned.
    ok(&setting.ask("a", "ignore", "").await);
}

#[tokio::test]
async fn a_service_that_is_not_there_lets_nobody_in() {
    let nobody = exproto_tests::free_address();
    let setting = Setting::new(&chain(&format!("http://{nobody}/"), "")).await;
    let answer = setting.ask("a", "u", "hunter2").await;
    refused(&answer, ResultCode::Unknown, "cannot ask http://127.0.0.1");
}

#[tokio::test]
async fn an_answer_is_used_again_for_the_same_question_alone() {
    let (mut service, url) = service().await;
    let setting = Setting::new(&chain(&url, "cache: {ttl: 1h, max_entries: 3}")).await;
    let hits = "exproto_authentication_cache_hits_total";
    for _ in 0..3 {
        ok(&setting.ask("a", "u", "hunter2").await);
        refused(
            &setting.ask("a", "u", "hunter3").await,
            ResultCode::PermissionDeny,
            "denied",
        );
    }
    assert_eq!(setting.gateway.metric(hits).await, 4);
    ok(&setting.ask("b", "u", "hunter2").await);
    // The fourth one has no room, and takes that of the one that was used last the longest ago.
    ok(&setting.ask("c", "u", "hunter2").await);
    refused(
        &setting.ask("a", "u", "hunter3").await,
        ResultCode::PermissionDeny,
        "denied",
    );
    assert_eq!(setting.gateway.metric(hits).await, 5);
    ok(&setting.ask("a", "u", "hunter2").await);
    assert_eq!(setting.gateway.metric(hits).await, 5);
    for clientid in ["a", "a", "b", "c", "a"] {
        assert_eq!(question(&mut service).await["clientid"], clientid);
    }
}

#[tokio::test]
async fn the_service_is_known_by_its_certificate_and_gets_a_token() {
    let pki = Pki::new();
    let files = pki.server("localhost");
    let arguments = [&files.chain, &files.key].map(|path| path.display().to_string());
    let mut service = python("service.py", &arguments);
    let url = served(&mut service).await;
    assert!(url.starts_with("https://"), "{url}");
    let token = pki.folder().join("token");
    fs::write(&token, "abracadabra\n").unwrap();
    let trusting = |ca: &Pki| {
        let (ca, token) = (ca.ca_file(), token.display());
        let client = format!("client: {{ca_file: {}, token_file: {token}}}", ca.display());
        chain(&url, &client)
    };
    let setting = Setting::new(&trusting(&pki)).await;
    ok(&setting.ask("a", "u", "hunter2").await);
    let asked = question(&mut service).await;
    assert_eq!(asked["authorization"], "Bearer abracadabra");
    let other = Pki::named("Somebody else");
    let setting = Setting::new(&trusting(&other)).await;
    let answer = setting.ask("a", "u", "hunter2").await;
    refused(&answer, ResultCode::Unknown, "certificate");
    // The system trusts neither.
    let setting = Setting::new(&chain(&url, "")).await;
    let answer = setting.ask("a", "u", "hunter2").await;
    refused(
        &answer,
        ResultCode::Unknown,
        "authentication is not available",
    );
}

#[tokio::test]
async fn the_service_may_want_a_certificate() {
    let pki = Pki::new();
    let files = pki.server("localhost");
    let arguments = [&files.chain, &files.key, &pki.ca_file()];
    let mut service = python(
        "service.py",
        &arguments.map(|path| path.display().to_string()),
    );
    let url = served(&mut service).await;
    let showing = |own: Option<&Files>| {
        let own = own.map(|Files { chain, key, .. }| {
            let (chain, key) = (chain.display(), key.display());
            format!(", certificate: {{chain: {chain}, key: {key}}}")
        });
        let (ca, own) = (pki.ca_file(), own.unwrap_or_default());
        chain(&url, &format!("client: {{ca_file: {}{own}}}", ca.display()))
    };
    let setting = Setting::new(&showing(Some(&pki.client("gateway-1")))).await;
    ok(&setting.ask("a", "u", "hunter2").await);
    assert_eq!(question(&mut service).await["shown"], "gateway-1");
    // Without one, and with one of somebody else, nothing is asked.
    let other = Pki::named("Another CA");
    for own in [None, Some(other.client("gateway-1"))] {
        let setting = Setting::new(&showing(own.as_ref())).await;
        let answer = setting.ask("a", "unheard", "hunter2").await;
        refused(
            &answer,
            ResultCode::Unknown,
            "authentication is not available",
        );
    }
    ok(&setting.ask("a", "the next", "hunter2").await);
    assert_eq!(question(&mut service).await["username"], "the next");
}
