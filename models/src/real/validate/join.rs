//! Joins the logs of a cluster to one run.
//!
//! [`validate`](super) describes the rules. The causal order consists of these relations: a node's own order; a message
//! is sent before it arrives; a process is up before another joins through it; a life is over before the next begins
//! and before others receive its `Down`.
//!
//! A `Down` was also false if the watcher received another message of that process after it. The *cut* of a killed life
//! is the first message that should have arrived and did not, among those sent after the last message that arrived.
//! Nothing from the cut on has happened.

use super::{
    Contradiction, Gap, Logs, Where,
    clocks::{Bounds, Clocks},
    life::{Delivery, EffectKind, Input, Life, Place},
    wording::{ordinal, too_late, unsent, untold},
};
use crate::real::application::Application;
use interrex::{
    gen_leader::Roster,
    machine::{Address, NodeId, Peer},
};
use rustc_hash::FxHashMap;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// The time, in microseconds, for which an ending node still writes messages before it logs its end.
#[expect(clippy::cast_possible_truncation, reason = "it is seconds")]
const CLOSE_TIMEOUT: u64 = interrex::runtime::CLOSE_TIMEOUT.as_micros() as u64;
/// The time, in microseconds, after which a message is considered lost.
const ARRIVAL_LIMIT: u64 = 1_000_000;

/// All lives of all nodes, joined.
pub(super) struct Cluster<'a, R: Application> {
    pub machine: &'a R,
    pub paths: &'a [PathBuf],
    /// The nodes, if the machine depends on them.
    pub roster: Option<&'a Roster>,
    /// All lives, ordered by node and then by time.
    pub lives: Vec<Life<R>>,
    /// The number of each life among those of its node, from 0.
    numbers: Vec<u64>,
    places: FxHashMap<Address, usize>,
    of_node: BTreeMap<NodeId, Vec<usize>>,
    /// The time at which each life was over; none if it is still up.
    pub over: Vec<Option<u64>>,
    /// The cut of each killed life.
    pub cuts: Vec<Option<Cut>>,
    /// The true `Down`s, with the life that each is about.
    pub downs: FxHashMap<Place, usize>,
    /// The whole run.
    pub order: Vec<Place>,
    /// The contradictions.
    pub contradictions: Vec<Contradiction>,
    /// The lives that have sent messages, and of which no log tells.
    pub gaps: Vec<Gap>,
    /// The number of messages that never arrived although later ones of the same process did.
    pub lost: usize,
    /// The clocks of the hosts. The times of all lives are corrected by them.
    pub clocks: Clocks,
}

/// The first effect of a life that did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// The first step that did not happen completely.
    pub step: usize,
    /// The index of the effect among those of the life.
    pub effect: usize,
    /// The position of the effect in the step.
    pub position: usize,
}

/// For each sender and receiver: the effects that sent the messages which arrived, in order.
#[derive(Default)]
struct Arrived(FxHashMap<(usize, usize), Vec<usize>>);

impl Arrived {
    /// The next effect after this one whose message arrived.
    fn next(&self, sender: usize, receiver: usize, effect: usize) -> Option<usize> {
        let all = self.0.get(&(sender, receiver))?;
        all.get(all.partition_point(|at| *at <= effect)).copied()
    }
}

impl<'a, R: Application> Cluster<'a, R> {
    /// Joins lives.
    ///
    /// # Errors
    /// If a life is in two logs: the files, and the life.
    pub(super) fn join(
        machine: &'a R,
        logs: &'a Logs<'_>,
        mut lives: Vec<Life<R>>,
    ) -> Result<Self, (usize, usize, Address)> {
        lives.sort_by_key(|life| life.me);
        if let Some(pair) = lives.windows(2).find(|pair| pair[0].me == pair[1].me) {
            return Err((pair[0].file, pair[1].file, pair[0].me));
        }
        let (mut of_node, mut numbers) = (BTreeMap::<NodeId, Vec<usize>>::new(), vec![]);
        for (at, life) in lives.iter().enumerate() {
            let all = of_node.entry(life.me.node).or_default();
            numbers.push(all.len() as u64);
            all.push(at);
        }
        let places = lives.iter().enumerate().map(|(at, life)| (life.me, at)).collect();
        let count = lives.len();
        let mut cluster = Self {
            machine,
            paths: logs.paths,
            roster: logs.roster.as_ref(),
            lives,
            numbers,
            places,
            of_node,
            over: vec![None; count],
            cuts: vec![None; count],
            downs: FxHashMap::default(),
            order: vec![],
            contradictions: vec![],
            gaps: vec![],
            lost: 0,
            clocks: Clocks::default(),
        };
        cluster.check_files();
        cluster.set_clocks(logs.skew);
        cluster.match_messages();
        cluster.end_lives();
        cluster.cut_lives();
        cluster.put_in_order();
        cluster.settle_deliveries();
        Ok(cluster)
    }

