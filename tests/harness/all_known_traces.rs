//! Every known counterexample: it replays effect by effect, violates its property, is as short as its
//! scenario says, and is drawn.

use interrex::{gen_leader::Repair, group::Safeguard};
use interrex_models::{
    evidence::{
        draw::{
            chart::{Chart, Passage},
            svg::{self, Caption},
            text,
        },
        known::{KnownTrace, Status},
        replay::{Fate, Mode, Outcome, Replay},
        trace::Trace,
    },
    model::action::Choice,
    protocol::registry::built_in,
    verdict::{outcome::Expected, scenario::Scenario},
};
use serde_json::json;
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn known() -> Vec<KnownTrace> {
    KnownTrace::read_all(&folder("../traces")).expect("traces that can be read")
}

/// Every trace, with its place below the folder.
fn traces() -> Vec<(PathBuf, Trace)> {
    known().into_iter().map(|known| (known.name.into(), known.trace)).collect()
}

fn run(trace: &Trace, mode: Mode) -> Replay {
    let (known, property) = built_in().of(trace).expect("a known protocol and property");
    known.harness(&trace.environment).replay(trace, property, mode, None)
}

/// One whose leader crashes in the first step.
fn one() -> Trace {
    Trace::read(&folder("../traces/gms3/total-order-uniform.joined-3.json")).expect("a trace")
}

/// Something was mended: its traces go, and the scenarios that expect them change.
#[test]
fn no_known_trace_is_fixed() {
    let is_fixed = |known: &KnownTrace| {
        known.status(built_in()).expect("a known protocol") != Status::Violated
    };
    let fixed = known().into_iter().filter(is_fixed);
    let lines: Vec<_> = fixed.map(|known| format!("fixed: {}", known.name)).collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}

#[test]
fn every_trace_replays_and_violates_its_property_with_its_last_step() {
    for (path, trace) in traces() {
        for mode in [Mode::Exact, Mode::Schedule] {
            let outcome = run(&trace, mode).outcome;
            let after_last =
                matches!(outcome, Outcome::Violated { after, .. } if after == trace.steps.len());
            assert!(after_last, "{}: {outcome:?}", path.display());
        }
    }
}

#[test]
fn every_trace_is_drawn() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder("tests/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (path, trace) in traces() {
            let replay = run(&trace, Mode::Exact);
            let Outcome::Violated { complaints, .. } = &replay.outcome else {
                panic!("{}: {:?}", path.display(), replay.outcome)
            };
            let drawing = text::draw(&Chart::of(&replay));
            let text = format!("{}\n\n{drawing}\n{}", trace.cause, complaints.join("\n"));
            let name = path.with_extension("").display().to_string().replace('/', ".");
            insta::assert_snapshot!(name, text);
        }
    });
}

/// None of them is long enough to be folded: each step has a row, and each message an arrow.
#[test]
fn every_trace_is_a_picture() {
    for (path, trace) in traces() {
        let chart = Chart::of(&run(&trace, Mode::Exact));
        let picture = svg::draw(&chart, &Caption::default());
        let picture = roxmltree::Document::parse(&picture).expect("XML");
        let count = |class: &str| {
            let is_it = |node: &roxmltree::Node<'_, '_>| node.attribute("class") == Some(class);
            picture.descendants().filter(is_it).count()
        };
        let name = path.display();
        assert_eq!((count("row"), count("row violating")), (trace.steps.len() - 1, 1), "{name}");
        let fates = |fate| {
            let has_it = |it: &&Passage| it.is_message && it.end.map(|(_, fate)| fate) == fate;
            chart.journeys.iter().filter(has_it).count()
        };
        let expected = [Some(Fate::Arrived), Some(Fate::Lost), None].map(fates);
        let drawn = ["message", "message lost", "message under-way"].map(count);
        assert_eq!(drawn, expected, "{name}");
        let received =
            trace.steps.iter().filter(|step| matches!(step.action, Choice::Deliver { .. }));
        assert_eq!(expected[0] + count("message down"), received.count(), "{name}");
    }
}

