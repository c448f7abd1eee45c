//! Protocols of one's own: registered, with properties of their own, checked, drawn at random, replayed, run and validated.

use interrex::{
    gen_leader::Roster,
    machine::{Boot, Effect, EffectOf, Event, EventOf, Machine, NodeId},
    runtime::{ClusterKey, Config},
};
use interrex_models::{
    claim::property::{self, Kind, Property},
    evidence::replay::{Mode, Outcome},
    explore::{
        sample::{self, Schedules},
        search::Limits,
    },
    model::environment::Start,
    protocol::{
        Fact, Notion, Protocol, Standing, gms2, gms3,
        registry::{Registry, built_in},
    },
    real::{
        line::Notice,
        plain::Plain,
        validate::{Carry, Verdict, validate},
    },
    verdict::{matrix::Matrix, outcome, scenario::Scenario},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{borrow::Cow, path::Path, time::Duration};

/// The crate that `interrex new` makes.
#[path = "../../models/template/src/lib.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, clippy::pedantic)]
mod template;

#[test]
fn what_new_makes_is_wrong_in_the_one_place_that_its_scenario_expects() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("template/scenarios");
    let scenarios = Scenario::read_all(&template::protocols(), &folder).expect("scenarios");
    for scenario in &scenarios {
        let limits = Limits::default();
        let report = scenario.harness().check(scenario, None, limits, &mut |_| {});
        report.assert_as_expected();
        let wrong =
            report.properties.iter().filter(|row| row.verdict == outcome::Verdict::Violated);
        assert_eq!(wrong.map(|row| row.name).collect::<Vec<_>>(), ["leader-exists"]);
    }
    assert_eq!(scenarios.len(), 1);
}

/// A lamp that its application switches on and off.
#[derive(Clone)]
struct Lamp;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Switch {
    On,
    Off,
}

impl Machine for Lamp {
    type State = bool;
    type Message = ();
    type Command = Switch;
    type Timer = ();
    type Stable = ();
    type Observation = Switch;

    fn start(&self, _: Boot<()>) -> (bool, Vec<EffectOf<Self>>) {
        (false, vec![])
    }

    fn step(&self, lit: bool, event: EventOf<Self>) -> (bool, Vec<EffectOf<Self>>) {
        match event {
            Event::Command(switch) => (switch == Switch::On, vec![Effect::Observe(switch)]),
            Event::Message { .. } | Event::Down(_) | Event::Timeout(()) => (lit, vec![]),
        }
    }
}

impl Protocol for Lamp {
    fn name(&self) -> Cow<'static, str> {
        "lamp".into()
    }

    fn summary(&self) -> Cow<'static, str> {
        "it is switched on and off".into()
    }

    fn properties(&self) -> &'static [&'static Property] {
        &[&DARK, &FEW_SWITCHES, &NEVER_ASKED, &property::NO_LIVELOCK]
    }

    fn starts(&self) -> &'static [Start] {
        &[Start::Idle]
    }

    fn joins_through_contact(&self) -> bool {
        false
    }

    fn command(&self, _: NodeId, issued: u32) -> Option<Switch> {
        Some(if issued.is_multiple_of(2) { Switch::On } else { Switch::Off })
    }

    fn standing(&self, _: &bool) -> Standing {
        Standing::Seeking
    }

    fn notion(&self, _: &Switch) -> Notion {
        Notion::Unremarked
    }

    fn facts(&self, lit: &bool) -> Vec<Fact> {
        vec![Fact::new("lit", lit)]
    }

    fn told(&self, switch: &Switch) -> Vec<Fact> {
        vec![Fact::new("switched", switch)]
    }
}

impl Plain for Lamp {}

const DARK: Property = Property::new(
    "dark",
    Kind::Safety,
    "no lamp is lit",
    "a lamp has been switched off",
    |group, complain| {
        for node in group.nodes.iter().filter(|node| node.fact("lit") == Some(true)) {
            complain(format_args!("the lamp of {} is lit", node.me));
        }
    },
    |nodes| {
        nodes.iter().any(|node| node.told("switched").any(|switch: Switch| switch == Switch::Off))
    },
);

