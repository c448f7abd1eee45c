//! Shrinking: what is padded becomes as short as it was known to be, and nothing more can be left out.

mod long;

use assert_cmd::Command;
#[path = "../ours/mod.rs"]
mod ours;

use interrex::{gms3::Gms3, machine::NodeId};
use interrex_models::{
    claim::{
        notion::Token,
        property::{Kind, Property},
    },
    evidence::{
        replay::{Mode, Outcome, Replay},
        trace::{Trace, TraceStep},
    },
    explore::{
        search::{Limits, search},
        shrink::shrink,
    },
    io::file,
    model::{
        action::{ActionOf, Choice},
        environment::{Budget, Budgets, Environment, Start, Timers, UNLIMITED},
        world::{Rules, World},
    },
    protocol::{
        Protocol,
        registry::{Known, built_in, gms3},
    },
};
use ours::with_protocol;
use proptest::{
    collection::vec,
    prelude::any,
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use rayon::prelude::*;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};
use tempfile::TempDir;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces")
}

fn read(name: &str) -> Trace {
    Trace::read(&folder().join(name)).expect("a trace")
}

fn known_traces() -> Vec<Trace> {
    let paths = file::files_below(&folder(), "json").expect("a folder of traces");
    paths.iter().map(|path| Trace::read(path).expect("a trace")).collect()
}

/// The known traces, and what each is shrunk to: a settled property may need less environment.
static KNOWN: LazyLock<Vec<(Trace, Trace)>> = LazyLock::new(|| {
    let with_shrunk = |known: Trace| {
        let shrunk = shrunk(&known).expect("a violation");
        (known, shrunk)
    };
    known_traces().into_par_iter().map(with_shrunk).collect()
});

fn of(trace: &Trace) -> (Known, &'static Property) {
    built_in().of(trace).expect("a known protocol and property")
}

fn shrunk(trace: &Trace) -> Option<Trace> {
    let (known, property) = of(trace);
    known.harness(&trace.environment).shrink(trace, property)
}

fn replayed(trace: &Trace, mode: Mode) -> Replay {
    let (known, property) = of(trace);
    known.harness(&trace.environment).replay(trace, property, mode, None)
}

fn violates(trace: &Trace) -> bool {
    matches!(replayed(trace, Mode::Schedule).outcome, Outcome::Violated { .. })
}

fn step(action: Choice<serde_json::Value>, crash_after: Option<usize>) -> TraceStep {
    TraceStep { action, crash_after, effects: vec![] }
}

/// The same steps in the environment that allows what they use. Where a settled property or a lasso is at
/// stake, the time-outs stay: with fewer, a timer that cannot fire would settle what is not settled.
fn in_weakest_environment(trace: &Trace) -> Trace {
    let mut budgets = Budgets::NONE;
    for (shown, step) in replayed(trace, Mode::Schedule).steps.iter().zip(&trace.steps) {
        if shown.left_out.is_none() {
            let crash = step.crash_after.map(|_| Budget::Crashes);
            for budget in step.action.budget().into_iter().chain(crash) {
                budgets[budget] = budgets[budget].saturating_add(1);
            }
        }
    }
    let timeouts = trace.environment.budgets[Budget::Timeouts];
    if timeouts == UNLIMITED || of(trace).1.kind != Kind::Safety {
        budgets[Budget::Timeouts] = timeouts;
    }
    Trace { environment: Environment { budgets, ..trace.environment.clone() }, ..trace.clone() }
}

/// Each trace that has one step less; of a lasso, one step less before the loop.
fn with_a_step_less(trace: &Trace) -> impl Iterator<Item = Trace> {
    (0..trace.loop_from.unwrap_or(trace.steps.len())).map(|at| {
        let mut less = trace.clone();
        less.steps.remove(at);
        less.loop_from = less.loop_from.map(|first| first - 1);
        less
    })
}

/// Random numbers, always the same ones.
fn numbers() -> impl FnMut() -> Vec<u16> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    move || vec(any::<u16>(), 64).new_tree(&mut runner).expect("numbers").current()
}

