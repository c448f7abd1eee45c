//! The world that a protocol is checked in. Below is `models/SEMANTICS.md`, the rules that this code
//! implements.
//!
#![doc = include_str!("../SEMANTICS.md")]

pub mod action;
pub mod digest;
pub mod environment;
pub(crate) mod memo;
pub mod node;
pub mod parts;
pub mod view;
pub mod world;
