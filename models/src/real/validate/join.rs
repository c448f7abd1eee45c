//! Joins the logs of a cluster to one run.
//!
//! By which rules, [`validate`](super) says. The causes are these: a node's own order; a message is sent before it
//! arrives; a process is up before another joins through it; a life is over before the next begins and before others
//! are told of its end.
//!
//! A `Down` behind which the watcher received another message of that process was wrong, too. And from the first
//! message on that a killed node sent and that should have arrived and did not, with all that was sent behind it,
//! nothing has happened: that is the *cut* of its life.

use super::{
    Contradiction, Where,
    life::{DeedKind, Fate, Life, Met, Place},
};
use crate::real::application::Application;
use interrex::machine::{Address, NodeId, Peer};
use rustc_hash::FxHashMap;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// By how much clocks of hosts may differ for a true `Down` not to be taken for a wrong one, in microseconds.
pub(super) const SKEW: u64 = 5_000;
/// How long a node that ends goes on writing its messages before its log says that it has ended, in microseconds.
#[expect(clippy::cast_possible_truncation, reason = "it is seconds")]
const CLOSE_TIMEOUT: u64 = interrex::runtime::CLOSE_TIMEOUT.as_micros() as u64;
/// What has not arrived after this time will not arrive, in microseconds.
const PATIENCE: u64 = 1_000_000;

/// All lives of all nodes, joined.
pub(super) struct Cluster<'a, R: Application> {
    pub machine: &'a R,
    pub paths: &'a [PathBuf],
    /// By node, and then in the order in which they were lived.
    pub lives: Vec<Life<R>>,
    /// Which life of its node each is, from 0.
    numbers: Vec<u32>,
    places: FxHashMap<Address, usize>,
    of_node: BTreeMap<NodeId, Vec<usize>>,
    /// When each life was over; none if it is still up.
    pub over: Vec<Option<u64>>,
    /// Where the deeds begin that did not happen, of those who were killed: the step, and the deed.
    pub cuts: Vec<Option<Cut>>,
    /// The `Down`s that were true, and of which life.
    pub downs: FxHashMap<Place, usize>,
    /// The whole run.
    pub order: Vec<Place>,
    /// What cannot be.
    pub contradictions: Vec<Contradiction>,
    /// How many messages never arrived though later ones of the same process did.
    pub lost: usize,
}

/// Where the deeds begin that did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// The first step of which not all happened.
    pub step: usize,
    /// Its first deed that did not happen, among those of the life.
    pub deed: usize,
    /// The place of that among the effects of the step.
    pub effect: usize,
}

/// What else must come before what, and how much of each life counts.
pub(super) struct Demands {
    /// How many moments of each life: its steps, and its end.
    pub limits: Vec<usize>,
    /// Lives that must have begun before a step.
    pub begun: FxHashMap<Place, Vec<usize>>,
}

impl<'a, R: Application> Cluster<'a, R> {
    /// Joins lives.
    ///
    /// # Errors
    /// If one life is there twice: the two.
    pub(super) fn join(
        machine: &'a R,
        paths: &'a [PathBuf],
        mut lives: Vec<Life<R>>,
    ) -> Result<Self, (usize, usize, Address)> {
        lives.sort_by_key(|life| life.me);
        if let Some(pair) = lives.windows(2).find(|pair| pair[0].me == pair[1].me) {
            return Err((pair[0].file, pair[1].file, pair[0].me));
        }
        let (mut of_node, mut numbers) = (BTreeMap::<NodeId, Vec<usize>>::new(), vec![]);
        for (at, life) in lives.iter().enumerate() {
            let all = of_node.entry(life.me.node).or_default();
            numbers.push(u32::try_from(all.len()).unwrap_or(u32::MAX));
            all.push(at);
        }
        let places = lives.iter().enumerate().map(|(at, life)| (life.me, at)).collect();
        let count = lives.len();
        let mut cluster = Self {
            machine,
            paths,
            lives,
            numbers,
            places,
            of_node,
            over: vec![None; count],
            cuts: vec![None; count],
            downs: FxHashMap::default(),
            order: vec![],
            contradictions: vec![],
            lost: 0,
        };
        cluster.match_messages();
        cluster.end_lives();
        cluster.cut_lives();
        cluster.put_in_order();
        cluster.settle_fates();
        Ok(cluster)
    }

