//! Runs that are kept as files, replayed and drawn.

pub mod diagram;
pub mod known;
pub mod replay;
pub mod trace;
