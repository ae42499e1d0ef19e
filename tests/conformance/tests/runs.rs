//! Runs of the kit in this process, and which checks fail in them.

use std::time::Duration;

use exproto_conformance::{
    check::{Choice, Miss},
    patience::Patience,
    report::{Report, text},
};

/// Long enough for a loaded machine, and not too long for the many runs in which something never comes.
pub(crate) const PATIENCE: Patience = Patience {
    deadline: Duration::from_secs(8),
    settle: Duration::from_millis(300),
};

/// All checks, also those that are optional.
pub(crate) fn all() -> Choice {
    Choice {
        only: Vec::new(),
        all: true,
    }
}

/// The report as a person would read it.
pub(crate) fn shown(report: &Report) -> String {
    let lines: Vec<String> = report.findings.iter().map(text).collect();
    format!("{}\n{}", lines.join("\n"), report.sum())
}

/// The names of the checks that failed.
pub(crate) fn failed(report: &Report) -> Vec<&'static str> {
    report.failed().map(|each| each.id).collect()
}

/// The names of the checks that were skipped for another reason than that one they need has not passed.
pub(crate) fn skipped(report: &Report) -> Vec<&'static str> {
    let skipped = report.findings.iter().filter(|each| match &each.verdict {
        Err(Miss::Skipped(why)) => !why.starts_with("needs "),
        _ => false,
    });
    skipped.map(|each| each.id).collect()
}
