//! Translates a run of real nodes into a trace of the harness.
//!
//! The same protocol runs in the harness with scripted commands: the i-th command of a node becomes its i-th scripted
//! command. The steps of the joined run become actions, in the same order. After each step the messages and monitors of
//! the node are compared with the log. The result is the same run, or the first step that differs.
//!
//! Two kinds of steps are left out: those that affect only a process and its local clients (calls that it answers
//! itself, clients whose time has run out), and time-outs that change nothing.

use super::{
    Carried, NotCarried, Run,
    join::Cluster,
    judge,
    life::{Delivery, EffectKind, Input, Place},
    order::Constraints,
};
use crate::{
    claim::property::{Kind, Property},
    evidence::{
        replay::{Mode, Outcome, replay},
        trace::Trace,
    },
    model::{
        action::{Action, ActionOf, Choice, ChoiceOf, spent},
        environment::{Budget, Budgets, Environment, Start, Storage, Timers, UNLIMITED},
        world::{Rules, World},
    },
    protocol::Protocol,
    real::application::{Application, CommandKind},
};
use interrex::machine::{Address, Effect, EffectOf, Event, Machine, NodeId, Peer};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, VecDeque};

/// The maximum of a budget.
const MOST: u32 = UNLIMITED - 1;

/// An effect of a step on other processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RemoteEffect {
    Send(Peer),
    Monitor(Peer),
    Demonitor(Peer),
}

/// A message that was sent: the life that sent it, and the index of the effect in that life.
type Sent = (usize, usize);

/// Translates the first moments of a run, and checks that the trace violates the property.
pub(super) fn carry<R: Application>(
    cluster: &Cluster<'_, R>,
    property: &'static Property,
    moments: usize,
) -> Carried {
    let outcome = translate(cluster, property, moments).and_then(Translation::record_violation);
    Carried { property, outcome }
}

/// Translates the first moments of a run, whether the trace violates the property or not.
pub(super) fn carry_any<R: Application>(
    cluster: &Cluster<'_, R>,
    property: &'static Property,
    moments: usize,
) -> Carried {
    let translated = translate(cluster, property, moments);
    Carried { property, outcome: translated.and_then(Translation::record) }
}

/// Translates the first moments of a run.
///
/// # Errors
/// The place where the translation fails, and the reason.
fn translate<'a, R: Application>(
    cluster: &'a Cluster<'a, R>,
    property: &'static Property,
    moments: usize,
) -> Result<Translation<'a, R>, NotCarried> {
    let (environment, order) = prepare(cluster, moments)?;
    let rules = Rules::new(cluster.machine.model(&environment), environment.clone());
    let mut translation = Translation {
        cluster,
        property,
        world: rules.initial(),
        rules,
        links: FxHashMap::default(),
        receipts: receipts(cluster),
        actions: vec![],
        times: vec![],
        left_out: BTreeMap::new(),
        violated: false,
    };
    for place in order {
        if translation.violated {
            break;
        }
        translation.take(place)?;
    }
    if property.kind == Kind::Settled {
        translation.settle()?;
    }
    Ok(translation)
}

