//! Judges the properties on the joined run.

use super::{
    Verdict,
    join::Cluster,
    life::{DeedKind, Fate, Life, Met, Place},
};
use crate::{
    claim::{
        notion::Token,
        profile::{Presence, Profile},
        property::{
            BOUNDED_IDS, Group, Kind, NOBODY_STOPPED, Property, SINGLE_LEADER,
            TOTAL_ORDER_SURVIVORS,
        },
    },
    model::environment::Environment,
    protocol::{Notion, Standing, View},
    real::application::{Application, Asked},
};
use interrex::{
    gen_leader::Roster,
    machine::{Address, Effect, Event, NodeId, Peer},
};
use rustc_hash::FxHashSet;
use std::collections::{BTreeMap, BTreeSet};

/// How many complaints are worded.
const WORDED: usize = 10;

/// The histories of the nodes, as far as the run has come.
struct Histories<'a, R: Application> {
    cluster: &'a Cluster<'a, R>,
    /// How many messages each life's node had multicast in the lives before, and how many that life did.
    multicast: &'a [(u32, u32)],
    index: &'a BTreeMap<NodeId, usize>,
    profiles: Vec<Profile>,
    /// The protocol says that those who are up in the end can have a leader.
    can_lead: bool,
}

/// What is found out about one property.
struct Finding {
    property: &'static Property,
    complaints: Option<(Vec<String>, usize)>,
    /// The moment behind which it was found violated first, and one behind which it was not.
    first: usize,
    before: usize,
}

/// A verdict on each property, with the number of moments behind which it is violated first.
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
            histories.judge(&mut findings, AT_AN_END, moment);
        }
        let leads = histories.take(*place);
        if leads {
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
    let unsettled = unsettled(cluster, &histories);
    let last = cluster.order.len();
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
            (Some(complaints), kind, _) => {
                let first = match kind {
                    Kind::Safety => earliest(&begin, &finding),
                    Kind::Settled | Kind::Fair => finding.first,
                };
                (property, violated(cluster, complaints, first), Some(first))
            }
            (None, Kind::Safety, _) | (None, Kind::Settled, None) => {
                (property, Verdict::Holds, None)
            }
            (None, Kind::Settled, Some(why)) => (property, Verdict::NotJudged(why.clone()), None),
            (None, Kind::Fair, _) => (property, Verdict::NotJudged(FAIR.into()), None),
        }
    });
    judged.collect()
}

/// What may be violated before a life ends, and not any more behind that.
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

/// The first moment behind which a property is violated. Between two ends of lives it stays so.
fn earliest<'a, R: Application>(begin: &dyn Fn() -> Histories<'a, R>, finding: &Finding) -> usize {
    let (mut holds, mut violated) = (finding.before, finding.first);
    if finding.property.name == SINGLE_LEADER.name {
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
        Self { property, complaints: None, first: 0, before: 0 }
    }

    fn hold_until(&mut self, moment: usize) {
        if self.complaints.is_none() {
            self.before = moment;
        }
    }
}

/// Of each life, how many messages its node had multicast before it, and how many in it.
fn multicast<R: Application>(cluster: &Cluster<'_, R>) -> Vec<(u32, u32)> {
    let mut counts = vec![(0, 0); cluster.lives.len()];
    for lives in cluster.nodes().values() {
        let mut before = 0_u32;
        for &life in lives {
            let steps = cluster.lives[life].steps.iter();
            let scripted =
                steps.filter(|step| matches!(step.met, Met::Command(Asked::Scripted(_))));
            let count = u32::try_from(scripted.count()).unwrap_or(u32::MAX);
            counts[life] = (before, count);
            before = before.saturating_add(count);
        }
    }
    counts
}

