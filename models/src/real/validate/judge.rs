//! Judges the properties on the joined run.

use super::{
    Verdict,
    join::Cluster,
    life::{Delivery, EffectKind, Input, Life, Place},
    overlap,
};
use crate::{
    claim::{
        notion::Token,
        profile::{Presence, Profile},
        property::{
            BOUNDED_IDS, Group, Kind, NOBODY_STOPPED, Property, SINGLE_LEADER,
            TOTAL_ORDER_SURVIVORS, is_own,
        },
    },
    model::environment::Environment,
    protocol::{Fact, Notion, Standing, View},
    real::application::{Application, CommandKind},
};
use interrex::{
    gen_leader::Roster,
    machine::{Address, Effect, Event, NodeId, Peer},
};
use rustc_hash::FxHashSet;
use std::collections::{BTreeMap, BTreeSet};

/// The maximum number of complaints in a verdict.
const WORDED: usize = 10;

/// The histories of the nodes up to some moment of the run.
struct Histories<'a, R: Application> {
    cluster: &'a Cluster<'a, R>,
    /// For each life, the number of messages multicast in the node's earlier lives, and in this one.
    multicast: &'a [(u32, u32)],
    index: &'a BTreeMap<NodeId, usize>,
    profiles: Vec<Profile>,
    /// True if the nodes that are up at the end can have a leader, according to the protocol.
    can_lead: bool,
}

/// The findings on one property.
struct Finding {
    property: &'static Property,
    is_own: bool,
    complaints: Option<(Vec<String>, usize)>,
    /// A moment after which it was found violated, and an earlier one after which it was not.
    first: usize,
    before: usize,
    /// The run exercises it.
    witnessed: bool,
}

/// The verdict on each property, with the number of moments after which it is violated for the first time.
pub(super) type Judged = Vec<(&'static Property, Verdict, Option<usize>)>;

/// Judges all properties of a protocol.
pub(super) fn judge<R: Application>(cluster: &Cluster<'_, R>) -> Judged {
    let (multicast, index) = (multicast(cluster), index(cluster));
    let begin = || Histories {
        cluster,
        multicast: &multicast,
        index: &index,
        profiles: idle(&index),
        can_lead: false,
    };
    let mut findings: Vec<_> =
        cluster.machine.properties().iter().map(|it| Finding::new(it)).collect();
    let mut histories = begin();
    for (moment, place) in cluster.order.iter().enumerate() {
        if cluster.is_end(*place) {
            histories.witness(&mut findings);
            histories.judge(&mut findings, AT_AN_END, moment);
        }
        let leads = histories.take(*place);
        histories.judge_own(&mut findings, moment + 1);
        if leads {
            histories.witness(&mut findings);
            histories.judge(&mut findings, &[&SINGLE_LEADER], moment + 1);
        }
        if cluster.is_end(*place) {
            histories.judge(&mut findings, &[&NOBODY_STOPPED], moment + 1);
            let judged =
                |it: &&mut Finding| AT_AN_END.iter().any(|end| end.name == it.property.name);
            findings.iter_mut().filter(judged).for_each(|it| it.hold_until(moment + 1));
        }
    }
    histories.look_at_states();
    histories.witness(&mut findings);
    let unsettled = unsettled(cluster, &histories);
    let last = cluster.order.len();
    let doubt = overlap::doubt(cluster);
    let judged = findings.into_iter().map(|mut finding| {
        let property = finding.property;
        let is_judged = match property.kind {
            Kind::Safety => true,
            Kind::Settled => unsettled.is_none(),
            Kind::Fair => false,
        };
        if is_judged {
            histories.judge(std::slice::from_mut(&mut finding), &[property], last);
        }
        match (finding.complaints.take(), property.kind, &unsettled) {
            (_, Kind::Safety, _)
                if property.name == SINGLE_LEADER.name
                    && let Some(doubt) = &doubt =>
            {
                (property, Verdict::NotJudged(doubt.clone()), None)
            }
            (Some(complaints), kind, _) => {
                let first = match kind {
                    Kind::Safety => earliest(&begin, &finding),
                    Kind::Settled | Kind::Fair => finding.first,
                };
                (property, violated(cluster, complaints, first), Some(first))
            }
            (None, Kind::Safety, _) | (None, Kind::Settled, None) => {
                let holds = finding.witnessed;
                (property, if holds { Verdict::Holds } else { Verdict::Unwitnessed }, None)
            }
            (None, Kind::Settled, Some(why)) => (property, Verdict::NotJudged(why.clone()), None),
            (None, Kind::Fair, _) => (property, Verdict::NotJudged(FAIR.into()), None),
        }
    });
    judged.collect()
}

/// Properties whose violation can disappear when a life ends.
const AT_AN_END: &[&Property] = &[&TOTAL_ORDER_SURVIVORS, &BOUNDED_IDS];
const FAIR: &str = "it is about runs that never end";

fn violated<R: Application>(
    cluster: &Cluster<'_, R>,
    (complaints, count): (Vec<String>, usize),
    first: usize,
) -> Verdict {
    let place = first.checked_sub(1).and_then(|moment| cluster.order.get(moment));
    Verdict::Violated { complaints, count, place: place.map(|place| cluster.line(*place)) }
}

/// The first moment after which a property is violated. It stays violated until the next end of a life.
fn earliest<'a, R: Application>(begin: &dyn Fn() -> Histories<'a, R>, finding: &Finding) -> usize {
    let (mut holds, mut violated) = (finding.before, finding.first);
    // These were judged after each step that can violate them.
    if finding.property.name == SINGLE_LEADER.name || finding.is_own {
        return violated;
    }
    while holds + 1 < violated {
        let middle = usize::midpoint(holds, violated);
        let mut histories = begin();
        for place in &histories.cluster.order[..middle] {
            histories.take(*place);
        }
        if histories.ask(|all| finding.property.is_violated(all)) {
            violated = middle;
        } else {
            holds = middle;
        }
    }
    violated
}