/// The environment, with maximal budgets, and the order of the run in the harness.
fn prepare<R: Application>(
    cluster: &Cluster<'_, R>,
    moments: usize,
) -> Result<(Environment, Vec<Place>), NotCarried> {
    let constraints = constraints(cluster, moments);
    let order = cluster.merge(&constraints).map_err(|stuck| {
        let reason = "in the harness nobody waits for a node that is not up yet, and here two waited for each other";
        not(cluster, stuck[0], reason)
    })?;
    let last = cluster.nodes().keys().next_back().map_or(0, |node| node.0);
    let size = cluster.roster.map(|roster| judge::size(roster).ok_or(roster));
    let (nodes, workers) = match size {
        None => (last.saturating_add(1), 0),
        Some(Ok(size)) => size,
        Some(Err(_)) => {
            let reason = "the harness lists candidates from n0 on and workers after them, and this roster does not";
            return Err(NotCarried { place: None, reason: reason.into() });
        }
    };
    let start = if cluster.machine.joins_through_contact() { Start::Joining } else { Start::Idle };
    let mut budgets = Budgets::NONE;
    let happens = Budget::ALL
        .into_iter()
        .filter(|budget| !matches!(budget, Budget::Duplicates | Budget::Overtakes | Budget::Cuts));
    happens.for_each(|budget| budgets[budget] = MOST);
    let forgets = cluster.nodes().values().any(|lives| {
        lives
            .windows(2)
            .any(|pair| cluster.lives[pair[0]].persisted && !cluster.lives[pair[1]].has_stable)
    });
    let storage = if forgets { Storage::Lost } else { Storage::Kept };
    let environment =
        Environment { nodes, workers, start, timers: Timers::Any, storage, budgets, bound: None };
    let suits = cluster.machine.suits(&environment);
    suits.map_err(|misfit| NotCarried { place: None, reason: misfit.message })?;
    Ok((environment, order))
}

/// The first moments of the run, and the lives that must have begun before a step: in the harness, no message and no
/// monitor waits for a node that is not up yet.
fn constraints<R: Application>(cluster: &Cluster<'_, R>, moments: usize) -> Constraints {
    let mut limits = vec![0; cluster.lives.len()];
    let mut begun = FxHashMap::<Place, Vec<usize>>::default();
    let mut up = FxHashMap::<NodeId, usize>::default();
    // The monitors of nodes that are not up: the watcher and the node, with the step that set the monitor.
    let mut watching = FxHashMap::<(usize, NodeId), Place>::default();
    for place in &cluster.order[..moments] {
        limits[place.life] += 1;
        let life = &cluster.lives[place.life];
        if cluster.is_end(*place) {
            up.remove(&life.me.node);
            watching.retain(|(watcher, _), _| *watcher != place.life);
            continue;
        }
        match life.steps[place.step].input {
            Input::Start => {
                up.insert(life.me.node, place.life);
            }
            Input::Down(peer) => drop(watching.remove(&(place.life, peer.node()))),
            Input::Message { from, .. } => {
                if let Some(since) = watching.remove(&(place.life, from.node)) {
                    begun.entry(since).or_default().extend(cluster.life(from));
                }
            }
            Input::Timeout(_) | Input::Command(_) => {}
        }
        for effect in &life.effects[life.effects_of(place.step)] {
            match effect.kind {
                EffectKind::Send {
                    delivery: Delivery::Received(Place { life: receiver, .. }),
                    ..
                } if receiver != place.life => {
                    begun.entry(*place).or_default().push(receiver);
                }
                // The life that is up must be up in the harness, too, even if other lives must begin earlier.
                EffectKind::Monitor(Peer::Name(node)) => match up.get(&node) {
                    Some(there) if *there == place.life => {}
                    Some(there) => begun.entry(*place).or_default().push(*there),
                    None => drop(watching.insert((place.life, node), *place)),
                },
                EffectKind::Demonitor(peer) => drop(watching.remove(&(place.life, peer.node()))),
                _ => {}
            }
        }
    }
    // No `Down` was received for these: the monitors waited until the nodes came up.
    let mut waited: Vec<_> = watching.into_iter().collect();
    waited.sort_unstable();
    for ((_, node), since) in waited {
        begun.entry(since).or_default().extend(up.get(&node));
    }
    for life in begun.values().flatten() {
        limits[*life] = limits[*life].max(1);
    }
    Constraints { limits, begun }
}

/// The message that each step received.
fn receipts<R: Application>(cluster: &Cluster<'_, R>) -> FxHashMap<Place, Sent> {
    let lives = cluster.lives.iter().enumerate();
    let received = lives.flat_map(|(sender, life)| {
        life.effects.iter().enumerate().filter_map(move |(at, effect)| match effect.kind {
            EffectKind::Send { delivery: Delivery::Received(place), .. } => {
                Some((place, (sender, at)))
            }
            _ => None,
        })
    });
    received.collect()
}