/// A trace with more actions than it needs, in an environment in which more can happen: in front of some
/// of its steps something else happens that was possible there.
fn padded<P: Protocol>(
    rules: &mut Rules<P>,
    trace: &Trace,
    property: &'static Property,
    numbers: &[u16],
) -> Option<Trace> {
    let mut generous = trace.environment.clone();
    for budget in Budget::ALL {
        let times = &mut generous.budgets[budget];
        *times = if *times == UNLIMITED { UNLIMITED } else { *times + 2 };
    }
    rules.set_environment(generous);
    let (mut world, mut run) = (rules.initial(), vec![]);
    let seldom = 2 + numbers[0] % 8;
    let mut take = |world: &mut World, action: &ActionOf<P>| {
        if let Ok(enabled) = rules.find(world, action) {
            *world = rules.follow(world, &enabled);
            run.push(action.clone());
        }
    };
    let loop_from = trace.loop_from.unwrap_or(trace.steps.len());
    for (at, (step, numbers)) in trace.steps.iter().zip(numbers.chunks(2)).enumerate() {
        if at < loop_from && numbers[0].is_multiple_of(seldom) {
            let mut enabled = vec![];
            rules.enabled(&world, &mut enabled);
            if let Some(at) = usize::from(numbers[1]).checked_rem(enabled.len()) {
                take(&mut world, &enabled[at].action);
            }
        }
        take(&mut world, &step.action().expect("a known timer"));
    }
    let recorded = Trace::record(rules, &trace.scenario, property.name, &run);
    let loop_from =
        trace.loop_from.map(|first| first + run.len().saturating_sub(trace.steps.len()));
    let padded = in_weakest_environment(&Trace { loop_from, ..recorded });
    (padded.steps.len() > trace.steps.len() && violates(&padded)).then_some(padded)
}

/// A known trace, the same with more actions than it needs, and what that is shrunk to.
struct Padded {
    known: Trace,
    longer: Trace,
    shrunk: Trace,
}

/// The known traces that can be padded, each once.
static PADDED: LazyLock<Vec<Padded>> = LazyLock::new(|| {
    let pad = |known: Trace| {
        let (protocol, property) = of(&known);
        let mut numbers = numbers();
        let longer = with_protocol!(protocol, &known.environment, protocol => {
            let mut rules = Rules::new(protocol, known.environment.clone());
            (0..100).find_map(|_| padded(&mut rules, &known, property, &numbers()))
        });
        longer.map(|longer| (known, longer))
    };
    let shrunk = |(known, longer): (Trace, Trace)| {
        let shrunk = shrunk(&longer).expect("a violation");
        Padded { known, longer, shrunk }
    };
    known_traces().into_par_iter().filter_map(pad).map(shrunk).collect()
});

/// A padded run may reach a violation by another way than the known one, and leaving out one
/// thing at a time then ends elsewhere. That is seldom.
#[test]
fn what_is_padded_becomes_as_short_as_the_shortest_known_run_with_few_exceptions() {
    assert!(PADDED.len() > 75, "{} padded traces", PADDED.len());
    let longer = |Padded { known, shrunk, .. }: &&Padded| {
        let (_, shortest) = KNOWN.iter().find(|(trace, _)| trace == known).expect("a trace");
        shrunk.steps.len() > shortest.steps.len()
    };
    let longer: Vec<_> = PADDED.iter().filter(longer).map(|each| each.known.file_name()).collect();
    assert!(20 * longer.len() <= PADDED.len(), "{} of {}: {longer:?}", longer.len(), PADDED.len());
}

/// A run of five nodes in which each number chooses among what is enabled, as far as it goes.
fn random_run(rules: &Rules<Gms3<Token>>, numbers: &[u16]) -> Vec<ActionOf<Gms3<Token>>> {
    let (mut world, mut run) = (rules.initial(), vec![]);
    for number in numbers {
        let mut enabled = vec![];
        rules.enabled(&world, &mut enabled);
        let Some(at) = usize::from(*number).checked_rem(enabled.len()) else { break };
        world = rules.follow(&world, &enabled[at]);
        run.push(enabled[at].action.clone());
    }
    run
}

/// Five members are too many to be searched: this is what leaving out is good for.
#[test]
fn what_random_schedules_find_is_shrunk_to_at_most_one_step_more_than_the_shortest() {
    let given = [(Budget::Commands, 6), (Budget::Crashes, 3)].into();
    let environment = Environment::new(5, Start::Joined, Timers::Late, &given).expect("it fits");
    let mut rules = Rules::new(gms3(), environment);
    let mut numbers = numbers();
    for name in ["nobody-stopped", "total-order-uniform", "no-lost-message-uniform-agreement"] {
        let known = read(&format!("gms3/{name}.joined-5.json"));
        let (_, property) = of(&known);
        let mut random = || {
            let run = random_run(&rules, &[numbers(), numbers(), numbers()].concat());
            let trace = Trace::record(&rules, "schedules", property.name, &run);
            shrink(&mut rules, &trace, property).map(|shrunk| (trace, shrunk))
        };
        let (trace, shrunk) = (0..20_000).find_map(|_| random()).expect("a violation");
        let (_, shortest) = KNOWN.iter().find(|(trace, _)| *trace == known).expect("a trace");
        let (most, steps) = (shortest.steps.len() + 1, shrunk.steps.len());
        assert!(steps <= most, "{steps} steps: {}", trace.to_json());
    }
}