#[test]
fn every_violated_property_of_every_scenario_has_its_trace_and_there_is_no_other() {
    let mut expected = vec![];
    for scenario in
        Scenario::read_all(built_in(), &folder("scenarios")).expect("scenarios that can be read")
    {
        for (property, expectation) in &scenario.properties {
            if let Some(Expected::Violated(steps)) = expectation {
                expected.push((
                    scenario.name.clone(),
                    scenario.environment.clone(),
                    property.name.into(),
                    *steps,
                ));
            }
        }
    }
    let mut found = vec![];
    for (path, trace) in traces() {
        assert_eq!(path, trace.file_name());
        found.push((trace.scenario, trace.environment, trace.property, trace.steps.len()));
    }
    let name =
        |(scenario, _, property, _): &(String, _, String, _)| (scenario.clone(), property.clone());
    expected.sort_by_key(name);
    found.sort_by_key(name);
    assert_eq!(expected, found);
}

/// Without it, something falls that holds with all of them.
#[test]
fn every_repair_has_a_control() {
    let traces = traces();
    for repair in Repair::ALL {
        let lacks = format!("gen_leader without {}", repair.name());
        let control = |(path, trace): &(PathBuf, Trace)| {
            path.starts_with("gen_leader/controls") && trace.protocol == *lacks
        };
        let (_, trace) = traces.iter().find(|each| control(each)).expect(&lacks);
        let repaired = Trace { protocol: built_in()["gen_leader"].name().into(), ..trace.clone() };
        let outcome = run(&repaired, Mode::Schedule).outcome;
        // What the others do, the repaired one may not even be able to do.
        let is_mended =
            matches!(outcome, Outcome::NotViolated | Outcome::Unsettled | Outcome::NotReproduced);
        assert!(is_mended, "{lacks}: {outcome:?}");
    }
}

/// The same for the safeguards of group. The worlds without incarnations are too many for a scenario: that run is kept
/// beside the tests.
#[test]
fn every_safeguard_has_a_control() {
    let mut traces = traces();
    let apart = Path::new("tests/without-incarnation.json");
    let trace = Trace::read(&folder("tests/without-incarnation.json")).expect("a trace");
    traces.push((apart.into(), trace));
    for safeguard in Safeguard::ALL {
        let lacks = format!("group without {}", safeguard.name());
        let control = |(path, trace): &(PathBuf, Trace)| {
            (path.starts_with("group/controls") || path == apart) && trace.protocol == *lacks
        };
        let (path, trace) = traces.iter().find(|each| control(each)).expect(&lacks);
        let outcome = run(trace, Mode::Exact).outcome;
        assert!(matches!(outcome, Outcome::Violated { .. }), "{}: {outcome:?}", path.display());
        let whole = Trace { protocol: built_in()["group"].name().into(), ..trace.clone() };
        let outcome = run(&whole, Mode::Schedule).outcome;
        let is_mended =
            matches!(outcome, Outcome::NotViolated | Outcome::Unsettled | Outcome::NotReproduced);
        assert!(is_mended, "{lacks}: {outcome:?}");
    }
}

#[test]
fn the_page_of_results_links_to_every_trace() {
    let page = std::fs::read_to_string(folder("../traces/README.md")).expect("a text");
    for (path, trace) in traces() {
        let link = format!("[✗ {}](./{})", trace.steps.len(), path.display());
        assert!(page.contains(&link), "{link} is not in traces/README.md");
    }
    // One more is in the legend.
    assert_eq!(page.matches("[✗ ").count(), traces().len() + 1);
}

#[test]
fn every_trace_says_its_cause_in_a_line() {
    for (path, trace) in traces() {
        let cause = trace.cause.trim();
        assert!(cause.len() > 20 && !cause.contains('\n'), "{}: {cause:?}", path.display());
    }
}

#[test]
fn a_trace_is_written_as_it_was_read() {
    for (path, trace) in traces() {
        let text = std::fs::read_to_string(folder("../traces").join(&path)).expect("a text");
        assert_eq!(trace.to_json(), text, "{}", path.display());
    }
}

#[test]
fn saving_the_same_run_again_keeps_its_cause() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a/b.json");
    let trace = one();
    trace.save(&path).expect("it can be written");
    Trace { cause: String::new(), ..trace.clone() }.save(&path).expect("it can be written");
    assert_eq!(Trace::read(&path).expect("a trace"), trace);

    let mut other = trace.clone();
    other.steps[0].effects.clear();
    Trace { cause: String::new(), ..other.clone() }.save(&path).expect("it can be written");
    assert_eq!(Trace::read(&path).expect("a trace"), other);

    let shorter = Trace { steps: trace.steps[..3].to_vec(), ..trace.clone() };
    shorter.save(&path).expect("it can be written");
    let cause = format!("of an earlier run: {}", trace.cause);
    assert_eq!(Trace::read(&path).expect("a trace"), Trace { cause, ..shorter });
}