    /// Checks that the lives of a node whose logs are in several files follow one another. In one file, the clock tells.
    fn check_files(&mut self) {
        for (before, next) in (1..self.lives.len()).map(|next| (next - 1, next)) {
            let (one, other) = (&self.lives[before], &self.lives[next]);
            let is_continued = one.me.node == other.me.node && one.file != other.file;
            if is_continued && other.began() < one.last() {
                let last = self.line(Place { life: before, step: one.steps.len() });
                let (me, node) = (one.me, one.me.node);
                let message = format!(
                    "{me} is not over yet, see {last}: two processes were {node} at once, or its clock was set back"
                );
                self.contradict(Place { life: next, step: 0 }, message);
            }
        }
    }

    /// Compares the clocks of the hosts by the messages, and corrects all times.
    fn set_clocks(&mut self, skew: u64) {
        let mut bounds = Bounds::default();
        for life in &self.lives {
            for step in &life.steps {
                let Input::Message { from, sent, .. } = step.input else { continue };
                let sender = self.life(from).map(|sender| &self.lives[sender]);
                let sent = usize::try_from(sent).ok();
                let sent = sender.and_then(|sender| sender.steps.get(sent?));
                if let Some(sent) = sent.filter(|_| from.node != life.me.node) {
                    bounds.add((from.node, sent.at), (life.me.node, step.at));
                }
            }
        }
        let nodes: Vec<_> = self.of_node.keys().copied().collect();
        self.clocks = bounds.clocks(&nodes, skew);
        for life in &mut self.lives {
            let node = life.me.node;
            for step in &mut life.steps {
                step.at = self.clocks.corrected(node, step.at);
            }
            life.end = life.end.map(|end| self.clocks.corrected(node, end));
        }
    }

    /// The process with its life as the harness numbers it: from 0, without gaps.
    pub(super) fn numbered(&self, process: Address) -> Address {
        let life = match self.places.get(&process) {
            Some(life) => self.numbers[*life],
            // A life that is in no log: only its name is known.
            None => process.life | 1 << 31,
        };
        Address { life, ..process }
    }

    /// A process with the number of its life among those of its node: `n1#217824391 (2nd life)`.
    pub(super) fn called(&self, peer: impl Into<Peer>) -> String {
        let peer = peer.into();
        let process = if let Peer::Process(process) = peer { Some(process) } else { None };
        match process.and_then(|process| self.life(process)) {
            Some(life) => format!("{peer} ({} life)", ordinal(self.numbers[life] + 1)),
            None => peer.to_string(),
        }
    }

    /// The index of a life.
    pub(super) fn life(&self, process: Address) -> Option<usize> {
        self.places.get(&process).copied()
    }

    /// The number of a life among those of its node, from 0.
    pub(super) fn number(&self, life: usize) -> u64 {
        self.numbers[life]
    }

    /// The lives of each node.
    pub(super) fn nodes(&self) -> &BTreeMap<NodeId, Vec<usize>> {
        &self.of_node
    }

    /// The number of steps of a life that have happened, the last one possibly in part. A start always has.
    pub(super) fn happened(&self, life: usize) -> usize {
        match self.cuts[life] {
            Some(cut) => cut.step + usize::from(cut.position > 0 || cut.step == 0),
            None => self.lives[life].steps.len(),
        }
    }

    /// True for the end of a life, false for a step.
    pub(super) fn is_end(&self, place: Place) -> bool {
        place.step >= self.happened(place.life)
    }

    /// The file and the line of a moment; for an end, those of the last step.
    pub(super) fn line(&self, place: Place) -> Where {
        let life = &self.lives[place.life];
        let step = place.step.min(life.steps.len() - 1);
        Where { path: self.paths[life.file].clone(), line: life.steps[step].line }
    }

    /// The life that is up at the end under this name, or as this process.
    pub(super) fn up(&self, peer: Peer) -> Option<usize> {
        let life = match peer {
            Peer::Name(node) => self.of_node.get(&node)?.last().copied(),
            Peer::Process(process) => self.life(process),
        };
        life.filter(|life| self.over[*life].is_none())
    }

