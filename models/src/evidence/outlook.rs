//! The outlook from the end of a run: what can happen next, what cannot and why, and how the properties stand.
//!
//! A run is given by the names of its actions, from the beginning. So whoever looks around keeps nothing but names: to go
//! back is to leave out the last one.

mod candidates;

use crate::{
    claim::property::{Kind, Property},
    evidence::{
        replay::{Outcome, livelock},
        trace::{FORMAT, Trace, TraceStep, to_value},
    },
    explore::livelock::Cycle,
    model::{
        action::{Action, Choice, ChoiceOf, Side},
        environment::{Budget, Environment, Times},
        node::Input,
        world::{EnabledOf, Rules, World},
    },
    protocol::Protocol,
};
use interrex::machine::NodeId;
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt;

/// The end of a run, and what can be seen from there.
#[derive(Clone, Debug, Serialize)]
pub struct Outlook {
    /// The steps to there, as a trace keeps them.
    pub steps: Vec<TraceStep>,
    /// The actions that can happen next, in a fixed order.
    pub ways: Vec<Way>,
    /// The actions that one can think of, and that cannot happen.
    pub refused: Vec<Refusal>,
    /// The signals under way, by link.
    pub links: Vec<Link>,
    /// The budgets of the environment, and what is left of them.
    pub budgets: Vec<Left>,
    /// The nodes that are cut off from the others.
    pub cut_off: Option<Side>,
    /// Nothing is left to do.
    pub is_settled: bool,
    /// The properties.
    pub properties: Vec<Judged>,
    /// The number of steps before the loop, if the run ends where it could go round for ever.
    pub loop_from: Option<usize>,
}

/// An action that can happen next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Way {
    /// Its kind, in a word.
    pub kind: &'static str,
    /// Its name.
    pub action: String,
    /// The node crashes within the step.
    pub crashes: bool,
    /// The input of the node, or the message that a fault happens to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub met: Option<Value>,
}

/// An action that cannot happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Its kind, in a word.
    pub kind: &'static str,
    /// Its name.
    pub action: String,
    /// The reason, in a sentence.
    pub reason: String,
}

/// A link with something on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// The signals, the next one to arrive first.
    pub signals: Vec<Value>,
}

/// A budget, and what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The kind of action.
    pub budget: Budget,
    /// The times that it can still happen.
    pub left: Times,
    /// The times that it could happen at the beginning.
    pub given: Times,
}

/// A property, and how it stands.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// The claim, in a sentence.
    pub sentence: &'static str,
    /// It is judged at the end of the run.
    pub is_judged: bool,
    /// The violations at the end of the run, a sentence for each.
    pub complaints: Vec<String>,
    /// The first step after which it is violated.
    pub violated: Option<usize>,
    /// The first step after which it is exercised.
    pub exercised: Option<usize>,
}

/// A name of a run that does not lead on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// Its place, from 1.
    pub step: usize,
    /// The name.
    pub action: String,
    /// The reason.
    pub reason: String,
}

/// ``step 3, `crash n0`, is not possible: n0 is not up``.
impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, action, reason } = self;
        write!(f, "step {step}, `{action}`, is not possible: {reason}")
    }
}

/// The outlook from the end of the run whose actions have these names.
///
/// # Errors
/// If one of them is not possible: the first, and the reason.
pub fn outlook<P: Protocol>(
    rules: &Rules<P>,
    properties: &[&'static Property],
    names: &[String],
) -> Result<Outlook, Stray> {
    let run = Run::of(rules, names)?;
    let end = run.end();
    let loop_from = run.loop_from();
    let environment = rules.environment();
    let given = |budget: &Budget| environment.budgets[*budget] > 0;
    let left = |budget| Left {
        budget,
        left: Times(rules.budgets(end)[budget]),
        given: Times(environment.budgets[budget]),
    };
    Ok(Outlook {
        steps: run.taken.iter().map(|taken| TraceStep::of(rules, taken)).collect(),
        ways: enabled(rules, end).iter().map(|it| Way::of(rules, end, it)).collect(),
        refused: run.refused(),
        links: links(rules, end),
        budgets: Budget::ALL.into_iter().filter(given).map(left).collect(),
        cut_off: rules.cut(end),
        is_settled: rules.is_settled(end),
        properties: properties.iter().map(|property| run.judged(property, loop_from)).collect(),
        loop_from,
    })
}

/// A run, with every world on its way.
struct Run<'a, P: Protocol> {
    rules: &'a Rules<P>,
    /// The world at the beginning, and that after each step.
    worlds: Vec<World>,
    taken: Vec<EnabledOf<P>>,
}

impl<'a, P: Protocol> Run<'a, P> {
    fn of(rules: &'a Rules<P>, names: &[String]) -> Result<Self, Stray> {
        let mut run = Self { rules, worlds: vec![rules.initial()], taken: vec![] };
        for (name, step) in names.iter().zip(1..) {
            let mut actions = enabled(rules, run.end()).into_iter();
            let Some(next) = actions.find(|it| it.action.to_string() == *name) else {
                let refused = run.refused().into_iter().find(|it| it.action == *name);
                let reason = refused.map_or("no action is called so here".into(), |it| it.reason);
                return Err(Stray { step, action: name.clone(), reason });
            };
            run.worlds.push(rules.follow(run.end(), &next));
            run.taken.push(next);
        }
        Ok(run)
    }

