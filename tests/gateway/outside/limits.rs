//! Lines, and who is let in, as `nc` meets it.

use exproto_tests::{Pod, Process};
use proto::exproto::{AuthenticateRequest, ClientInfo, ResultCode};

use super::{echoes, nc};

/// The gateway closes it. Before that, nc sends nothing and does not close, also at the end of its own input.
async fn turned_away(mut client: Process) {
    client.finish();
    client.ended().await;
}

fn refused(reason: &str) -> String {
    format!("exproto_connections_refused_total{{listener=\"devices\",reason=\"{reason}\"}}")
}

#[tokio::test]
async fn each_line_is_one_callback() {
    let pod = Pod::start("framing: {kind: line, max_frame: 1KiB}").await;
    let mut client = nc(&pod, &["-N"]);
    client.say("one\ntwo\r\n\nthr");
    pod.connected().await;
    for line in ["one", "two", ""] {
        assert_eq!(pod.received().await, line);
    }
    client.say("ee\nfour");
    assert_eq!(pod.echo().await, "three");
    client.output.sees("three").await;
    // What is not ended is no line.
    client.finish();
    assert_eq!(pod.handler.closed().await, "tcp_closed");
    client.ended().await;
}

#[tokio::test]
async fn a_line_that_is_too_long_ends_the_connection() {
    let pod = Pod::start("framing: {kind: line, max_frame: 1KiB}").await;
    let mut client = nc(&pod, &[]);
    client.say(format!("one\n{}\n", "x".repeat(1024)));
    pod.connected().await;
    assert_eq!(pod.received().await, "one");
    assert_eq!(pod.handler.closed().await, "frame_error");
    turned_away(client).await;
}

#[tokio::test]
async fn a_line_that_is_too_long_may_be_skipped() {
    let pod = Pod::start("framing: {kind: line, max_frame: 1KiB, on_error: skip}").await;
    let mut client = nc(&pod, &[]);
    client.say(format!("one\n{}\ntwo\n", "x".repeat(5000)));
    pod.connected().await;
    assert_eq!(pod.received().await, "one");
    assert_eq!(pod.received().await, "two");
    pod.counts("exproto_bad_frames_total{listener=\"devices\"}", 1)
        .await;
}

#[tokio::test]
async fn an_address_has_only_so_many_connections() {
    let pod = Pod::start("limits: {max_connections_per_ip: 1}").await;
    let mut first = nc(&pod, &["-s", "127.0.0.1"]);
    pod.connected().await;
    turned_away(nc(&pod, &["-s", "127.0.0.1"])).await;
    pod.counts(&refused("max_connections_per_ip"), 1).await;
    let mut other = nc(&pod, &["-s", "127.0.0.2"]);
    assert!(pod.connected().await.peer().starts_with("127.0.0.2:"));
    echoes(&pod, &mut other, "hello").await;
    echoes(&pod, &mut first, "hello").await;
    // Its place is free again once the handler knows of the end.
    drop(first);
    pod.handler.closed().await;
    pod.counts("exproto_connections{listener=\"devices\"}", 1)
        .await;
    let mut third = nc(&pod, &["-s", "127.0.0.1"]);
    pod.connected().await;
    echoes(&pod, &mut third, "hello").await;
}

#[tokio::test]
async fn connections_come_no_faster_than_their_rate() {
    let pod = Pod::start("limits: {connection_rate: 2/1h}").await;
    let _one = nc(&pod, &[]);
    pod.connected().await;
    let _two = nc(&pod, &[]);
    pod.connected().await;
    turned_away(nc(&pod, &[])).await;
    pod.counts(&refused("connection_rate"), 1).await;
}

#[tokio::test]
async fn rules_decide_who_may_connect() {
    let rules = "access: [deny 127.0.0.2, allow 127.0.0.0/30, deny all]";
    let pod = Pod::start(&format!("limits: {{{rules}}}")).await;
    for stranger in ["127.0.0.2", "127.0.0.9"] {
        turned_away(nc(&pod, &["-s", stranger])).await;
    }
    pod.counts(&refused("access"), 2).await;
    let mut friend = nc(&pod, &["-s", "127.0.0.3"]);
    assert!(pod.connected().await.peer().starts_with("127.0.0.3:"));
    echoes(&pod, &mut friend, "hello").await;
}

#[tokio::test]
async fn a_ban_closes_open_connections_and_may_be_lifted() {
    let mut pod = Pod::with("transport: tcp", "bans: {list: [{who: 127.0.0.3}]}").await;
    turned_away(nc(&pod, &["-s", "127.0.0.3"])).await;
    let bad = nc(&pod, &["-s", "127.0.0.2"]);
    pod.connected().await;
    let mut good = nc(&pod, &["-s", "127.0.0.1"]);
    pod.connected().await;

    pod.configure(
        "transport: tcp",
        "bans: {list: [{who: 127.0.0.2/31, reason: enough}]}",
    );
    pod.process.errors.sees("took the configuration").await;
    assert_eq!(pod.handler.closed().await, "banned");
    turned_away(bad).await;
    turned_away(nc(&pod, &["-s", "127.0.0.2"])).await;
    pod.counts(&refused("banned"), 2).await;
    echoes(&pod, &mut good, "hello").await;

    pod.configure("transport: tcp", "");
    pod.process.errors.sees("took the configuration").await;
    let mut bad = nc(&pod, &["-s", "127.0.0.2"]);
    pod.connected().await;
    echoes(&pod, &mut bad, "hello").await;
}

#[tokio::test]
async fn whoever_would_be_a_banned_client_is_refused() {
    let bans = "bans: {list: [{who: \"clientid:device-7\", reason: stolen}]}";
    let pod = Pod::with("transport: tcp", bans).await;
    let mut client = nc(&pod, &[]);
    let conn = pod.connected().await.conn;
    let mut answers = Vec::new();
    for clientid in ["device-7", "device-8"] {
        let clientinfo = ClientInfo {
            proto_name: "test".to_owned(),
            proto_ver: "1".to_owned(),
            clientid: clientid.to_owned(),
            ..ClientInfo::default()
        };
        let request = AuthenticateRequest {
            conn: conn.clone(),
            clientinfo: Some(clientinfo),
            password: String::new(),
        };
        let answer = pod.adapter().authenticate(request).await.unwrap();
        answers.push(answer.into_inner());
    }
    assert_eq!(answers[0].code(), ResultCode::PermissionDeny);
    assert!(
        answers[0].message.contains("stolen"),
        "{}",
        answers[0].message
    );
    assert_eq!(answers[1].code(), ResultCode::Success);
    echoes(&pod, &mut client, "hello").await;
}
