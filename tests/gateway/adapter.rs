//! Result codes, and what callers get wrong.

use exproto_tests::{Event, TestGateway, TestHandler};
use proto::exproto::{ResultCode, SendBytesRequest};

use crate::calls::{Calls, client, connect, ok, refused};

#[tokio::test]
async fn every_call_that_is_right_succeeds() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (_device, mut calls) = connect(&gateway, &handler).await;
    ok(&calls.send("x").await);
    ok(&calls.authenticate("a").await);
    ok(&calls.start_timer(0, 60).await);
    ok(&calls.subscribe("t/+", 1).await);
    ok(&calls.publish("t/1", 1, "x").await);
    ok(&calls.raw_publish("t/2", 2, "x").await);
    ok(&calls.unsubscribe("t/+").await);
    ok(&calls.unsubscribe("never/subscribed").await);
    ok(&calls.close().await);
}

#[tokio::test]
async fn a_conn_that_nobody_gave_out_is_a_type_error() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (_device, calls) = connect(&gateway, &handler).await;
    let mut forged = calls.conn.clone().into_bytes();
    forged[20] = if forged[20] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    for conn in [
        forged.as_str(),
        "g2dkAA1lbXF4QDEyNy4wLjAuMQ==",
        "?",
        "x".repeat(100_000).as_str(),
    ] {
        let mut calls = Calls::new(&gateway, conn);
        for answer in [
            calls.send("x").await,
            calls.close().await,
            calls.authenticate("a").await,
            calls.start_timer(0, 1).await,
            calls.publish("t", 0, "x").await,
            calls.subscribe("t", 0).await,
            calls.unsubscribe("t").await,
        ] {
            refused(&answer, ResultCode::ParamsTypeError, "conn");
        }
    }
}

#[tokio::test]
async fn a_conn_that_is_missing_is_said_to_be() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let answer = Calls::new(&gateway, "").send("x").await;
    refused(&answer, ResultCode::RequiredParamsMissed, "conn");
}

#[tokio::test]
async fn a_conn_that_has_ended_is_not_alive() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (device, mut calls) = client(&gateway, &handler, "a").await;
    drop(device);
    handler.closed().await;
    for answer in [
        calls.send("x").await,
        calls.send("").await,
        calls.close().await,
        calls.authenticate("a").await,
        calls.start_timer(0, 1).await,
        calls.publish("t", 0, "x").await,
        calls.subscribe("t", 0).await,
        calls.unsubscribe("t").await,
    ] {
        refused(&answer, ResultCode::ConnProcessNotAlive, "ended");
    }
}

#[tokio::test]
async fn pub_and_sub_need_a_client() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (_device, mut calls) = connect(&gateway, &handler).await;
    for answer in [
        calls.publish("t", 0, "x").await,
        calls.subscribe("t", 0).await,
        calls.unsubscribe("t").await,
    ] {
        refused(&answer, ResultCode::PermissionDeny, "Authenticate");
    }
}

#[tokio::test]
async fn authenticate_names_what_is_missing_or_wrong() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (_device, mut calls) = connect(&gateway, &handler).await;
    let missing = calls.authenticate_as(None, "").await;
    refused(&missing, ResultCode::RequiredParamsMissed, "clientinfo");
    let empty = calls.authenticate("").await;
    refused(
        &empty,
        ResultCode::RequiredParamsMissed,
        "clientinfo.clientid",
    );
    let long = calls.authenticate(&"a".repeat(65_536)).await;
    refused(&long, ResultCode::ParamsTypeError, "clientinfo.clientid");
    ok(&calls.authenticate(&"a".repeat(65_535)).await);
    let again = calls.authenticate("b").await;
    refused(&again, ResultCode::PermissionDeny, "already");
}

#[tokio::test]
async fn start_timer_refuses_other_types_and_no_interval() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (_device, mut calls) = connect(&gateway, &handler).await;
    refused(
        &calls.start_timer(7, 5).await,
        ResultCode::ParamsTypeError,
        "type",
    );
    refused(
        &calls.start_timer(0, 0).await,
        ResultCode::ParamsTypeError,
        "interval",
    );
    ok(&calls.start_timer(0, u32::MAX).await);
}

#[tokio::test]
async fn publish_and_subscribe_refuse_what_breaks_the_rules() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (_device, mut calls) = client(&gateway, &handler, "a").await;
    let long = "t".repeat(65_536);
    for topic in ["a/+", "#", "a\0b", long.as_str(), "$share/g/t"] {
        refused(
            &calls.publish(topic, 0, "x").await,
            ResultCode::ParamsTypeError,
            "topic",
        );
        refused(
            &calls.raw_publish(topic, 0, "x").await,
            ResultCode::ParamsTypeError,
            "topic",
        );
    }
    for filter in ["a+", "a/#/b", "$share//t", "$share/g", "a\0", long.as_str()] {
        refused(
            &calls.subscribe(filter, 0).await,
            ResultCode::ParamsTypeError,
            "topic",
        );
    }
    refused(
        &calls.publish("", 0, "x").await,
        ResultCode::RequiredParamsMissed,
        "topic",
    );
    refused(
        &calls.raw_publish("", 0, "x").await,
        ResultCode::RequiredParamsMissed,
        "topic",
    );
    refused(
        &calls.subscribe("", 0).await,
        ResultCode::RequiredParamsMissed,
        "topic",
    );
    refused(
        &calls.publish("t", 3, "x").await,
        ResultCode::ParamsTypeError,
        "qos",
    );
    refused(
        &calls.raw_publish("t", 3, "x").await,
        ResultCode::ParamsTypeError,
        "qos",
    );
    refused(
        &calls.subscribe("t", 3).await,
        ResultCode::ParamsTypeError,
        "qos",
    );
    let payload = vec![0; 512 * 1024 + 1];
    refused(
        &calls.publish("t", 0, payload).await,
        ResultCode::ParamsTypeError,
        "payload",
    );
    ok(&calls.publish(&"t".repeat(65_535), 0, "x").await);
}