fn not<R: Application>(
    cluster: &Cluster<'_, R>,
    place: Place,
    reason: impl Into<String>,
) -> NotCarried {
    NotCarried { place: Some(cluster.line(place)), reason: reason.into() }
}

struct Translation<'a, R: Application> {
    cluster: &'a Cluster<'a, R>,
    property: &'static Property,
    rules: Rules<R::Model>,
    world: World,
    /// The logged messages that correspond to those on each link of the world.
    links: FxHashMap<(NodeId, NodeId), VecDeque<Sent>>,
    receipts: FxHashMap<Place, Sent>,
    actions: Vec<ActionOf<R::Model>>,
    /// The time of each action.
    times: Vec<Option<u64>>,
    /// The kinds of steps left out, with their number.
    left_out: BTreeMap<&'static str, usize>,
    /// True if the property is violated.
    violated: bool,
}

impl<R: Application> Translation<'_, R> {
    fn take(&mut self, place: Place) -> Result<(), NotCarried> {
        let life = &self.cluster.lives[place.life];
        let node = life.me.node;
        if self.cluster.is_end(place) {
            return self.end(place, node);
        }
        match life.steps[place.step].input.clone() {
            Input::Start => self.start(place),
            Input::Message { from, .. } => self.deliver(place, from),
            Input::Down(peer) => self.down(place, peer),
            Input::Timeout(timer) if self.cluster.machine.is_client_timer(&timer) => {
                self.leave_out("time-outs of local clients");
                Ok(())
            }
            Input::Timeout(timer) => self.step(place, Choice::Timeout { node, timer }),
            Input::Command(CommandKind::Scripted(_)) => self.step(place, Choice::Command { node }),
            Input::Command(CommandKind::Local) => {
                self.leave_out("calls that an application makes to its own process only");
                Ok(())
            }
            Input::Command(CommandKind::End) => self.end(place, node),
            Input::Command(CommandKind::Unknown) => {
                Err(not(self.cluster, place, "the harness has no command like this one"))
            }
        }
    }

    fn leave_out(&mut self, what: &'static str) {
        *self.left_out.entry(what).or_default() += 1;
    }

    fn peer(&self, peer: Peer) -> Peer {
        match peer {
            Peer::Name(_) => peer,
            Peer::Process(process) => Peer::Process(self.cluster.numbered(process)),
        }
    }

    fn is_up(&self, node: NodeId) -> bool {
        self.rules.node(&self.world, node).is_up()
    }

    /// True if a node that comes up again needs no contact.
    fn finds_its_group(&self, node: NodeId) -> bool {
        let stable = self.rules.node(&self.world, node).stable.as_ref();
        let kept = stable.filter(|_| self.rules.environment().storage == Storage::Kept);
        kept.is_some_and(|stable| self.rules.protocol().finds_its_group(stable))
    }

    fn is_there(&self, peer: Peer) -> bool {
        match peer {
            Peer::Name(node) => self.is_up(node),
            Peer::Process(process) => {
                let node = self.rules.node(&self.world, process.node);
                node.is_up() && node.address() == process
            }
        }
    }

    /// Ends a life, if it has not ended already.
    fn end(&mut self, place: Place, node: NodeId) -> Result<(), NotCarried> {
        if !self.is_up(node) {
            return Ok(());
        }
        self.act(place, Choice::Crash { node }.into())?;
        self.forget_links_to(node);
        Ok(())
    }

    fn forget_links_to(&mut self, node: NodeId) {
        self.links.retain(|(_, to), _| *to != node);
    }

    fn start(&mut self, place: Place) -> Result<(), NotCarried> {
        let life = &self.cluster.lives[place.life];
        let node = life.me.node;
        let is_first = self.cluster.number(place.life) == 0;
        let joins = self.cluster.machine.joins_through_contact()
            && (is_first || !self.finds_its_group(node));
        if joins && life.contact.is_none() {
            // n0 is up from the beginning.
            return if is_first && node == NodeId(0) {
                Ok(())
            } else {
                let reason =
                    "in the harness n0 founds the group, in its first life, and nobody else";
                Err(not(self.cluster, place, reason))
            };
        }
        let contact = life.contact.filter(|_| joins);
        if let Some(contact) = contact {
            let known = self.cluster.numbered(contact);
            let there = self.rules.node(&self.world, contact.node);
            if !there.is_up() || there.address() != known {
                let reason = format!("in the harness {known}, its contact, is not up at this time");
                return Err(not(self.cluster, place, reason));
            }
        }
        let contact = contact.map(|contact| contact.node);
        self.step(
            place,
            if is_first {
                Choice::Start { node, contact }
            } else {
                Choice::Restart { node, contact }
            },
        )
    }

    fn deliver(&mut self, place: Place, from: Address) -> Result<(), NotCarried> {
        let (from, to) = (from.node, self.cluster.lives[place.life].me.node);
        let Some(wanted) = self.receipts.get(&place).copied() else {
            return Err(not(self.cluster, place, "no log tells of the sending of this message"));
        };
        while self.drop_lost(place, from, to)? {}
        let signals = self.rules.signals(&self.world, from, to);
        let head = self.links.get(&(from, to)).and_then(VecDeque::front);
        match signals.first() {
            Some(Event::Message { .. }) if head == Some(&wanted) => {}
            Some(Event::Message { .. }) => {
                let reason = format!("in the harness another message from {from} arrives first");
                return Err(not(self.cluster, place, reason));
            }
            Some(_) => {
                let reason = format!("in the harness {to} is told first that {from} is down");
                return Err(not(self.cluster, place, reason));
            }
            None => {
                let reason = format!(
                    "in the harness this message from {from} is not on its way: {to} was not up when it was sent"
                );
                return Err(not(self.cluster, place, reason));
            }
        }
        self.step(place, Choice::Deliver { from, to })
    }

    /// Drops the message at the head of a link if it never arrived.
    fn drop_lost(&mut self, place: Place, from: NodeId, to: NodeId) -> Result<bool, NotCarried> {
        let is_message = |event: &&_| matches!(event, Event::Message { .. });
        if !self.rules.signals(&self.world, from, to).first().is_some_and(is_message) {
            return Ok(false);
        }
        let head = self.links.get(&(from, to)).and_then(|link| link.front()).copied();
        let Some((sender, effect)) = head else { return Ok(false) };
        let EffectKind::Send { delivery, .. } = self.cluster.lives[sender].effects[effect].kind
        else {
            return Ok(false);
        };
        if let Delivery::Received(_) = delivery {
            return Ok(false);
        }
        self.act(place, Choice::Drop { from, to }.into())?;
        self.links.entry((from, to)).or_default().pop_front();
        Ok(true)
    }

    fn down(&mut self, place: Place, peer: Peer) -> Result<(), NotCarried> {
        let watcher = self.cluster.lives[place.life].me.node;
        let (from, target) = (peer.node(), self.peer(peer));
        let is_down = |event: &&_| matches!(event, Event::Down(gone) if *gone == target);
        if self.rules.signals(&self.world, from, watcher).iter().any(is_down) {
            while self.drop_lost(place, from, watcher)? {}
            if self.rules.signals(&self.world, from, watcher).first().is_some_and(is_down) {
                return self.step(place, Choice::Deliver { from, to: watcher });
            }
            let reason = format!("in the harness a message of {from} arrives before this");
            return Err(not(self.cluster, place, reason));
        }
        self.step(place, Choice::Suspect { watcher, target })
    }

    /// Takes a step, and compares its effects on others with the log.
    fn step(&mut self, place: Place, choice: ChoiceOf<R::Model>) -> Result<(), NotCarried> {
        let whole = Action::from(choice.clone());
        let enabled = self
            .rules
            .find(&self.world, &whole)
            .map_err(|reason| self.refusal(place, &whole, &reason))?;
        let effects: Vec<_> = self.rules.effects(&enabled).to_vec();
        let crash_after = self.compare(place, &effects)?;
        if let Choice::Timeout { .. } = choice
            && crash_after.is_none()
        {
            let size = self.rules.environment().size();
            let next = self.rules.follow(&self.world, &enabled);
            let world = &self.world;
            if (world.nodes(size), world.links(size)) == (next.nodes(size), next.links(size)) {
                self.leave_out("time-outs that change nothing");
                return Ok(());
            }
        }
        let node = self.cluster.lives[place.life].me.node;
        let comes_up = matches!(choice, Choice::Start { .. } | Choice::Restart { .. });
        if crash_after == Some(0) && !comes_up {
            // Not even the first effect was executed: the whole step is left out.
            return self.end(place, node);
        }
        // The harness cannot cut a restart or a suspicion short. The messages that did not arrive are dropped instead.
        let can_be_cut = !matches!(choice, Choice::Restart { .. } | Choice::Suspect { .. });
        let cut_short = crash_after.filter(|k| *k > 0 && can_be_cut);
        if let Choice::Deliver { from, to } = choice
            && let Some(Event::Message { .. }) = self.rules.signals(&self.world, from, to).first()
        {
            self.links.entry((from, to)).or_default().pop_front();
        }
        self.act(place, Action { choice, crash_after: cut_short })?;
        self.note_sent(place)?;
        if !self.is_up(node) {
            self.forget_links_to(node);
        }
        Ok(())
    }

    fn refusal(&self, place: Place, action: &ActionOf<R::Model>, reason: &str) -> NotCarried {
        not(self.cluster, place, format!("in the harness this is not possible: {action}: {reason}"))
    }

    /// Compares the effects on others. If the step was cut short, returns the number of effects that happened.
    fn compare(
        &self,
        place: Place,
        effects: &[EffectOf<R::Model>],
    ) -> Result<Option<usize>, NotCarried> {
        let life = &self.cluster.lives[place.life];
        let logged = life.effects_of(place.step).filter_map(|at| {
            let remote = match life.effects[at].kind {
                EffectKind::Send { to, .. } => RemoteEffect::Send(self.peer(to)),
                EffectKind::Monitor(peer) => RemoteEffect::Monitor(self.peer(peer)),
                EffectKind::Demonitor(peer) => RemoteEffect::Demonitor(self.peer(peer)),
                EffectKind::Delivered { .. } | EffectKind::Observed(_) => return None,
            };
            Some((at, remote))
        });
        let logged: Vec<_> = logged.collect();
        let here: Vec<_> = effects
            .iter()
            .enumerate()
            .filter_map(|(k, effect)| Some((k, remote::<R::Model>(effect)?)))
            .collect();
        if !logged.iter().map(|(_, remote)| remote).eq(here.iter().map(|(_, remote)| remote)) {
            let reason = "in the harness the machine asks for something else in this step, since it was asked for \
                          something else before";
            return Err(not(self.cluster, place, reason));
        }
        let cut = self.cluster.cuts[place.life].filter(|cut| cut.step == place.step);
        let cut = cut.and_then(|cut| logged.iter().position(|(at, _)| *at == cut.effect));
        Ok(cut.map(|cut| here[cut].0))
    }

    /// Records the messages that the step has put on links.
    fn note_sent(&mut self, place: Place) -> Result<(), NotCarried> {
        let life = &self.cluster.lives[place.life];
        let from = life.me.node;
        let mut sent = BTreeMap::<NodeId, Vec<Sent>>::new();
        for at in life.effects_of(place.step) {
            if let EffectKind::Send { to, .. } = life.effects[at].kind
                && self.is_there(self.peer(to))
            {
                sent.entry(to.node()).or_default().push((place.life, at));
            }
        }
        for (to, sent) in sent {
            let signals = self.rules.signals(&self.world, from, to);
            let count =
                signals.iter().filter(|event| matches!(event, Event::Message { .. })).count();
            let link = self.links.entry((from, to)).or_default();
            // A crash that cuts the step short loses the last messages.
            let arrived = count.saturating_sub(link.len());
            if arrived > sent.len() {
                return Err(not(self.cluster, place, "in the harness this step sends more"));
            }
            link.extend(&sent[..arrived]);
        }
        Ok(())
    }

    /// Takes an action in the world.
    fn act(&mut self, place: Place, action: ActionOf<R::Model>) -> Result<(), NotCarried> {
        if self.violated {
            return Ok(());
        }
        let taken = self.rules.take(&self.world, &action);
        let (_, next) = taken.map_err(|reason| self.refusal(place, &action, &reason))?;
        self.actions.push(action);
        self.times.push(self.cluster.time(place));
        // A log may be as long as a process has run.
        self.world = self.rules.forget_at(self.actions.len(), next);
        self.violated = self.property.kind == Kind::Safety
            && self.rules.is_violated(&self.world, self.property);
        Ok(())
    }

    /// Drops the messages that never arrived, so that none is in transit.
    fn settle(&mut self) -> Result<(), NotCarried> {
        let Some(last) = self.cluster.order.last().copied() else { return Ok(()) };
        let mut links: Vec<_> = self.links.keys().copied().collect();
        links.sort_unstable();
        for (from, to) in links {
            while self.drop_lost(last, from, to)? {}
        }
        Ok(())
    }

    /// The trace, in an environment with the budgets that it needs.
    fn record(self) -> Result<Run, NotCarried> {
        let mut environment = self.rules.environment().clone();
        environment.budgets = spent(&self.actions);
        if environment.budgets[Budget::Timeouts] == 0 {
            environment.timers = Timers::Late;
        }
        let mut rules = Rules::new(self.cluster.machine.model(&environment), environment.clone());
        let mut world = rules.initial();
        for (action, nth) in self.actions.iter().zip(1..) {
            let (_, next) = rules.take(&world, action).map_err(|reason| {
                nowhere(format!("in the harness this is not possible: {action}: {reason}"))
            })?;
            world = rules.forget_at(nth, next);
        }
        let name = rules.protocol().name();
        let trace =
            Trace::record(&rules, &format!("{name}/logs"), self.property.name, &self.actions);
        let count = |(what, times): (&&str, &usize)| format!("{what} ({times})");
        let left_out = self.left_out.iter().map(count).collect();
        Ok(Run { trace, left_out, times: self.times })
    }

    /// The same, if it violates the property.
    fn record_violation(self) -> Result<Run, NotCarried> {
        let (machine, property) = (self.cluster.machine, self.property);
        let run = self.record()?;
        let model = machine.model(&run.trace.environment);
        match replay(model, &run.trace, property, Mode::Exact, None).outcome {
            Outcome::Violated { .. } => Ok(run),
            _ => Err(nowhere(format!(
                "the whole run could be carried over, and in the harness it does not violate {}",
                property.name
            ))),
        }
    }
}

fn nowhere(reason: String) -> NotCarried {
    NotCarried { place: None, reason }
}

fn remote<M: interrex::machine::Machine>(effect: &EffectOf<M>) -> Option<RemoteEffect> {
    match effect {
        Effect::Send { to, .. } => Some(RemoteEffect::Send(*to)),
        Effect::Monitor(peer) => Some(RemoteEffect::Monitor(*peer)),
        Effect::Demonitor(peer) => Some(RemoteEffect::Demonitor(*peer)),
        Effect::SetTimer { .. }
        | Effect::CancelTimer(_)
        | Effect::Persist(_)
        | Effect::Observe(_)
        | Effect::Stop(_) => None,
    }
}
