//! The determinism audit: everything is run twice, and both results must be the same.
//!
//! A machine may depend on nothing but its input: no clock, no random number, no hidden memory, no order that
//! depends on an address or a seed. Otherwise the results of a search are worth nothing, and its traces do
//! not replay. So all worlds of a scenario are visited twice, in the same order and with the same machine.
//! The second time, the machine computes every step again. After each transition a rolling
//! [digest](crate::model::view::Digests) takes in the action, the effects that the machine asked for, and the
//! content of the next world. It is portable: two computers can be compared by it, too.
//!
//! An audit cannot see a machine that makes the same error both times.
//!
//! # Example
//!
//! A machine that counts its steps, which no state shows:
//!
//! ```
//! use interrex::machine::*;
//! use interrex_models::{claim::property::{NO_LIVELOCK, Property}, explore::{audit::audit, search::Limits}, model::{environment::*, world::Rules}, protocol::*, verdict::scenario::Scenario};
//! use std::{borrow::Cow, sync::atomic::{AtomicU32, Ordering::Relaxed}};
//!
//! #[derive(Default)]
//! struct Cheat(AtomicU32);
//! impl Machine for Cheat {
//!     type State = u32;
//!     type Message = ();
//!     type Command = ();
//!     type Timer = ();
//!     type Stable = ();
//!     type Observation = ();
//!
//!     fn start(&self, _: Boot<()>) -> (u32, Vec<EffectOf<Self>>) {
//!         (0, vec![])
//!     }
//!     fn step(&self, _: u32, _: EventOf<Self>) -> (u32, Vec<EffectOf<Self>>) {
//!         (self.0.fetch_add(1, Relaxed), vec![])
//!     }
//! }
//! # impl Protocol for Cheat {
//! #     fn name(&self) -> Cow<'static, str> { "cheat".into() }
//! #     fn summary(&self) -> Cow<'static, str> { "counts its steps".into() }
//! #     fn properties(&self) -> &'static [&'static Property] { &[] }
//! #     fn starts(&self) -> &'static [Start] { &[Start::Idle] }
//! #     fn joins_through_contact(&self) -> bool { false }
//! #     fn command(&self, _: NodeId, _: u32) -> Option<()> { Some(()) }
//! #     fn standing(&self, _: &u32) -> Standing { Standing::Seeking }
//! #     fn notion(&self, (): &()) -> Notion { Notion::Unremarked }
//! # }
//!
//! let scenario = Scenario::builder()
//!     .nodes(1)
//!     .start(Start::Idle)
//!     .budget(Budget::Commands, 1)
//!     .property(&NO_LIVELOCK)
//!     .build()?;
//! let rules = Rules::new(Cheat::default(), scenario.environment);
//! let difference = audit(&rules, Limits::default(), &mut |_| {}).difference.expect("it is found out");
//! assert_eq!(difference.run, ["start n0"]);
//! assert_eq!(difference.action, "command at n0");
//! assert_eq!(difference.contrasts[0].to_string(), "state: 0 the first time, 1 the second");
//! # Ok::<(), String>(())
//! ```

use crate::{
    evidence::trace::to_value,
    explore::{
        breadth::{Breadth, retrace},
        engine::{Limits, Meter},
    },
    io::text::{differences, plain},
    model::{
        action::ActionOf,
        digest::combine,
        node::Node,
        view::{Digests, describe},
        world::{EnabledOf, Rules, World},
    },
    protocol::Protocol,
    verdict::outcome::Comparison,
};
use interrex::machine::NodeId;
use serde::Serialize;
use serde_json::{Value, json};
use std::{fmt, ops::ControlFlow, time::Instant};

/// The result of an audit.
#[derive(Clone, Debug, Serialize)]
pub struct Audit {
    /// The rolling digest over all that was compared, in 16 hexadecimal digits: the same on every machine.
    pub digest: String,
    /// Everything was compared.
    pub complete: bool,
    /// The number of worlds that were expanded twice.
    pub states: u64,
    /// The number of transitions from them.
    pub transitions: u64,
    /// The duration.
    pub seconds: f64,
    /// The first step that was not the same twice, if there is one.
    pub difference: Option<Difference>,
}

/// The first step that was not the same twice.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The actions before it.
    pub run: Vec<String>,
    /// The action.
    pub action: String,
    /// Everything that was not the same.
    pub contrasts: Vec<Contrast>,
}

/// Something that was not the same twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Contrast {
    /// Its name: the effects, or something at the node.
    pub what: String,
    /// Its value the first time.
    pub first: Value,
    /// Its value the second time.
    pub second: Value,
}