/// The nodes that have logs, and those of the roster.
fn index<R: Application>(cluster: &Cluster<'_, R>) -> BTreeMap<NodeId, usize> {
    let size =
        cluster.machine.roster().and_then(size).map_or(0, |(nodes, workers)| nodes + workers);
    let logged = cluster.nodes().keys().copied();
    let nodes: BTreeSet<NodeId> = logged.chain((0..size).map(NodeId)).collect();
    nodes.into_iter().zip(0..).collect()
}

/// How many candidates and workers a roster has, if it lists nodes as an environment does.
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
    /// Asks about all nodes.
    fn ask<T>(&self, ask: impl FnOnce(Group<'_>) -> T) -> T {
        let nodes: Vec<_> = self.profiles.iter().collect();
        ask(Group { nodes: &nodes, can_lead: self.can_lead })
    }

    /// Judges some properties behind so many moments, each until it is violated.
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

    /// Takes the next moment of the run; whether a node leads now that did not.
    fn take(&mut self, place: Place) -> bool {
        let cluster = self.cluster;
        let life = &cluster.lives[place.life];
        let node = self.index[&life.me.node];
        if cluster.is_end(place) {
            let was_wish =
                life.stopped.as_ref().is_none_or(|reason| cluster.machine.is_wish(reason));
            let presence = if was_wish { Presence::Crashed } else { Presence::Stopped };
            self.profiles[node].presence = presence;
            return false;
        }
        let step = &life.steps[place.step];
        if step.met == Met::Start {
            let profile = &mut self.profiles[node];
            profile.me = cluster.numbered(life.me);
            // A tag is another call in another life.
            profile.answers.clear();
            // What was asked for and did not happen has a number, too.
            profile.issued = self.multicast[place.life].0;
        }
        if let Met::Command(Asked::Scripted(_)) = step.met {
            self.profiles[node].issued += 1;
        }
        let cut = cluster.cuts[place.life];
        for at in life.deeds_of(place.step) {
            if cut.is_none_or(|cut| at < cut.deed)
                && let Some(notion) = self.notion(&life.deeds[at].kind)
            {
                self.profiles[node].read(notion);
            }
        }
        if cut.is_some_and(|cut| cut.step == place.step) {
            self.profiles[node].presence = Presence::Crashed;
            return false;
        }
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
        !led && presence == Presence::Up(Standing::Leading)
    }

    /// What the properties read of a deed, with lives and messages as the harness numbers them.
    fn notion(&self, deed: &DeedKind) -> Option<Notion> {
        let numbered = |process: Address| self.cluster.numbered(process);
        match deed {
            DeedKind::Send { .. } | DeedKind::Monitor(_) | DeedKind::Demonitor(_) => None,
            DeedKind::Delivered { number, by, index } => {
                let message = Token { sender: by.node, index: self.message(*by, *index) };
                Some(Notion::Delivered { number: *number, message })
            }
            DeedKind::Told(notion) => Some(match notion {
                Notion::Installed(View { number, leader, followers }) => Notion::Installed(View {
                    number: *number,
                    leader: numbered(*leader),
                    followers: followers.iter().copied().map(numbered).collect(),
                }),
                Notion::Surrendered(leader) => Notion::Surrendered(numbered(*leader)),
                Notion::Served(leader) => Notion::Served(numbered(*leader)),
                other => other.clone(),
            }),
        }
    }

    /// Which message of its node it is; a number beyond all for one that was never multicast.
    fn message(&self, by: Address, index: u64) -> u32 {
        let (before, count) = self.cluster.life(by).map_or((0, 0), |life| self.multicast[life]);
        let index = u32::try_from(index).ok().filter(|index| *index < count);
        index.map_or(u32::MAX, |index| before.saturating_add(index))
    }

    /// What the properties read of the states of those who are up in the end.
    fn look_at_states(&mut self) {
        let mut up = vec![];
        for (node, lives) in self.cluster.nodes() {
            let profile = &mut self.profiles[self.index[node]];
            let Some(&last) = lives.last().filter(|_| profile.is_up()) else { continue };
            let life = &self.cluster.lives[last];
            let answered: FxHashSet<u64> = profile.answers.iter().copied().collect();
            let calls = life.steps.iter().filter_map(|step| match step.met {
                Met::Command(Asked::Scripted(tag)) => tag,
                _ => None,
            });
            profile.waiting = calls.filter(|tag| !answered.contains(tag)).collect();
            profile.replica = self.cluster.machine.replica(&life.state);
            up.push((*node, &life.state));
        }
        self.can_lead = self.cluster.machine.can_lead(&up);
    }
}