#[test]
fn what_was_shrunk_replays_and_violates_its_property_with_its_last_step() {
    for Padded { known, shrunk, .. } in &*PADDED {
        for mode in [Mode::Exact, Mode::Schedule] {
            let outcome = replayed(shrunk, mode).outcome;
            let after_last =
                matches!(outcome, Outcome::Violated { after, .. } if after == shrunk.steps.len());
            assert!(after_last, "{}: {outcome:?}", known.file_name().display());
        }
        assert_eq!((&shrunk.scenario, &shrunk.property), (&known.scenario, &known.property));
    }
}

/// What can be told of the defect that a run shows: the first complaint, without all that is in brackets or a number,
/// and for a safety property the kind of its last step.
fn symptom(trace: &Trace) -> (String, Option<String>) {
    let replay = replayed(trace, Mode::Schedule);
    let Outcome::Violated { after, complaints } = &replay.outcome else { panic!("no violation") };
    let outside = complaints[0]
        .split(['(', '[', '{'])
        .map(|part| part.rsplit([')', ']', '}']).next().unwrap_or_default().to_owned());
    let shape = outside.collect::<String>().replace(|it: char| !it.is_alphabetic(), "");
    let last = &replay.steps[after - 1];
    let met = last.met.as_ref().and_then(|met| Some(met.as_object()?.keys().next()?.clone()));
    let kind = last.action.split_whitespace().next().unwrap_or_default();
    let is_safety = of(trace).1.kind == Kind::Safety;
    (shape, is_safety.then(|| format!("{kind} {}", met.unwrap_or_default())))
}

#[test]
fn what_was_shrunk_has_the_symptom_of_the_run_that_it_was_shrunk_from() {
    for Padded { longer, shrunk, .. } in PADDED.iter() {
        if of(longer).1.kind != Kind::Fair {
            assert_eq!(symptom(shrunk), symptom(longer), "{}", longer.to_json());
        }
    }
}

#[test]
fn kinds_of_faults_that_a_run_does_not_have_stay_out_of_its_minimal_form() {
    let mut trace = read("gms3/nobody-stopped.crash-stop.json");
    trace.environment.budgets[Budget::Suspicions] = 2;
    let own = shrunk(&trace).expect("a violation");
    let suspects = |step: &TraceStep| matches!(step.action, Choice::Suspect { .. });
    assert!(!own.steps.iter().any(suspects), "{}", own.to_json());
    // With suspicions there is a shorter one.
    let (_, property) = of(&trace);
    let rules = Rules::new(gms3(), trace.environment.clone());
    let found = search(&Arc::new(rules), &[property], None, Limits::default(), &mut |_| {});
    let shortest = found.properties[0].counterexample.as_ref().expect("a violation");
    assert!(shortest.len() < own.steps.len(), "{}", shortest.len());
}

#[test]
fn of_what_was_shrunk_no_step_can_be_left_out() {
    for (_, shrunk) in &*KNOWN {
        for less in with_a_step_less(shrunk) {
            assert!(!violates(&less), "{}", less.to_json());
            assert!(!violates(&in_weakest_environment(&less)), "{}", less.to_json());
        }
    }
}

/// Each trace in which a crash within a step is weaker: none, one between two steps, a later one.
fn with_a_weaker_fault(trace: &Trace) -> impl Iterator<Item = Trace> {
    let within = |(at, step): (usize, &TraceStep)| step.crash_after.map(|k| (at, k));
    let crashes: Vec<_> = trace.steps.iter().enumerate().filter_map(within).collect();
    crashes.into_iter().flat_map(move |(at, k)| {
        let choice = trace.steps[at].action.clone();
        let crash = choice.node().map(|node| step(Choice::Crash { node }, None));
        let later = (k + 1..10).map(|k| step(choice.clone(), Some(k)));
        let weaker: Vec<_> =
            [step(choice.clone(), None)].into_iter().chain(crash).chain(later).collect();
        weaker.into_iter().map(move |step| {
            let mut weakened = trace.clone();
            weakened.steps[at] = step;
            weakened
        })
    })
}