/// Visits all worlds of the rules twice, and compares. Steps that these rules remember are not used.
///
/// The limits hold for each of the two visits. There is always one thread.
///
/// # Panics
/// If a part of the machine cannot be written as JSON.
pub fn audit<P: Protocol>(
    rules: &Rules<P>,
    limits: Limits,
    progress: &mut dyn FnMut(u64),
) -> Audit {
    let began = Instant::now();
    let (first, second) = (rules.anew(), rules.anew());
    let mut rolled = vec![];
    let ran = Walk::new(&first).run(limits, progress, |roll| {
        rolled.push(roll);
        ControlFlow::Continue(())
    });

    let (mut compared, mut differs) = (0, false);
    let mut walk = Walk::new(&second);
    let mut last_roll = walk.roll;
    let ran_again = walk.run(limits, progress, |roll| {
        differs = rolled.get(compared).is_some_and(|first| *first != roll);
        if differs || compared == rolled.len() {
            return ControlFlow::Break(());
        }
        (compared, last_roll) = (compared + 1, roll);
        ControlFlow::Continue(())
    });
    Audit {
        digest: format!("{last_roll:016x}"),
        complete: ran && ran_again,
        states: compared as u64,
        transitions: walk.transitions,
        seconds: began.elapsed().as_secs_f64(),
        difference: differs.then(|| contrast_from(&first, &second, &walk.breadth.way_to(compared))),
    }
}

/// Takes a single run twice, and returns the first difference, if there is one. Rules do not compute
/// remembered steps again, so one of the two should come from [`anew`](Rules::anew).
pub fn audit_run<P: Protocol>(
    first: &Rules<P>,
    second: &Rules<P>,
    run: &[ActionOf<P>],
) -> Option<Difference> {
    let (begins, begins_again) = (first.initial(), second.initial());
    let contrasts = contrast_beginnings((first, &begins), (second, &begins_again));
    if !contrasts.is_empty() {
        return Some(Difference::of_beginnings(contrasts));
    }
    let both = first.run(begins, run).zip(second.run(begins_again, run));
    for (taken, (one, other)) in both.enumerate() {
        let contrasts = match (one, other) {
            (Ok(one), Ok(other)) => contrast((first, &one), (second, &other)),
            // Impossible both times: the run ends there.
            (Err(_), Err(_)) => return None,
            (one, other) => {
                let said = |found: Result<_, String>| found.err().unwrap_or("possible".into());
                vec![Contrast::new("the action", said(one), said(other))]
            }
        };
        if !contrasts.is_empty() {
            let action = &run[taken];
            let run = run[..taken].iter().map(ToString::to_string).collect();
            return Some(Difference { run, action: action.to_string(), contrasts });
        }
    }
    None
}

/// All worlds, breadth first and in a fixed order.
struct Walk<'a, P: Protocol> {
    digests: Digests<'a, P>,
    breadth: Breadth<'a, P>,
    roll: u64,
    transitions: u64,
}

impl<'a, P: Protocol> Walk<'a, P> {
    fn new(rules: &'a Rules<P>) -> Self {
        let (mut digests, mut breadth) = (Digests::new(rules), Breadth::new(rules));
        let initial = rules.initial();
        let roll = digests.world(&initial);
        if rules.is_within_bound(&initial) {
            breadth.start(initial, roll);
        }
        Self { digests, breadth, roll, transitions: 0 }
    }

    /// Expands one world after the other while `go_on` returns true. It gets the rolling digest after each
    /// world. True if every world was expanded.
    fn run(
        &mut self,
        limits: Limits,
        progress: &mut dyn FnMut(u64),
        mut go_on: impl FnMut(u64) -> ControlFlow<()>,
    ) -> bool {
        let (mut meter, mut actions) = (Meter::new(limits), vec![]);
        while !self.breadth.is_done() {
            let expanded = meter.expanded();
            if !meter.allows_another() {
                return false;
            }
            if expanded.is_multiple_of(1024) {
                progress(expanded);
            }
            self.expand(&mut actions);
            if go_on(self.roll).is_break() {
                return false;
            }
        }
        true
    }

    fn expand(&mut self, actions: &mut Vec<EnabledOf<P>>) {
        let Some(world) = self.breadth.next(actions) else { return };
        let rules = self.digests.rules();
        self.roll = combine(&[self.roll, actions.len() as u64]);
        for (nth, enabled) in actions.iter().enumerate() {
            let next = rules.follow(&world, enabled);
            let after = self.digests.world(&next);
            self.roll = self.digests.roll(self.roll, enabled, after);
            self.transitions += 1;
            if rules.is_within_bound(&next) {
                self.breadth.enter(nth, next, after);
            }
        }
    }
}

