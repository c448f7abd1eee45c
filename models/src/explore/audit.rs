//! The determinism audit: the machine computes everything twice, and both results must be the same.
//!
//! A machine may depend on nothing but its input: no clock, no random number, no hidden memory, no order that
//! depends on an address or a seed. Otherwise the results of a search are worth nothing, and its traces do
//! not replay. So all worlds of a scenario are visited, and then the machine computes again, in the same
//! order, every step and every choice that was needed there. Each must be the same. The rules of
//! the world are not audited.
//!
//! Then it computes everything once more in a world whose lives begin elsewhere, as those of
//! real nodes do: again each must be the same, but for the numbers of lives. A machine that makes up the address of a
//! process (as `NodeId(1).first_life()`) works in the model and never over TCP. Here it is found out.
//!
//! After each transition of the visit a rolling [digest](crate::model::view::Digests) takes in the action, the
//! effects that the machine asked for, and the content of the next world. It is portable: two computers can be
//! compared by it.
//!
//! An audit cannot see a machine that makes the same error both times.
//!
//! # Example
//!
//! A machine that keeps a counter outside of its state, and returns it:
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
        breadth::{Breadth, fingerprint, retrace},
        engine::{Limits, Meter},
    },
    io::text::{differences, plain},
    model::{
        action::ActionOf,
        digest::combine,
        elsewhere,
        node::{Input, Node},
        parts::{Handle, Parts, Reach, Step},
        view::{Digests, describe},
        world::{EnabledOf, Rules, World},
    },
    protocol::Protocol,
    verdict::outcome::Comparison,
};
use derive_where::derive_where;
use im::OrdSet;
use interrex::machine::{EffectOf, NodeId};
use rustc_hash::FxHashMap;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{cell::RefCell, fmt, time::Instant};

/// The result of an audit.
#[derive(Clone, Debug, Serialize)]
pub struct Audit {
    /// The rolling digest over all that was compared, in 16 hexadecimal digits: the same on every machine.
    pub digest: String,
    /// Everything was compared.
    pub complete: bool,
    /// The number of worlds that were expanded.
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

/// Visits all worlds of the rules, lets the machine compute everything again, and compares. Steps that these
/// rules remember are not used.
///
/// The limits are those of the visit; what was visited is always compared. There is always one thread.
///
/// # Panics
/// If a part of the machine cannot be written as JSON.
pub fn audit<P: Protocol>(
    rules: &Rules<P>,
    limits: Limits,
    progress: &mut dyn FnMut(u64),
) -> Audit {
    let began = Instant::now();
    let first = rules.anew();
    let mut walk = Walk::new(&first);
    let complete = walk.run(limits, progress);
    let Walk { initial, roll, transitions, breadth, .. } = walk;
    Audit {
        digest: format!("{roll:016x}"),
        complete,
        states: breadth.expanded() as u64,
        transitions,
        seconds: began.elapsed().as_secs_f64(),
        difference: difference(&first, &initial, Lives::BOTH),
    }
}

/// The first lives of nodes the second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lives {
    /// The same as the first time.
    Same,
    /// Others, as those of real nodes.
    Elsewhere,
}

impl Lives {
    const BOTH: &[Self] = &[Self::Same, Self::Elsewhere];
}

/// Lets the machine compute everything again that these rules remember. Returns the first difference, if there
/// is one. After a search that is everything that the search has needed; an [`audit`] needs no search before,
/// and adds a digest.
pub fn recompute<P: Protocol>(rules: &Rules<P>, lives: Lives) -> Option<Difference> {
    difference(rules, &rules.initial(), &[lives])
}

/// The first difference, if the machine computes everything again that the first rules remember.
fn difference<P: Protocol>(
    first: &Rules<P>,
    initial: &World,
    lives: &[Lives],
) -> Option<Difference> {
    let second = first.anew();
    let contrasts = contrast_beginnings((first, initial), (&second, &second.initial()));
    if !contrasts.is_empty() {
        return Some(Difference::of_beginnings(contrasts));
    }
    lives.iter().find_map(|lives| {
        let second = match lives {
            Lives::Same => Second::same(&second),
            Lives::Elsewhere => Second::elsewhere(&second),
        };
        let step = step_that_differs(first, initial, &second);
        step.or_else(|| choice_that_differs(first, initial, &second))
    })
}

/// The rules by which everything is computed for the second time.
struct Second<'a, P: Protocol> {
    rules: &'a Rules<P>,
    /// The parts that the machine has made where lives begin elsewhere; none if they begin where they did.
    elsewhere: Option<RefCell<Counterparts<P>>>,
}

/// For what the machine has made the first time, what it has made the second time: a number in it may be that of a
/// life, which cannot be seen from outside. The nodes are without their monitors, which are the world's.
#[derive_where(Default)]
struct Counterparts<P: Protocol> {
    nodes: FxHashMap<Node<P>, Node<P>>,
    messages: FxHashMap<Input<P>, Input<P>>,
}

fn without_monitors<P: Protocol>(node: &Node<P>) -> Node<P> {
    Node { monitors: OrdSet::new(), ..node.clone() }
}

