//! The journey of each signal: where and when it was sent, and what became of it.

use crate::{
    evidence::trace::to_value,
    model::{
        action::{Choice, ChoiceOf},
        world::{EnabledOf, Rules, World},
    },
    protocol::Protocol,
};
use interrex::machine::{Effect, Event, EventOf, NodeId};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A signal, from its sender to where its journey ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Journey {
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// The signal: a message or a `Down`.
    pub signal: Value,
    /// The step in which it was sent; none if it was under way when the run began.
    pub sent: Option<usize>,
    /// The step in which its journey ended, and how; none if it is still under way.
    pub end: Option<(usize, Fate)>,
}

/// The end of a journey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// The receiver handled it.
    Arrived,
    /// It was lost: dropped, or its receiver was not up or could not be reached, or a `Down` was taken back.
    Lost,
}

type Link = (NodeId, NodeId);

/// The signals of a link, its head first, each with the number of its journey.
type Queue<P> = Vec<(EventOf<P>, usize)>;

/// The journeys of all signals of a run so far.
pub(super) struct Journeys<P: Protocol> {
    queues: BTreeMap<Link, Queue<P>>,
    all: Vec<Journey>,
}

impl<P: Protocol> Journeys<P> {
    /// The journeys in the world in which a run begins.
    pub(super) fn new(rules: &Rules<P>, world: &World) -> Self {
        let mut journeys = Self { queues: BTreeMap::new(), all: vec![] };
        for link in links(rules) {
            let signals = rules.signals(world, link.0, link.1).into_iter().cloned();
            let queue = signals.map(|signal| journeys.begin(link, signal, None)).collect();
            journeys.queues.insert(link, queue);
        }
        journeys
    }

    /// The step that sent the signal which this choice delivers or disturbs.
    pub(super) fn origin(&self, choice: &ChoiceOf<P>) -> Option<usize> {
        let at = usize::from(matches!(choice, Choice::Overtake { .. }));
        let (_, journey) = self.queues[&choice.link()?].get(at)?;
        self.all[*journey].sent
    }

    /// Follows a step, which leads to this world.
    pub(super) fn follow(
        &mut self,
        rules: &Rules<P>,
        step: usize,
        enabled: &EnabledOf<P>,
        after: &World,
    ) {
        let choice = &enabled.action.choice;
        self.disturb(step, choice);
        let mut left = vec![];
        for link in links(rules) {
            let signals = rules.signals(after, link.0, link.1);
            left.extend(self.carry_over(link, &signals, step));
        }
        let Some(me) = choice.node() else { return };
        for effect in rules.effects(enabled) {
            let Effect::Send { to, message } = effect else { continue };
            let link = (me, to.node());
            let is_it = |(on, signal): &(Link, EventOf<P>)| {
                *on == link && matches!(signal, Event::Message { message: it, .. } if it == message)
            };
            match left.iter().position(is_it) {
                Some(found) => drop(left.remove(found)),
                // The receiver was not up or could not be reached.
                None => self.all.push(Journey {
                    from: me,
                    to: to.node(),
                    signal: json!({ "message": { "message": message } }),
                    sent: Some(step),
                    end: Some((step, Fate::Lost)),
                }),
            }
        }
    }

    /// All of them, in the order in which they began.
    pub(super) fn all(self) -> Vec<Journey> {
        self.all
    }

    fn begin(
        &mut self,
        (from, to): Link,
        signal: EventOf<P>,
        sent: Option<usize>,
    ) -> (EventOf<P>, usize) {
        self.all.push(Journey { from, to, signal: to_value(&signal), sent, end: None });
        (signal, self.all.len() - 1)
    }

    /// Applies a choice to the queue of its link.
    fn disturb(&mut self, step: usize, choice: &ChoiceOf<P>) {
        let Some(link) = choice.link() else { return };
        let Some(queue) = self.queues.get_mut(&link) else { return };
        match choice {
            Choice::Deliver { .. } => {
                let (_, journey) = queue.remove(0);
                self.all[journey].end = Some((step, Fate::Arrived));
            }
            Choice::Drop { .. } => {
                let (_, journey) = queue.remove(0);
                self.all[journey].end = Some((step, Fate::Lost));
            }
            Choice::Duplicate { .. } => {
                let (signal, journey) = queue[0].clone();
                queue.push((signal, self.all.len()));
                self.all.push(self.all[journey].clone());
            }
            Choice::Overtake { .. } => queue.swap(0, 1),
            _ => {}
        }
    }

    /// Updates the queue of a link that has these signals after a step: first the earlier signals that are still there,
    /// in order, then those that this step has sent, which it returns. A link loses signals when a life ends, a cut
    /// opens, or a monitor is given up. It gains signals at its tail only.
    fn carry_over(
        &mut self,
        link: Link,
        signals: &[&EventOf<P>],
        step: usize,
    ) -> Vec<(Link, EventOf<P>)> {
        let mut before = self.queues.remove(&link).unwrap_or_default().into_iter();
        let (mut queue, mut sent) = (vec![], vec![]);
        for signal in signals {
            let mut kept = None;
            for (known, journey) in before.by_ref() {
                if known == **signal {
                    kept = Some((known, journey));
                    break;
                }
                self.all[journey].end = Some((step, Fate::Lost));
            }
            queue.push(kept.unwrap_or_else(|| {
                sent.push((link, (*signal).clone()));
                self.begin(link, (*signal).clone(), Some(step))
            }));
        }
        for (_, journey) in before {
            self.all[journey].end = Some((step, Fate::Lost));
        }
        self.queues.insert(link, queue);
        sent
    }
}

fn links<P: Protocol>(rules: &Rules<P>) -> impl Iterator<Item = Link> + use<P> {
    let size = rules.environment().size();
    (0..size).flat_map(move |from| (0..size).map(move |to| (NodeId(from), NodeId(to))))
}
