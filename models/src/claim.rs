//! What is claimed of protocols: the properties, and what they see of a node.

pub mod notion;
pub mod profile;
pub mod property;
