//! What a stream begins with.

use proto::stream::{GatewayBatch, GatewayHello, connection_stream_client::ConnectionStreamClient};
use tonic::{Code, Status};

use crate::{
    Kit,
    pod::{Lane, hello},
};

type Spoil = fn(&mut GatewayHello) -> &mut u32;

async fn refusal(of: GatewayHello) -> Status {
    let kit = Kit::serve(|_, _, _| async { Ok(()) }).await;
    let refusal = Lane::with(kit.address, of).await.err();
    refusal.expect("the hello is refused")
}

#[tokio::test]
async fn a_hello_that_makes_no_sense_is_refused() {
    let cases: [(&str, Spoil); 5] = [
        ("version is 0; the lowest is 1", |hello| &mut hello.version),
        ("heartbeat_ms is 0; the lowest is 1", |hello| {
            &mut hello.heartbeat_ms
        }),
        ("max_commands is 0; the lowest is 1", |hello| {
            &mut hello.max_commands
        }),
        ("max_command_bytes is 0; the lowest is 1", |hello| {
            &mut hello.max_command_bytes
        }),
        ("max_batch_bytes is 0; the lowest is 4096", |hello| {
            &mut hello.max_batch_bytes
        }),
    ];
    for (fault, field) in cases {
        let mut hello = hello();
        *field(&mut hello) = 0;
        let status = refusal(hello).await;
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(status.message(), format!("hello.{fault}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_says_nothing_is_refused() {
    let kit = Kit::serve(|_, _, _| async { Ok(()) }).await;
    let address = format!("http://{}", kit.address);
    let mut client = ConnectionStreamClient::connect(address).await.unwrap();
    let silence = tokio_stream::pending::<GatewayBatch>();
    let status = client.run(silence).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.message(), "no hello came within 10 seconds");
}
