//! The stage: machines that do what their script says, and remember only their mood.

use interrex::machine::{Address, Boot, Effect, EffectOf, Event, EventOf, Machine, NodeId, Peer};
use interrex_models::{
    claim::property::{NO_LIVELOCK, Property},
    evidence::{
        replay::{Mode, Outcome, Replay, replay},
        trace::{Trace, TraceStep},
    },
    explore::search::Limits,
    model::{
        environment::{Budget, Environment, Start, Timers},
        node::{Condition, Node},
    },
    protocol::{Notion, Protocol, Standing},
    verdict::{
        check::{Report, check},
        outcome::{Expected, Verdict},
        scenario::Scenario,
    },
};
use std::{borrow::Cow, collections::BTreeMap, str::FromStr, time::Duration};

/// A script has a row for each thing that a node can meet, as `n0 ping from n1: send @n1 pong`, or as `n0/1 …` for a
/// node in mood 1. Every node begins in mood 0, and `mood 1` changes it.
pub(super) struct Puppet(BTreeMap<String, Part>);

/// The reaction of a node: its next mood, if that changes, and the effects.
#[derive(Clone, Default)]
struct Part {
    mood: Option<u8>,
    effects: Vec<EffectOf<Puppet>>,
}

impl Machine for Puppet {
    type State = (Address, u8);
    type Message = String;
    type Command = u32;
    type Timer = u8;
    type Stable = ();
    type Observation = ();

    fn start(&self, boot: Boot<()>) -> ((Address, u8), Vec<EffectOf<Self>>) {
        ((boot.me, 0), vec![])
    }

    fn step(
        &self,
        (me, mood): (Address, u8),
        event: EventOf<Self>,
    ) -> ((Address, u8), Vec<EffectOf<Self>>) {
        let event = match event {
            Event::Message { from, message } => format!("{message} from {}", from.node),
            Event::Down(peer) => format!("down {peer}"),
            Event::Timeout(timer) => format!("timeout {timer}"),
            Event::Command(index) => format!("command {index}"),
        };
        let row = |who: String| self.0.get(&format!("{who} {event}"));
        let part = row(format!("{}/{mood}", me.node)).or_else(|| row(me.node.to_string()));
        let Part { mood: next, effects } = part.cloned().unwrap_or_default();
        ((me, next.unwrap_or(mood)), effects)
    }
}

impl Protocol for Puppet {
    fn name(&self) -> Cow<'static, str> {
        "puppet".into()
    }

    fn summary(&self) -> Cow<'static, str> {
        "does what it is told".into()
    }

    fn properties(&self) -> &'static [&'static Property] {
        &[&NO_LIVELOCK]
    }

    fn starts(&self) -> &'static [Start] {
        &[Start::Joined]
    }

    fn joins_through_contact(&self) -> bool {
        true
    }

    fn command(&self, node: NodeId, issued: u32) -> Option<u32> {
        self.0.contains_key(&format!("{node} command {issued}")).then_some(issued)
    }

    fn joined(&self, size: u16) -> Option<Vec<Node<Self>>> {
        let up = |id: NodeId| Condition::Up((id.first_life(), 0));
        Some((0..size).map(NodeId).map(|id| Node { condition: up(id), ..Node::idle(id) }).collect())
    }

    fn standing(&self, _: &(Address, u8)) -> Standing {
        Standing::Outsider
    }

    fn notion(&self, (): &()) -> Notion {
        Notion::Unremarked
    }
}

/// Adds what one instruction says.
fn instruct(part: &mut Part, text: &str) {
    part.effects.push(match text.split_whitespace().collect::<Vec<_>>()[..] {
        ["send", to, message] => Effect::Send { to: parse(to), message: message.into() },
        ["set", timer] => Effect::SetTimer { timer: parse(timer), after: Duration::ZERO },
        ["cancel", timer] => Effect::CancelTimer(parse(timer)),
        ["monitor", peer] => Effect::Monitor(parse::<Peer>(peer)),
        ["demonitor", peer] => Effect::Demonitor(parse(peer)),
        ["observe"] => Effect::Observe(()),
        ["stop"] => Effect::Stop("stop".into()),
        ["mood", mood] => return part.mood = Some(parse(mood)),
        _ => panic!("`{text}` is not an instruction"),
    });
}

fn parse<T: FromStr>(text: &str) -> T {
    text.parse().ok().unwrap_or_else(|| panic!("`{text}`"))
}

pub(super) fn actions(trace: &Trace) -> Vec<String> {
    let action = |step: &TraceStep| step.action::<u8>().map(|a| a.to_string());
    trace.steps.iter().map(|step| action(step).expect("an action")).collect()
}

/// Puppets that play a script.
pub(super) struct Scene<'a> {
    pub(super) nodes: u16,
    pub(super) script: &'a str,
    pub(super) timers: Timers,
    pub(super) timeouts: u32,
    pub(super) faults: BTreeMap<Budget, u32>,
}

impl<'a> Scene<'a> {
    /// Nobody crashes, and no timer fires.
    pub(super) fn of(nodes: u16, script: &'a str) -> Self {
        Self { nodes, script, timers: Timers::Late, timeouts: 0, faults: BTreeMap::new() }
    }

    pub(super) fn puppet(&self) -> Puppet {
        let rows = self.script.split('|').filter_map(|row| row.trim().split_once(':'));
        let part = |does: &str| {
            let mut part = Part::default();
            let texts = does.split(',').map(str::trim).filter(|text| !text.is_empty());
            texts.for_each(|text| instruct(&mut part, text));
            part
        };
        Puppet(rows.map(|(event, does)| (event.into(), part(does))).collect())
    }

    pub(super) fn environment(&self) -> Environment {
        let mut given = self.faults.clone();
        given.extend([(Budget::Commands, 9), (Budget::Timeouts, self.timeouts)]);
        Environment::new(self.nodes, Start::Joined, self.timers, &given).expect("it fits")
    }

    pub(super) fn check(&self, limits: Limits) -> Report {
        let scenario = Scenario {
            name: "a scene".into(),
            protocol: None,
            summary: String::new(),
            nightly: false,
            environment: self.environment(),
            states: None,
            properties: vec![(&NO_LIVELOCK, Some(Expected::Holds))],
            source: None,
        };
        check(self.puppet(), &scenario, limits, &mut |_| {})
    }

    pub(super) fn holds(&self) -> bool {
        self.check(Limits::default()).properties[0].verdict == Verdict::Holds
    }

    /// The lasso that is found, and that violates when it is run again.
    pub(super) fn lasso(&self) -> Trace {
        let mut report = self.check(Limits::default());
        let row = report.properties.remove(0);
        assert_eq!(row.verdict, Verdict::Violated);
        let trace = row.counterexample.expect("a counterexample");
        let outcome = self.replay(&trace, Mode::Exact).outcome;
        assert!(matches!(outcome, Outcome::Violated { after, .. } if Some(after) == row.steps));
        trace
    }

    pub(super) fn replay(&self, trace: &Trace, mode: Mode) -> Replay {
        replay(self.puppet(), trace, &NO_LIVELOCK, mode, None)
    }
}