    /// The lives that are up at the end.
    pub(super) fn all_up(&self) -> impl Iterator<Item = usize> {
        self.of_node.keys().filter_map(|node| self.up(Peer::Name(*node)))
    }

    /// If all nodes were shut down by their programs at the end: for each file, the number of lines before the first of
    /// them was.
    pub(super) fn lines_before_shutdown(&self) -> Option<Vec<usize>> {
        let last: BTreeSet<usize> =
            self.of_node.values().filter_map(|all| all.last()).copied().collect();
        let was_shut_down = |life: &usize| {
            let it = &self.lives[*life];
            it.end.is_some() && it.stopped.is_none()
        };
        if last.is_empty() || !last.iter().all(was_shut_down) {
            return None;
        }
        let begins = |place: &Place| place.step == 0;
        let all_up = self.order.iter().rposition(begins)?;
        let mut ends = (all_up..self.order.len()).filter(|at| self.is_end(self.order[*at]));
        let first = ends.find(|at| last.contains(&self.order[*at].life))?;
        let mut lines = vec![0; self.paths.len()];
        for place in &self.order[..first] {
            let file = self.lives[place.life].file;
            lines[file] = self.line(*place).line.max(lines[file]);
        }
        Some(lines)
    }

    pub(super) fn contradict(&mut self, place: Place, message: String) {
        self.contradictions.push(Contradiction { place: self.line(place), message });
    }

    /// Matches messages: each one that arrived must have been sent, and must have arrived once and in order.
    fn match_messages(&mut self) {
        let mut last = FxHashMap::<(usize, usize), usize>::default();
        let mut unknown = BTreeSet::new();
        for life in 0..self.lives.len() {
            for step in 0..self.lives[life].steps.len() {
                let Input::Message { from, sent, digest } = self.lives[life].steps[step].input
                else {
                    continue;
                };
                let place = Place { life, step };
                let Some(sender) = self.life(from) else {
                    if unknown.insert(from) {
                        let message = format!("a message arrives, and {}", untold(from));
                        self.gaps.push(Gap { place: self.line(place), message });
                    }
                    continue;
                };
                let effect = match self.sent(self.lives[life].me, (sender, sent), digest) {
                    Ok(effect) => effect,
                    Err(message) => {
                        self.contradict(place, message);
                        continue;
                    }
                };
                if let EffectKind::Send { delivery, .. } =
                    &mut self.lives[sender].effects[effect].kind
                {
                    *delivery = Delivery::Received(place);
                }
                if last.insert((sender, life), effect).is_some_and(|last| last > effect) {
                    let message = format!(
                        "a message of {} has overtaken another one: links keep the order",
                        self.called(from)
                    );
                    self.contradict(place, message);
                }
            }
        }
    }

    /// The index of the effect that sent a message, at its sender.
    fn sent(&self, to: Address, (life, sent): (usize, u64), digest: u64) -> Result<usize, String> {
        let sender = &self.lives[life];
        let step = usize::try_from(sent).ok().filter(|step| *step < sender.steps.len());
        let Some(step) = step else {
            return Err(too_late(sender, sent, &self.paths[sender.file]));
        };
        let mut known = false;
        for effect in sender.effects_of(step) {
            let EffectKind::Send { to: peer, digest: other, delivery } =
                &sender.effects[effect].kind
            else {
                continue;
            };
            let is_for_it = *peer == Peer::Process(to) || *peer == Peer::Name(to.node);
            if is_for_it && *other == digest {
                known = true;
                if *delivery == Delivery::InTransit {
                    return Ok(effect);
                }
            }
        }
        Err(unsent(known, &self.line(Place { life, step })))
    }

    /// Determines the lives that are over and the `Down`s that are true.
    fn end_lives(&mut self) {
        for all in self.of_node.values() {
            for (at, &life) in all.iter().enumerate() {
                let it = &self.lives[life];
                let is_last = at + 1 == all.len();
                self.over[life] = match it.end {
                    _ if it.stopped.is_some() => Some(it.last()),
                    Some(end) => Some(end.max(it.last())),
                    None if !is_last || it.torn.is_some() => Some(it.last()),
                    None => None,
                };
            }
        }
        let last_heard = self.last_heard();
        let mut seen = vec![];
        for (place, peer, at) in self.all_downs() {
            let Some(gone) = self.gone(peer, at) else { continue };
            // A true `Down` arrives after all messages of the process.
            if last_heard.get(&(place.life, gone)).is_some_and(|last| *last > place.step) {
                seen.push((gone, at));
            } else {
                self.downs.insert(place, gone);
            }
        }
        self.advance_ends();
        let contacts = self.lives.iter();
        let contacts = contacts.filter_map(|life| Some((self.life(life.contact?)?, life.began())));
        seen.extend(contacts);
        self.delay_ends(&seen);
    }

