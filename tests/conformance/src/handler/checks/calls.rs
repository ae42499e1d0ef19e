//! What is said of all calls and callbacks of a run, once the others are over.

use std::future::ready;

use super::super::{Stage, ledger::listed};
use crate::check::{Check, Verdict, ensure};

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::new(
            "valid-calls",
            "each call of the adapter has a conn of this gateway, and fields that may be",
            "proto: the requests of ConnectionAdapter; exproto.md 2.4: PARAMS_TYPE_ERROR, REQUIRED_PARAMS_MISSED",
            &["exchanges"],
            |stage| Box::pin(ready(valid_calls(stage))),
        ),
        Check::new(
            "authenticated-first",
            "Publish, Subscribe and Unsubscribe come after an Authenticate that was answered SUCCESS",
            "proto: Publish, Subscribe, Unsubscribe need Authenticate",
            &["exchanges"],
            |stage| Box::pin(ready(authenticated_first(stage))),
        ),
        Check::new(
            "deadline",
            "each callback of the run was answered within the deadline",
            "handlers.md: handler.deadline closes a connection that waits longer; exproto.md 2.3",
            &["created"],
            |stage| Box::pin(ready(deadline(stage))),
        ),
    ]
}

fn valid_calls(stage: &Stage) -> Verdict {
    let (bad, calls) = stage
        .gateway
        .ledger
        .read(|state| (listed(&state.bad_calls), state.calls));
    ensure!(bad.is_empty(), "{bad}");
    Ok(format!("{calls} calls"))
}

fn authenticated_first(stage: &Stage) -> Verdict {
    let early = stage
        .gateway
        .ledger
        .read(|state| listed(&state.early_calls));
    ensure!(early.is_empty(), "before Authenticate: {early}");
    Ok(String::new())
}

fn deadline(stage: &Stage) -> Verdict {
    let pace = stage.gateway.pace();
    let slowest = pace.slowest.map_or_else(String::new, |(method, time)| {
        format!("; the slowest, {method}, took {time:.1?}")
    });
    let deadline = stage.patience.deadline;
    ensure!(
        pace.late == 0,
        "{} of {} callbacks took longer than {deadline:?}{slowest}",
        pace.late,
        pace.callbacks
    );
    Ok(format!("{} callbacks{slowest}", pace.callbacks))
}
