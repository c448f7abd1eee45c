//! The determinism audit: everything is run twice, and must be the same.
//!
//! A machine may consult nothing but its input: no clock, no chance, no memory of its own, no order that an
//! address or a seed decides. What the search finds of one that does is worth nothing, and its traces do not
//! replay. So all worlds of a scenario are visited twice, in the same order and by one and the same machine,
//! which the second time is asked for every step again. After each transition a rolling
//! [digest](crate::model::digest) takes in the action, the effects that the machine asked for, and the content of the
//! next world. It is portable: two computers, too, can be compared by it.
//!
//! What an audit cannot see is a machine that errs the same way both times.
//!
//! # Example
//!
//! A machine that counts its steps, behind the harness's back:
//!
//! ```
//! use interrex::machine::*;
//! use interrex_models::{claim::property::{NO_LIVELOCK, Property}, explore::{audit::audit, search::Limits}, model::{environment::*, node::Node, world::Rules}, protocol::*, verdict::scenario::Scenario};
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
    evidence::{replay::describe, trace::to_value},
    explore::search::Limits,
    io::text::{differences, plain},
    model::{
        action::ActionOf,
        digest::{combine, digest},
        environment::Budgets,
        memo::narrow,
        node::Node,
        parts::Handle,
        world::{EnabledOf, Rules, World},
    },
    protocol::Protocol,
    verdict::outcome::Comparison,
};
use interrex::machine::NodeId;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;
use serde_json::{Value, json};
use std::{collections::VecDeque, fmt, hash::Hash, ops::ControlFlow, time::Instant};

/// What an audit has found.
#[derive(Clone, Debug, Serialize)]
pub struct Audit {
    /// The rolling digest over all that was compared, in 16 hexadecimal digits: the same on every machine.
    pub digest: String,
    /// Everything was compared.
    pub complete: bool,
    /// How many worlds have been expanded twice.
    pub states: u64,
    /// How many transitions that were.
    pub transitions: u64,
    /// How long it took.
    pub seconds: f64,
    /// What the machine did otherwise the second time.
    pub difference: Option<Difference>,
}

/// The first step that was not the same twice.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The actions before it.
    pub run: Vec<String>,
    /// The action.
    pub action: String,
    /// What was not the same.
    pub contrasts: Vec<Contrast>,
}

/// Something that was not the same twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Contrast {
    /// What: the effects, or something at the node.
    pub what: String,
    /// As it was the first time.
    pub first: Value,
    /// As it was the second time.
    pub second: Value,
}

/// Visits all worlds that the rules allow twice, and compares. What these rules remember is not used.
///
/// The limits hold for each of the two runs; of threads there is always one.
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
        difference: differs.then(|| contrast_from(&first, &second, &walk.way_to(compared))),
    }
}

/// Takes a single run twice, and compares: the first difference, if there is one. What the rules remember they
/// do not ask the machine for again, so one of them should be [anew](Rules::anew).
pub fn audit_run<P: Protocol>(
    first: &Rules<P>,
    second: &Rules<P>,
    run: &[ActionOf<P>],
) -> Option<Difference> {
    let mut worlds = [first.initial(), second.initial()];
    let contrasts = contrast_beginnings((first, &worlds[0]), (second, &worlds[1]));
    if !contrasts.is_empty() {
        return Some(Difference::of_beginnings(contrasts));
    }
    for (taken, action) in run.iter().enumerate() {
        let found = [first.find(&worlds[0], action), second.find(&worlds[1], action)];
        let contrasts = match found {
            [Ok(one), Ok(other)] => {
                let contrasts = contrast((first, &worlds[0], &one), (second, &worlds[1], &other));
                worlds = [first.follow(&worlds[0], &one), second.follow(&worlds[1], &other)];
                contrasts
            }
            // Impossible both times: a run ends there.
            [Err(_), Err(_)] => return None,
            [one, other] => {
                let said = |found: Result<_, String>| found.err().unwrap_or("possible".into());
                vec![Contrast::new("the action", said(one), said(other))]
            }
        };
        if !contrasts.is_empty() {
            let run = run[..taken].iter().map(ToString::to_string).collect();
            return Some(Difference { run, action: action.to_string(), contrasts });
        }
    }
    None
}

