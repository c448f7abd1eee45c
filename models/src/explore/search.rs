//! The exhaustive search: an [engine](crate::explore::engine) visits every reachable world, also those after
//! a violation. Then it looks for shortest counterexamples that the engine does not know, and for livelocks
//! if a scenario asks for them.
//!
//! A counterexample is a shortest run. Of a lasso, only the stem is surely shortest. Every engine gives the
//! same one.

pub use crate::explore::engine::{Limits, Pass, Progress};

use crate::{
    claim::property::{Kind, Property},
    explore::{
        engine::Engine,
        judge::Judged,
        layers::{Layers, shortest_runs},
        livelock::{Means, livelock_among},
        stateright::Stateright,
    },
    model::{action::ActionOf, world::Rules},
    protocol::Protocol,
};
use derive_where::derive_where;
use std::sync::Arc;
use strum::{EnumMessage, EnumString, IntoStaticStr, VariantArray};

/// The engines, by name.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, EnumMessage, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "snake_case")]
pub enum EngineName {
    /// Our own: breadth first, layer by layer, with counterexamples in the same pass.
    Layers,
    /// stateright's breadth-first search: an independent witness.
    Stateright,
}

/// The result of a search.
#[derive_where(Debug)]
pub struct Findings<P: Protocol> {
    /// The name of the engine.
    pub engine: &'static str,
    /// Every reachable world has been visited.
    pub complete: bool,
    /// The number of different worlds.
    pub states: u64,
    /// The number of pairs of a world and an action enabled in it.
    pub transitions: u64,
    /// The number of actions to the farthest world; none if the engine does not know it.
    pub depth: Option<usize>,
    /// The number of settled worlds.
    pub settled: u64,
    /// A finding for each property, in the order given.
    pub properties: Vec<Finding<P>>,
}

/// The result of a search for one property.
#[derive_where(Debug)]
pub struct Finding<P: Protocol> {
    /// The property.
    pub property: &'static Property,
    /// Every world on which it depends has been visited.
    pub complete: bool,
    /// A world violates it, or a livelock does.
    pub violated: bool,
    /// A world is its witness.
    pub witnessed: bool,
    /// A shortest run to a world that violates it, or a lasso. None if nothing violates it, or if a limit
    /// ended the search for such a run.
    pub counterexample: Option<Vec<ActionOf<P>>>,
    /// The number of actions before the cycle of a lasso.
    pub loop_from: Option<usize>,
    /// The way in which livelocks were looked for. None for other properties.
    pub means: Option<Means>,
}

/// Explores every world that the rules allow and judges the properties in it. Unless an engine is named, it is
/// our own.
///
/// # Panics
/// If there are more than 32 properties or no threads.
pub fn search<P: Protocol>(
    rules: &Arc<Rules<P>>,
    properties: &[&'static Property],
    engine: Option<EngineName>,
    limits: Limits,
    progress: &mut dyn FnMut(Progress),
) -> Findings<P> {
    match engine.unwrap_or(EngineName::Layers) {
        EngineName::Layers => search_by(&Layers, rules, properties, limits, progress),
        EngineName::Stateright => search_by(&Stateright, rules, properties, limits, progress),
    }
}

/// The same with a given engine.
///
/// # Panics
/// As [`search`].
pub fn search_by<P: Protocol>(
    engine: &impl Engine,
    rules: &Arc<Rules<P>>,
    properties: &[&'static Property],
    limits: Limits,
    progress: &mut dyn FnMut(Progress),
) -> Findings<P> {
    assert!(limits.threads > 0, "a search needs a thread");
    let judged = Arc::new(Judged::new(properties));
    let explored = engine.explore(rules, &judged, limits, progress);
    let (judgement, mut runs) = (explored.judgement, explored.shortest);
    let mut returns = explored.returns;
    let known = runs.keys().fold(0, |known, row| known | (1 << row));
    let unknown = judgement.violated & !known;
    if unknown != 0 {
        runs.extend(shortest_runs(rules, &judged, unknown, limits, progress));
    }
    let mut finding = |(row, property): (usize, &&'static Property)| Finding {
        property,
        complete: explored.complete,
        violated: judgement.violated & (1 << row) != 0,
        witnessed: judgement.witnessed & (1 << row) != 0,
        counterexample: runs.remove(&row),
        loop_from: None,
        means: None,
    };
    let mut findings: Vec<_> = properties.iter().enumerate().map(&mut finding).collect();
    for finding in findings.iter_mut().filter(|finding| finding.property.kind == Kind::Fair) {
        let livelock = livelock_among(rules, returns.take(), explored.complete, limits, progress);
        finding.means = Some(livelock.means);
        (finding.complete, finding.violated) = (livelock.complete, livelock.exists);
        finding.loop_from = livelock.lasso.as_ref().map(|lasso| lasso.loop_from);
        finding.counterexample = livelock.lasso.map(|lasso| lasso.run);
    }
    Findings {
        engine: engine.name(),
        complete: explored.complete,
        states: explored.states,
        transitions: explored.transitions,
        depth: explored.depth,
        settled: explored.settled,
        properties: findings,
    }
}
