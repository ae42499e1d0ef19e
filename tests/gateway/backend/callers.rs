//! Callers and their scopes.

use config::Scope;
use exproto_tests::{TestGateway, TestHandler, gateway::config};
use proto::gateway::backend_client::BackendClient;
use tonic::{Code, Status};

use super::{message, wanting};
use crate::callers::{bearing, caller, token};

/// What becomes of each call with that token: its code, if it is refused.
async fn outcomes(gateway: &TestGateway, token: Option<&str>) -> [Option<Code>; 3] {
    let mut backend = BackendClient::new(gateway.channel());
    let publish = backend.publish(bearing(message("t", 1, "x"), token)).await;
    let messages = tokio_stream::iter([message("t", 1, "x")]);
    let stream = backend.publish_stream(bearing(messages, token)).await;
    let subscribe = backend.subscribe(bearing(wanting(&["t"]), token)).await;
    let code = |status: Status| status.code();
    [
        publish.err().map(code),
        stream.err().map(code),
        subscribe.err().map(code),
    ]
}

#[tokio::test]
async fn each_call_needs_its_scope() {
    let handler = TestHandler::start();
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&[&handler]);
    let callers = Scope::ALL.map(|scope| caller(&folder, scope.as_str(), &[scope]));
    config.adapter.callers = callers.into();
    let gateway = TestGateway::with(config).await;
    let denied = Some(Code::PermissionDenied);
    for scope in Scope::ALL {
        let token = token(scope.as_str());
        let expected = match scope {
            Scope::BackendPublish => [None, None, denied],
            Scope::BackendSubscribe => [denied, denied, None],
            _ => [denied; 3],
        };
        assert_eq!(
            outcomes(&gateway, Some(&token)).await,
            expected,
            "{scope:?}"
        );
    }
    let unknown = Some(Code::Unauthenticated);
    assert_eq!(
        outcomes(&gateway, Some("wrong-0123456789abcdef")).await,
        [unknown; 3]
    );
    assert_eq!(outcomes(&gateway, None).await, [unknown; 3]);
    let series = "exproto_adapter_refused_total{method=\"Backend.Subscribe\",reason=\"scope\"}";
    gateway.is(series, 5).await;
}

#[tokio::test]
async fn nothing_is_published_for_a_mirror() {
    let handler = TestHandler::start();
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&[&handler]);
    let mut mirror = caller(&folder, "mirror", &Scope::ALL);
    mirror.mirror = true;
    config.adapter.callers = vec![mirror, caller(&folder, "other", &Scope::ALL)];
    let gateway = TestGateway::with(config).await;
    let mut backend = BackendClient::new(gateway.channel());
    let (mirror, other) = (token("mirror"), token("other"));
    let subscribed = backend
        .subscribe(bearing(wanting(&["t"]), Some(&other)))
        .await;
    let mut answers = subscribed.unwrap().into_inner();
    assert!(
        answers
            .message()
            .await
            .unwrap()
            .unwrap()
            .subscribed
            .is_some()
    );
    let denied = Some(Code::PermissionDenied);
    assert_eq!(
        outcomes(&gateway, Some(&mirror)).await,
        [None, None, denied]
    );
    let real = bearing(message("t", 1, "real"), Some(&other));
    backend.publish(real).await.unwrap();
    let answer = answers.message().await.unwrap().unwrap();
    assert_eq!(answer.messages[0].payload.as_ref(), b"real");
}
