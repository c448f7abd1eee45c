//! The end of a report as text: the results that are not as expected.

use super::{BAD, STRONG, WEAK, styled};
use crate::{
    io::{
        file::shown,
        text::{counted, printable},
    },
    verdict::{change::Trend, drawn::Drawn, outcome::Comparison, report::Case, scenario::Scenario},
};
use std::fmt;

/// The results that are not as expected: a line each, and the shortest run that shows one.
pub(super) struct Broken<'a> {
    /// All scenarios.
    pub(super) scenarios: &'a [Scenario],
    /// The cases that are not as expected, or have a run that nobody knows yet.
    pub(super) cases: &'a [Case],
    /// The name of the program.
    pub(super) program: &'a str,
}

impl fmt::Display for Broken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let differing: Vec<_> = self.differing().collect();
        if !differing.is_empty() {
            let names: Vec<_> = self.scenarios.iter().map(|scenario| &*scenario.name).collect();
            // A scenario that is shown whole ends with an empty line itself.
            let gap = if names.len() > 1 { "\n" } else { "" };
            writeln!(f, "{gap}{}", styled(BAD, count(&names, &differing)))?;
            list(f, &differing)?;
        }
        // If nothing differs, they are those of which nothing is expected.
        let all: Vec<_> =
            if differing.is_empty() { self.cases.iter().collect() } else { differing };
        match Case::shortest_run(all) {
            Some((case, drawn)) => self.draw(f, case, drawn),
            None => Ok(()),
        }
    }
}

impl Broken<'_> {
    fn differing(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(|case| case.status == Comparison::Differs)
    }

    fn draw(&self, f: &mut fmt::Formatter<'_>, case: &Case, drawn: &Drawn) -> fmt::Result {
        let (suite, name, program) = (&case.suite, &case.name, self.program);
        let title = format!("the shortest run that violates {name} in {suite}");
        writeln!(f, "{}\n{drawn}", styled(STRONG, title))?;
        let next = match &drawn.file {
            Some(path) => format!("`{program} replay {path}` shows each step"),
            None => {
                format!("`--save-traces DIR` keeps it, and `{program} replay` then shows each step")
            }
        };
        writeln!(f, "{}\n", styled(WEAK, next))
    }
}

/// `2 of 93 scenarios differ: 3 verdicts worse, 1 better; 2 other differences`.
pub(super) fn count(scenarios: &[&str], differing: &[&Case]) -> String {
    let with = |trend| differing.iter().filter(|case| case.trend() == trend).count();
    let mut parts = vec![];
    for trend in [Trend::Worse, Trend::Better, Trend::Gone] {
        match (with(Some(trend)), parts.is_empty()) {
            (0, _) => {}
            (1, true) => parts.push(format!("1 verdict {trend}")),
            (some, true) => parts.push(format!("{some} verdicts {trend}")),
            (some, false) => parts.push(format!("{some} {trend}")),
        }
    }
    let differs = |scenario: &&&str| differing.iter().any(|case| case.suite == **scenario);
    let some = scenarios.iter().filter(differs).count();
    let all = counted(scenarios.len(), "scenario");
    let verb = if some == 1 { "differs" } else { "differ" };
    let verdicts = parts.join(", ");
    let other = if verdicts.is_empty() { "" } else { "other " };
    let others = match with(None) {
        0 => None,
        1 => Some(format!("1 {other}difference")),
        others => Some(format!("{others} {other}differences")),
    };
    let parts = Some(verdicts).filter(|it| !it.is_empty()).into_iter().chain(others);
    format!("{some} of {all} {verb}: {}", parts.collect::<Vec<_>>().join("; "))
}

/// Below the name of each scenario and its file: the line in the file, the direction, and before and after.
pub(super) fn list(f: &mut dyn fmt::Write, differing: &[&Case]) -> fmt::Result {
    let width = differing.iter().map(|case| case.name.chars().count()).max();
    let width = width.unwrap_or_default();
    for cases in differing.chunk_by(|one, other| one.suite == other.suite) {
        let [first, ..] = cases else { continue };
        let file = first.place.as_ref().map_or(String::new(), |place| shown(&place.file));
        writeln!(f, "\n{}  {file}", styled(STRONG, &first.suite))?;
        for case in cases {
            let line = case.place.as_ref().map_or(String::new(), |place| place.line.to_string());
            let trend = case.trend().map_or("differs".into(), |trend| trend.to_string());
            let (name, said) = (printable(&case.name), printable(case.said()));
            let trend = styled(BAD, format!("{trend:7}"));
            writeln!(f, "{line:>4}  {trend}  {name:width$}  {said}")?;
        }
    }
    writeln!(f)
}