impl Finding {
    fn new(property: &'static Property) -> Self {
        let is_own = is_own(property);
        Self { property, is_own, complaints: None, first: 0, before: 0, witnessed: false }
    }

    fn hold_until(&mut self, moment: usize) {
        if self.complaints.is_none() {
            self.before = moment;
        }
    }
}

/// For each life, the number of messages that its node had multicast before it, and the number in it.
fn multicast<R: Application>(cluster: &Cluster<'_, R>) -> Vec<(u32, u32)> {
    let mut counts = vec![(0, 0); cluster.lives.len()];
    for lives in cluster.nodes().values() {
        let mut before = 0_u32;
        for &life in lives {
            let steps = cluster.lives[life].steps.iter();
            let scripted =
                steps.filter(|step| matches!(step.input, Input::Command(CommandKind::Scripted(_))));
            let count = u32::try_from(scripted.count()).unwrap_or(u32::MAX);
            counts[life] = (before, count);
            before = before.saturating_add(count);
        }
    }
    counts
}

/// The nodes with logs and those of the roster, each with its index.
fn index<R: Application>(cluster: &Cluster<'_, R>) -> BTreeMap<NodeId, usize> {
    let size = cluster.roster.and_then(size).map_or(0, |(nodes, workers)| nodes + workers);
    let logged = cluster.nodes().keys().copied();
    let nodes: BTreeSet<NodeId> = logged.chain((0..size).map(NodeId)).collect();
    nodes.into_iter().zip(0..).collect()
}

/// The number of candidates and of workers in a roster, if it numbers them like an environment.
pub(super) fn size(roster: &Roster) -> Option<(u16, u16)> {
    let most = Environment::MOST_NODES;
    let sizes =
        (1..=most).flat_map(|nodes| (0..=most - nodes).map(move |workers| (nodes, workers)));
    let mut sizes = sizes.filter(|(nodes, workers)| Roster::new(*nodes, *workers) == *roster);
    sizes.next()
}

fn idle(index: &BTreeMap<NodeId, usize>) -> Vec<Profile> {
    index.keys().map(|node| Profile::idle(node.first_life())).collect()
}

