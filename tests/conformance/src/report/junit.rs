//! A report as JUnit XML: one test suite, one test case for each check.

use std::io::Write;

use quick_junit::{
    NonSuccessKind, Report as Xml, SerializeError, TestCase, TestCaseStatus, TestSuite,
};

use super::Report;
use crate::check::{Finding, Miss};

/// Writes the report.
pub fn write(report: &Report, to: impl Write) -> Result<(), SerializeError> {
    let mut suite = TestSuite::new(report.subject.as_str());
    suite.add_test_cases(report.findings.iter().map(case));
    let mut xml = Xml::new("exproto-conformance");
    xml.add_test_suite(suite);
    xml.serialize(to)
}

fn case(finding: &Finding) -> TestCase {
    let status = match &finding.verdict {
        Ok(_) => TestCaseStatus::success(),
        Err(Miss::Skipped(why)) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(why.as_str());
            status
        }
        Err(Miss::Failed(seen)) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(seen.as_str());
            let told = format!(
                "rule: {}\nsource: {}\nseen: {seen}",
                finding.rule, finding.source
            );
            status.set_description(told);
            status
        }
    };
    let mut case = TestCase::new(finding.id, status);
    case.set_classname("emqx.exproto.v1").set_time(finding.took);
    if let Ok(seen) = &finding.verdict
        && !seen.is_empty()
    {
        case.set_system_out(seen.as_str());
    }
    case
}