impl<'a, P: Protocol> Second<'a, P> {
    fn same(rules: &'a Rules<P>) -> Self {
        Self { rules, elsewhere: None }
    }

    fn elsewhere(rules: &'a Rules<P>) -> Self {
        Self { rules, elsewhere: Some(RefCell::default()) }
    }

    /// The node in its place the second time.
    fn node(&self, node: &Node<P>) -> Result<Node<P>, Vec<Contrast>> {
        let Some(counterparts) = &self.elsewhere else { return Ok(node.clone()) };
        if let Some(known) = counterparts.borrow().nodes.get(&without_monitors(node)) {
            return Ok(Node { monitors: self.moved(&node.monitors)?, ..known.clone() });
        }
        let life = elsewhere::moved_address(node.address()).life;
        Ok(Node { life, ..self.moved(node)? })
    }

    /// The input in its place the second time.
    fn input(&self, input: &Input<P>) -> Result<Input<P>, Vec<Contrast>> {
        let Some(counterparts) = &self.elsewhere else { return Ok(input.clone()) };
        let known = counterparts.borrow().messages.get(input).cloned();
        known.map_or_else(|| self.moved(input), Ok)
    }

    fn moved<T: Serialize + DeserializeOwned>(&self, part: &T) -> Result<T, Vec<Contrast>> {
        elsewhere::moved(part).map_err(|error| {
            let (first, error) = (to_value(part), error.to_string());
            vec![self.contrast("a part, written as JSON and read back", first, error.into())]
        })
    }

    /// Notes what a step has become.
    fn note(
        &self,
        (parts, step): (&Parts<P>, &Step<P>),
        (again, step_again): (&Parts<P>, &Step<P>),
    ) {
        let Some(counterparts) = &self.elsewhere else { return };
        let Counterparts { nodes, messages } = &mut *counterparts.borrow_mut();
        let of = without_monitors(parts.node(step.node));
        nodes.entry(of).or_insert_with(|| without_monitors(again.node(step_again.node)));
        for reaches in step.reach.iter().zip(&step_again.reach) {
            if let (Reach::Send { signal, .. }, Reach::Send { signal: signal_again, .. }) = reaches
            {
                let of = parts.input_at(*signal).clone();
                messages.entry(of).or_insert_with(|| again.input_at(*signal_again).clone());
            }
        }
    }

    /// A part as a plain value, as it should be the second time.
    fn value(&self, part: &impl Serialize) -> Value {
        match self.elsewhere {
            None => to_value(part),
            Some(_) => elsewhere::moved_value(part).expect("a part of a machine is JSON"),
        }
    }

    fn contrast(&self, what: &str, first: Value, second: Value) -> Contrast {
        let place = if self.elsewhere.is_some() { ", where lives begin elsewhere" } else { "" };
        Contrast { what: format!("{what}{place}"), first, second }
    }

    /// The same, unless the two differ in the numbers of lives only.
    fn unless_same(&self, what: &str, first: Value, second: Value) -> Option<Contrast> {
        let is_same = self.elsewhere.is_some() && elsewhere::is_same(&first, &second);
        (!is_same).then(|| self.contrast(what, first, second))
    }
}

fn step_that_differs<P: Protocol>(
    first: &Rules<P>,
    initial: &World,
    second: &Second<'_, P>,
) -> Option<Difference> {
    let again = |(handle, step)| (handle, contrast_again(first, step, second));
    let differs = |(_, contrasts): &(_, Vec<_>)| !contrasts.is_empty();
    let (step, contrasts) = first.parts().steps().map(again).find(differs)?;
    let run = run_to(first, initial, |_, actions| {
        let found = actions.iter().find(|enabled| enabled.step() == Some(step));
        found.map(|enabled| enabled.action.to_string())
    });
    // A group that forms takes steps before its first world, and a time-out may change nothing.
    let (run, action) = run.unwrap_or((vec![], "a step outside of every run".into()));
    Some(Difference { run, action, contrasts })
}

/// A node whose next command differs, or its need of a contact.
fn choice_that_differs<P: Protocol>(
    first: &Rules<P>,
    initial: &World,
    second: &Second<'_, P>,
) -> Option<Difference> {
    let differing = |node| (node, contrast_choices(first, node, second));
    let differs = |(_, contrasts): &(_, Vec<_>)| !contrasts.is_empty();
    let (node, contrasts) = first.parts().nodes().map(differing).find(differs)?;
    let run = run_to(first, initial, |world, _| {
        let nodes = world.nodes(first.environment().size());
        nodes.contains(&node).then(|| format!("a choice at {}", first.parts().node(node).id))
    });
    let (run, action) = run.unwrap_or((vec![], "a choice outside of every run".into()));
    Some(Difference { run, action, contrasts })
}

