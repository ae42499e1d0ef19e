//! Calls for connections of other pods.

use std::time::Duration;

use exproto_tests::{TestGateway, TestHandler, until};
use proto::{
    cluster::{Sealed, peer_client::PeerClient},
    exproto::ResultCode,
};
use tonic::Code;

use super::{Pod, Pods};
use crate::calls::{Calls, connect, ok, refused};

const ANSWERED: &str = "exproto_peer_calls_total{outcome=\"answered\"}";

/// Calls of the adapter of `pod`, for a connection of another one.
fn through(pod: &Pod, calls: &Calls) -> Calls {
    Calls::new(&pod.gateway, &calls.conn)
}

#[tokio::test]
async fn any_pod_takes_all_calls_for_any_connection() {
    let pods = Pods::start().await;
    let (one, two) = (pods.pod("a").await, pods.pod("b").await);
    let (mut device, calls) = connect(&one.gateway, &one.handler).await;
    let mut calls = through(&two, &calls);
    let answer = calls.subscribe("t", 1).await;
    assert_eq!(
        answer.code(),
        ResultCode::PermissionDeny,
        "not authenticated"
    );
    let answer = calls.authenticate_as(None, "").await;
    assert_eq!(answer.code(), ResultCode::RequiredParamsMissed);
    let (answer, present) = calls.begin_session("truck", "60").await;
    ok(&answer);
    assert_eq!(present, Some(false));
    ok(&calls.send("hello").await);
    assert_eq!(device.read(5).await, b"hello");
    ok(&calls.start_timer(0, 60).await);
    ok(&calls.subscribe("t", 1).await);
    ok(&calls.publish("t", 1, "to myself").await);
    assert_eq!(one.payloads(1).await, ["to myself"]);
    ok(&calls.unsubscribe("t").await);
    let answer = calls.publish("a/#", 1, "x").await;
    assert_eq!(answer.code(), ResultCode::ParamsTypeError);
    ok(&calls.close().await);
    device.closed().await;
    assert_eq!(one.handler.closed().await, "normal");
    let answer = calls.send("too late").await;
    assert_eq!(answer.code(), ResultCode::ConnProcessNotAlive);
    assert_eq!(two.gateway.metric(ANSWERED).await, 10);
}

#[tokio::test]
async fn a_pod_that_is_gone_or_cannot_be_asked_is_named() {
    let pods = Pods::start().await;
    let short = |config: &mut config::Config| config.cluster.lease = Duration::from_secs(1);
    let (one, two) = (
        pods.pod_with("a", short).await,
        pods.pod_with("b", short).await,
    );
    let silent = pods
        .pod_with("c", |config| {
            // Where nobody listens.
            config.cluster.peers.advertised_address = Some("127.0.0.1:1".parse().unwrap());
        })
        .await;
    let (_device, calls) = connect(&silent.gateway, &silent.handler).await;
    let mut lost = through(&two, &calls);
    // Before it is known, it has just started, and is not taken for gone.
    until("the pod to be known", async || {
        let answer = lost.send("x").await;
        assert_eq!(answer.code(), ResultCode::Unknown, "{answer:?}");
        assert!(answer.message.contains("pod c."), "{}", answer.message);
        answer.message.contains("127.0.0.1:1")
    })
    .await;

    let (_device, calls) = connect(&one.gateway, &one.handler).await;
    let mut gone = through(&two, &calls);
    ok(&gone.send("x").await);
    one.gateway.stop().await;
    until("the pod to be gone", async || {
        let code = gone.send("x").await.code();
        assert!([ResultCode::Unknown, ResultCode::ConnProcessNotAlive].contains(&code));
        code == ResultCode::ConnProcessNotAlive
    })
    .await;
    let mut forged = Calls::new(&two.gateway, "AAAA");
    refused(&forged.send("x").await, ResultCode::ParamsTypeError, "conn");
}

#[tokio::test]
async fn what_is_not_sealed_by_the_cluster_is_refused() {
    let pods = Pods::start().await;
    let one = pods.pod("a").await;
    let address = one.gateway.peers_address().unwrap();
    let mut client = PeerClient::connect(format!("http://{address}"))
        .await
        .unwrap();
    for sealed in [vec![], vec![0; 16], vec![7; 500]] {
        let sealed = Sealed {
            sealed: sealed.into(),
        };
        let status = client.call(sealed).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    }
}

#[tokio::test]
async fn a_pod_that_cannot_reach_redis_says_so() {
    let mut pods = Pods::start().await;
    let one = pods.pod("a").await;
    let (_device, calls) = connect(&one.gateway, &one.handler).await;
    pods.redis.kill();
    let handler = TestHandler::start();
    let two = pods.alone(&handler, |config| {
        config.redis.timeout = Duration::from_millis(200);
    });
    let two = TestGateway::with(two).await;
    let mut calls = Calls::new(&two, &calls.conn);
    let answer = calls.send("x").await;
    assert_eq!(answer.code(), ResultCode::Unknown, "{answer:?}");
    assert!(answer.message.contains("Redis"), "{}", answer.message);
}