/// Digests of what worlds of these rules are made of, each computed once.
pub struct Digests<'a, P: Protocol> {
    rules: &'a Rules<P>,
    nodes: FxHashMap<Handle, u64>,
    signals: FxHashMap<Handle, u64>,
    links: FxHashMap<Handle, u64>,
    effects: FxHashMap<Handle, u64>,
    actions: FxHashMap<ActionOf<P>, u64>,
    budgets: FxHashMap<Budgets, u64>,
}

impl<'a, P: Protocol> Digests<'a, P> {
    /// Digests for these rules.
    pub fn new(rules: &'a Rules<P>) -> Self {
        Self {
            rules,
            nodes: FxHashMap::default(),
            signals: FxHashMap::default(),
            links: FxHashMap::default(),
            effects: FxHashMap::default(),
            actions: FxHashMap::default(),
            budgets: FxHashMap::default(),
        }
    }

    /// The rolling digest after each action of a run: of everything up to there.
    ///
    /// # Errors
    /// If an action is not possible: why.
    ///
    /// # Panics
    /// If a part of the machine cannot be written as JSON.
    pub fn run(&mut self, run: &[ActionOf<P>]) -> Result<Vec<u64>, String> {
        let mut world = self.rules.initial();
        let mut roll = self.world(&world);
        let mut rolled = vec![];
        for action in run {
            let enabled = self.rules.find(&world, action)?;
            world = self.rules.follow(&world, &enabled);
            let after = self.world(&world);
            roll = self.roll(roll, &enabled, after);
            rolled.push(roll);
        }
        Ok(rolled)
    }

    /// The rolling digest behind one more transition.
    fn roll(&mut self, roll: u64, enabled: &EnabledOf<P>, after: u64) -> u64 {
        let action = known(&mut self.actions, enabled.action.clone(), || {
            digest(&(&enabled.action.choice, enabled.action.crash_after))
        });
        // Of effects that leave nothing in the world, too: a send that vanishes, how long a timer runs.
        let effects = enabled.step().map_or(0, |step| {
            let parts = self.rules.parts();
            known(&mut self.effects, step, || digest(&parts.step_at(step).effects))
        });
        combine(&[roll, action, effects, after])
    }

    /// The digest of a world's content.
    fn world(&mut self, world: &World) -> u64 {
        let (nodes, links, cut, budgets) = world.content(self.rules.environment().size());
        let parts = self.rules.parts();
        let mut content = Vec::with_capacity(nodes.len() + links.len() + 2);
        content.push(known(&mut self.budgets, budgets, || digest(&budgets)));
        // No cut adds nothing: digests are older than cuts.
        content.extend(cut.map(|side| digest(&side)));
        for node in nodes {
            content.push(known(&mut self.nodes, *node, || digest(parts.node(*node))));
        }
        for link in links {
            let signals = &mut self.signals;
            content.push(known(&mut self.links, *link, || {
                let signal =
                    |signal: &Handle| known(signals, *signal, || digest(parts.input_at(*signal)));
                combine(&parts.signals(*link).iter().map(signal).collect::<Vec<_>>())
            }));
        }
        combine(&content)
    }
}

fn known<K: Eq + Hash>(memo: &mut FxHashMap<K, u64>, key: K, value: impl FnOnce() -> u64) -> u64 {
    *memo.entry(key).or_insert_with(value)
}

/// All worlds, breadth first and in a fixed order.
struct Walk<'a, P: Protocol> {
    digests: Digests<'a, P>,
    /// The digests of worlds that were met.
    met: FxHashSet<u64>,
    /// Those that are not expanded yet.
    waiting: VecDeque<World>,
    /// For each that was met but the first: from which, and by which of the actions possible there.
    came_from: Vec<(u32, u32)>,
    roll: u64,
    transitions: u64,
}

impl<'a, P: Protocol> Walk<'a, P> {
    fn new(rules: &'a Rules<P>) -> Self {
        let mut digests = Digests::new(rules);
        let initial = rules.initial();
        let roll = digests.world(&initial);
        Self {
            digests,
            met: [roll].into_iter().collect(),
            waiting: rules.is_within_bound(&initial).then_some(initial).into_iter().collect(),
            came_from: vec![],
            roll,
            transitions: 0,
        }
    }