    /// The process as the harness numbers its life: from 0, without gaps.
    pub(super) fn numbered(&self, process: Address) -> Address {
        let life = match self.places.get(&process) {
            Some(life) => self.numbers[*life],
            // Of a life that no log tells of nothing is known but its name.
            None => process.life | 1 << 31,
        };
        Address { life, ..process }
    }

    /// The place of a life.
    pub(super) fn life(&self, process: Address) -> Option<usize> {
        self.places.get(&process).copied()
    }

    /// Which life of its node it is, from 0.
    pub(super) fn number(&self, life: usize) -> u32 {
        self.numbers[life]
    }

    /// The lives of each node.
    pub(super) fn nodes(&self) -> &BTreeMap<NodeId, Vec<usize>> {
        &self.of_node
    }

    /// How many steps of a life have happened, the last of them perhaps not wholly. (A start always has.)
    pub(super) fn happened(&self, life: usize) -> usize {
        match self.cuts[life] {
            Some(cut) => cut.step + usize::from(cut.effect > 0 || cut.step == 0),
            None => self.lives[life].steps.len(),
        }
    }

    /// Whether it is the end of its life, not a step.
    pub(super) fn is_end(&self, place: Place) -> bool {
        place.step >= self.happened(place.life)
    }

    /// The file and the line of a moment; of an end, those of the step before.
    pub(super) fn line(&self, place: Place) -> Where {
        let life = &self.lives[place.life];
        let step = place.step.min(life.steps.len() - 1);
        Where { path: self.paths[life.file].clone(), line: life.steps[step].line }
    }

    /// The life that is up in the end under this name, or as this process.
    pub(super) fn up(&self, peer: Peer) -> Option<usize> {
        let life = match peer {
            Peer::Name(node) => self.of_node.get(&node)?.last().copied(),
            Peer::Process(process) => self.life(process),
        };
        life.filter(|life| self.over[*life].is_none())
    }

    /// Those that are up in the end.
    pub(super) fn all_up(&self) -> impl Iterator<Item = usize> {
        self.of_node.keys().filter_map(|node| self.up(Peer::Name(*node)))
    }

    fn contradict(&mut self, place: Place, message: String) {
        self.contradictions.push(Contradiction { place: self.line(place), message });
    }

    /// Each message that arrived was sent, and arrived once and in order.
    fn match_messages(&mut self) {
        let mut last = FxHashMap::<(usize, usize), usize>::default();
        let mut strangers = BTreeSet::new();
        for life in 0..self.lives.len() {
            for step in 0..self.lives[life].steps.len() {
                let Met::Message { from, sent, digest } = self.lives[life].steps[step].met else {
                    continue;
                };
                let place = Place { life, step };
                if self.life(from).is_none() && !strangers.insert(from) {
                    // It is said once.
                    continue;
                }
                let deed = match self.sent(self.lives[life].me, from, sent, digest) {
                    Ok(deed) => deed,
                    Err(message) => {
                        self.contradict(place, message);
                        continue;
                    }
                };
                let sender = self.places[&from];
                if let DeedKind::Send { fate, .. } = &mut self.lives[sender].deeds[deed].kind {
                    *fate = Fate::Received(place);
                }
                if last.insert((sender, life), deed).is_some_and(|last| last > deed) {
                    let message = format!(
                        "a message of {from} has overtaken another one: links keep the order"
                    );
                    self.contradict(place, message);
                }
            }
        }
    }

    /// The deed that a message is, at its sender.
    fn sent(&self, to: Address, from: Address, sent: u64, digest: u64) -> Result<usize, String> {
        let Some(life) = self.life(from) else {
            return Err(format!(
                "a message of {from} arrived, and no log tells of that life: give the logs of all nodes"
            ));
        };
        let sender = &self.lives[life];
        let step = usize::try_from(sent).ok().filter(|step| *step < sender.steps.len());
        let Some(step) = step else {
            let (steps, path) = (sender.steps.len() - 1, self.paths[sender.file].display());
            return Err(format!(
                "a message arrived that {from} sent in its step {sent}, and in {path} it has {steps} steps"
            ));
        };
        let mut known = false;
        for deed in sender.deeds_of(step) {
            let DeedKind::Send { to: peer, digest: other, fate } = &sender.deeds[deed].kind else {
                continue;
            };
            let is_for_it = *peer == Peer::Process(to) || *peer == Peer::Name(to.node);
            if is_for_it && *other == digest {
                known = true;
                if *fate == Fate::UnderWay {
                    return Ok(deed);
                }
            }
        }
        let what = if known { "arrived twice" } else { "arrived that was not sent" };
        let place = self.line(Place { life, step });
        Err(format!("a message {what}: see {place}, where it is said to come from"))
    }