    /// A life is over at the latest when another process receives its `Down`.
    fn advance_ends(&mut self) {
        let mut downs: Vec<_> = self.downs.iter().map(|(place, gone)| (*place, *gone)).collect();
        downs.sort_unstable();
        for (Place { life, step }, gone) in downs {
            let at = self.lives[life].steps[step].at.max(self.lives[gone].last());
            // All that is known of a killed life is that it did nothing after its last line.
            let known = self.over[gone].unwrap_or_else(|| self.lives[gone].last());
            self.over[gone] = Some(known.min(at));
        }
    }

    /// A life was not over yet when another process observed it as up.
    fn delay_ends(&mut self, seen: &[(usize, u64)]) {
        for (life, at) in seen {
            if let Some(over) = &mut self.over[*life] {
                *over = at.saturating_add(1).max(*over);
            }
        }
    }

    /// For each receiver and sender, the step in which the last message was received.
    fn last_heard(&self) -> FxHashMap<(usize, usize), usize> {
        let mut last = FxHashMap::default();
        for (receiver, life) in self.lives.iter().enumerate() {
            for (step, it) in life.steps.iter().enumerate() {
                if let Input::Message { from, .. } = it.input
                    && let Some(sender) = self.life(from)
                {
                    last.insert((receiver, sender), step);
                }
            }
        }
        last
    }

    fn all_downs(&self) -> Vec<(Place, Peer, u64)> {
        let lives = self.lives.iter().enumerate();
        let downs = lives.flat_map(|(life, it)| {
            it.steps.iter().enumerate().filter_map(move |(step, it)| match it.input {
                Input::Down(peer) => Some((Place { life, step }, peer, it.at)),
                _ => None,
            })
        });
        downs.collect()
    }

    /// The life whose end a `Down` at this time announces, if the `Down` can be true.
    fn gone(&self, peer: Peer, at: u64) -> Option<usize> {
        let life = match peer {
            Peer::Process(process) => self.life(process)?,
            Peer::Name(node) => self.latest(node, at)?,
        };
        let it = &self.lives[life];
        let latest = at.saturating_add(self.clocks.uncertainty);
        let went_on = it.last() > latest;
        let ended_later = it.end.is_some_and(|end| end > latest.saturating_add(CLOSE_TIMEOUT));
        (!went_on && !ended_later).then_some(life)
    }

    /// The latest life of a node that had begun at a time.
    fn latest(&self, node: NodeId, at: u64) -> Option<usize> {
        let all = self.of_node.get(&node)?;
        all.iter().rev().copied().find(|life| self.lives[*life].began() <= at)
    }

    /// Determines the cuts of the killed lives.
    fn cut_lives(&mut self) {
        for life in 0..self.lives.len() {
            let was_killed = self.over[life].is_some() && !self.lives[life].has_ended();
            self.cuts[life] = if was_killed { self.cut(life) } else { None };
        }
    }

    /// The first message that should have arrived and did not, among those after the last one that arrived.
    fn cut(&self, life: usize) -> Option<Cut> {
        let it = &self.lives[life];
        let mut cut = None;
        for (at, effect) in it.effects.iter().enumerate().rev() {
            let EffectKind::Send { to, delivery, .. } = effect.kind else { continue };
            let step = it.step_of(at);
            match delivery {
                Delivery::Received(_) => break,
                _ if self.is_missing(life, to, it.steps[step].at) => {
                    cut = Some(Cut { step, effect: at, position: effect.position });
                }
                _ => {}
            }
        }
        cut
    }

    /// True if a message that did not arrive should have arrived: its receiver was up long enough.
    fn is_missing(&self, sender: usize, to: Peer, at: u64) -> bool {
        let receiver = match to {
            Peer::Process(process) => self.life(process),
            Peer::Name(node) => self.latest(node, at),
        };
        receiver.is_some_and(|receiver| {
            let it = &self.lives[receiver];
            let was_notified =
                |(place, gone): (&Place, &usize)| *gone == sender && place.life == receiver;
            let outlived = it.last() > at.saturating_add(ARRIVAL_LIMIT);
            let is_up = self.over[receiver].is_none();
            receiver != sender && (is_up || outlived || self.downs.iter().any(was_notified))
        })
    }