const FEW_SWITCHES: Property = Property::new(
    "few-switches",
    Kind::Settled,
    "no lamp has been switched three times, in all lives of its node",
    "a lamp has been switched",
    |group, complain| {
        for node in group.nodes.iter().filter(|node| node.told::<Switch>("switched").count() > 2) {
            complain(format_args!("the lamp of {} has been switched too often", node.me));
        }
    },
    |nodes| nodes.iter().any(|node| node.told::<Switch>("switched").next().is_some()),
);

const NEVER_ASKED: Property =
    Property::new("never-asked", Kind::Safety, "nothing", "nothing does", |_, _| {}, |_| false);

fn registry() -> Registry {
    Registry::new().protocol(|_: &Roster| Lamp)
}

/// Its worlds: idle, up after 0 to 3 commands, crashed after as many, and up again in 6 states: after one command and after
/// three the lamp is lit or, if the node has come back since, dark.
const SCENARIO: &str = r#"
    summary = "one lamp"
    protocol = "lamp"
    nodes = 1
    start = "idle"
    budgets = { commands = 3, crashes = 1, restarts = 1 }

    [expect]
    states = 15

    [expect.properties]
    dark = { violated = 2 }
    few-switches = { violated = 4 }
    never-asked = "unwitnessed"
    no-livelock = "holds"
"#;

fn scenario(name: &str) -> Scenario {
    Scenario::parse(&registry(), Path::new("lamp.toml"), name, SCENARIO).expect("a scenario")
}

#[test]
fn a_property_of_ones_own_is_checked_replayed_and_shrunk() {
    let scenario = scenario("lamp/one");
    let report = scenario.harness().check(&scenario, None, Limits::default(), &mut |_| {});
    report.assert_as_expected();
    for row in &report.properties[..2] {
        let trace = row.counterexample.as_ref().expect("a run");
        let (known, property) = registry().of(trace).expect("a property");
        let harness = known.harness(&trace.environment);
        let replay = harness.replay(trace, property, Mode::Exact, None);
        let Outcome::Violated { after, complaints } = replay.outcome else { panic!("{replay:?}") };
        assert_eq!(after, trace.steps.len());
        assert!(complaints[0].starts_with("the lamp of n0 "), "{complaints:?}");
        assert_eq!(harness.shrink(trace, property).as_ref().map(|it| it.steps.len()), Some(after));
    }
    assert_eq!(report.properties[2].verdict, outcome::Verdict::Unwitnessed);
}

/// The second life of a node has told what the first one did, too; its state is its own.
#[test]
fn what_was_told_outlives_a_crash_and_the_state_does_not() {
    let mut scenario = scenario("lamp/one");
    scenario.properties.retain(|(property, _)| property.name == "few-switches");
    let harness = scenario.harness();
    let report = harness.check(&scenario, None, Limits::default(), &mut |_| {});
    assert_eq!(report.properties[0].steps, Some(4));
    let schedules = Schedules { count: 200, ..Schedules::default() };
    let report = harness.fuzz(&scenario, schedules, &mut |_| {});
    let verdicts: Vec<_> = report.properties.iter().map(|row| (row.name, row.verdict)).collect();
    let violated = sample::Verdict::Violated;
    assert_eq!(verdicts[..2], [("dark", violated), ("few-switches", violated)]);
}

#[test]
fn the_matrix_has_the_columns_that_there_are_and_names_those_that_it_lacks() {
    let crashes = SCENARIO.replace("crashes = 1, restarts = 1", "crashes = 1");
    let path = Path::new("lamp.toml");
    let scenario = Scenario::parse(&registry(), path, "lamp/crash-stop", &crashes).expect("it");
    let matrix = Matrix::pinned(&[scenario]);
    let text = matrix.to_markdown(".");
    assert!(text.contains("| `dark` | [✗ 2](./lamp/dark.crash-stop.json) | – |"), "{text}");
    let missing = matrix.missing();
    assert_eq!(missing.len(), 7);
    assert!(missing.iter().all(|(known, _)| known.name() == "lamp"));
}

