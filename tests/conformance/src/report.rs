//! What came of all checks: a line for each, and a sum.

use std::fmt::Write as _;

use crate::check::{Finding, Miss};

/// The same as JUnit XML, for CI.
pub mod junit;

/// All findings of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was checked, such as `handler http://127.0.0.1:9001`.
    pub subject: String,
    /// What came of each check, in their order.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Those that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Finding> {
        let failed = |each: &&Finding| matches!(each.verdict, Err(Miss::Failed(_)));
        self.findings.iter().filter(failed)
    }

    /// The last line: `N passed, N failed, N skipped`.
    #[must_use]
    pub fn sum(&self) -> String {
        let failed = self.failed().count();
        let passed = self
            .findings
            .iter()
            .filter(|each| each.verdict.is_ok())
            .count();
        let skipped = self.findings.len() - passed - failed;
        format!("{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// One finding as text: a line, and for one that failed its rule, source, and what was seen.
#[must_use]
pub fn text(finding: &Finding) -> String {
    let Finding {
        id, rule, source, ..
    } = finding;
    match &finding.verdict {
        Ok(seen) if seen.is_empty() => format!("passed   {id}"),
        Ok(seen) => format!("passed   {id}: {seen}"),
        Err(Miss::Skipped(why)) => format!("skipped  {id}: {why}"),
        Err(Miss::Failed(seen)) => {
            let mut text = format!("FAILED   {id}: {rule}\n");
            let _ = write!(text, "         seen:   {seen}\n         source: {source}");
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn finding(id: &'static str, verdict: Result<String, Miss>) -> Finding {
        Finding {
            id,
            rule: "bytes come in order",
            source: "proto: OnReceivedBytes",
            verdict,
            took: Duration::from_millis(1),
        }
    }

    #[test]
    fn each_outcome_is_a_line_and_a_failure_tells_more() {
        let passed = finding("a", Ok("3 bytes".to_owned()));
        let failed = finding("b", Err(Miss::Failed("ba".to_owned())));
        let skipped = finding("c", Err(Miss::Skipped("no need".to_owned())));
        assert_eq!(text(&passed), "passed   a: 3 bytes");
        assert_eq!(text(&skipped), "skipped  c: no need");
        let told = "FAILED   b: bytes come in order\n         seen:   ba\n         source: proto: OnReceivedBytes";
        assert_eq!(text(&failed), told);
        let report = Report {
            subject: "x".to_owned(),
            findings: vec![passed, failed, skipped],
        };
        assert_eq!(report.sum(), "1 passed, 1 failed, 1 skipped");
    }
}