/// The differences between the actions that are possible at the end of a path. Both rules remember the steps
/// from there, so the machine computes nothing again.
fn contrast_from<P: Protocol>(first: &Rules<P>, second: &Rules<P>, way: &[usize]) -> Difference {
    let contrasts = contrast_beginnings((first, &first.initial()), (second, &second.initial()));
    if !contrasts.is_empty() {
        return Difference::of_beginnings(contrasts);
    }
    let (run, possible) = steps_after(first, way);
    let (_, possible_again) = steps_after(second, way);
    for (one, other) in possible.iter().zip(&possible_again) {
        let contrasts = contrast((first, one), (second, other));
        if !contrasts.is_empty() {
            return Difference { run, action: one.0.action.to_string(), contrasts };
        }
    }
    let counts = [&possible, &possible_again].map(Vec::len);
    let contrasts = vec![Contrast::new("how many actions are possible", counts[0], counts[1])];
    Difference { run, action: "none".into(), contrasts }
}

/// A step, and the world after it.
type Step<P> = (EnabledOf<P>, World);

/// The actions on a path, and the steps that are possible at its end.
fn steps_after<P: Protocol>(rules: &Rules<P>, way: &[usize]) -> (Vec<String>, Vec<Step<P>>) {
    let initial = rules.initial();
    let run = retrace(rules, &initial, way);
    let end = run.last().map_or(&initial, |(_, world)| world);
    let mut actions = vec![];
    rules.enabled(end, &mut actions);
    let step = |enabled: EnabledOf<P>| {
        let next = rules.follow(end, &enabled);
        (enabled, next)
    };
    let possible = actions.into_iter().map(step).collect();
    (run.iter().map(|(action, _)| action.to_string()).collect(), possible)
}

/// The differences at the nodes of two worlds in which nothing has happened yet.
fn contrast_beginnings<P: Protocol>(
    (first, begins): (&Rules<P>, &World),
    (second, begins_again): (&Rules<P>, &World),
) -> Vec<Contrast> {
    let nodes = (0..first.environment().size()).map(NodeId);
    let contrasts = nodes
        .flat_map(|node| contrast_nodes(first.node(begins, node), second.node(begins_again, node)));
    contrasts.collect()
}

/// The differences of two steps: their actions, the effects that the machine asks for, the node afterwards.
fn contrast<P: Protocol>(
    (first, (one, after)): (&Rules<P>, &Step<P>),
    (second, (other, after_again)): (&Rules<P>, &Step<P>),
) -> Vec<Contrast> {
    if one.action != other.action {
        let [one, other] = [one, other].map(|enabled| enabled.action.to_string());
        return vec![Contrast::new("the action", one, other)];
    }
    let mut contrasts = vec![];
    let effects = |rules: &Rules<P>, enabled: &EnabledOf<P>| {
        let step = enabled.step().map(|step| rules.parts().step_at(step));
        step.map_or(json!([]), |step| to_value(&step.effects))
    };
    let [asked, asked_again] = [effects(first, one), effects(second, other)];
    if asked != asked_again {
        contrasts.push(Contrast::new("effects", asked, asked_again));
    }
    let node = one.action.choice.node();
    contrasts.extend(
        node.into_iter().flat_map(|node| {
            contrast_nodes(first.node(after, node), second.node(after_again, node))
        }),
    );
    contrasts
}

fn contrast_nodes<P: Protocol>(
    node: &Node<P>,
    again: &Node<P>,
) -> impl Iterator<Item = Contrast> + use<P> {
    let differences = differences(&describe(node), &describe(again)).into_iter();
    differences.map(|(what, first, second)| Contrast { what, first, second })
}

impl Audit {
    /// The comparison with the expectation: nothing differs.
    #[must_use]
    pub fn comparison(&self) -> Comparison {
        match (&self.difference, self.complete) {
            (Some(_), _) => Comparison::Differs,
            (None, true) => Comparison::AsExpected,
            (None, false) => Comparison::Cut,
        }
    }
}

impl Difference {
    fn of_beginnings(contrasts: Vec<Contrast>) -> Self {
        Self { run: vec![], action: "the beginning".into(), contrasts }
    }
}

impl Contrast {
    fn new(what: &str, first: impl Into<Value>, second: impl Into<Value>) -> Self {
        Self { what: what.into(), first: first.into(), second: second.into() }
    }
}

impl fmt::Display for Contrast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = [&self.first, &self.second].map(plain);
        write!(f, "{}: {first} the first time, {second} the second", self.what)
    }
}