#[test]
fn of_what_was_shrunk_no_fault_can_be_weakened() {
    let mut tried = 0;
    for (_, shrunk) in &*KNOWN {
        for weaker in with_a_weaker_fault(shrunk) {
            assert!(!violates(&weaker), "{}", weaker.to_json());
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried} weaker faults");
}

/// The number of crashes: all, and those within a step.
fn faults(trace: &Trace) -> (usize, usize) {
    let within = trace.steps.iter().filter(|step| step.crash_after.is_some()).count();
    let crash = |step: &&TraceStep| matches!(step.action, Choice::Crash { .. });
    (within + trace.steps.iter().filter(crash).count(), within)
}

/// A node crashes within a step where it need not, or earlier than it need. (A settled property may need
/// the crash: it is settled sooner by it. Any may, if the run is shorter with it.)
#[test]
fn a_fault_that_is_stronger_than_it_need_be_is_weakened() {
    let mut tried = 0;
    for (_, known) in KNOWN.iter().filter(|(known, _)| of(known).1.kind == Kind::Safety) {
        for at in 0..known.steps.len() {
            let mut stronger = known.clone();
            stronger.environment.budgets[Budget::Crashes] += 1;
            stronger.steps[at] = match &known.steps[at] {
                TraceStep { crash_after: Some(k), action, .. } => step(action.clone(), Some(k - 1)),
                TraceStep { action, .. } => step(action.clone(), Some(1)),
            };
            let stronger = in_weakest_environment(&stronger);
            if violates(&stronger) {
                let shrunk = shrunk(&stronger).expect("a violation");
                let saves_steps = shrunk.steps.len() < known.steps.len();
                assert!(saves_steps || faults(&shrunk) <= faults(known), "{}", stronger.to_json());
                tried += 1;
            }
        }
    }
    assert!(tried > 5, "{tried} stronger faults");
}

#[test]
fn what_was_shrunk_has_the_weakest_environment() {
    for (_, shrunk) in &*KNOWN {
        assert_eq!(*shrunk, in_weakest_environment(shrunk));
    }
}

#[test]
fn shrinking_is_deterministic_and_what_was_shrunk_stays_as_it_is() {
    for Padded { longer, shrunk, .. } in PADDED.iter().step_by(5) {
        assert_eq!(self::shrunk(longer).expect("a violation").to_json(), shrunk.to_json());
        assert_eq!(self::shrunk(shrunk).expect("a violation").to_json(), shrunk.to_json());
    }
}

#[test]
fn the_rules_are_afterwards_those_that_they_were_before() {
    let trace = read("gms3/nobody-stopped.joined-3.json");
    let (_, property) = of(&trace);
    let given = [(Budget::Commands, 7)].into();
    let environment = trace.environment.clone().with_budgets(&given).expect("it fits");
    let mut rules = Rules::new(gms3(), environment.clone());
    shrink(&mut rules, &trace, property).expect("a violation");
    assert_eq!(*rules.environment(), environment);
}

/// A run with a multicast that its violation does not need.
fn longer() -> Trace {
    let mut trace = read("gms3/no-lost-message-validity.joined-3-busy.json");
    let action = Choice::Command { node: NodeId(2) };
    trace.steps.insert(0, TraceStep { action, crash_after: None, effects: vec![] });
    trace
}

#[test]
fn a_cause_is_kept_with_its_run_only() {
    let known = read("gms3/total-order-uniform.joined-3.json");
    assert_eq!(shrunk(&known).expect("a violation").cause, known.cause);
    assert_eq!(shrunk(&longer()).expect("a violation").cause, "");
}

#[test]
fn effects_that_were_recorded_do_not_count() {
    let known = read("gms3/total-order-uniform.joined-3.json");
    let mut stale = known.clone();
    for step in &mut stale.steps {
        step.effects.clear();
    }
    assert_eq!(shrunk(&stale), shrunk(&known));
}

#[test]
fn a_run_that_violates_nothing_is_not_shrunk() {
    for known in known_traces() {
        let mut harmless = known.clone();
        harmless.steps.pop();
        if harmless.loop_from.is_some_and(|first| first >= harmless.steps.len()) {
            harmless.loop_from = None;
        }
        assert_eq!(shrunk(&harmless), None, "{}", known.file_name().display());
    }
}

/// Runs `interrex shrink`: its exit code, and what it wrote to standard output and standard error.
fn command(arguments: &[&Path]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_interrex"));
    let output = command.arg("shrink").args(arguments).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("it writes text");
    (output.status.code().expect("it is not killed"), text(output.stdout), text(output.stderr))
}

/// A trace that can be shrunk, in a folder that vanishes with the value.
fn file() -> (TempDir, PathBuf, Trace) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trace.json");
    let trace = longer();
    fs::write(&path, trace.to_json()).expect("a file");
    (folder, path, trace)
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).expect("a folder");
    let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("a text");
    let mut names: Vec<_> = entries.map(|entry| name(entry.expect("an entry"))).collect();
    names.sort();
    names
}

