//! Endpoints that fail: ejected, and back when they are well.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use config::Config;
use exproto_tests::{TestGateway, TestHandler, gateway::config, until};
use http::{HeaderMap, HeaderValue, Response};
use tokio::net::TcpListener;

use super::{EJECTED, READY, connections};
use crate::calls::{both_ready, connect};

/// An HTTP/2 server that takes every call, and answers when it is told to: it knows no health, and the rest is well.
struct Silent {
    address: SocketAddr,
    answers: Arc<AtomicBool>,
}

impl Silent {
    async fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let answers = Arc::new(AtomicBool::new(false));
        let told = answers.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = socket.accept().await {
                let told = told.clone();
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(socket).await?;
                    let mut unanswered = Vec::new();
                    while let Some(call) = connection.accept().await {
                        let (request, mut respond) = call?;
                        if !told.load(Ordering::SeqCst) {
                            unanswered.push((request, respond));
                            continue;
                        }
                        let is_health = request.uri().path().contains("Health");
                        let code = if is_health { "12" } else { "0" };
                        let mut headers = HeaderMap::new();
                        headers.insert("grpc-status", HeaderValue::from_static(code));
                        let mut response = Response::new(());
                        *response.headers_mut() = headers;
                        respond.send_response(response, true)?;
                    }
                    Ok::<_, h2::Error>(())
                });
            }
        });
        Self { address, answers }
    }

    /// The address of it, and a good handler.
    fn config(&self, good: &TestHandler) -> Config {
        let mut config = config(&[good]);
        let own = self.address.to_string().parse().unwrap();
        config.handler.addresses.push(own);
        config.handler.health.interval = Duration::from_millis(20);
        config.handler.health.timeout = Duration::from_millis(50);
        config.handler.ejection.base_time = Duration::from_millis(20);
        config.handler.ejection.max_time = Duration::from_millis(100);
        config
    }
}

#[tokio::test]
async fn an_endpoint_that_accepts_and_never_answers_gets_nothing_and_comes_back() {
    let good = TestHandler::start();
    let silent = Silent::start().await;
    let gateway = TestGateway::with(silent.config(&good)).await;
    gateway.is(EJECTED, 1).await;
    gateway.is(READY, 1).await;
    let ready = gateway.http("/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    let said = "asked how it is, it did not answer within 50ms";
    assert!(ready.contains(said), "{ready}");
    let mut devices = Vec::new();
    for _ in 0..20 {
        devices.push(connect(&gateway, &good).await);
    }
    // Again and again, as long as it says nothing.
    gateway.counts("exproto_handler_ejections_total", 3).await;
    silent.answers.store(true, Ordering::SeqCst);
    gateway.is(READY, 2).await;
    gateway.is(EJECTED, 0).await;
    let at_silent = format!(
        "exproto_handler_connections{{endpoint=\"http://{}\"}}",
        silent.address
    );
    until("a connection to it", async || {
        devices.push((
            gateway.device().await,
            crate::calls::Calls::new(&gateway, ""),
        ));
        gateway.metric(&at_silent).await > 0
    })
    .await;
}

#[tokio::test]
async fn a_single_endpoint_is_not_ejected() {
    let absent = TestHandler::absent();
    let silent = Silent::start().await;
    let mut config = silent.config(&absent);
    config.handler.addresses.remove(0);
    let gateway = TestGateway::with(config).await;
    gateway.is(READY, 1).await;
    assert_eq!(gateway.metric(EJECTED).await, 0);
    assert_eq!(gateway.metric("exproto_handler_ejections_total").await, 0);
}

#[tokio::test]
async fn callbacks_that_are_not_answered_eject_and_connections_stay() {
    let (bad, good) = (TestHandler::start(), TestHandler::start());
    let mut config = config(&[&bad, &good]);
    config.handler.deadline = Duration::from_millis(300);
    config.handler.ejection.after = 2.try_into().unwrap();
    config.handler.ejection.base_time = Duration::from_secs(3600);
    config.handler.ejection.max_time = Duration::from_secs(3600);
    let gateway = TestGateway::with(config).await;
    both_ready(&gateway).await;
    // Some that are with it already.
    let mut devices = Vec::new();
    until("two connections to the bad one", async || {
        devices.push(gateway.device().await);
        let homes = super::homes(&[&bad, &good], 1).await;
        let (_, place) = homes.into_iter().next().unwrap();
        if place == 1 {
            drop(devices.pop());
            good.closed().await;
        }
        devices.len() == 3
    })
    .await;
    bad.hold(true);
    for device in &mut devices[..2] {
        device.send("x").await;
    }
    gateway.is(EJECTED, 1).await;
    bad.hold(false);
    let mut others = Vec::new();
    for _ in 0..10 {
        others.push(connect(&gateway, &good).await);
    }
    // The third one has nothing to do with it.
    gateway.is(&connections(&bad), 1).await;
    devices[2].send("still here").await;
    until("the byte to arrive", async || {
        let callback = bad.next().await;
        callback.event == exproto_tests::Event::Received("still here".into())
    })
    .await;
}
