//! placeholder
pub mod action;
pub mod check;
pub mod diagram;
pub mod environment;
pub mod file;
mod memo;
mod memory;
pub mod parts;
pub mod profile;
pub mod property;
pub mod protocol;
pub mod registry;
pub mod replay;
pub mod scenario;
pub mod search;
pub mod text;
pub mod trace;
pub mod world;
