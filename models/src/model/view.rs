//! Worlds in forms that do not depend on one process. A [`World`] is made of handles into the tables of one
//! process. Here are a [portable form](Portable) that can be written and read back, [digests](Digests) that
//! are the same on every machine, and a node as a [plain value](describe).

use crate::{
    model::{
        action::{ActionOf, Side},
        digest::{combine, digest},
        environment::{Budget, Budgets},
        node::{Condition, Input, Node},
        parts::Handle,
        world::{EnabledOf, Rules, World, surroundings::Surroundings},
    },
    protocol::Protocol,
};
use derive_where::derive_where;
use interrex::machine::{Event, EventOf, Machine, NodeId};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use smallvec::SmallVec;
use std::hash::Hash;

/// The complete content of a world, without handles.
#[derive_where(Clone, Debug, PartialEq, Eq)]
#[derive(Serialize, Deserialize)]
#[serde(bound = "", deny_unknown_fields)]
pub struct Portable<M: Machine> {
    /// The nodes, in the order of their numbers.
    pub nodes: Vec<Node<M>>,
    /// The signals on each link, its head first: the links by sender, then by receiver.
    pub links: Vec<Vec<EventOf<M>>>,
    /// One side of the cut, while one is open.
    pub cut: Option<Side>,
    /// The remaining budgets.
    pub budgets: Budgets,
}

impl<P: Protocol> Rules<P> {
    /// The portable form of a world.
    pub fn export(&self, world: &World) -> Portable<P> {
        let Surroundings { cut, budgets } = *self.surroundings(world);
        let nodes = world.nodes(self.environment().size());
        let link = |(from, to)| self.signals(world, from, to).into_iter().cloned().collect();
        Portable {
            nodes: nodes.iter().map(|node| self.parts().node(*node).clone()).collect(),
            links: self.pairs().map(link).collect(),
            cut,
            budgets,
        }
    }

    /// The world of a portable form.
    ///
    /// # Errors
    /// If it cannot be a world of this environment: a sentence that says why.
    pub fn import(&self, portable: &Portable<P>) -> Result<World, String> {
        self.check(portable)?;
        let Portable { nodes, links, cut, budgets } = portable;
        let parts = self.parts();
        let nodes = nodes.iter().map(|node| parts.intern_node(node.clone()));
        let link = |signals: &Vec<EventOf<P>>| {
            let signals = signals.iter().map(|signal| parts.input(Input::Event(signal.clone())));
            parts.link_of(signals)
        };
        let surroundings = Surroundings { cut: *cut, budgets: *budgets };
        Ok(self.world(nodes.chain(links.iter().map(link)), surroundings))
    }

    fn check(&self, portable: &Portable<P>) -> Result<(), String> {
        let Portable { nodes, links, cut, budgets } = portable;
        let size = usize::from(self.environment().size());
        if nodes.len() != size {
            return Err(format!("{} nodes: expected {size}", nodes.len()));
        }
        if links.len() != size * size {
            return Err(format!("{} links: expected {}", links.len(), size * size));
        }
        if let Some((expected, node)) = self.nodes().zip(nodes).find(|(id, node)| *id != node.id) {
            return Err(format!("the node {}: expected {expected}", node.id));
        }
        let is_signal = |event: &_| matches!(event, Event::Message { .. } | Event::Down(_));
        for ((from, to), signals) in self.pairs().zip(links) {
            if let Some(event) = signals.iter().find(|event| !is_signal(event)) {
                return Err(format!("{event:?} on the link from {from} to {to}: no signal"));
            }
            if !(signals.is_empty() || nodes[usize::from(to.0)].is_up()) {
                return Err(format!("signals on the link from {from} to {to}: {to} is not up"));
            }
        }
        if let Some(node) =
            cut.and_then(|side| side.nodes().find(|node| usize::from(node.0) >= size))
        {
            return Err(format!("a cut names {node}: there is none"));
        }
        let most = self.environment().budgets;
        match Budget::ALL.into_iter().find(|budget| budgets[*budget] > most[*budget]) {
            Some(budget) => Err(format!("more {budget} left than there were")),
            None => Ok(()),
        }
    }

    /// The ends of each link, in their order in a world.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (NodeId, NodeId)> + use<P> {
        let size = self.environment().size();
        let nodes = move || (0..size).map(NodeId);
        nodes().flat_map(move |from| nodes().map(move |to| (from, to)))
    }
}