    /// Determines the delivery of the messages that did not arrive.
    fn settle_deliveries(&mut self) {
        let mut up = FxHashMap::<NodeId, usize>::default();
        let mut arrived = Arrived::default();
        let mut downs = FxHashMap::<(usize, NodeId), u64>::default();
        for (Place { life, .. }, peer, at) in self.all_downs() {
            let last = downs.entry((life, peer.node())).or_default();
            *last = at.max(*last);
        }
        for (sender, life) in self.lives.iter().enumerate() {
            for (at, effect) in life.effects.iter().enumerate() {
                if let EffectKind::Send { delivery: Delivery::Received(place), .. } = effect.kind {
                    arrived.0.entry((sender, place.life)).or_default().push(at);
                }
            }
        }
        for place in std::mem::take(&mut self.order) {
            self.order.push(place);
            let me = self.lives[place.life].me;
            if self.is_end(place) {
                up.remove(&me.node);
                continue;
            }
            up.insert(me.node, place.life);
            for at in self.lives[place.life].effects_of(place.step) {
                let EffectKind::Send { to, delivery: Delivery::InTransit, .. } =
                    self.lives[place.life].effects[at].kind
                else {
                    continue;
                };
                let there = up.get(&to.node()).copied().filter(|receiver| match to {
                    Peer::Name(_) => true,
                    Peer::Process(process) => self.lives[*receiver].me == process,
                });
                let happened = self.cuts[place.life].is_none_or(|cut| at < cut.effect);
                let becomes = match there {
                    None if happened && self.is_awaited(place.life, to, at, &arrived, &downs) => {
                        Delivery::InTransit
                    }
                    Some(receiver) if happened => {
                        let next = arrived.next(place.life, receiver, at);
                        let overtaken = next.is_some();
                        self.lost += usize::from(overtaken);
                        if next.is_some_and(|next| !self.is_explained(place, receiver, next)) {
                            let message = format!(
                                "a message to {} never arrived, later ones did, and no connection had ended",
                                self.called(to)
                            );
                            self.contradict(place, message);
                        }
                        self.delivery(place, receiver, overtaken, &downs)
                    }
                    _ => Delivery::Undeliverable,
                };
                if let EffectKind::Send { delivery, .. } =
                    &mut self.lives[place.life].effects[at].kind
                {
                    *delivery = becomes;
                }
            }
        }
    }

    /// True if the connection of this message had ended, or it was dropped, before the next one was sent that arrived.
    fn is_explained(&self, sent: Place, receiver: usize, next: usize) -> bool {
        let (sender, to) = (&self.lives[sent.life], self.lives[receiver].me.node);
        // An end that is noticed while the effects of a step are carried out is logged before the next step.
        let (first, last) = (sent.step + 1, sender.step_of(next) + 1);
        first < last && sender.breaks.range((to, first)..=(to, last)).next().is_some()
    }

    /// True if a message to a node that was not up may still arrive at the life that came up there later.
    fn is_awaited(
        &self,
        sender: usize,
        to: Peer,
        effect: usize,
        arrived: &Arrived,
        downs: &FxHashMap<(usize, NodeId), u64>,
    ) -> bool {
        let last = self.of_node.get(&to.node()).and_then(|lives| lives.last().copied());
        let Some(receiver) = last.filter(|_| matches!(to, Peer::Name(_))) else { return false };
        let both_up = self.over[sender].is_none() && self.over[receiver].is_none();
        let later = arrived.next(sender, receiver, effect).is_some();
        let at = self.lives[sender].steps[self.lives[sender].step_of(effect)].at;
        let parted = downs.get(&(sender, to.node())).is_some_and(|last| *last >= at);
        both_up && !later && !parted
    }

    /// The delivery of a message that did not arrive although its receiver was up.
    fn delivery(
        &self,
        sent: Place,
        receiver: usize,
        overtaken: bool,
        downs: &FxHashMap<(usize, NodeId), u64>,
    ) -> Delivery {
        if overtaken {
            return Delivery::Lost;
        }
        if self.over[receiver].is_some() {
            return Delivery::Undeliverable;
        }
        let at = self.lives[sent.life].steps[sent.step].at;
        // A process that has received the other's `Down`, true or false, has lost the connection.
        let was_notified = |one: usize, other: usize| {
            downs.get(&(one, self.lives[other].me.node)).is_some_and(|last| *last >= at)
        };
        let parted = was_notified(receiver, sent.life) || was_notified(sent.life, receiver);
        if self.over[sent.life].is_some() || parted { Delivery::Lost } else { Delivery::InTransit }
    }
}