#[test]
fn the_command_writes_to_standard_output_and_leaves_the_input_alone() {
    let (folder, path, trace) = file();
    let (code, out, err) = command(&[&path]);
    assert_eq!((code, err.as_str()), (0, "5 steps → 4 steps\n"));
    assert_eq!(out, shrunk(&trace).expect("a violation").to_json());
    assert_eq!(fs::read_to_string(&path).expect("a text"), trace.to_json());
    assert_eq!(names(&folder), ["trace.json"]);
}

#[test]
fn the_command_writes_to_the_file_that_is_named() {
    let (folder, path, trace) = file();
    let minimal = folder.path().join("minimal.json");
    let (code, out, err) = command(&[&path, "-o".as_ref(), &minimal]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", "5 steps → 4 steps\n"));
    assert_eq!(Trace::read(&minimal).expect("a trace"), shrunk(&trace).expect("a violation"));
    assert_eq!(fs::read_to_string(&path).expect("a text"), trace.to_json());
    assert_eq!(names(&folder), ["minimal.json", "trace.json"]);

    let (code, out, err) = command(&[&minimal]);
    assert_eq!((code, err.as_str()), (0, "4 steps → 4 steps\n"));
    assert_eq!(out, fs::read_to_string(&minimal).expect("a text"));
}

#[cfg(target_os = "linux")]
#[test]
fn the_command_writes_to_what_is_no_file_and_does_not_replace_it() {
    let (_folder, path, trace) = file();
    let (code, out, err) = command(&[&path, "-o".as_ref(), "/dev/stdout".as_ref()]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(out, shrunk(&trace).expect("a violation").to_json());
}

/// The cause that somebody wrote for the longer run is not lost.
#[test]
fn the_command_replaces_its_input_if_it_is_named_so() {
    let (folder, path, trace) = file();
    let (code, out, _) = command(&[&path, "--output".as_ref(), &path]);
    assert_eq!((code, out.as_str()), (0, ""));
    let cause = format!("of an earlier run: {}", trace.cause);
    let expected = Trace { cause, ..shrunk(&trace).expect("a violation") };
    assert_eq!(Trace::read(&path).expect("a trace"), expected);
    assert_eq!(names(&folder), ["trace.json"]);
}

#[test]
fn the_command_ends_with_1_if_nothing_is_violated() {
    let (folder, path, mut trace) = file();
    trace.steps.pop();
    fs::write(&path, trace.to_json()).expect("a file");
    let (code, out, err) = command(&[&path, "-o".as_ref(), &folder.path().join("minimal.json")]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("does not violate no-lost-message-validity"), "{err}");
    assert!(err.contains("interrex replay --schedule-only"), "{err}");
    assert_eq!(names(&folder), ["trace.json"]);
}

#[test]
fn the_command_ends_with_2_if_a_file_is_bad_and_the_input_is_still_there() {
    let (folder, path, trace) = file();
    let nowhere = folder.path().join("no/such/../folder");
    fs::write(folder.path().join("no"), "a file").expect("a file");
    let (code, out, err) = command(&[&path, "-o".as_ref(), &nowhere]);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.starts_with("error: ") && err.contains("no file can be written there"), "{err}");
    assert_eq!(fs::read_to_string(&path).expect("a text"), trace.to_json());
    // A folder that is misspelt is not made.
    let misspelt = folder.path().join("nothing/made.json");
    let (code, _, err) = command(&[&path, "-o".as_ref(), &misspelt]);
    assert!(code == 2 && err.contains("there is no folder"), "{err}");
    assert!(!folder.path().join("nothing").exists());

    fs::write(&path, trace.to_json().replace("gms3", "gms4")).expect("a file");
    let (code, _, err) = command(&[&path]);
    assert_eq!(code, 2);
    assert!(err.contains("there is no protocol `gms4`, did you mean `gms3`?"), "{err}");
    assert_eq!(command(&[]).0, 2);
    assert_eq!(command(&[&folder.path().join("nothing.json")]).0, 2);
}