/// Digests of worlds and runs of these rules: portable fingerprints, the same on every machine. The digest
/// of each part is computed once.
pub struct Digests<'a, P: Protocol> {
    rules: &'a Rules<P>,
    nodes: OfParts,
    signals: OfParts,
    links: OfParts,
    effects: OfParts,
    actions: FxHashMap<ActionOf<P>, u64>,
    budgets: FxHashMap<Budgets, u64>,
}

impl<'a, P: Protocol> Digests<'a, P> {
    /// Digests for these rules.
    pub fn new(rules: &'a Rules<P>) -> Self {
        Self {
            rules,
            nodes: OfParts::default(),
            signals: OfParts::default(),
            links: OfParts::default(),
            effects: OfParts::default(),
            actions: FxHashMap::default(),
            budgets: FxHashMap::default(),
        }
    }

    /// The rules whose worlds are digested.
    pub(crate) fn rules(&self) -> &'a Rules<P> {
        self.rules
    }

    /// The digest of a world's content.
    ///
    /// # Panics
    /// If a part of the machine cannot be written as JSON.
    pub fn world(&mut self, world: &World) -> u64 {
        // A new field of a world or of its surroundings must be digested too.
        let Surroundings { cut, budgets } = *self.rules.surroundings(world);
        let size = self.rules.environment().size();
        let (nodes, links) = (world.nodes(size), world.links(size));
        let parts = self.rules.parts();
        let mut content = SmallVec::<[u64; 32]>::new();
        content.push(known(&mut self.budgets, budgets, || digest(&budgets)));
        // Without a cut nothing is added. So digests that were recorded before cuts existed stay valid.
        content.extend(cut.map(|side| digest(&side)));
        for node in nodes {
            content.push(self.nodes.know(*node, || digest(parts.node(*node))));
        }
        for link in links {
            let signals = &mut self.signals;
            content.push(self.links.know(*link, || {
                let signal =
                    |signal: &Handle| signals.know(*signal, || digest(parts.input_at(*signal)));
                combine(&parts.signals(*link).iter().map(signal).collect::<Vec<_>>())
            }));
        }
        combine(&content)
    }

    /// The rolling digest after each action of a run. Each covers everything up to there.
    ///
    /// # Errors
    /// If an action is not possible: why.
    ///
    /// # Panics
    /// If a part of the machine cannot be written as JSON.
    pub fn run(&mut self, run: &[ActionOf<P>]) -> Result<Vec<u64>, String> {
        let initial = self.rules.initial();
        let mut roll = self.world(&initial);
        let taken = self.rules.run(initial, run);
        let rolled = taken.map(|taken| {
            let (enabled, next) = taken?;
            let after = self.world(&next);
            roll = self.roll(roll, &enabled, after);
            Ok(roll)
        });
        rolled.collect()
    }

    /// The rolling digest after one more transition, which leads to a world with the digest `after`.
    pub(crate) fn roll(&mut self, roll: u64, enabled: &EnabledOf<P>, after: u64) -> u64 {
        let action = known(&mut self.actions, enabled.action.clone(), || {
            digest(&(&enabled.action.choice, enabled.action.crash_after))
        });
        // Includes effects that leave no trace in the world: a lost send, the duration of a timer.
        let effects = enabled.step().map_or(0, |step| {
            let parts = self.rules.parts();
            self.effects.know(step, || digest(&parts.step_at(step).effects))
        });
        combine(&[roll, action, effects, after])
    }
}

/// The digests of the parts of a table, as far as they are known.
#[derive(Default)]
struct OfParts(Vec<Option<u64>>);

impl OfParts {
    fn know(&mut self, part: Handle, value: impl FnOnce() -> u64) -> u64 {
        let place = part as usize;
        if self.0.len() <= place {
            self.0.resize(place + 1, None);
        }
        *self.0[place].get_or_insert_with(value)
    }
}

fn known<K: Eq + Hash>(memo: &mut FxHashMap<K, u64>, key: K, value: impl FnOnce() -> u64) -> u64 {
    *memo.entry(key).or_insert_with(value)
}

/// A node as a plain value, without its history: additions to it are effects.
pub fn describe<P: Protocol>(node: &Node<P>) -> Value {
    // A state may itself be written as one of these words, so they get a field of their own.
    let (condition, state) = match &node.condition {
        Condition::Idle => ("idle", Value::Null),
        Condition::Up(state) => ("up", json!(state)),
        Condition::Crashed => ("crashed", Value::Null),
        Condition::Stopped => ("stopped", Value::Null),
    };
    json!({
        "condition": condition,
        "state": state,
        "stable": node.stable,
        "timers": node.timers,
        "monitors": node.monitors,
    })
}