#[test]
fn a_trace_is_kept_in_the_folder_of_its_scenario_or_that_of_its_protocol() {
    let file_name = |scenario: &str| Trace { scenario: scenario.into(), ..one() }.file_name();
    let names = ["gms3/a", "gms3/b", "other/a", "gms3/other/b", "a"].map(file_name);
    let expected =
        [("gms3", "a"), ("gms3", "b"), ("other", "a"), ("gms3/other", "b"), ("gms3", "a")].map(
            |(folder, last)| Path::new(folder).join(format!("total-order-uniform.{last}.json")),
        );
    assert_eq!(names, expected);
}

#[test]
fn the_first_effect_that_differs_ends_an_exact_replay_and_both_lists_are_named() {
    let mut trace = one();
    let now = trace.steps[2].effects.clone();
    trace.steps[2].effects.push(json!({"send": "nothing"}));
    let recorded = trace.steps[2].effects.clone();
    assert_eq!(run(&trace, Mode::Exact).outcome, Outcome::Diverged { step: 3, recorded, now });
}

#[test]
fn a_schedule_is_replayed_whatever_the_effects_were() {
    let mut trace = one();
    for step in &mut trace.steps {
        step.effects.clear();
    }
    assert!(matches!(run(&trace, Mode::Schedule).outcome, Outcome::Violated { .. }));
}

#[test]
fn what_is_not_possible_ends_an_exact_replay_and_is_left_out_of_a_schedule() {
    let mut trace = one();
    let first = trace.steps[0].clone();
    // The node that crashed in the first step is asked again.
    trace.steps.insert(1, first);
    let Outcome::Impossible { step: 2, reason } = run(&trace, Mode::Exact).outcome else {
        panic!("possible")
    };
    assert_eq!(reason, "n0 is not up");
    let replay = run(&trace, Mode::Schedule);
    assert_eq!(replay.steps[1].left_out.as_deref(), Some("n0 is not up"));
    assert!(matches!(replay.outcome, Outcome::Violated { .. }));
}

/// The error on a trace in which this is replaced, without the path.
fn error_with(right: &str, wrong: &str) -> String {
    let text = one().to_json();
    assert!(text.contains(right), "{text}");
    let error = Trace::parse(Path::new("a.json"), &text.replacen(right, wrong, 1));
    error.expect_err("a trace that is wrong").to_string()
}

#[test]
fn a_key_that_is_misspelt_or_there_twice_is_an_error_wherever_it_stands() {
    let error = error_with(r#"{"node":"n0"}"#, r#"{"node":"n0","contct":"n1"}"#);
    assert!(error.contains("unknown field `contct`"), "{error}");
    let error = error_with(r#""crashes":"#, r#""crashes":9,"crashes":"#);
    assert!(error.starts_with("a.json:5:"), "{error}");
    assert!(error.ends_with(": the key `crashes` is there twice"), "{error}");
    let error = error_with(r#""effects": []"#, r#""effects": [{"a":1,"a":2}]"#);
    assert!(error.ends_with(": the key `a` is there twice"), "{error}");
}

#[test]
fn a_node_is_written_in_one_way_and_what_has_names_is_no_list() {
    for node in ["n01", "n+0", "N0", "n65536"] {
        let error = error_with(r#""node":"n0""#, &format!(r#""node":"{node}""#));
        assert!(error.contains(&format!(": `{node}` is not a node")), "{error}");
    }
    let error = error_with(r#"{"node":"n0"}"#, r#"["n0"]"#);
    assert_eq!(error, r#"a.json: `.steps[0].action.command` is written as `{"node":"n0"}` here"#);
}

#[test]
fn what_an_error_repeats_is_whole_and_does_not_steer_the_terminal() {
    let error = error_with(r#""protocol""#, r#""a at line b\u001b[2J\n""#);
    assert!(error.starts_with("a.json:3:"), "{error}");
    assert!(
        error.contains("unknown field `a at line b\u{fffd}[2J\u{fffd}`, expected one of"),
        "{error}"
    );
}

#[test]
fn a_run_that_stops_too_early_does_not_violate() {
    let mut trace = one();
    trace.steps.pop();
    assert_eq!(run(&trace, Mode::Exact).outcome, Outcome::NotViolated);
}