#[tokio::test]
async fn a_request_over_the_limit_is_an_error_of_grpc_and_harms_nobody() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (mut device, mut calls) = connect(&gateway, &handler).await;
    let request = SendBytesRequest {
        conn: calls.conn.clone(),
        bytes: vec![0; 16 * 1024 * 1024 + 1].into(),
    };
    let status = gateway.adapter().send(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::OutOfRange, "{status}");
    ok(&calls.send("still here").await);
    assert_eq!(device.read(10).await, b"still here");
}

#[tokio::test]
async fn a_clientid_that_is_no_text_is_named_in_the_error() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (_device, calls) = connect(&gateway, &handler).await;
    // AuthenticateRequest{conn, clientinfo{clientid: "\xff"}}, by hand since no library writes it.
    let mut message = vec![0x0a, u8::try_from(calls.conn.len()).unwrap()];
    message.extend_from_slice(calls.conn.as_bytes());
    message.extend_from_slice(&[0x12, 3, 0x1a, 1, 0xff]);
    let status = raw_call(&gateway, "Authenticate", &message).await;
    assert!(status.message().contains("clientid"), "{status}");
    assert_ne!(status.code(), tonic::Code::Ok);
}

/// A unary call whose message was encoded by the caller.
async fn raw_call(gateway: &TestGateway, method: &str, message: &[u8]) -> tonic::Status {
    let socket = tokio::net::TcpStream::connect(gateway.adapter_address())
        .await
        .unwrap();
    let (send, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post(format!(
        "http://x/emqx.exproto.v1.ConnectionAdapter/{method}"
    ))
    .header("te", "trailers")
    .header("content-type", "application/grpc")
    .body(())
    .unwrap();
    let (answer, mut body) = send
        .ready()
        .await
        .unwrap()
        .send_request(request, false)
        .unwrap();
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(message);
    body.send_data(frame.into(), true).unwrap();
    let answer = answer.await.unwrap();
    tonic::Status::from_header_map(answer.headers()).expect("an error comes in the headers")
}

#[tokio::test]
async fn raw_publish_needs_no_connection() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (_device, mut calls) = client(&gateway, &handler, "a").await;
    ok(&calls.subscribe("news", 0).await);
    ok(&Calls::new(&gateway, "").raw_publish("news", 1, "hi").await);
    let messages = handler.messages(1).await;
    assert_eq!((messages[0].from.as_str(), messages[0].qos), ("exproto", 1));
}

#[tokio::test]
async fn health_is_served() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let mut health = HealthClient::new(gateway.channel());
    for service in ["", "emqx.exproto.v1.ConnectionAdapter"] {
        exproto_tests::until("SERVING", async || {
            let request = HealthCheckRequest {
                service: service.to_owned(),
            };
            let answer = health.clone().check(request).await;
            answer.is_ok_and(|answer| answer.get_ref().status == 1)
        })
        .await;
    }
    let unknown = HealthCheckRequest {
        service: "no.such.Service".to_owned(),
    };
    assert_eq!(
        health.check(unknown).await.unwrap_err().code(),
        tonic::Code::NotFound
    );
}

#[tokio::test]
async fn reflection_is_served_in_both_versions() {
    macro_rules! services {
        ($version:ident, $channel:expr) => {{
            use tonic_reflection::pb::$version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest,
                server_reflection_response::MessageResponse,
            };
            let request = ServerReflectionRequest {
                host: String::new(),
                message_request: Some(MessageRequest::ListServices(String::new())),
            };
            let mut client = ServerReflectionClient::new($channel);
            let stream = tokio_stream::once(request);
            let mut answers = client
                .server_reflection_info(stream)
                .await
                .unwrap()
                .into_inner();
            let answer = answers.message().await.unwrap().unwrap().message_response;
            let Some(MessageResponse::ListServicesResponse(list)) = answer else {
                panic!("not a list of services");
            };
            list.service
                .into_iter()
                .map(|service| service.name)
                .collect::<Vec<_>>()
        }};
    }
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let served = [
        "emqx.exproto.v1.ConnectionAdapter",
        "exproto.gateway.v1.Backend",
        "grpc.health.v1.Health",
    ];
    assert_eq!(services!(v1, gateway.channel()), served);
    assert_eq!(services!(v1alpha, gateway.channel()), served);
}

#[tokio::test]
async fn the_close_call_is_told_as_normal() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    let (mut device, mut calls) = connect(&gateway, &handler).await;
    ok(&calls.close().await);
    assert_eq!(device.read_to_end().await, b"");
    drop(device);
    assert_eq!(
        handler.next().await.event,
        Event::Closed("normal".to_owned())
    );
}
