//! The promises that the adapter makes to a machine, as far as a single log can tell: a timer fires if it is armed, a
//! `Down` is about a monitored process, the storage returns what was persisted last, and the clock does not run
//! backwards.

use crate::real::application::Application;
use interrex::{
    machine::{Boot, Effect, EffectOf, Event, EventOf, Peer},
    runtime::{Digest, Held},
};
use std::collections::{BTreeMap, BTreeSet};

/// The contradiction of a life that begins with another value than the one persisted last.
pub(super) const OTHER_STORED: &str =
    "it begins with a stored value that is not the one persisted last";

/// The obligations of the adapter to a node, from its log so far.
#[derive(Debug)]
pub(super) struct Adapter<R: Application> {
    /// The time of the last line.
    at: u64,
    /// How often each process was monitored and is not down.
    monitors: BTreeMap<Peer, u32>,
    /// The possible contents of stable storage: the last one that certainly is there, and those that were persisted since
    /// the last sync, which a crash may have lost. Empty if nothing is known.
    stored: Vec<R::Stable>,
}

impl<R: Application> Adapter<R> {
    pub(super) fn new() -> Self {
        Self { at: 0, monitors: BTreeMap::new(), stored: vec![] }
    }

    /// The possible contents of stable storage; none if nothing is known.
    pub(super) fn stored(&self) -> &[R::Stable] {
        &self.stored
    }

    /// The possible content of stable storage that has this digest.
    pub(super) fn find(&self, digest: &Digest) -> Option<&R::Stable> {
        let digest = Held::Digest(digest.clone());
        self.stored.iter().find(|stored| digest.is(stored))
    }

    /// A life begins. Returns the broken promises.
    pub(super) fn start(
        &mut self,
        machine: &R,
        at: u64,
        boot: &Boot<R::Stable>,
        effects: &[EffectOf<R>],
    ) -> Vec<String> {
        let mut broken = self.pass(at);
        match &boot.stable {
            Some(stable) if !self.stored.is_empty() && !self.stored.contains(stable) => {
                broken.push(OTHER_STORED.into());
            }
            _ => {}
        }
        // Without a value it has lost its storage, which is no fault of the adapter.
        self.stored = boot.stable.iter().cloned().collect();
        self.monitors.clear();
        self.carry_out(machine, effects);
        broken
    }

    /// A step of a life in which these timers are armed: its time, and whether something is unsynced. Returns the broken promises.
    pub(super) fn step(
        &mut self,
        machine: &R,
        (at, unsynced): (u64, bool),
        event: &EventOf<R>,
        effects: &[EffectOf<R>],
        armed: &BTreeSet<R::Timer>,
    ) -> Vec<String> {
        let mut broken = self.pass(at);
        if !unsynced {
            self.stored.drain(..self.stored.len().saturating_sub(1));
        }
        match event {
            Event::Timeout(timer) if !armed.contains(timer) => {
                broken.push(format!("the timer {timer:?} fires, and is not armed"));
            }
            Event::Down(peer) => match self.monitors.get_mut(peer) {
                Some(times) if *times > 0 => *times -= 1,
                _ => broken.push(format!("a Down of {peer}, which is not monitored")),
            },
            Event::Timeout(_) | Event::Message { .. } | Event::Command(_) => {}
        }
        self.carry_out(machine, effects);
        broken
    }

    /// A line with this time. Returns the broken promises.
    pub(super) fn pass(&mut self, at: u64) -> Vec<String> {
        let before = std::mem::replace(&mut self.at, at);
        if before <= at {
            return vec![];
        }
        let milliseconds = (before - at).div_ceil(1000);
        vec![format!("the clock of its host has run backwards, by {milliseconds} ms")]
    }

    fn carry_out(&mut self, machine: &R, effects: &[EffectOf<R>]) {
        for effect in effects {
            match effect {
                Effect::Monitor(peer) => *self.monitors.entry(*peer).or_default() += 1,
                Effect::Demonitor(peer) => drop(self.monitors.remove(peer)),
                Effect::Persist(persisted) => {
                    let before = self.stored.last().cloned();
                    self.stored.push(machine.stored(before, persisted.clone()));
                }
                Effect::SetTimer { .. }
                | Effect::CancelTimer(_)
                | Effect::Send { .. }
                | Effect::Observe(_) => {}
                Effect::Stop(_) => break,
            }
        }
    }
}