    /// Expands one world after the other, as long as `go_on` wants, which is told the rolling digest
    /// behind each; whether there was an end of it.
    fn run(
        &mut self,
        limits: Limits,
        progress: &mut dyn FnMut(u64),
        mut go_on: impl FnMut(u64) -> ControlFlow<()>,
    ) -> bool {
        let deadline = limits.deadline();
        for expanded in 0_usize.. {
            let Some(world) = self.waiting.pop_front() else { break };
            let too_many = limits.max_states.is_some_and(|most| expanded as u64 >= most.get());
            let look = expanded.is_multiple_of(1024);
            if too_many || (look && deadline.is_some_and(|deadline| Instant::now() > deadline)) {
                return false;
            }
            if look {
                progress(expanded as u64);
            }
            self.expand(&world, expanded);
            if go_on(self.roll).is_break() {
                return false;
            }
        }
        true
    }

    fn expand(&mut self, world: &World, place: usize) {
        let rules = self.digests.rules;
        let mut actions = vec![];
        rules.enabled(world, &mut actions);
        self.roll = combine(&[self.roll, actions.len() as u64]);
        for (nth, enabled) in actions.iter().enumerate() {
            let next = rules.follow(world, enabled);
            let after = self.digests.world(&next);
            self.roll = self.digests.roll(self.roll, enabled, after);
            self.transitions += 1;
            if rules.is_within_bound(&next) && self.met.insert(after) {
                self.waiting.push_back(next);
                self.came_from.push((narrow(place), narrow(nth)));
            }
        }
    }

    /// Which of the possible actions to take, one after the other, to come to the world of this place.
    fn way_to(&self, mut place: usize) -> Vec<usize> {
        let mut way = vec![];
        while let Some((from, nth)) = place.checked_sub(1).map(|before| self.came_from[before]) {
            way.push(nth as usize);
            place = from as usize;
        }
        way.reverse();
        way
    }
}

/// What differs among the actions that are possible at the end of a way; both rules remember what they were
/// told there.
fn contrast_from<P: Protocol>(first: &Rules<P>, second: &Rules<P>, way: &[usize]) -> Difference {
    let (mut worlds, mut run) = ([first.initial(), second.initial()], vec![]);
    let contrasts = contrast_beginnings((first, &worlds[0]), (second, &worlds[1]));
    if !contrasts.is_empty() {
        return Difference::of_beginnings(contrasts);
    }
    let actions = |rules: &Rules<P>, world: &World| {
        let mut actions = vec![];
        rules.enabled(world, &mut actions);
        actions
    };
    for nth in way {
        let taken = actions(first, &worlds[0])[*nth].clone();
        let taken_again = actions(second, &worlds[1])[*nth].clone();
        run.push(taken.action.to_string());
        worlds = [first.follow(&worlds[0], &taken), second.follow(&worlds[1], &taken_again)];
    }
    let [possible, possible_again] = [actions(first, &worlds[0]), actions(second, &worlds[1])];
    for (one, other) in possible.iter().zip(&possible_again) {
        let contrasts = contrast((first, &worlds[0], one), (second, &worlds[1], other));
        if !contrasts.is_empty() {
            return Difference { run, action: one.action.to_string(), contrasts };
        }
    }
    let counts = [&possible, &possible_again].map(Vec::len);
    let contrasts = vec![Contrast::new("how many actions are possible", counts[0], counts[1])];
    Difference { run, action: "none".into(), contrasts }
}

/// What differs at the nodes of two worlds in which nothing has happened yet.
fn contrast_beginnings<P: Protocol>(
    (first, begins): (&Rules<P>, &World),
    (second, begins_again): (&Rules<P>, &World),
) -> Vec<Contrast> {
    let nodes = (0..first.environment().size()).map(NodeId);
    let contrasts = nodes
        .flat_map(|node| contrast_nodes(first.node(begins, node), second.node(begins_again, node)));
    contrasts.collect()
}

/// What differs in two transitions: their actions, what the machine asks for, the node afterwards.
fn contrast<P: Protocol>(
    (first, before, one): (&Rules<P>, &World, &EnabledOf<P>),
    (second, before_again, other): (&Rules<P>, &World, &EnabledOf<P>),
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
    let after = first.follow(before, one);
    let after_again = second.follow(before_again, other);
    contrasts.extend(node.into_iter().flat_map(|node| {
        contrast_nodes(first.node(&after, node), second.node(&after_again, node))
    }));
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
    /// How it compares with what is expected: that nothing differs.
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
