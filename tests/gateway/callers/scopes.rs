//! Each call needs its scope, and what needs none.

use config::Scope;
use exproto_tests::{TestHandler, within};
use tonic::Code;

use super::{METHODS, call, caller, started, token, turned_away};

#[tokio::test]
async fn each_call_needs_its_scope() {
    let handler = TestHandler::start();
    let folder = tempfile::tempdir().unwrap();
    let gateway = started(&handler, |config| {
        let callers = Scope::ALL.map(|scope| caller(&folder, scope.as_str(), &[scope]));
        config.adapter.callers = callers.into();
    })
    .await;
    let channel = gateway.channel();
    for (method, needed) in METHODS {
        for scope in Scope::ALL {
            let token = token(scope.as_str());
            let answer = within("an answer", call(&channel, method, Some(&token))).await;
            if scope == needed {
                answer.unwrap();
                continue;
            }
            let status = answer.unwrap_err();
            assert_eq!(status.code(), Code::PermissionDenied, "{method}, {scope:?}");
            let text = status.message();
            for word in [method, needed.as_str(), scope.as_str()] {
                assert!(text.contains(word), "{text}");
            }
        }
    }
    let series = "exproto_adapter_refused_total{method=\"RawPublish\",reason=\"scope\"}";
    gateway.is(series, 5).await;
}

#[tokio::test]
async fn whoever_is_not_known_may_look_at_health_and_schema_alone() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    let handler = TestHandler::start();
    let folder = tempfile::tempdir().unwrap();
    let gateway = started(&handler, |config| {
        config.adapter.callers = vec![caller(&folder, "handler", &Scope::ALL)];
    })
    .await;
    let channel = gateway.channel();
    let good = token("handler");
    let bad = [&good[1..], &format!("{good}x"), "", "handler"];
    let mut texts = Vec::new();
    for token in bad.map(Some).into_iter().chain([None]) {
        for (method, _) in METHODS {
            let status = call(&channel, method, token).await.unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated, "{method}");
            assert!(
                status.message().contains("authorization: Bearer TOKEN"),
                "{status}"
            );
            texts.push((token.is_some(), status.message().to_owned()));
        }
    }
    // Of what is wrong with a token nothing is told.
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert_eq!(turned_away(&channel, "Send", Some(&good)).await, None);

    let mut health = HealthClient::new(channel.clone());
    health.check(HealthCheckRequest::default()).await.unwrap();
    gateway
        .is(
            "exproto_adapter_refused_total{method=\"Send\",reason=\"no_credentials\"}",
            1,
        )
        .await;
    gateway
        .is(
            "exproto_adapter_refused_total{method=\"Send\",reason=\"bad_token\"}",
            4,
        )
        .await;
}
