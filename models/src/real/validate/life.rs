//! The lives of nodes, reduced to the part of their logs that other nodes and the properties observe.

use crate::{
    protocol::{Fact, Notion, Standing},
    real::application::{Application, CommandKind},
};
use interrex::machine::{Address, Effect, EffectOf, Event, EventOf, NodeId, Peer};
use rustc_hash::FxHasher;
use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
};

/// One life of a node.
#[derive(Debug)]
pub(super) struct Life<R: Application> {
    /// The index of its file.
    pub file: usize,
    /// The process, with its life numbered as in the logs.
    pub me: Address,
    /// The process through which it joined, if it did.
    pub contact: Option<Address>,
    /// True if it found data in stable storage.
    pub has_stable: bool,
    /// True if it has written to stable storage.
    pub persisted: bool,
    /// Its start, and its steps.
    pub steps: Vec<Step<R::Timer>>,
    /// The effects of all steps, in order.
    pub effects: Vec<LoggedEffect>,
    /// The time of the logged end, by the clock of the host.
    pub end: Option<u64>,
    /// The reason why the machine has ended it, if it has.
    pub stopped: Option<String>,
    /// The state after the last step.
    pub state: R::State,
    /// The timers that are armed after the last step.
    pub armed: BTreeSet<R::Timer>,
    /// Where messages to a node may have been lost: before the step of this number.
    pub breaks: BTreeSet<(NodeId, usize)>,
    /// The line that is cut short, which is its last.
    pub torn: Option<usize>,
}

/// A step of a life.
#[derive(Debug)]
pub(super) struct Step<Timer> {
    /// The time, by the clock of the host.
    pub at: u64,
    /// The line of the file.
    pub line: usize,
    /// The event.
    pub input: Input<Timer>,
    /// The index of its first effect among those of its life.
    pub first_effect: usize,
    /// The standing of the process after it.
    pub standing: Standing,
    /// The protocol's measure after it.
    pub measured: u64,
    /// The facts of the protocol's own after it.
    pub facts: Vec<Fact>,
}

/// The event that a step handles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input<Timer> {
    /// The start.
    Start,
    /// A message.
    Message {
        /// The sender.
        from: Address,
        /// The step of the sender's life.
        sent: u64,
        /// A digest that distinguishes it from other messages of the same step.
        digest: u64,
    },
    /// A `Down`.
    Down(Peer),
    /// A timer.
    Timeout(Timer),
    /// A command.
    Command(CommandKind),
}

/// An effect that other processes or the properties observe.
#[derive(Debug)]
pub(super) struct LoggedEffect {
    /// Its position among the effects of the step.
    pub position: usize,
    /// The kind of effect.
    pub kind: EffectKind,
    /// The facts of the protocol's own that it tells, if it is an observation.
    pub told: Vec<Fact>,
}

/// The kind of an effect.
#[derive(Debug)]
pub(super) enum EffectKind {
    /// A message was sent.
    Send {
        /// The destination.
        to: Peer,
        /// A digest that distinguishes it from other messages of the same step.
        digest: u64,
        /// Its delivery.
        delivery: Delivery,
    },
    /// A monitor was set.
    Monitor(Peer),
    /// A monitor was removed.
    Demonitor(Peer),
    /// A multicast was delivered.
    Delivered {
        /// Its place in the common order.
        number: u64,
        /// The process that multicast it.
        by: Address,
        /// The number of messages that this process had multicast before.
        index: u64,
    },
    /// Another observation was emitted that the properties read.
    Observed(Notion),
}

/// The delivery of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// It arrived, in this step.
    Received(Place),
    /// The receiver was not up, or ended before the message arrived.
    Undeliverable,
    /// It did not arrive although the receiver was up.
    Lost,
    /// It may still arrive: the logs end too early to show it.
    InTransit,
}

/// A step of one of the lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    /// The index of the life.
    pub life: usize,
    /// The index of the step; for the end of the life, the number of its steps.
    pub step: usize,
}

impl<R: Application> Life<R> {
    /// The time of its start.
    pub(super) fn began(&self) -> u64 {
        self.steps[0].at
    }

    /// The time of its last step.
    pub(super) fn last(&self) -> u64 {
        self.steps.last().map_or(0, |step| step.at)
    }

    /// True if it has ended in another way than by being killed.
    pub(super) fn has_ended(&self) -> bool {
        self.end.is_some() || self.stopped.is_some()
    }

    /// The step of an effect.
    pub(super) fn step_of(&self, effect: usize) -> usize {
        self.steps.partition_point(|step| step.first_effect <= effect) - 1
    }

    /// The indices of the effects of a step.
    pub(super) fn effects_of(&self, step: usize) -> std::ops::Range<usize> {
        let first = |step: usize| self.steps.get(step).map(|step| step.first_effect);
        first(step).unwrap_or(self.effects.len())..first(step + 1).unwrap_or(self.effects.len())
    }

    /// Adds a step.
    pub(super) fn add(
        &mut self,
        machine: &R,
        (at, line): (u64, usize),
        input: Input<R::Timer>,
        effects: &[EffectOf<R>],
    ) {
        let first_effect = self.effects.len();
        if let Input::Timeout(timer) = &input {
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
            let told = match effect {
                Effect::Observe(observation) => machine.told(observation),
                _ => vec![],
            };
            let kind = logged_effect(machine, effect);
            self.effects.extend(kind.map(|kind| LoggedEffect { position: place, kind, told }));
        }
        let standing = machine.standing(&self.state);
        let measured = machine.measured(&self.state);
        let facts = machine.facts(&self.state);
        self.steps.push(Step { at, line, input, first_effect, standing, measured, facts });
    }
}

fn logged_effect<R: Application>(machine: &R, effect: &EffectOf<R>) -> Option<EffectKind> {
    match effect {
        Effect::Send { to, message } => Some(EffectKind::Send {
            to: *to,
            digest: digest(message),
            delivery: Delivery::InTransit,
        }),
        Effect::Monitor(peer) => Some(EffectKind::Monitor(*peer)),
        Effect::Demonitor(peer) => Some(EffectKind::Demonitor(*peer)),
        Effect::Observe(observation) => Some(match machine.notion(observation) {
            Notion::Delivered { number, .. } if machine.stamp(observation).is_some() => {
                let (by, index) = machine.stamp(observation)?;
                EffectKind::Delivered { number, by, index }
            }
            notion => EffectKind::Observed(notion),
        }),
        Effect::SetTimer { .. } | Effect::CancelTimer(_) | Effect::Persist(_) | Effect::Stop(_) => {
            None
        }
    }
}

/// The event of a step, with a message reduced to its digest.
pub(super) fn input<R: Application>(
    machine: &R,
    event: &EventOf<R>,
    sent: Option<u64>,
) -> Input<R::Timer> {
    match event {
        Event::Message { from, message } => {
            Input::Message { from: *from, sent: sent.unwrap_or(u64::MAX), digest: digest(message) }
        }
        Event::Down(peer) => Input::Down(*peer),
        Event::Timeout(timer) => Input::Timeout(timer.clone()),
        Event::Command(command) => Input::Command(machine.command_kind(command)),
    }
}

/// A digest that distinguishes the messages of one step. Messages with equal digests are not distinguished.
fn digest(message: &impl Hash) -> u64 {
    let mut hasher = FxHasher::default();
    message.hash(&mut hasher);
    hasher.finish()
}
