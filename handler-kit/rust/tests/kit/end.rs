//! How a server ends.

use std::time::Duration;

use exproto_handler::Conn;
use tonic::transport::Endpoint;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    Kit,
    pod::{Lane, first},
    soon, told,
};

/// Longer than a test may take.
const NEVER: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn who_watches_its_health_does_not_hold_a_server() {
    let mut kit = Kit::serve_as(
        |server| server.shutdown_timeout(NEVER),
        |_, _, _| async { Ok(()) },
    )
    .await;
    let address = format!("http://{}", kit.address);
    let channel = Endpoint::from_shared(address).unwrap().connect().await;
    let mut health = HealthClient::new(channel.unwrap());
    let watch = health.watch(HealthCheckRequest::default()).await.unwrap();
    let mut watch = watch.into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 1);
    let mut lane = Lane::open(kit.address).await;
    lane.attach(first(1)).await;
    kit.says("open").await;
    kit.end.take().unwrap().send(()).unwrap();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 2);
    lane.until(|lane| lane.batches.iter().find_map(|batch| batch.goodbye.clone()))
        .await;
    // Nothing is attached to it any more.
    drop(lane);
    soon("the end", kit.served).await.unwrap().unwrap();
    assert!(watch.message().await.unwrap().is_none());
}

#[tokio::test]
async fn a_server_ends_also_where_a_callback_and_a_gateway_do_not() {
    let brief = Duration::from_millis(1);
    let mut kit = Kit::serve_as(
        |server| server.shutdown_timeout(brief),
        |conn: Conn, word, log| async move {
            if word == "wait" {
                log.say(told(&conn.start_timer(60).await));
            }
            Ok(())
        },
    )
    .await;
    let mut lane = Lane::open(kit.address).await;
    lane.attach(first(1)).await;
    lane.bytes(1, 1, &["wait"]).await;
    kit.says("open").await;
    kit.says("wait").await;
    kit.end.take().unwrap().send(()).unwrap();
    soon("the end", kit.served).await.unwrap().unwrap();
    while lane.next().await.is_ok() {}
    let said = soon("the log", kit.heard.recv()).await;
    assert_eq!(said.as_deref(), Some("gone"));
}
