//! Ways through the worlds: every one, random ones, shortest ones, and those that never end.

pub mod audit;
pub(crate) mod breadth;
pub mod coverage;
pub mod engine;
pub mod livelock;
pub mod sample;
pub mod search;
pub mod serial;
pub mod shrink;
pub mod stateright;
