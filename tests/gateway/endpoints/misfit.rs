//! Servers that have not what is called: both services are named, once.

use std::{net::SocketAddr, process::Command};

use exproto_tests::{
    Device, Process, TestGateway, TestHandler, free_address, gateway::config, program, until,
};
use tokio_stream::wrappers::TcpListenerStream;

use super::READY;

const UNARY: &str = "emqx.exproto.v1.ConnectionUnaryHandler";

#[tokio::test]
async fn both_services_are_named() {
    let handler = TestHandler::start();
    let adapter = TestGateway::start(&handler).await;
    // A server that tells nobody what it has.
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mute = socket.local_addr().unwrap();
    let (_reporter, health) = tonic_health::server::health_reporter();
    let server = tonic::transport::Server::builder().add_service(health);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(socket)));
    for (address, has) in [
        (
            adapter.adapter_address(),
            "the server there has emqx.exproto.v1.ConnectionAdapter, exproto.gateway.v1.Backend; that is an adapter",
        ),
        (
            mute,
            "the server there does not say what it has (no reflection)",
        ),
    ] {
        let mut config = config(&[&handler]);
        config.handler.addresses = vec![address.to_string().parse().unwrap()];
        let gateway = TestGateway::with(config).await;
        gateway.is(READY, 1).await;
        let mut device = gateway.device().await;
        device.closed().await;
        let expected = format!("http://{address}: the gateway calls {UNARY}, and {has}");
        until(&expected, async || {
            gateway.http("/readyz").await.contains(&expected)
        })
        .await;
    }
}

#[tokio::test]
async fn it_is_logged_once_however_many_devices_come() {
    let handler = TestHandler::start();
    let adapter = TestGateway::start(&handler).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gateway.yaml");
    let device: SocketAddr = free_address();
    let content = format!(
        "listeners: [{{name: tcp, bind: \"{device}\"}}]\nadapter: {{bind: \"127.0.0.1:0\"}}\n\
         http: {{bind: \"127.0.0.1:0\"}}\nhandler: {{addresses: [\"{}\"]}}\n",
        adapter.adapter_address()
    );
    std::fs::write(&file, content).unwrap();
    let mut command = Command::new(program::gateway());
    command.arg("run").arg("--config").arg(&file);
    let mut gateway = Process::start(&mut command, "none");
    gateway.errors.sees("serving").await;
    for _ in 0..5 {
        Device::connect(device).await.closed().await;
    }
    gateway
        .errors
        .sees("the handler answers UNIMPLEMENTED")
        .await;
    gateway.signal("-TERM");
    assert!(gateway.ended().await.success());
    let said = gateway.errors.all().await;
    assert_eq!(said.matches("the handler answers UNIMPLEMENTED").count(), 1);
}
