//! Files, text for people, and the program that runs: its file, and its memory.

pub(crate) mod binary;
pub mod file;
pub(crate) mod memory;
pub(crate) mod program;
pub mod text;
