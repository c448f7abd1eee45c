//! Drawings say when a life ends, whatever the states of the machine look like.

use interrex::machine::{Boot, EffectOf, Event, EventOf, Machine, NodeId};
use interrex_models::{
    claim::property::{Property, SINGLE_LEADER},
    evidence::{
        draw::{
            chart::{Chart, Passage},
            fold::{self, Line},
            text,
        },
        replay::{End, Fate, Mode, Replay, replay},
        trace::Trace,
    },
    io::text::{differences, plain, put},
    model::{
        action::{ActionOf, Choice},
        environment::{Budget, Environment, Start, Timers},
        world::Rules,
    },
    protocol::{Notion, Protocol, Standing, registry::built_in},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{borrow::Cow, path::Path};

const N0: NodeId = NodeId(0);

#[test]
fn a_record_inside_a_record_has_brackets() {
    let installed =
        json!({ "number": 2, "term": { "counter": 1, "owner": "n0" }, "members": ["n0"] });
    let said = plain(&json!({ "observe": { "installed": installed } }));
    let expected = "observe(installed(number: 2, term: (counter: 1, owner: n0), members: [n0]))";
    assert_eq!(said, expected);
    assert_eq!(plain(&json!([{ "n": 1, "m": 2 }])), "[(n: 1, m: 2)]");
}

/// A variant has a name, and what a name holds looks like a call; what belongs to a process does not.
#[test]
fn a_map_with_one_entry_is_no_call() {
    assert_eq!(plain(&json!({ "n0": 3 })), "{n0: 3}");
    assert_eq!(
        plain(&json!({ "n1#2": { "a": 1, "b": 2 }, "n2": null })),
        "{n1#2: (a: 1, b: 2), n2: -}"
    );
    assert_eq!(plain(&json!({ "7": [1] })), "{7: [1]}");
    assert_eq!(plain(&json!({ "promised": { "n0": 3 } })), "promised({n0: 3})");
    assert_eq!(plain(&json!({ "promised": 3 })), "promised(3)");
}

/// A machine whose states are written as texts.
#[derive(Clone, Copy)]
struct Moody;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mood {
    Idle,
    Busy,
}

impl Machine for Moody {
    type State = Mood;
    type Message = ();
    type Command = ();
    type Timer = ();
    type Stable = ();
    type Observation = ();

    fn start(&self, _: Boot<()>) -> (Mood, Vec<EffectOf<Self>>) {
        (Mood::Idle, vec![])
    }

    fn step(&self, mood: Mood, event: EventOf<Self>) -> (Mood, Vec<EffectOf<Self>>) {
        match event {
            Event::Command(()) if mood == Mood::Idle => (Mood::Busy, vec![]),
            _ => (Mood::Idle, vec![]),
        }
    }
}

impl Protocol for Moody {
    fn name(&self) -> Cow<'static, str> {
        "moody".into()
    }
    fn summary(&self) -> Cow<'static, str> {
        "is idle or busy".into()
    }
    fn properties(&self) -> &'static [&'static Property] {
        &[&SINGLE_LEADER]
    }
    fn starts(&self) -> &'static [Start] {
        &[Start::Idle]
    }
    fn joins_through_contact(&self) -> bool {
        false
    }
    fn command(&self, _: NodeId, _: u32) -> Option<()> {
        Some(())
    }
    fn standing(&self, _: &Mood) -> Standing {
        Standing::Seeking
    }
    fn notion(&self, (): &()) -> Notion {
        Notion::Unremarked
    }
}

/// A node that comes up, is busy, is idle again, and crashes.
fn replayed() -> Replay {
    replayed_with(2)
}

/// The same with another number of commands.
fn replayed_with(commands: u32) -> Replay {
    let budgets = [(Budget::Commands, commands), (Budget::Crashes, 1)].into();
    let environment = Environment::new(1, Start::Idle, Timers::Late, &budgets).expect("it fits");
    let rules = Rules::new(Moody, environment);
    let start = [Choice::Start { node: N0, contact: None }];
    let commands = (0..commands).map(|_| Choice::Command { node: N0 });
    let run = start.into_iter().chain(commands).chain([Choice::Crash { node: N0 }]);
    let run: Vec<ActionOf<Moody>> = run.map(Into::into).collect();
    let trace = Trace::record(&rules, "a scene", SINGLE_LEADER.name, &run);
    replay(Moody, &trace, &SINGLE_LEADER, Mode::Exact, None)
}

