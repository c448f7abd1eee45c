//! Drawings say when a life ends, whatever the states of the machine look like.

use interrex::machine::{Boot, EffectOf, Event, EventOf, Machine, NodeId};
use interrex_models::{
    claim::property::{Property, SINGLE_LEADER},
    evidence::{
        draw::{chart::Chart, text},
        replay::{End, Mode, Replay, replay},
        trace::Trace,
    },
    io::text::plain,
    model::{
        action::{ActionOf, Choice},
        environment::{Budget, Environment, Start, Timers},
        world::Rules,
    },
    protocol::{Notion, Protocol, Standing},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::borrow::Cow;

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
    let budgets = [(Budget::Commands, 2), (Budget::Crashes, 1)].into();
    let environment = Environment::new(1, Start::Idle, Timers::Late, &budgets).expect("it fits");
    let rules = Rules::new(Moody, environment);
    let start = Choice::Start { node: N0, contact: None };
    let command = Choice::Command { node: N0 };
    let run = [start, command.clone(), command, Choice::Crash { node: N0 }];
    let run: Vec<ActionOf<Moody>> = run.map(Into::into).into();
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
