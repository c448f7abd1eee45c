//! A node in a world: everything that belongs to it, and the changes that inputs and effects make to it.

use super::environment::Storage;
use derive_where::derive_where;
use im::{OrdSet, Vector};
use interrex::machine::{Address, Boot, Effect, EffectOf, Event, EventOf, Machine, NodeId, Peer};
use serde::{Deserialize, Serialize};
use std::hash::{Hash, Hasher};

/// The condition of a node: idle, up, or ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition<State> {
    /// Never started.
    Idle,
    /// Running. Only such a node acts.
    Up(State),
    /// Ended by the environment. It can be restarted.
    Crashed,
    /// Ended by itself, for any reason.
    Stopped,
}

/// Everything in a world that belongs to one node.
#[derive_where(Clone, Debug, PartialEq, Eq)]
#[derive(Serialize, Deserialize)]
#[serde(bound = "", deny_unknown_fields)]
pub struct Node<M: Machine> {
    /// The number of the node.
    pub id: NodeId,
    /// The number of its life: the present one, or the last (0 for a node that is idle).
    pub life: u64,
    /// Its condition, with its state while it runs.
    pub condition: Condition<M::State>,
    /// Its observations in all lives. The properties read them. Nothing erases them.
    pub history: Vector<M::Observation>,
    /// The content of its stable storage.
    pub stable: Option<M::Stable>,
    /// The number of commands that it has issued. Nothing erases this either.
    pub issued: u32,
    /// The armed timers.
    pub timers: OrdSet<M::Timer>,
    /// The nodes and processes that it monitors.
    pub monitors: OrdSet<Peer>,
}

/// The number of observations that tell nodes apart in a table of hashes. In a search hardly any history is longer.
const HASHED: usize = 16;

/// Without the beginning of a long history: a step of a long run takes no longer than one of a short run.
impl<M: Machine> Hash for Node<M> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // A new field of a node breaks the build here.
        let Self { id, life, condition, history, stable, issued, timers, monitors } = self;
        (id, life, condition, stable, issued, timers, monitors).hash(state);
        history.len().hash(state);
        history.iter().rev().take(HASHED).for_each(|observation| observation.hash(state));
    }
}

/// The input of one step.
#[derive_where(Clone, Debug, PartialEq, Eq, Hash)]
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", bound = "")]
pub enum Input<M: Machine> {
    /// It comes up.
    Start(Boot<M::Stable>),
    /// It handles an event.
    Event(EventOf<M>),
}

impl<M: Machine> Node<M> {
    /// A node that was never started.
    #[must_use]
    pub fn idle(id: NodeId) -> Self {
        Self {
            id,
            life: 0,
            condition: Condition::Idle,
            history: Vector::new(),
            stable: None,
            issued: 0,
            timers: OrdSet::new(),
            monitors: OrdSet::new(),
        }
    }

    /// The node in its present life.
    pub fn address(&self) -> Address {
        Address { node: self.id, life: self.life }
    }

    /// Its state, while it runs.
    pub fn state(&self) -> Option<&M::State> {
        match &self.condition {
            Condition::Up(state) => Some(state),
            Condition::Idle | Condition::Crashed | Condition::Stopped => None,
        }
    }

    /// The content of its stable storage, if it comes up now.
    pub(super) fn kept(&self, storage: Storage) -> Option<&M::Stable> {
        match storage {
            Storage::Kept => self.stable.as_ref(),
            Storage::Lost => None,
        }
    }

    /// True if the node runs.
    pub fn is_up(&self) -> bool {
        matches!(self.condition, Condition::Up(_))
    }

    /// Hands the machine an input; the effects are still to be carried out.
    pub(super) fn take(mut self, machine: &M, input: Input<M>) -> (Self, Vec<EffectOf<M>>) {
        self.prepare(&input);
        let (state, effects) = match (input, self.condition) {
            (Input::Start(boot), Condition::Idle | Condition::Crashed) => machine.start(boot),
            (Input::Event(event), Condition::Up(state)) => machine.step(state, event),
            (input, _) => panic!("{} is not in the condition for {input:?}", self.id),
        };
        self.condition = Condition::Up(state);
        (self, effects)
    }

    /// Applies the part of an input that does not depend on the machine.
    pub(super) fn prepare(&mut self, input: &Input<M>) {
        match input {
            Input::Start(boot) => {
                self.life = boot.me.life;
                // Storage that a crash has destroyed stays lost.
                self.stable.clone_from(&boot.stable);
            }
            Input::Event(Event::Timeout(timer)) => drop(self.timers.remove(timer)),
            Input::Event(Event::Command(_)) => self.issued += 1,
            Input::Event(Event::Message { .. } | Event::Down(_)) => {}
        }
    }

    /// Applies an effect as far as it concerns the node itself.
    pub(super) fn note(&mut self, machine: &M, effect: &EffectOf<M>) {
        match effect {
            Effect::SetTimer { timer, .. } => drop(self.timers.insert(timer.clone())),
            Effect::CancelTimer(timer) => drop(self.timers.remove(timer)),
            Effect::Persist(persisted) => {
                self.stable = Some(machine.stored(self.stable.take(), persisted.clone()));
            }
            Effect::Observe(observation) => self.history.push_back(observation.clone()),
            // These reach beyond the node, or end it.
            Effect::Send { .. } | Effect::Monitor(_) | Effect::Demonitor(_) | Effect::Stop(_) => {}
        }
    }

    /// The node at the end of a life: its state, its timers and its monitors are gone.
    pub(super) fn end(mut self, condition: Condition<M::State>) -> Self {
        self.condition = condition;
        self.timers = OrdSet::new();
        self.monitors = OrdSet::new();
        self
    }
}
