//! Exploration: exhaustive search, random schedules, shortest runs and livelocks.

pub mod audit;
pub(crate) mod breadth;
pub mod coverage;
pub mod engine;
pub mod judge;
pub mod layers;
pub mod livelock;
pub mod sample;
pub mod search;
pub mod shrink;
pub mod stateright;
pub mod stop;
pub mod symptom;
pub(crate) mod visited;