    /// Which lives are over, and which `Down`s are true.
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
            // A true `Down` comes behind everything that was sent.
            if last_heard.get(&(place.life, gone)).is_some_and(|last| *last > place.step) {
                seen.push((gone, at));
            } else {
                self.downs.insert(place, gone);
            }
        }
        self.hasten_ends();
        let contacts = self.lives.iter();
        let contacts = contacts.filter_map(|life| Some((self.life(life.contact?)?, life.began())));
        seen.extend(contacts);
        self.delay_ends(&seen);
    }

    /// A life is over when somebody is told so.
    fn hasten_ends(&mut self) {
        let mut downs: Vec<_> = self.downs.iter().map(|(place, gone)| (*place, *gone)).collect();
        downs.sort_unstable();
        for (Place { life, step }, gone) in downs {
            let at = self.lives[life].steps[step].at.max(self.lives[gone].last());
            // Of a killed one nobody knows better than that it did nothing behind its last line.
            let known = self.over[gone].unwrap_or_else(|| self.lives[gone].last());
            self.over[gone] = Some(known.min(at));
        }
    }

    /// A life was not over yet when it was seen.
    fn delay_ends(&mut self, seen: &[(usize, u64)]) {
        for (life, at) in seen {
            if let Some(over) = &mut self.over[*life] {
                *over = at.saturating_add(1).max(*over);
            }
        }
    }

    /// In which of its steps each life received the last message of each other.
    fn last_heard(&self) -> FxHashMap<(usize, usize), usize> {
        let mut last = FxHashMap::default();
        for (receiver, life) in self.lives.iter().enumerate() {
            for (step, it) in life.steps.iter().enumerate() {
                if let Met::Message { from, .. } = it.met
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
            it.steps.iter().enumerate().filter_map(move |(step, it)| match it.met {
                Met::Down(peer) => Some((Place { life, step }, peer, it.at)),
                _ => None,
            })
        });
        downs.collect()
    }

    /// The life that a `Down` at this time says the end of, if it is true of one.
    fn gone(&self, peer: Peer, at: u64) -> Option<usize> {
        let life = match peer {
            Peer::Process(process) => self.life(process)?,
            Peer::Name(node) => self.latest(node, at)?,
        };
        let it = &self.lives[life];
        let went_on = it.last() > at.saturating_add(SKEW);
        let ended_later = it.end.is_some_and(|end| end > at.saturating_add(CLOSE_TIMEOUT + SKEW));
        (!went_on && !ended_later).then_some(life)
    }

    /// The life of a node that had begun last at a time.
    fn latest(&self, node: NodeId, at: u64) -> Option<usize> {
        let all = self.of_node.get(&node)?;
        all.iter().rev().copied().find(|life| self.lives[*life].began() <= at)
    }

    /// What those who were killed did not do any more.
    fn cut_lives(&mut self) {
        for life in 0..self.lives.len() {
            let was_killed = self.over[life].is_some() && !self.lives[life].has_ended();
            self.cuts[life] = if was_killed { self.cut(life) } else { None };
        }
    }

    /// The first message that should have arrived, and did not, with all that was sent behind it.
    fn cut(&self, life: usize) -> Option<Cut> {
        let it = &self.lives[life];
        let mut cut = None;
        for (at, deed) in it.deeds.iter().enumerate().rev() {
            let DeedKind::Send { to, fate, .. } = deed.kind else { continue };
            let step = it.step_of(at);
            match fate {
                Fate::Received(_) => break,
                _ if self.is_missing(life, to, it.steps[step].at) => {
                    cut = Some(Cut { step, deed: at, effect: deed.effect });
                }
                _ => {}
            }
        }
        cut
    }

    /// Whether a message that did not arrive should have: its receiver was there long enough.
    fn is_missing(&self, sender: usize, to: Peer, at: u64) -> bool {
        let receiver = match to {
            Peer::Process(process) => self.life(process),
            Peer::Name(node) => self.latest(node, at),
        };
        receiver.is_some_and(|receiver| {
            let it = &self.lives[receiver];
            let was_told =
                |(place, gone): (&Place, &usize)| *gone == sender && place.life == receiver;
            let outlived = it.last() > at.saturating_add(PATIENCE);
            let is_up = self.over[receiver].is_none();
            receiver != sender && (is_up || outlived || self.downs.iter().any(was_told))
        })
    }

    /// The whole run. A `Down` that could not be true is taken for one that was given wrongly.
    fn put_in_order(&mut self) {
        loop {
            let demands = Demands { limits: self.all_moments(), begun: FxHashMap::default() };
            let stuck = match self.merge(&demands) {
                Ok(order) => {
                    self.order = order;
                    return;
                }
                Err(stuck) => stuck,
            };
            let wrong = stuck.iter().copied().filter(|place| self.downs.contains_key(place));
            let earliest = wrong.min_by_key(|place| self.lives[place.life].steps[place.step].at);
            let Some(wrong) = earliest else {
                let message = "the logs wait for each other from here on: each was told something that the other \
                               did later";
                self.contradict(stuck[0], message.into());
                return;
            };
            let gone = self.downs.remove(&wrong);
            if let Some(gone) = gone
                && !self.downs.values().any(|other| *other == gone)
                && self.is_last_without_end(gone)
            {
                self.over[gone] = None;
                self.cuts[gone] = None;
            }
        }
    }

    /// Only a `Down` said that it is over.
    fn is_last_without_end(&self, life: usize) -> bool {
        let it = &self.lives[life];
        let is_last = self.of_node[&it.me.node].last() == Some(&life);
        is_last && !it.has_ended() && it.torn.is_none()
    }

    /// How many moments each life has.
    fn all_moments(&self) -> Vec<usize> {
        let ends = self.over.iter().map(|over| usize::from(over.is_some()));
        (0..self.lives.len())
            .map(|life| self.happened(life))
            .zip(ends)
            .map(|(n, end)| n + end)
            .collect()
    }

    /// Puts what happened in order: causes first, and otherwise as the clocks have it.
    ///
    /// # Errors
    /// If nothing that is left can be next: what each node would have done next.
    pub(super) fn merge(&self, demands: &Demands) -> Result<Vec<Place>, Vec<Place>> {
        let mut done = vec![0; self.lives.len()];
        let mut nodes: Vec<(&[usize], usize)> =
            self.of_node.values().map(|all| (&all[..], 0)).collect();
        let mut order = Vec::with_capacity(demands.limits.iter().sum());
        loop {
            let mut next: Option<(u64, usize, Place)> = None;
            let mut stuck = vec![];
            for (node, (all, current)) in nodes.iter_mut().enumerate() {
                while all.get(*current).is_some_and(|life| done[*life] >= demands.limits[*life]) {
                    *current += 1;
                }
                let Some(&life) = all.get(*current) else { continue };
                let place = Place { life, step: done[life] };
                if !self.is_ready(place, &done, demands) {
                    stuck.push(place);
                    continue;
                }
                let at = self.time(place);
                if next.is_none_or(|(earliest, ..)| at < earliest) {
                    next = Some((at, node, place));
                }
            }
            match next {
                Some((.., place)) => {
                    done[place.life] += 1;
                    order.push(place);
                }
                None if stuck.is_empty() => return Ok(order),
                None => return Err(stuck),
            }
        }
    }

    fn time(&self, place: Place) -> u64 {
        if self.is_end(place) {
            self.over[place.life].unwrap_or(u64::MAX)
        } else {
            self.lives[place.life].steps[place.step].at
        }
    }

    /// Whether all that must come before it is done.
    fn is_ready(&self, place: Place, done: &[usize], demands: &Demands) -> bool {
        if self.is_end(place) {
            return true;
        }
        let life = &self.lives[place.life];
        let has_begun = |life: usize| done[life] > 0;
        let is_caused = match life.steps[place.step].met {
            Met::Start => {
                let contact = life.contact.and_then(|contact| self.life(contact));
                contact.is_none_or(has_begun)
            }
            Met::Message { from, sent, .. } => self.life(from).is_none_or(|sender| {
                // What was never done is a contradiction, which is told elsewhere.
                let sent = usize::try_from(sent).unwrap_or(usize::MAX);
                sent >= self.happened(sender) || done[sender] > sent
            }),
            Met::Down(_) => self.downs.get(&place).is_none_or(|gone| {
                done[*gone] >= demands.limits[*gone] && demands.limits[*gone] > self.happened(*gone)
            }),
            Met::Timeout(_) | Met::Command(_) => true,
        };
        is_caused && demands.begun.get(&place).is_none_or(|all| all.iter().copied().all(has_begun))
    }

    /// What became of the messages that did not arrive.
    fn settle_fates(&mut self) {
        let mut up = FxHashMap::<NodeId, usize>::default();
        let mut arrived = FxHashMap::<(usize, usize), usize>::default();
        let mut told = FxHashMap::<(usize, NodeId), u64>::default();
        for (Place { life, .. }, peer, at) in self.all_downs() {
            let last = told.entry((life, peer.node())).or_default();
            *last = at.max(*last);
        }
        for (sender, life) in self.lives.iter().enumerate() {
            for (at, deed) in life.deeds.iter().enumerate() {
                if let DeedKind::Send { fate: Fate::Received(place), .. } = deed.kind {
                    arrived.insert((sender, place.life), at);
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
            for at in self.lives[place.life].deeds_of(place.step) {
                let DeedKind::Send { to, fate: Fate::UnderWay, .. } =
                    self.lives[place.life].deeds[at].kind
                else {
                    continue;
                };
                let there = up.get(&to.node()).copied().filter(|receiver| match to {
                    Peer::Name(_) => true,
                    Peer::Process(process) => self.lives[*receiver].me == process,
                });
                let happened = self.cuts[place.life].is_none_or(|cut| at < cut.deed);
                let becomes = match there {
                    None if happened && self.is_awaited(place.life, to, at, &arrived, &told) => {
                        Fate::UnderWay
                    }
                    Some(receiver) if happened => {
                        let overtaken =
                            arrived.get(&(place.life, receiver)).is_some_and(|last| *last > at);
                        self.lost += usize::from(overtaken);
                        self.fate(place, receiver, overtaken, &told)
                    }
                    _ => Fate::Vanished,
                };
                if let DeedKind::Send { fate, .. } = &mut self.lives[place.life].deeds[at].kind {
                    *fate = becomes;
                }
            }
        }
    }

    /// Whether a message to a node where nobody was may still wait for the one who came up there later.
    fn is_awaited(
        &self,
        sender: usize,
        to: Peer,
        deed: usize,
        arrived: &FxHashMap<(usize, usize), usize>,
        told: &FxHashMap<(usize, NodeId), u64>,
    ) -> bool {
        let last = self.of_node.get(&to.node()).and_then(|lives| lives.last().copied());
        let Some(receiver) = last.filter(|_| matches!(to, Peer::Name(_))) else { return false };
        let both_up = self.over[sender].is_none() && self.over[receiver].is_none();
        let later = arrived.get(&(sender, receiver)).is_some_and(|last| *last > deed);
        let at = self.lives[sender].steps[self.lives[sender].step_of(deed)].at;
        let parted = told.get(&(sender, to.node())).is_some_and(|last| *last >= at);
        both_up && !later && !parted
    }

    /// The fate of a message to somebody who was there, and did not get it.
    fn fate(
        &self,
        sent: Place,
        receiver: usize,
        overtaken: bool,
        told: &FxHashMap<(usize, NodeId), u64>,
    ) -> Fate {
        if overtaken {
            return Fate::Lost;
        }
        if self.over[receiver].is_some() {
            return Fate::Vanished;
        }
        let at = self.lives[sent.life].steps[sent.step].at;
        // Who was told that the other is down has lost the connection, whether or not that was true.
        let was_told = |one: usize, other: usize| {
            told.get(&(one, self.lives[other].me.node)).is_some_and(|last| *last >= at)
        };
        let parted = was_told(receiver, sent.life) || was_told(sent.life, receiver);
        if self.over[sent.life].is_some() || parted { Fate::Lost } else { Fate::UnderWay }
    }
}
