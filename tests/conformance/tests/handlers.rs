//! Handlers under the kit: a sound one passes all, and each fault fails the check that is for it, and no other.

use std::sync::Arc;

use exproto_conformance::{handler, report::Report};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};

use crate::{
    line_handler::{self, Fault},
    runs::{self, failed, shown, skipped},
};

/// So many runs at a time: each has a handler of its own.
const AT_A_TIME: usize = 6;

/// Each fault, and the checks that it fails.
const FAULTS: [(Fault, &[&str]); 24] = [
    (Fault::RefusesDevices, &["created"]),
    (Fault::RefusesKicked, &["closed"]),
    (Fault::AnswersInCapitals, &["exchanges"]),
    (Fault::DropsSingleBytes, &["one-byte-splits"]),
    (Fault::AnswersThreeLinesAtMost, &["coalesced"]),
    (Fault::DropsWhatFollowsALine, &["straddling"]),
    (Fault::RefusesLargeCallbacks, &["full-size"]),
    (Fault::SendsAfterTheEnd, &["half-close"]),
    (Fault::DoesNotClose, &["farewell"]),
    (Fault::RefusesUnknownEnds, &["unknown-conn"]),
    (Fault::RefusesSecondIntroduction, &["created-again"]),
    (Fault::AnswersTheNewestDevice, &["storm"]),
    (Fault::SendsOneAtATime, &["slow-device"]),
    (Fault::RefusesAfterARefusal, &["refused-send"]),
    (Fault::AuthenticatesAsAnother, &["authenticate"]),
    (Fault::RemembersTheOlderConnection, &["takeover"]),
    (Fault::RefusesTimers, &["timer"]),
    (Fault::TellsNothingOfMessages, &["messages-one"]),
    (Fault::TakesOneMessageOnly, &["messages-many"]),
    (Fault::RefusesNoMessages, &["messages-none"]),
    (Fault::TakesBytesTwice, &["repeated-offset"]),
    (Fault::StartsTimersOfZero, &["valid-calls"]),
    (Fault::SubscribesTooEarly, &["authenticated-first"]),
    (Fault::IsSlow, &["deadline"]),
];

async fn check(fault: Option<Fault>) -> Report {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let handler = line_handler::start(listener.local_addr().unwrap(), fault).await;
    let settings = handler::Settings {
        handler: format!("http://{handler}"),
        script: line_handler::script(),
        patience: runs::PATIENCE,
        connections: 20,
        choice: runs::all(),
    };
    handler::run(settings, listener, |_| {}).await.unwrap()
}

#[tokio::test]
async fn a_sound_handler_passes_every_check() {
    let report = check(None).await;
    assert!(
        report.findings.iter().all(|each| each.verdict.is_ok()),
        "{}",
        shown(&report)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_of_a_handler_fails_its_check_and_no_other() {
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    let mut runs = JoinSet::new();
    for (fault, wanted) in FAULTS {
        let places = places.clone();
        runs.spawn(async move {
            let _place = places.acquire().await.unwrap();
            let report = check(Some(fault)).await;
            let right = failed(&report) == wanted && skipped(&report).is_empty();
            (!right).then(|| format!("{fault:?}, not {wanted:?} but:\n{}", shown(&report)))
        });
    }
    let wrong: Vec<String> = runs.join_all().await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_check_of_a_handler_has_a_fault_that_fails_it() {
    let covered: Vec<&str> = FAULTS
        .iter()
        .flat_map(|(_, checks)| *checks)
        .copied()
        .collect();
    let missing: Vec<&str> = handler::checks()
        .iter()
        .map(|check| check.id)
        .filter(|id| !covered.contains(id))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
