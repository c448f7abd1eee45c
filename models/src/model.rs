//! The world that a protocol is checked in. [`semantics`] is the page of rules that it implements.

pub mod action;
pub mod digest;
pub(crate) mod elsewhere;
pub mod environment;
pub(crate) mod memo;
pub mod node;
pub mod parts;
pub mod view;
pub mod world;
#[doc = include_str!("../SEMANTICS.md")]
#[allow(clippy::doc_markdown, reason = "names of the protocols' own, in prose")]
pub mod semantics {}
