//! Runs that are kept as files, replayed, drawn, and gone on with.

pub mod draw;
pub mod known;
pub mod outlook;
pub mod replay;
pub mod trace;
