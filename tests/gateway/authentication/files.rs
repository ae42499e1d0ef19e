//! Files of users that change, and passwords that take their time.

use std::{fmt::Write as _, fs};

use exproto_gateway::auth::hash::argon2id;
use proto::exproto::ResultCode;
use tokio::task::JoinSet;

use super::{Setting, authenticate};
use crate::calls::{Calls, connect, ok, refused};

fn users(text: &str) -> (tempfile::TempDir, std::path::PathBuf, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    fs::write(&path, text).unwrap();
    let chain = format!("{{file: {{path: {}}}}}", path.display());
    (folder, path, chain)
}

#[tokio::test]
async fn a_changed_file_is_taken_and_a_broken_one_is_not() {
    let (_folder, path, chain) = users(&format!("u:{}\n", argon2id(b"one")));
    let setting = Setting::new(&chain).await;
    ok(&setting.ask("a", "u", "one").await);
    fs::write(&path, format!("u:{}\n", argon2id(b"two"))).unwrap();
    let reloads = |outcome: &str| {
        format!("exproto_reloads_total{{outcome=\"{outcome}\",what=\"authentication\"}}")
    };
    setting.gateway.counts(&reloads("taken"), 1).await;
    refused(
        &setting.ask("a", "u", "one").await,
        ResultCode::PermissionDeny,
        "bad",
    );
    ok(&setting.ask("a", "u", "two").await);
    fs::write(&path, "u:two\n").unwrap();
    setting.gateway.counts(&reloads("refused"), 1).await;
    ok(&setting.ask("a", "u", "two").await);
}

#[tokio::test]
async fn a_reload_changes_who_is_let_in_and_closes_nobody() {
    let (_folder, _path, chain) = users(&format!("u:{}\n", argon2id(b"one")));
    let mut setting = Setting::new("").await;
    ok(&authenticate(&mut setting.calls, "early", "x", "").await);
    let chain = config::Config::parse(&format!("authentication: {{chain: [{chain}]}}"), "test");
    let chain = chain.unwrap().authentication;
    setting
        .gateway
        .reconfigure(|config| config.authentication = chain);
    refused(
        &setting.ask("a", "x", "").await,
        ResultCode::PermissionDeny,
        "bad",
    );
    ok(&setting.ask("a", "u", "one").await);
    ok(&setting.calls.subscribe("t", 0).await);
}

/// Above `max_waiting_passwords` passwords are not looked at; what waits is answered, and other connections are served.
#[tokio::test]
async fn a_flood_of_passwords_is_bounded() {
    let mut text = String::new();
    for number in 0..64 {
        writeln!(text, "u{number}:{}", argon2id(b"right")).unwrap();
    }
    let (_folder, _path, chain) = users(&text);
    let setting = Setting::with(&chain, |config| {
        config.authentication.max_waiting_passwords = 4;
        config.authentication.failure_rate = None;
    })
    .await;
    let mut rivals = JoinSet::new();
    let mut devices = Vec::new();
    for number in 0..64 {
        let (device, mut calls): (_, Calls) = connect(&setting.gateway, &setting.handler).await;
        devices.push(device);
        rivals.spawn(async move {
            let name = format!("u{number}");
            let answer = authenticate(&mut calls, &name, &name, "right").await;
            (answer.code(), answer.message)
        });
    }
    let answers = rivals.join_all().await;
    let count = |wanted: ResultCode| answers.iter().filter(|(code, _)| *code == wanted).count();
    let (let_in, busy) = (count(ResultCode::Success), count(ResultCode::Unknown));
    assert_eq!(let_in + busy, 64, "{answers:?}");
    assert!(
        let_in >= 4 && busy > 0,
        "{let_in} were let in, {busy} were told to wait"
    );
    let told = answers
        .iter()
        .any(|(_, text)| text.contains("max_waiting_passwords"));
    assert!(told, "{answers:?}");
}
