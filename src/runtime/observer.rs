//! A first receiver of a node's observations.

use crate::machine::{Address, Machine, Peer};

/// Gets each observation of a node before its program does.
pub(super) trait Observer<M: Machine>: Send + 'static {
    /// Handles an observation of this process, and returns it if the program is to read it.
    fn observe(&mut self, me: Address, observation: M::Observation) -> Option<M::Observation>;

    /// Looks at the state after some steps, and the observations of these.
    fn look(&mut self, _: &M::State) {}

    /// A monitored process is down. Called before the machine is told.
    fn down(&mut self, _: Peer) {}
}

/// Leaves all observations to the program.
pub(super) struct Forward;

impl<M: Machine> Observer<M> for Forward {
    fn observe(&mut self, _: Address, observation: M::Observation) -> Option<M::Observation> {
        Some(observation)
    }
}
