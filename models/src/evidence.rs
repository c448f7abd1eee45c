//! Runs that are kept as files, replayed and drawn.

pub mod draw;
pub mod known;
pub mod replay;
pub mod trace;
