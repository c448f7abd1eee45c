//! The lives of nodes, as their logs tell them and as far as the properties and the other nodes are concerned.

use crate::{
    protocol::{Notion, Standing},
    real::application::{Application, Asked},
};
use interrex::machine::{Address, Effect, EffectOf, Event, EventOf, Peer};
use rustc_hash::FxHasher;
use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
};

/// One life of a node.
#[derive(Debug)]
pub(super) struct Life<R: Application> {
    /// In which file it is.
    pub file: usize,
    /// The process, with the number that its life has in the logs.
    pub me: Address,
    /// Through whom it joined, if it did.
    pub contact: Option<Address>,
    /// It found something in stable storage.
    pub has_stable: bool,
    /// It has put something there.
    pub persisted: bool,
    /// Its start, and what it met then.
    pub steps: Vec<Step<R::Timer>>,
    /// What it did, of all steps, in order.
    pub deeds: Vec<Deed>,
    /// The end that was written down, by the clock of the host.
    pub end: Option<u64>,
    /// Why the machine has ended it, if it has.
    pub stopped: Option<String>,
    /// The state behind the last step.
    pub state: R::State,
    /// The timers that are armed then.
    pub armed: BTreeSet<R::Timer>,
    /// The line that is cut short, and its last.
    pub torn: Option<usize>,
}

/// A step of a life.
#[derive(Debug)]
pub(super) struct Step<Timer> {
    /// When, by the clock of the host.
    pub at: u64,
    /// The line of the file.
    pub line: usize,
    /// What was met.
    pub met: Met<Timer>,
    /// Where its deeds begin among those of its life.
    pub first_deed: usize,
    /// Where the process stands behind it.
    pub standing: Standing,
    /// How large the protocol's measure is behind it.
    pub measured: u64,
}

/// What a process met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Met<Timer> {
    /// It came up.
    Start,
    /// A message.
    Message {
        /// Who sent it.
        from: Address,
        /// In which step of its life.
        sent: u64,
        /// What tells it apart from other messages of the same step.
        digest: u64,
    },
    /// Somebody is down.
    Down(Peer),
    /// A timer.
    Timeout(Timer),
    /// A command.
    Command(Asked),
}

/// Something that a process did, and that others or the properties learn of.
#[derive(Debug)]
pub(super) struct Deed {
    /// Its place among the effects of the step.
    pub effect: usize,
    /// What it is.
    pub kind: DeedKind,
}

/// What a process did.
#[derive(Debug)]
pub(super) enum DeedKind {
    /// It sent a message.
    Send {
        /// To whom.
        to: Peer,
        /// What tells it apart from other messages of the same step.
        digest: u64,
        /// What became of it.
        fate: Fate,
    },
    /// It began to watch.
    Monitor(Peer),
    /// It ceased to watch.
    Demonitor(Peer),
    /// It delivered a message that this process had multicast, behind so many others.
    Delivered {
        /// The place in the common order.
        number: u64,
        /// Who multicast it.
        by: Address,
        /// How many it had multicast before.
        index: u64,
    },
    /// It told its application something else that the properties read.
    Told(Notion),
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It arrived, in this step.
    Received(Place),
    /// It went where nobody was, or to somebody who was gone before it arrived.
    Vanished,
    /// It did not arrive, though the receiver was there to take it.
    Lost,
    /// It may still arrive: the logs end before.
    UnderWay,
}

/// A step of one of the lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    /// Which life, of all.
    pub life: usize,
    /// Which step of it; one more than there are for its end.
    pub step: usize,
}

impl<R: Application> Life<R> {
    /// When it came up.
    pub(super) fn began(&self) -> u64 {
        self.steps[0].at
    }

    /// When its last step was.
    pub(super) fn last(&self) -> u64 {
        self.steps.last().map_or(0, |step| step.at)
    }

    /// Whether it has ended otherwise than by being killed.
    pub(super) fn has_ended(&self) -> bool {
        self.end.is_some() || self.stopped.is_some()
    }

    /// The step of a deed.
    pub(super) fn step_of(&self, deed: usize) -> usize {
        self.steps.partition_point(|step| step.first_deed <= deed) - 1
    }

    /// Where the deeds of a step are.
    pub(super) fn deeds_of(&self, step: usize) -> std::ops::Range<usize> {
        let first = |step: usize| self.steps.get(step).map(|step| step.first_deed);
        first(step).unwrap_or(self.deeds.len())..first(step + 1).unwrap_or(self.deeds.len())
    }

    /// Adds a step.
    pub(super) fn add(
        &mut self,
        machine: &R,
        (at, line): (u64, usize),
        met: Met<R::Timer>,
        effects: &[EffectOf<R>],
    ) {
        let first_deed = self.deeds.len();
        if let Met::Timeout(timer) = &met {
            self.armed.remove(timer);
        }
        for (place, effect) in effects.iter().enumerate() {
            match effect {
                Effect::Persist(_) => self.persisted = true,
                Effect::SetTimer { timer, .. } => drop(self.armed.insert(timer.clone())),
                Effect::CancelTimer(timer) => drop(self.armed.remove(timer)),
                Effect::Stop(reason) => {
                    self.stopped = Some(reason.to_string());
                    break;
                }
                _ => {}
            }
            let kind = deed(machine, effect);
            self.deeds.extend(kind.map(|kind| Deed { effect: place, kind }));
        }
        let standing = machine.standing(&self.state);
        let measured = machine.measured(&self.state);
        self.steps.push(Step { at, line, met, first_deed, standing, measured });
    }
}

fn deed<R: Application>(machine: &R, effect: &EffectOf<R>) -> Option<DeedKind> {
    match effect {
        Effect::Send { to, message } => {
            Some(DeedKind::Send { to: *to, digest: digest(message), fate: Fate::UnderWay })
        }
        Effect::Monitor(peer) => Some(DeedKind::Monitor(*peer)),
        Effect::Demonitor(peer) => Some(DeedKind::Demonitor(*peer)),
        Effect::Observe(observation) => Some(match machine.notion(observation) {
            Notion::Delivered { number, .. } if machine.stamp(observation).is_some() => {
                let (by, index) = machine.stamp(observation)?;
                DeedKind::Delivered { number, by, index }
            }
            notion => DeedKind::Told(notion),
        }),
        Effect::SetTimer { .. } | Effect::CancelTimer(_) | Effect::Persist(_) | Effect::Stop(_) => {
            None
        }
    }
}

/// What an event is, without what it says.
pub(super) fn met<R: Application>(
    machine: &R,
    event: &EventOf<R>,
    sent: Option<u64>,
) -> Met<R::Timer> {
    match event {
        Event::Message { from, message } => {
            Met::Message { from: *from, sent: sent.unwrap_or(u64::MAX), digest: digest(message) }
        }
        Event::Down(peer) => Met::Down(*peer),
        Event::Timeout(timer) => Met::Timeout(timer.clone()),
        Event::Command(command) => Met::Command(machine.asked(command)),
    }
}

/// What tells messages of one step apart: by chance it might not, and then they are taken for each other.
fn digest(message: &impl Hash) -> u64 {
    let mut hasher = FxHasher::default();
    message.hash(&mut hasher);
    hasher.finish()
}
