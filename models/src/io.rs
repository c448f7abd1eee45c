//! Files, text for people, and the memory that a check uses.

pub mod file;
pub(crate) mod memory;
pub mod text;