#[test]
fn a_state_that_is_written_as_a_text_is_not_the_end_of_a_life() {
    let replay = replayed();
    let ended: Vec<_> = replay.steps.iter().map(|step| step.ended).collect();
    assert_eq!(ended, [None, None, None, Some(End::Crashed)]);
    let drawn = text::draw(&Chart::of(&replay));
    let marks: Vec<_> = drawn.lines().filter_map(|line| line.chars().nth(8)).collect();
    assert_eq!(marks, ['n', '●', '●', '●', '●', '✕'], "{drawn}");
}

#[test]
fn a_state_that_is_called_idle_is_not_a_node_that_has_not_started() {
    let changes = |step: usize| -> Vec<_> {
        let changes = replayed().steps[step].changes.clone().into_iter();
        changes
            .map(|change| format!("{}: {} {}", change.what, change.before, change.after))
            .collect()
    };
    assert_eq!(changes(0), [r#"condition: "idle" "up""#, r#"state: null "idle""#]);
    assert_eq!(changes(1), [r#"state: "idle" "busy""#]);
    assert_eq!(changes(3), [r#"condition: "up" "crashed""#, r#"state: "idle" null"#]);
}

#[test]
fn a_long_run_is_folded_and_a_short_one_is_not() {
    let lines = |commands: u32| -> Vec<(usize, usize)> {
        let chart = Chart::of(&replayed_with(commands));
        let ends = |line: &Line<'_>| (line.rows()[0].step, line.rows().len());
        fold::folded(&chart).iter().map(ends).collect()
    };
    assert_eq!(lines(58), (1..=60).map(|step| (step, 1)).collect::<Vec<_>>());
    // The start, what does not matter, and the last steps with the crash.
    let last = (296..=301).map(|step| (step, 1));
    let expected: Vec<_> = [(1, 1), (2, 294)].into_iter().chain(last).collect();
    assert_eq!(lines(299), expected);
}

#[test]
fn a_journey_ends_where_its_message_is_lost() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces");
    let path = folder.join("gms3/no-lost-message-validity.joined-3.json");
    let trace = Trace::read(&path).expect("a trace");
    let (known, property) = built_in().of(&trace).expect("a known protocol and property");
    let replay = known.harness(&trace.environment).replay(&trace, property, Mode::Exact, None);
    let journey = |it: &Passage| (it.from.0, it.to.0, it.label.clone(), it.sent, it.end);
    let journeys: Vec<_> = Chart::of(&replay).journeys.iter().map(journey).collect();
    let lost = |step| Some((step, Fate::Lost));
    let expected = [
        // The multicast is lost with the leader, which ends in step 2.
        (1, 0, "mcast".into(), 1, lost(2)),
        (0, 1, "down".into(), 2, Some((3, Fate::Arrived))),
        (0, 2, "down".into(), 2, lost(4)),
        // The last view again, and the new one.
        (1, 2, "view".into(), 3, lost(4)),
        (1, 2, "view".into(), 3, lost(4)),
    ];
    assert_eq!(journeys, expected);
}

#[test]
fn the_differences_of_two_values_lead_from_one_to_the_other() {
    let pairs = [
        (json!({ "a": { "b": 1, "c": 2 } }), json!({ "a": { "b": 1, "c": 3 } })),
        (json!({ "a": null, "b": 1 }), json!({ "a": { "b": 2 }, "b": 1 })),
        // A name may contain a dot, or begin like another.
        (
            json!({ "n0": 1, "n0.1": { "x": 1 }, "n": 0 }),
            json!({ "n0": 2, "n0.1": { "x": 2 }, "n": 1 }),
        ),
        (json!({ "a": { "b": 1 }, "a.b": 1 }), json!({ "a": { "b": 1 }, "a.b": 2 })),
        (json!(1), json!([2])),
    ];
    for (before, after) in pairs {
        let mut value = before.clone();
        for (path, _, new) in differences(&before, &after) {
            put(&mut value, &path, &new);
        }
        assert_eq!(value, after);
    }
}
