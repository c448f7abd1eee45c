//! A first receiver of a node's observations.

use crate::machine::{Address, Peer};

/// Gets each observation of a node before its program does.
pub(super) trait Observer<Observation>: Send + 'static {
    /// Handles an observation of this process, and returns it if the program is to read it.
    fn observe(&mut self, me: Address, observation: Observation) -> Option<Observation>;

    /// A monitored process is down. Called before the machine is told.
    fn down(&mut self, _: Peer) {}
}

/// Leaves all observations to the program.
pub(super) struct Forward;

impl<Observation> Observer<Observation> for Forward {
    fn observe(&mut self, _: Address, observation: Observation) -> Option<Observation> {
        Some(observation)
    }
}
