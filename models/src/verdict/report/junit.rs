//! Reports for continuous integration: the XML of `JUnit`, a suite for each scenario.

use super::{Case, text::with_run};
use crate::verdict::outcome::Comparison;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::{
    io::{self, Write},
    time::Duration,
};

/// Writes all cases. One that differs is a failure; one that a limit cut short is an error.
///
/// # Errors
/// If they cannot be written.
pub fn write(cases: &[Case], out: &mut dyn Write) -> io::Result<()> {
    let mut report = Report::new("interrex");
    // The cases of a suite need not come one after the other.
    let mut cases: Vec<_> = cases.iter().collect();
    cases.sort_by(|one, other| one.suite.cmp(&other.suite));
    for cases in cases.chunk_by(|one, other| one.suite == other.suite) {
        let mut suite = TestSuite::new(cases.first().map_or("", |case| &case.suite));
        suite.add_test_cases(cases.iter().map(|case| test_case(case)));
        report.add_test_suite(suite);
    }
    // As a whole: an error in writing it is then one of the output.
    let text = report.to_string().map_err(io::Error::other)?;
    out.write_all(text.as_bytes())
}

fn test_case(case: &Case) -> TestCase {
    let failed = |kind| {
        let mut status = TestCaseStatus::non_success(kind);
        status.set_message(case.message.as_str()).set_description(with_run(case));
        status
    };
    let status = match case.status {
        Comparison::AsExpected => TestCaseStatus::success(),
        Comparison::Cut => failed(NonSuccessKind::Error),
        Comparison::Differs => failed(NonSuccessKind::Failure),
    };
    let mut test = TestCase::new(case.name.as_str(), status);
    test.set_classname(case.suite.as_str());
    if let Some(seconds) = case.seconds {
        test.set_time(Duration::from_secs_f64(seconds));
    }
    test
}
