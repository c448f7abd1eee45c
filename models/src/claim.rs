//! The claims about protocols: the properties, and their view of a node.

mod calls;
mod definition;
mod delivery;
pub mod fact;
mod leadership;
pub mod notion;
mod order;
pub mod profile;
pub mod property;
