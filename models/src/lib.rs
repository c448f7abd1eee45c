//! placeholder
mod memo;
pub mod parts;
pub mod property;
pub mod protocol;
pub mod search;
pub mod world;