impl<R: Application> Histories<'_, R> {
    /// Calls a function with the group of all nodes.
    fn ask<T>(&self, ask: impl FnOnce(Group<'_>) -> T) -> T {
        let nodes: Vec<_> = self.profiles.iter().collect();
        ask(Group { nodes: &nodes, can_lead: self.can_lead })
    }

    /// Notes which properties the run exercises now.
    fn witness(&self, findings: &mut [Finding]) {
        for finding in findings {
            self.witness_of(finding);
        }
    }

    fn witness_of(&self, finding: &mut Finding) {
        if !finding.witnessed {
            finding.witnessed = self.ask(|all| finding.property.is_witnessed(all.nodes));
        }
    }

    /// Judges the properties of the protocol's own after this number of moments: they may be violated for a moment only.
    fn judge_own(&self, findings: &mut [Finding], moments: usize) {
        for finding in findings.iter_mut().filter(|finding| finding.is_own) {
            self.witness_of(finding);
            let property = finding.property;
            if property.kind == Kind::Safety {
                self.judge(std::slice::from_mut(finding), &[property], moments);
            }
        }
    }

    /// Judges some properties after this number of moments. A property found violated is not judged again.
    fn judge(&self, findings: &mut [Finding], which: &[&Property], moments: usize) {
        let is_meant = |finding: &&mut Finding| {
            finding.complaints.is_none() && which.iter().any(|it| it.name == finding.property.name)
        };
        for finding in findings.iter_mut().filter(is_meant) {
            let (complaints, count) =
                self.ask(|all| finding.property.first_complaints(all, WORDED));
            if count > 0 {
                finding.complaints = Some((complaints, count));
                finding.first = moments;
            }
        }
    }

    /// Applies the next moment of the run. Returns true if the node has begun to lead.
    fn take(&mut self, place: Place) -> bool {
        let cluster = self.cluster;
        let life = &cluster.lives[place.life];
        let node = self.index[&life.me.node];
        if cluster.is_end(place) {
            let is_faultless = life
                .stopped
                .as_ref()
                .is_none_or(|reason| cluster.machine.is_faultless_stop(reason));
            let presence = if is_faultless { Presence::Crashed } else { Presence::Stopped };
            self.profiles[node].presence = presence;
            self.profiles[node].facts = vec![];
            return false;
        }
        let step = &life.steps[place.step];
        if step.input == Input::Start {
            let profile = &mut self.profiles[node];
            profile.me = cluster.numbered(life.me);
            profile.member = profile.me;
            // The same tag is a different call in each life.
            profile.answers.clear();
            // Commands that did not happen are counted, too.
            profile.issued = self.multicast[place.life].0;
        }
        if let Input::Command(CommandKind::Scripted(_)) = step.input {
            self.profiles[node].issued += 1;
        }
        let cut = cluster.cuts[place.life];
        for at in life.effects_of(place.step) {
            if cut.is_none_or(|cut| at < cut.effect)
                && let Some(notion) = self.notion(&life.effects[at].kind)
            {
                self.profiles[node].read(notion);
                let told = life.effects[at].told.iter().map(|fact| self.fact(fact));
                let told: Vec<_> = told.collect();
                self.profiles[node].told.extend(told);
            }
        }
        if cut.is_some_and(|cut| cut.step == place.step) {
            self.profiles[node].presence = Presence::Crashed;
            self.profiles[node].facts = vec![];
            return false;
        }
        let facts: Vec<_> = step.facts.iter().map(|fact| self.fact(fact)).collect();
        let profile = &mut self.profiles[node];
        let presence = match life.stopped {
            Some(_) if place.step + 1 == life.steps.len() => profile.presence,
            _ => Presence::Up(match step.standing {
                Standing::Following(leader) => Standing::Following(cluster.numbered(leader)),
                other => other,
            }),
        };
        let led = profile.presence == Presence::Up(Standing::Leading);
        profile.presence = presence;
        profile.ids = step.measured;
        profile.facts = if profile.is_up() { facts } else { vec![] };
        !led && presence == Presence::Up(Standing::Leading)
    }

    /// The notion of an effect for the properties, with lives and messages numbered as in the harness.
    fn notion(&self, effect: &EffectKind) -> Option<Notion> {
        let numbered = |process: Address| self.cluster.numbered(process);
        match effect {
            EffectKind::Send { .. } | EffectKind::Monitor(_) | EffectKind::Demonitor(_) => None,
            EffectKind::Delivered { number, by, index } => {
                let message = Token { sender: by.node, index: self.message(*by, *index) };
                Some(Notion::Delivered { number: *number, message })
            }
            EffectKind::Observed(notion) => Some(match notion {
                Notion::Installed(View { number, leader, followers }) => Notion::Installed(View {
                    number: *number,
                    leader: numbered(*leader),
                    followers: followers.iter().copied().map(numbered).collect(),
                }),
                Notion::Started(member) => Notion::Started(numbered(*member)),
                Notion::Surrendered(leader) => Notion::Surrendered(numbered(*leader)),
                Notion::Served(leader) => Notion::Served(numbered(*leader)),
                other => other.clone(),
            }),
        }
    }

    /// A fact, with lives numbered as in the harness.
    fn fact(&self, fact: &Fact) -> Fact {
        let known = |process: Address| self.cluster.life(process).is_some();
        fact.renumbered(&|process| known(process).then(|| self.cluster.numbered(process)))
    }

    /// The number of a message among those of its node; the maximum for a message that was never multicast.
    fn message(&self, by: Address, index: u64) -> u32 {
        let (before, count) = self.cluster.life(by).map_or((0, 0), |life| self.multicast[life]);
        let index = u32::try_from(index).ok().filter(|index| *index < count);
        index.map_or(u32::MAX, |index| before.saturating_add(index))
    }

    /// Updates the profiles from the states of the nodes that are up at the end.
    fn look_at_states(&mut self) {
        let mut up = vec![];
        for (node, lives) in self.cluster.nodes() {
            let profile = &mut self.profiles[self.index[node]];
            let Some(&last) = lives.last().filter(|_| profile.is_up()) else { continue };
            let life = &self.cluster.lives[last];
            let answered: FxHashSet<u64> = profile.answers.iter().copied().collect();
            let calls = life.steps.iter().filter_map(|step| match step.input {
                Input::Command(CommandKind::Scripted(tag)) => tag,
                _ => None,
            });
            profile.waiting = calls.filter(|tag| !answered.contains(tag)).collect();
            profile.replica = self.cluster.machine.replica(&life.state);
            up.push((*node, &life.state));
        }
        self.can_lead = self.cluster.machine.can_lead(&up);
    }
}

