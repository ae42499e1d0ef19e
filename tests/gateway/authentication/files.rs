//! Files of users that change, and passwords that take their time.

use std::{fmt::Write as _, fs};

use exproto_gateway::auth::hash::argon2id;
use exproto_tests::within;
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

/// A hash that takes ten times as long as others, of a password that nobody knows.
fn slow() -> String {
    let slow = argon2id(b"right").replacen(",t=2,", ",t=20,", 1);
    assert!(slow.contains(",t=20,"), "{slow}");
    slow
}

/// Above `max_waiting_passwords` passwords are not looked at; what waits is answered, and meanwhile other connections are served.
#[tokio::test]
async fn a_flood_of_passwords_is_bounded() {
    const RIVALS: usize = 64;
    let mut text = format!("early:{}\n", argon2id(b"right"));
    for number in 0..RIVALS {
        writeln!(text, "u{number}:{}", slow()).unwrap();
    }
    let (_folder, _path, chain) = users(&text);
    let mut setting = Setting::with(&chain, |config| {
        config.authentication.hashing_threads = Some(config::HashingThreads(1));
        config.authentication.max_waiting_passwords = 8;
        config.authentication.failure_rate = None;
    })
    .await;
    let early = authenticate(&mut setting.calls, "early", "early", "right").await;
    ok(&early);
    let mut devices = Vec::new();
    let mut rivals = Vec::new();
    for _ in 0..RIVALS {
        let (device, calls): (_, Calls) = connect(&setting.gateway, &setting.handler).await;
        devices.push(device);
        rivals.push(calls);
    }
    let mut answers = JoinSet::new();
    for (number, mut calls) in rivals.into_iter().enumerate() {
        answers.spawn(async move {
            let name = format!("u{number}");
            let answer = authenticate(&mut calls, &name, &name, "right").await;
            (answer.code(), answer.message)
        });
    }
    let mut answered = Vec::new();
    // The first that is told to wait shows that all places are taken.
    let is_full = |(code, _): &(ResultCode, String)| *code == ResultCode::Unknown;
    while !answered.iter().any(is_full) {
        answered.push(
            within("an answer", answers.join_next())
                .await
                .unwrap()
                .unwrap(),
        );
    }
    setting.device.send("ping").await;
    assert_eq!(setting.handler.received(4).await, b"ping");
    ok(&setting.calls.send("pong").await);
    assert_eq!(setting.device.read(4).await, b"pong");
    while let Some(answer) = answers.try_join_next() {
        answered.push(answer.unwrap());
    }
    assert!(
        answered.len() < RIVALS,
        "the device was served after the flood"
    );

    answered.extend(within("all answers", answers.join_all()).await);
    let count = |wanted: ResultCode| answered.iter().filter(|(code, _)| *code == wanted).count();
    let (looked_at, busy) = (
        count(ResultCode::PermissionDeny),
        count(ResultCode::Unknown),
    );
    assert_eq!(looked_at + busy, RIVALS, "{answered:?}");
    assert!(
        looked_at >= 8 && busy > 0,
        "{looked_at} were looked at, {busy} were told to wait"
    );
    let is_told = |(code, text): &(ResultCode, String)| {
        *code != ResultCode::Unknown || text.contains("max_waiting_passwords")
    };
    assert!(answered.iter().all(is_told), "{answered:?}");
}