/// Why properties of settled worlds are not judged on the end of the logs.
fn unsettled<R: Application>(
    cluster: &Cluster<'_, R>,
    histories: &Histories<'_, R>,
) -> Option<String> {
    if !histories.profiles.iter().any(Profile::is_up) {
        return Some("nobody is up in the end".into());
    }
    let under_way = cluster.lives.iter().enumerate().find_map(|(life, it)| {
        let (deed, to) = it.deeds.iter().enumerate().find_map(|(at, deed)| match deed.kind {
            DeedKind::Send { to, fate: Fate::UnderWay, .. } => Some((at, to)),
            _ => None,
        })?;
        let place = cluster.line(Place { life, step: it.step_of(deed) });
        Some(format!("a message to {to} is under way: {place}"))
    });
    let outsider = || {
        let joins = |it: &&Profile| it.presence == Presence::Up(Standing::Outsider);
        let joining = histories.profiles.iter().find(joins)?;
        Some(format!("{} is still joining", joining.me.node))
    };
    under_way.or_else(outsider).or_else(|| untold(cluster)).or_else(|| unfired(cluster))
}

/// Somebody who has a timer that has yet to fire, and changes something then.
fn unfired<R: Application>(cluster: &Cluster<'_, R>) -> Option<String> {
    cluster.all_up().find_map(|life| {
        let life = &cluster.lives[life];
        let mut timers = life.armed.iter().filter(|timer| !cluster.machine.is_of_client(timer));
        let timer = timers.find(|timer| changes_something(cluster, life, timer))?;
        Some(format!("a time-out at {} is still to come: {timer:?}", life.me.node))
    })
}

/// Whether a time-out does more than to send to nobody and to arm its timer again.
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

/// Somebody who watches a process that is over, or was not there then, and was not told.
fn untold<R: Application>(cluster: &Cluster<'_, R>) -> Option<String> {
    let up_since = |peer| cluster.up(peer).map(|life| cluster.lives[life].began());
    cluster.all_up().find_map(|watcher| {
        let me = cluster.lives[watcher].me.node;
        let mut watched = watched(&cluster.lives[watcher]).into_iter();
        let (peer, _) =
            watched.find(|(peer, since)| up_since(*peer).is_none_or(|up| up > *since))?;
        Some(format!("{me} is still to be told that {peer} is down, or was"))
    })
}

/// Whom a process watches in the end, and when it last knew that they are there.
fn watched<R: Application>(life: &Life<R>) -> BTreeMap<Peer, u64> {
    let mut watched = BTreeMap::new();
    for (step, it) in life.steps.iter().enumerate() {
        match it.met {
            Met::Down(peer) => drop(watched.remove(&peer)),
            Met::Message { from, .. } => {
                for peer in [Peer::Name(from.node), Peer::Process(from)] {
                    if let Some(since) = watched.get_mut(&peer) {
                        *since = it.at;
                    }
                }
            }
            Met::Start | Met::Timeout(_) | Met::Command(_) => {}
        }
        for deed in &life.deeds[life.deeds_of(step)] {
            match deed.kind {
                DeedKind::Monitor(peer) => drop(watched.insert(peer, it.at)),
                DeedKind::Demonitor(peer) => drop(watched.remove(&peer)),
                _ => {}
            }
        }
    }
    watched
}
