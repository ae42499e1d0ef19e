//! Tokens: rotated while the gateway runs, checked before it does, and shown by a Python caller.

use std::{fs, path::Path, process::Command};

use config::{Scope, Verify};
use exproto_gateway::Gateway;
use exproto_tests::{
    Credentials, TestHandler, carrier, gateway::config, process::run, python::environment, until,
    within,
};
use tonic::Code;

use super::{caller, started, tls, token, turned_away};

#[tokio::test]
async fn tokens_are_rotated_while_the_gateway_runs() {
    let handler = TestHandler::start();
    let folder = tempfile::tempdir().unwrap();
    let caller = caller(&folder, "handler", &[Scope::Send]);
    let file = caller.token_file.clone().unwrap();
    let gateway = started(&handler, |config| config.adapter.callers = vec![caller]).await;
    let channel = gateway.channel();
    let (old, new) = (token("handler"), token("next"));
    assert_eq!(turned_away(&channel, "Send", Some(&old)).await, None);

    fs::write(&file, format!("{old}\n{new}\n")).unwrap();
    until("the new token to be good", async || {
        turned_away(&channel, "Send", Some(&new)).await.is_none()
    })
    .await;
    assert_eq!(turned_away(&channel, "Send", Some(&old)).await, None);

    fs::write(&file, "short\n").unwrap();
    gateway
        .counts(
            "exproto_reloads_total{outcome=\"refused\",what=\"tokens\"}",
            1,
        )
        .await;
    assert_eq!(turned_away(&channel, "Send", Some(&new)).await, None);

    // The connection stays, and the old token is good no more.
    fs::write(&file, &new).unwrap();
    until("the old token to be bad", async || {
        turned_away(&channel, "Send", Some(&old)).await == Some(Code::Unauthenticated)
    })
    .await;
    assert_eq!(turned_away(&channel, "Send", Some(&new)).await, None);
}

#[tokio::test]
async fn a_check_reads_what_the_servers_would() {
    let handler = TestHandler::start();
    let (credentials, folder) = (Credentials::default(), tempfile::tempdir().unwrap());
    let mut config = config(&[&handler]);
    config.adapter.tls = tls(&credentials, Verify::None);
    config.adapter.callers = vec![caller(&folder, "handler", &[Scope::Send])];
    config.management.token_file = config.adapter.callers[0].token_file.clone();
    assert!(Gateway::check_files(&config).is_empty());

    let gone = folder.path().join("gone");
    config.adapter.tls.certificate.as_mut().unwrap().key = gone.clone();
    config.adapter.callers[0].token_file = Some(gone);
    fs::write(folder.path().join("handler"), "short").unwrap();
    let problems = Gateway::check_files(&config).into_iter();
    let problems = problems.map(|problem| format!("{:#}", anyhow::Error::from(problem)));
    let problems: Vec<_> = problems.collect();
    for (problem, start) in problems.iter().zip([
        "adapter.tls: cannot read ",
        "adapter.callers: cannot read ",
        "management.token_file: ",
    ]) {
        assert!(problem.starts_with(start), "{problem}");
    }
    assert_eq!(problems.len(), 3, "{problems:?}");
}

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/gateway/callers");
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/python/echo");

#[tokio::test(flavor = "multi_thread")]
async fn a_python_caller_shows_its_token_over_tls() {
    let requirements = Path::new(EXAMPLE).join("requirements.txt");
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-echo");
    let python = environment(&place, &requirements);
    let folder = tempfile::tempdir().unwrap();
    let mut generate = Command::new(Path::new(EXAMPLE).join("generate.sh"));
    run(generate.env("PYTHON", &python).arg(folder.path()));

    let handler = TestHandler::start();
    let credentials = Credentials::default();
    let gateway = started(&handler, |config| {
        config.adapter.tls = tls(&credentials, Verify::Optional);
        let mut handler = caller(&folder, "handler", &[Scope::Raw]);
        handler.certificate = Some("handler".to_owned());
        config.adapter.callers = vec![handler];
    })
    .await;
    let own = credentials.pki.client("handler");
    let mut command = Command::new(python);
    command
        .arg(Path::new(HERE).join("caller.py"))
        .arg(gateway.adapter_address().to_string())
        .args([carrier::SERVER, &token("handler")])
        .args([&credentials.pki.ca_file(), &own.chain, &own.key])
        .env("PYTHONPATH", folder.path())
        .env("no_proxy", "127.0.0.1");
    let said = tokio::task::spawn_blocking(move || run(&mut command));
    let said = within("Python", said).await.unwrap();
    let expected = [
        "nothing UNAUTHENTICATED",
        "bad token UNAUTHENTICATED",
        "token SUCCESS",
        "token, other call PERMISSION_DENIED",
        "token, large request PERMISSION_DENIED",
        "certificate SUCCESS",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}
