//! The back end: it gets what is published, once and from where it was, and publishes what it reads.

use std::{fs, io::Write as _, process::Stdio};

use exproto_tests::{DEADLINE, Process, until};
use proto::gateway::{PublishRequest, backend_client::BackendClient};

use super::Example;
use crate::cluster::Pods;

#[tokio::test(flavor = "multi_thread")]
async fn the_python_back_end_goes_on_at_another_pod() {
    let example = Example::prepare("backend");
    let pods = Pods::start().await;
    let soon = |config: &mut config::Config| {
        config.backend.position_interval = DEADLINE / 1000;
    };
    let (one, two) = (pods.pod_with("a", soon).await, pods.pod("b").await);
    let position = example.file("position", "");
    let watch = |pod: std::net::SocketAddr| {
        let mut program = example.program("backend.py");
        program
            .args(["--gateway", &pod.to_string(), "watch", "fleet/#"])
            .args(["--position-file", &position]);
        Process::start(&mut program, "python3-venv")
    };
    let mut backend = BackendClient::new(two.gateway.channel());
    let mut publish = async |text: &str| {
        let message = PublishRequest {
            topic: "fleet/1".to_owned(),
            qos: 1,
            payload: text.to_owned().into(),
            retain: false,
        };
        backend.publish(message).await.unwrap();
    };

    let mut watching = watch(one.gateway.adapter_address());
    watching.errors.sees("subscribed").await;
    publish("first").await;
    watching.output.sees("fleet/1 first").await;
    let kept = || fs::read(&position).unwrap();
    until("a position", async || !kept().is_empty()).await;
    drop(watching);
    publish("meanwhile").await;
    let mut watching = watch(two.gateway.adapter_address());
    watching.output.sees("fleet/1 meanwhile").await;

    let mut program = example.program("backend.py");
    program
        .args(["--gateway", &one.gateway.adapter_address().to_string()])
        .args(["publish", "fleet/2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let publishing = tokio::task::spawn_blocking(move || {
        let mut publishing = program.spawn().unwrap();
        let mut lines = publishing.stdin.take().unwrap();
        lines.write_all(b"stop\ngo\n").unwrap();
        drop(lines);
        publishing.wait_with_output().unwrap()
    });
    let said = publishing.await.unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "2 published\n");
    watching.output.sees("fleet/2 stop").await;
    watching.output.sees("fleet/2 go").await;
}
