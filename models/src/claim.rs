//! What is claimed of protocols: the properties, and what they see of a node.

mod calls;
mod definition;
mod delivery;
mod leadership;
pub mod notion;
mod order;
pub mod profile;
pub mod property;