/// The reason why settled properties cannot be judged at the end of the logs, if there is one.
fn unsettled<R: Application>(
    cluster: &Cluster<'_, R>,
    histories: &Histories<'_, R>,
) -> Option<String> {
    if !histories.profiles.iter().any(Profile::is_up) {
        return Some("no node is up at the end".into());
    }
    let under_way = cluster.lives.iter().enumerate().find_map(|(life, it)| {
        let (effect, to) =
            it.effects.iter().enumerate().find_map(|(at, effect)| match effect.kind {
                EffectKind::Send { to, delivery: Delivery::InTransit, .. } => Some((at, to)),
                _ => None,
            })?;
        let place = cluster.line(Place { life, step: it.step_of(effect) });
        Some(format!("a message to {} has not arrived: {place}", cluster.called(to)))
    });
    let outsider = || {
        let joins = |it: &&Profile| it.presence == Presence::Up(Standing::Outsider);
        let joining = histories.profiles.iter().find(joins)?;
        Some(format!("{} is still joining", joining.me.node))
    };
    under_way.or_else(outsider).or_else(|| pending_down(cluster)).or_else(|| pending_timer(cluster))
}

/// The reason that a timer is armed whose expiry will change something, if there is one.
fn pending_timer<R: Application>(cluster: &Cluster<'_, R>) -> Option<String> {
    cluster.all_up().find_map(|life| {
        let life = &cluster.lives[life];
        let mut timers = life.armed.iter().filter(|timer| !cluster.machine.is_client_timer(timer));
        let timer = timers.find(|timer| changes_something(cluster, life, timer))?;
        Some(format!("a time-out at {} is still to come: {timer:?}", life.me.node))
    })
}

/// True if a time-out does more than arm its timer again and send to processes that are not up.
fn changes_something<R: Application>(
    cluster: &Cluster<'_, R>,
    life: &Life<R>,
    timer: &R::Timer,
) -> bool {
    let (state, effects) = cluster.machine.step(life.state.clone(), Event::Timeout(timer.clone()));
    let is_again = |other: &R::Timer| other == timer;
    state != life.state
        || effects.iter().any(|effect| match effect {
            Effect::Send { to, .. } => cluster.up(*to).is_some(),
            Effect::SetTimer { timer, .. } => !is_again(timer),
            _ => true,
        })
        || !effects.iter().any(|it| matches!(it, Effect::SetTimer { timer, .. } if is_again(timer)))
}

/// The reason that a `Down` is pending, if there is one: a monitored process is or was down, and its watcher has not
/// received the `Down`.
fn pending_down<R: Application>(cluster: &Cluster<'_, R>) -> Option<String> {
    let up_since = |peer| cluster.up(peer).map(|life| cluster.lives[life].began());
    cluster.all_up().find_map(|watcher| {
        let me = cluster.lives[watcher].me.node;
        let mut watched = watched(&cluster.lives[watcher]).into_iter();
        let (peer, _) =
            watched.find(|(peer, since)| up_since(*peer).is_none_or(|up| up > *since))?;
        let peer = cluster.called(peer);
        Some(format!("{me} is still to be told that {peer} is down, or was"))
    })
}

/// The peers that a process monitors at the end, each with the last time at which it was known to be up.
fn watched<R: Application>(life: &Life<R>) -> BTreeMap<Peer, u64> {
    let mut watched = BTreeMap::new();
    for (step, it) in life.steps.iter().enumerate() {
        match it.input {
            Input::Down(peer) => drop(watched.remove(&peer)),
            Input::Message { from, .. } => {
                for peer in [Peer::Name(from.node), Peer::Process(from)] {
                    if let Some(since) = watched.get_mut(&peer) {
                        *since = it.at;
                    }
                }
            }
            Input::Start | Input::Timeout(_) | Input::Command(_) => {}
        }
        for effect in &life.effects[life.effects_of(step)] {
            match effect.kind {
                EffectKind::Monitor(peer) => drop(watched.insert(peer, it.at)),
                EffectKind::Demonitor(peer) => drop(watched.remove(&peer)),
                _ => {}
            }
        }
    }
    watched
}