#[test]
fn a_registry_tells_what_it_has() {
    let registry = registry().protocol(gms3::real::machine).variant(gms2::real::machine);
    assert_eq!(registry["lamp"].summary(), "it is switched on and off");
    let listed: Vec<_> = registry.all().iter().map(|known| known.name()).collect();
    assert_eq!(listed, ["lamp", "gms3"]);
    assert!(registry.named("gms2").is_ok());
    let error = registry.named("lmap").expect_err("there is none");
    assert_eq!(error, "there is no protocol `lmap`, did you mean `lamp`? (there are: lamp, gms3)");
    let names: Vec<_> = registry.properties().iter().map(|property| property.name).collect();
    assert_eq!(names[0], "single-leader");
    assert_eq!(names[names.len() - 3..], ["dark", "few-switches", "never-asked"]);
    let ours: Vec<_> = built_in().properties().iter().map(|property| property.name).collect();
    let all: Vec<_> = property::ALL.iter().map(|property| property.name).collect();
    assert_eq!(ours, all);
}

#[test]
#[should_panic = "two protocols are called `lamp`"]
fn two_protocols_cannot_have_the_same_name() {
    let _ = registry().variant(|_: &Roster| Lamp);
}

#[test]
#[should_panic = "runs as a whole are judged by `no-livelock` alone"]
fn a_property_of_runs_cannot_be_made() {
    let _ = Property::new("no-end", Kind::Fair, "it ends", "always", |_, _| {}, |_| true);
}

#[test]
#[should_panic = "a property says what exercises it"]
fn a_property_that_does_not_say_what_exercises_it_cannot_be_made() {
    let _ = Property::new("idle", Kind::Safety, "nothing", "", |_, _| {}, |_| true);
}

/// The lamp is lit for a while only: the state after each step is judged, not just the last one.
#[tokio::test]
async fn a_real_node_takes_typed_commands_and_its_log_is_judged() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("n0.log");
    let key = ClusterKey::generate().expect("a key");
    let mut config = Config::new(NodeId(0), "127.0.0.1:0", [], key, "lamp");
    config.log = Some(log.clone());
    let (registry, roster) = (registry(), Roster::new(1, 0));
    let started = registry["lamp"].spawn(&roster, config, Duration::from_secs(1)).await;
    let (mut node, mut client) = started.expect("it starts");
    assert!(client.ask("switch", "on").is_none());
    assert!(client.ask("command", " ").is_none());
    let wrong = client.ask("command", "blue").expect("a request").await;
    let Some(Notice::Error { error }) = wrong else { panic!("{wrong:?}") };
    assert!(error.contains("unknown variant `blue`, expected `on` or `off`"), "{error}");
    for typed in ["on", "\"off\""] {
        assert_eq!(client.ask("command", typed).expect("a request").await, Some(Notice::Done));
    }
    for observation in ["on", "off"] {
        let observation = json!(observation);
        assert_eq!(node.notice().await, Some(Notice::Observed { observation }));
    }
    node.shut_down().await.expect("it ends");
    let validation = validate(&registry, &[log], Carry::FirstBut(&[])).expect("a log");
    assert!(validation.differences.is_empty() && validation.contradictions.is_empty());
    let verdicts: Vec<_> =
        validation.verdicts.iter().map(|(it, verdict)| (it.name, verdict)).collect();
    let [("dark", Verdict::Violated { complaints, count: 1, place: Some(place) }), rest @ ..] =
        &verdicts[..]
    else {
        panic!("{verdicts:?}")
    };
    assert_eq!((complaints[0].as_str(), place.line), ("the lamp of n0 is lit", 2));
    assert_eq!(rest[0], ("few-switches", &Verdict::Holds));
    assert_eq!(rest[1], ("never-asked", &Verdict::Unwitnessed));
    let carried = validation.carried.expect("a run").outcome.expect("it can be carried over");
    let trace = carried.trace;
    assert_eq!((trace.property.as_str(), trace.steps.len()), ("dark", 2));
}
