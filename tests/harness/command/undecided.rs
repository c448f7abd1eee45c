//! Replays of runs that end before their property can be judged.

use super::{file, interrex, replay, traces};
use interrex_models::evidence::trace::Trace;
use serde_json::Value;
use std::{fs, path::PathBuf};
use tempfile::TempDir;

/// A known trace with only so many of its steps, in a folder that vanishes with the first value.
fn shortened(known: &str, steps: usize) -> (TempDir, PathBuf) {
    let text = fs::read_to_string(traces().join(known)).expect("a trace");
    let mut trace: Value = text.parse().expect("JSON");
    trace["steps"].as_array_mut().expect("steps").truncate(steps);
    file(trace.to_string())
}

/// A message is lost with the leader in step 2. Before step 4, views are still on their way to n2.
const UNSETTLED: &str = "gms3/no-lost-message-validity.joined-3.json";

/// A settled property is not judged where something is left to do: that nothing is violated there says nothing.
#[test]
fn a_run_that_ends_unsettled_goes_on_until_its_settled_property_can_be_judged() {
    let property = "no-lost-message-validity";
    for (steps, code, said, more) in [
        (3, 1, "still violated after step 6", "the trace has 3 steps; 3 more lead to where"),
        (1, 0, "not violated in this run", "the trace has 1 step; "),
    ] {
        let (_folder, path) = shortened(UNSETTLED, steps);
        let (ended, out, _) = replay(&path, &["--schedule-only"]);
        assert!(ended == code && out.contains(&format!("\n{property} is {said}\n")), "{out}");
        assert!(out.contains(more), "{out}");
        assert_eq!(out.starts_with(&format!("gms3 violates {property}\n")), code == 1, "{out}");
    }
    let (_folder, path) = shortened(UNSETTLED, 3);
    let (_, out, _) = replay(&path, &["--schedule-only", "--format", "json"]);
    assert_eq!(out.matches(r#""kind":"step""#).count(), 6, "{out}");
}

/// As it was recorded, the run does not go on. And how one goes on that went round for ever, nobody knows.
#[test]
fn a_run_that_cannot_tell_is_undecided() {
    let round = "gen_leader/no-livelock.lossy.json";
    let steps = Trace::read(&traces().join(round)).expect("a trace").steps.len();
    for (known, steps, more) in
        [(UNSETTLED, 3, &[][..]), (round, steps - 1, &[]), (round, steps - 1, &["--schedule-only"])]
    {
        let (_folder, path) = shortened(known, steps);
        let (code, out, _) = replay(&path, more);
        assert_eq!(code, 3, "{out}");
        assert!(
            out.contains(" is undecided: the run ends where something is left to do\n"),
            "{out}"
        );
        assert!(out.ends_with("`interrex check` explores how it goes on, and decides\n"), "{out}");
        assert!(out.starts_with("a run of g") && !out.contains(" violates "), "{out}");
        let (_, out, _) = replay(&path, &[more, &["--format", "json"]].concat());
        let end: Value = out.lines().last().expect("an end").parse().expect("JSON");
        assert_eq!(end["outcome"], "unsettled");
        assert_eq!(end["cases"][0]["status"], "cut");
    }
    let (folder, _) = shortened(round, steps - 1);
    let traces = folder.path().to_str().expect("a path that is text");
    let (code, out, _) =
        interrex(["fuzz", "gen_leader/lossy", "--schedules", "1", "--traces", traces]);
    let said = "undecided, its run ends before its property is judged: trace.json";
    assert!(code == 1 && out.starts_with(said), "{out}");
}
