//! Whether two processes have led at the same time, where the order of the run alone cannot tell.
//!
//! Two leaderships overlap for certain if each began causally before the other one ended, and do not if one ended
//! causally before the other one began. Otherwise the clocks decide, unless they may differ by more than the overlap or
//! the gap.

use super::{
    join::Cluster,
    life::{Input, Place},
};
use crate::{protocol::Standing, real::application::Application};
use interrex::machine::NodeId;
use std::collections::BTreeMap;

/// A time in which a process has led.
#[derive(Clone, Copy, Debug)]
struct Leadership {
    node: NodeId,
    begin: Place,
    began: u64,
    /// The moment after its last one, with its time; none if it goes on.
    end: Option<(Place, u64)>,
}

/// The reason why the order of the run does not tell if two processes have led at the same time; none if it does.
pub(super) fn doubt<R: Application>(cluster: &Cluster<'_, R>) -> Option<String> {
    if let Some(jump) = cluster.clocks.jump {
        let milliseconds = jump.div_ceil(1000);
        return Some(format!("a clock was set while the nodes ran, by {milliseconds} ms at least"));
    }
    let leaderships: Vec<_> =
        (0..cluster.lives.len()).flat_map(|life| of_life(cluster, life)).collect();
    let pairs = leaderships.iter().enumerate();
    let mut pairs = pairs
        .flat_map(|(nth, one)| leaderships[..nth].iter().map(move |other| (one, other)))
        .filter(|(one, other)| one.node != other.node);
    let uncertainty = i128::from(cluster.clocks.uncertainty);
    if pairs.clone().all(|(one, other)| margin(one, other).abs() > uncertainty) {
        return None;
    }
    let causes = Causes::of(cluster);
    let is_certain = |(one, other): &(&Leadership, &Leadership)| {
        margin(one, other) > uncertainty
            || (causes.began_before_end(one, other) && causes.began_before_end(other, one))
    };
    // One certain overlap decides the verdict: it is violated, whatever is true of the other pairs.
    if pairs.clone().any(|pair| is_certain(&pair)) {
        return None;
    }
    let doubtful = pairs.find(|(one, other)| {
        margin(one, other).abs() <= uncertainty
            && !causes.ended_before_begin(one, other)
            && !causes.ended_before_begin(other, one)
    });
    doubtful.map(|(one, other)| worded(cluster, one, other))
}

fn worded<R: Application>(
    cluster: &Cluster<'_, R>,
    one: &Leadership,
    other: &Leadership,
) -> String {
    let (first, second) = if one.began <= other.began { (one, other) } else { (other, one) };
    let milliseconds = cluster.clocks.uncertainty.div_ceil(1000);
    format!(
        "it rests on clocks that may differ by {milliseconds} ms: {} leads from {}, {} from {}",
        first.node,
        cluster.line(first.begin),
        second.node,
        cluster.line(second.begin)
    )
}

/// How long two leaderships overlap, by the clocks; negative for a gap between them.
fn margin(one: &Leadership, other: &Leadership) -> i128 {
    let end = |it: &Leadership| it.end.map_or(i128::MAX / 2, |(_, at)| i128::from(at));
    end(one).min(end(other)) - i128::from(one.began.max(other.began))
}

fn of_life<R: Application>(cluster: &Cluster<'_, R>, life: usize) -> Vec<Leadership> {
    let it = &cluster.lives[life];
    let happened = cluster.happened(life).min(it.steps.len());
    let mut found: Vec<Leadership> = vec![];
    let mut leads = false;
    for (step, at) in it.steps[..happened].iter().enumerate() {
        let led = std::mem::replace(&mut leads, at.standing == Standing::Leading);
        let place = Place { life, step };
        match (led, leads) {
            (false, true) => {
                found.push(Leadership { node: it.me.node, begin: place, began: at.at, end: None });
            }
            (true, false) => {
                if let Some(last) = found.last_mut() {
                    last.end = Some((place, at.at));
                }
            }
            _ => {}
        }
    }
    if let (true, Some(last), Some(over)) = (leads, found.last_mut(), cluster.over[life]) {
        last.end = Some((Place { life, step: cluster.happened(life) }, over));
    }
    found
}

/// The causal order of the run, as vector clocks: for each moment, how many moments of each node are before it.
struct Causes {
    nodes: BTreeMap<NodeId, usize>,
    known: BTreeMap<Place, Vec<u32>>,
    /// The number of each moment among those of its node, from 1.
    numbers: BTreeMap<Place, u32>,
}

impl Causes {
    fn of<R: Application>(cluster: &Cluster<'_, R>) -> Self {
        let nodes: BTreeMap<_, _> = cluster.nodes().keys().copied().zip(0..).collect();
        let mut causes = Self { nodes, known: BTreeMap::new(), numbers: BTreeMap::new() };
        let mut last: Vec<Vec<u32>> = vec![vec![0; causes.nodes.len()]; causes.nodes.len()];
        for place in &cluster.order {
            let node = causes.nodes[&cluster.lives[place.life].me.node];
            let mut known = std::mem::take(&mut last[node]);
            if let Some(cause) = causes.cause(cluster, *place) {
                for (one, other) in known.iter_mut().zip(cause) {
                    *one = (*one).max(*other);
                }
            }
            known[node] += 1;
            causes.numbers.insert(*place, known[node]);
            causes.known.insert(*place, known.clone());
            last[node] = known;
        }
        causes
    }

    /// What is known at the moment that has caused this one at another node.
    fn cause<R: Application>(&self, cluster: &Cluster<'_, R>, place: Place) -> Option<&Vec<u32>> {
        if cluster.is_end(place) {
            return None;
        }
        let life = &cluster.lives[place.life];
        let cause = match life.steps[place.step].input {
            Input::Start => Place { life: cluster.life(life.contact?)?, step: 0 },
            Input::Message { from, sent, .. } => {
                Place { life: cluster.life(from)?, step: usize::try_from(sent).ok()? }
            }
            Input::Down(_) => {
                let gone = *cluster.downs.get(&place)?;
                Place { life: gone, step: cluster.happened(gone) }
            }
            Input::Timeout(_) | Input::Command(_) => return None,
        };
        self.known.get(&cause)
    }

    /// True if one moment is causally before another.
    fn is_before(&self, one: Place, node: NodeId, other: Place) -> bool {
        let (Some(number), Some(known)) = (self.numbers.get(&one), self.known.get(&other)) else {
            return false;
        };
        one != other && known[self.nodes[&node]] >= *number
    }

    fn began_before_end(&self, one: &Leadership, other: &Leadership) -> bool {
        other.end.is_none_or(|(end, _)| self.is_before(one.begin, one.node, end))
    }

    fn ended_before_begin(&self, one: &Leadership, other: &Leadership) -> bool {
        one.end.is_some_and(|(end, _)| self.is_before(end, one.node, other.begin))
    }
}