/// The differences of the choices that depend on a node, if they are made again.
fn contrast_choices<P: Protocol>(
    first: &Rules<P>,
    node: Handle,
    second: &Second<'_, P>,
) -> Vec<Contrast> {
    let again = match second.node(first.parts().node(node)) {
        Ok(node) => second.rules.parts().intern_node(node),
        Err(contrasts) => return contrasts,
    };
    let command = |rules: &'_ Rules<P>, node| {
        let parts = rules.parts();
        let command = if parts.node(node).is_up() { parts.command(node) } else { None };
        command.map(|command| parts.input_at(command).clone())
    };
    let finds = |rules: &Rules<P>, node| {
        let stable = rules.parts().node(node).stable.as_ref();
        json!(stable.map(|stable| rules.protocol().finds_its_group(stable)))
    };
    let choices = [
        ("command", second.value(&command(first, node)), to_value(&command(second.rules, again))),
        ("finds its group", finds(first, node), finds(second.rules, again)),
    ];
    let differing = choices.into_iter().filter(|(_, first, again)| first != again);
    differing.filter_map(|(what, first, again)| second.unless_same(what, first, again)).collect()
}

/// A shortest run to the first world in which something is found.
fn run_to<P: Protocol>(
    rules: &Rules<P>,
    initial: &World,
    found: impl Fn(&World, &[EnabledOf<P>]) -> Option<String>,
) -> Option<(Vec<String>, String)> {
    let (mut breadth, mut actions) = (Breadth::new(rules), vec![]);
    breadth.start(initial.clone(), fingerprint(initial));
    loop {
        let world = breadth.next(&mut actions)?;
        if let Some(found) = found(&world, &actions) {
            let run = retrace(rules, initial, &breadth.way_to(breadth.here()));
            return Some((run.iter().map(|(action, _)| action.to_string()).collect(), found));
        }
        for (nth, enabled) in actions.iter().enumerate() {
            let next = rules.follow(&world, enabled);
            if rules.is_within_bound(&next) && breadth.discover(fingerprint(&next)) {
                breadth.add(nth, next);
            }
        }
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
    initial: World,
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
            breadth.start(initial.clone(), roll);
        }
        Self { initial, digests, breadth, roll, transitions: 0 }
    }

    /// Expands one world after the other. True if every world was expanded.
    fn run(&mut self, limits: Limits, progress: &mut dyn FnMut(u64)) -> bool {
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
            if rules.is_within_bound(&next) && self.breadth.discover(after) {
                self.breadth.add(nth, next);
            }
        }
    }
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
    (first, (one, after)): (&Rules<P>, &(EnabledOf<P>, World)),
    (second, (other, after_again)): (&Rules<P>, &(EnabledOf<P>, World)),
) -> Vec<Contrast> {
    if one.action != other.action {
        let [one, other] = [one, other].map(|enabled| enabled.action.to_string());
        return vec![Contrast::new("the action", one, other)];
    }
    let effects = |rules: &Rules<P>, enabled: &EnabledOf<P>| {
        enabled.step().map_or(vec![], |step| rules.parts().step_at(step).effects.clone())
    };
    let again = Second::same(second);
    let effects = contrast_effects(&effects(first, one), &effects(second, other), &again);
    let mut contrasts: Vec<_> = effects.into_iter().collect();
    let node = one.action.choice.node();
    contrasts.extend(
        node.into_iter().flat_map(|node| {
            contrast_nodes(first.node(after, node), second.node(after_again, node))
        }),
    );
    contrasts
}

/// The differences of a step that was remembered, if the machine takes it again.
fn contrast_again<P: Protocol>(
    first: &Rules<P>,
    step: &Step<P>,
    second: &Second<'_, P>,
) -> Vec<Contrast> {
    let (parts, again) = (first.parts(), second.rules.parts());
    let take_again = || {
        let node = again.intern_node(second.node(parts.node(step.before))?);
        let input = again.input(second.input(parts.input_at(step.input))?);
        let step_again = again.step_at(again.step(node, input));
        let effects = contrast_effects(&step.effects, &step_again.effects, second);
        let node = parts.node(step.node);
        let expected = second.elsewhere.as_ref().map(|_| second.moved(node)).transpose()?;
        let nodes = contrast_nodes(expected.as_ref().unwrap_or(node), again.node(step_again.node));
        let nodes = nodes.filter_map(|Contrast { what, first, second: again }| {
            second.unless_same(&what, first, again)
        });
        second.note((parts, step), (again, step_again));
        Ok(effects.into_iter().chain(nodes).collect())
    };
    take_again().unwrap_or_else(|contrasts| contrasts)
}

fn contrast_effects<P: Protocol>(
    effects: &[EffectOf<P>],
    again: &[EffectOf<P>],
    second: &Second<'_, P>,
) -> Option<Contrast> {
    // Elsewhere they are compared as values, which say less of a duration.
    if effects == again && second.elsewhere.is_none() {
        return None;
    }
    second.unless_same("effects", second.value(&effects), to_value(&again))
}

fn contrast_nodes<P: Protocol>(
    node: &Node<P>,
    again: &Node<P>,
) -> impl Iterator<Item = Contrast> + use<P> {
    // Nearly always they are equal, and nothing has to be written out.
    let found = (node != again).then(|| differences(&describe(node), &describe(again)));
    let contrast = |(what, first, second)| Contrast { what, first, second };
    found.into_iter().flatten().map(contrast)
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
