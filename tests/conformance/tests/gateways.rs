//! Gateways under the kit: this one passes all, and each fault fails the checks that are for it, and no others.

use std::sync::Arc;

use exproto_conformance::{
    check::Choice,
    dialect::Dialect,
    gateway::{self, Settings},
    report::Report,
};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};

use crate::{
    runs::{self, failed, shown, skipped},
    saboteur::{self, Fault, HANDLER_DEADLINE},
};

/// So many runs at a time: each has a gateway of its own.
const AT_A_TIME: usize = 6;

/// Each fault, and the checks that it fails.
const FAULTS: [(Fault, &[&str]); 46] = [
    (Fault::CreatedTwice, &["created-first"]),
    (Fault::WrongPort, &["conninfo"]),
    (Fault::AnswersForTheHandler, &["one-in-flight"]),
    (Fault::OneCallbackAtATime, &["apart"]),
    (Fault::ClosedTwice, &["closed-last"]),
    (Fault::ClosedLost, &["closed-in-flight"]),
    (Fault::AnotherReason, &["close-reasons"]),
    (Fault::NoMetadata, &["offsets"]),
    (Fault::ByteChanged, &["bytes"]),
    (Fault::SmallByteLost, &["bytes-one-by-one"]),
    (Fault::LargeBytesSwapped, &["bytes-large"]),
    (Fault::EmptyBytes, &["callback-size"]),
    (Fault::WaitingBytesReversed, &["bytes-behind"]),
    (Fault::LastBytesLost, &["half-close"]),
    (Fault::SendChanged, &["send"]),
    (Fault::SendLost, &["send-order"]),
    (Fault::SendInsideRefused, &["send-inside"]),
    (Fault::LateSendTaken, &["send-inside-closed"]),
    (Fault::SendHalved, &["close-delivers"]),
    (Fault::NobodyLetIn, &["authenticate"]),
    (Fault::AuthenticatedTwice, &["authenticate-twice"]),
    // Nobody is discarded, so nobody is told so.
    (Fault::ClientidChanged, &["takeover", "close-reasons"]),
    (Fault::NewerForgotten, &["takeover"]),
    (Fault::NoTimeout, &["timer"]),
    (Fault::FarewellLost, &["timer-farewell"]),
    (Fault::CloseOfGoneTaken, &["conn-gone"]),
    (Fault::BadConnUnknown, &["conn-malformed"]),
    (Fault::NoConnTaken, &["conn-absent"]),
    (Fault::SubscribeUnknown, &["before-authenticate"]),
    (Fault::NoClientinfoUnknown, &["no-clientinfo"]),
    (Fault::NoClientidTaken, &["no-clientid"]),
    (Fault::ZeroIntervalTaken, &["timer-parameters"]),
    (Fault::QosLowered, &["wrong-qos"]),
    (Fault::WildcardTaken, &["wildcard-topic"]),
    (Fault::RawQosLowered, &["raw-wrong-qos"]),
    (Fault::MessageLost, &["publish"]),
    (Fault::FromChanged, &["message-fields"]),
    (Fault::MessageTwice, &["message-order"]),
    (Fault::EmptyMessages, &["message-batches"]),
    (Fault::NestedMessageLost, &["wildcards"]),
    (Fault::UnsubscribeForgotten, &["unsubscribe"]),
    (Fault::GroupForgotten, &["shared"]),
    (Fault::RawFromChanged, &["raw-publish"]),
    (Fault::ErrorsForgiven, &["handler-error"]),
    (Fault::SilenceForgiven, &["handler-deadline"]),
    (Fault::StormMixed, &["storm"]),
];

async fn check(fault: Option<Fault>, dialect: Dialect) -> Report {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let under_test = saboteur::start(listener.local_addr().unwrap(), fault).await;
    let settings = Settings {
        gateway: under_test.gateway.device_address().to_string(),
        adapter: format!("http://{}", under_test.adapter),
        token: None,
        dialect,
        handler_deadline: HANDLER_DEADLINE,
        mountpoint: String::new(),
        nat: false,
        patience: runs::PATIENCE,
        connections: 20,
        choice: Choice::default(),
    };
    gateway::run(settings, listener, |_| {}).await.unwrap()
}

#[tokio::test]
async fn this_gateway_passes_every_check() {
    let report = check(None, Dialect::Exproto).await;
    assert!(
        report.findings.iter().all(|each| each.verdict.is_ok()),
        "{}",
        shown(&report)
    );
}

#[tokio::test]
async fn this_gateway_is_not_emqx() {
    let report = check(None, Dialect::Emqx).await;
    let differs = [
        "close-reasons",
        "timer",
        "conn-malformed",
        "conn-absent",
        "before-authenticate",
        "no-clientinfo",
        "no-clientid",
        "timer-parameters",
        "wrong-qos",
        "wildcard-topic",
        "raw-wrong-qos",
    ];
    assert_eq!(failed(&report), differs, "{}", shown(&report));
    let silent = [
        "closed-in-flight",
        "offsets",
        "callback-size",
        "half-close",
        "message-batches",
        "handler-deadline",
    ];
    assert_eq!(skipped(&report), silent, "{}", shown(&report));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_of_a_gateway_fails_its_checks_and_no_other() {
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    let mut runs = JoinSet::new();
    for (fault, wanted) in FAULTS {
        let places = places.clone();
        runs.spawn(async move {
            let _place = places.acquire().await.unwrap();
            let report = check(Some(fault), Dialect::Exproto).await;
            let right = failed(&report) == wanted && skipped(&report).is_empty();
            (!right).then(|| format!("{fault:?}, not {wanted:?} but:\n{}", shown(&report)))
        });
    }
    let wrong: Vec<String> = runs.join_all().await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_check_of_a_gateway_has_a_fault_that_fails_it() {
    let covered: Vec<&str> = FAULTS
        .iter()
        .flat_map(|(_, checks)| *checks)
        .copied()
        .collect();
    let missing: Vec<&str> = gateway::checks()
        .iter()
        .map(|check| check.id)
        .filter(|id| !covered.contains(id))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
