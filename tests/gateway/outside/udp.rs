//! UDP, as `nc`, `socat` and `bash` speak it.

use std::process::Command;

use exproto_tests::{Pod, Process};
use proto::exproto::SocketType;

use super::{echoes, nc};

#[tokio::test]
async fn nc_sends_a_line_and_gets_it_back() {
    let pod = Pod::start("transport: udp").await;
    let mut client = nc(&pod, &["-u"]);
    client.say("hello\n");
    let device = pod.connected().await;
    assert_eq!(device.info.socktype(), SocketType::Udp);
    assert_eq!(device.header("exproto-transport"), "udp");
    assert_eq!(pod.echo().await, "hello\n");
    client.output.sees("hello\n").await;
    echoes(&pod, &mut client, "hello again").await;
}

#[tokio::test]
async fn two_devices_are_two_connections() {
    let pod = Pod::start("transport: udp").await;
    let mut devices = Vec::new();
    for line in ["one", "two"] {
        let mut client = nc(&pod, &["-u"]);
        client.say(line);
        let device = pod.connected().await;
        assert_eq!(pod.received().await, line);
        devices.push((client, device));
    }
    assert_ne!(devices[0].1.conn, devices[1].1.conn);
    assert_ne!(devices[0].1.peer(), devices[1].1.peer());
    for (client, device) in devices.iter_mut().rev() {
        pod.send(&device.conn, format!("for {}\n", device.conn))
            .await;
        client.output.sees(&format!("for {}\n", device.conn)).await;
    }
}

#[tokio::test]
async fn datagrams_stay_as_they_were_sent() {
    let pod = Pod::start("transport: udp").await;
    pod.handler.hold(true);
    let (host, port) = (pod.address().ip(), pod.address().port());
    let mut bash = Command::new("bash");
    // Each printf is one datagram.
    let script = format!(
        "exec 3<>/dev/udp/{host}/{port}; for x in one two three; do printf $x >&3; done; echo sent; read"
    );
    bash.args(["-c", &script]);
    let mut client = Process::start(&mut bash, "bash");
    let mut created = pod.handler.next().await;
    // From here on all of them wait in the gateway, or in its socket.
    client.output.sees("sent").await;
    pod.handler.hold(false);
    created.answer(Ok(()));
    for datagram in ["one", "two", "three"] {
        assert_eq!(pod.received().await, datagram);
    }
}

#[tokio::test]
async fn each_send_is_one_datagram() {
    let pod = Pod::start("transport: udp").await;
    let mut socat = Command::new("socat");
    // -v tells of each datagram by itself.
    socat.args(["-v", "STDIO", &format!("UDP:{}", pod.address())]);
    let mut client = Process::start(&mut socat, "socat");
    client.say("hello\n");
    let device = pod.connected().await;
    pod.received().await;
    for text in ["one", "three"] {
        pod.send(&device.conn, text).await;
    }
    client.errors.sees("length=3 ").await;
    client.errors.sees("length=5 ").await;
    client.output.sees("onethree").await;
}