    fn end(&self) -> &World {
        &self.worlds[self.taken.len()]
    }

    /// The actions that one can think of at the end, and that are not possible.
    fn refused(&self) -> Vec<Refusal> {
        let (rules, end) = (self.rules, self.end());
        let candidates = candidates::all(rules, &self.worlds).into_iter();
        let refusal = |choice: ChoiceOf<P>| {
            let action = Action::from(choice);
            let reason = rules.find(end, &action).err()?;
            Some(Refusal { kind: kind(&action.choice), action: action.to_string(), reason })
        };
        candidates.filter_map(refusal).collect()
    }

    /// The number of steps before a loop that the run has gone through, and could go through for ever.
    fn loop_from(&self) -> Option<usize> {
        let before = (0..self.taken.len()).filter(|at| self.worlds[*at] == *self.end());
        before.rev().find(|from| {
            let mut cycle = Cycle::begin(self.rules, &self.worlds[*from]);
            let steps = self.taken.iter().zip(&self.worlds[1..]).skip(*from);
            steps.for_each(|(it, next)| cycle.take(self.rules, &it.action.choice, next));
            cycle.closes_in(self.end())
        })
    }

    fn judged(&self, property: &'static Property, loop_from: Option<usize>) -> Judged {
        let (rules, end) = (self.rules, self.end());
        let first = |holds: &dyn Fn(&World) -> bool| self.worlds.iter().position(holds);
        let is_exercised = |world: &World| {
            let subjects = rules.judged(world, property.kind);
            subjects.is_some_and(|subjects| {
                rules.group(world, subjects, |group| property.is_witnessed(group.nodes))
            })
        };
        let goes_round = loop_from.filter(|_| property.kind == Kind::Fair);
        let complaints = match goes_round.map(|from| livelock(from, self.taken.len())) {
            Some(Outcome::Violated { complaints, .. }) => complaints,
            _ => rules.complaints(end, property),
        };
        Judged {
            name: property.name,
            kind: property.kind,
            sentence: property.claim,
            is_judged: rules.judged(end, property.kind).is_some(),
            complaints,
            violated: goes_round
                .map(|_| self.taken.len())
                .or_else(|| first(&|world| rules.is_violated(world, property))),
            exercised: first(&is_exercised),
        }
    }
}

impl Way {
    fn of<P: Protocol>(rules: &Rules<P>, world: &World, enabled: &EnabledOf<P>) -> Self {
        let choice = &enabled.action.choice;
        let met = rules.met(world, choice).map(|input| match input {
            Input::Start(boot) => json!({ "start": boot }),
            Input::Event(event) => to_value(event),
        });
        Self {
            kind: kind(choice),
            action: enabled.action.to_string(),
            crashes: enabled.action.crash_after.is_some(),
            met,
        }
    }
}

impl Outlook {
    /// The trace of the run, which is about one of the properties.
    #[must_use]
    pub fn trace(
        &self,
        protocol: &str,
        scenario: &str,
        environment: &Environment,
        about: &Judged,
    ) -> Trace {
        Trace {
            format: FORMAT,
            protocol: protocol.into(),
            scenario: scenario.into(),
            environment: environment.clone(),
            property: about.name.into(),
            violates: about.violated.is_some(),
            cause: String::new(),
            loop_from: self.loop_from.filter(|_| about.kind == Kind::Fair),
            steps: self.steps.clone(),
        }
    }
}

fn enabled<P: Protocol>(rules: &Rules<P>, world: &World) -> Vec<EnabledOf<P>> {
    let mut actions = vec![];
    rules.enabled(world, &mut actions);
    actions
}

fn links<P: Protocol>(rules: &Rules<P>, world: &World) -> Vec<Link> {
    let link = |(from, to)| {
        let signals = rules.signals(world, from, to).into_iter().map(to_value).collect();
        Link { from, to, signals }
    };
    rules.pairs().map(link).filter(|link| !link.signals.is_empty()).collect()
}

/// The kind of a choice, in a word.
fn kind<Timer>(choice: &Choice<Timer>) -> &'static str {
    match choice {
        Choice::Start { .. } => "start",
        Choice::Command { .. } => "command",
        Choice::Deliver { .. } => "deliver",
        Choice::Timeout { .. } => "time-out",
        Choice::Crash { .. } => "crash",
        Choice::Restart { .. } => "restart",
        Choice::Drop { .. } => "drop",
        Choice::Duplicate { .. } => "duplicate",
        Choice::Overtake { .. } => "overtake",
        Choice::Suspect { .. } => "suspect",
        Choice::Cut { .. } => "cut",
        Choice::Heal => "heal",
    }
}
