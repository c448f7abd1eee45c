//! The world that a protocol is checked in, as `models/SEMANTICS.md` defines it.

pub mod action;
pub mod digest;
pub mod environment;
pub(crate) mod memo;
pub mod parts;
pub mod view;
pub mod world;
